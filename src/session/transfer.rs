//! An open file: one record when it opens, one when it ends for whatever reason, and its progress in between.

use super::registry::{SessionEntry, TransferProgress};
use crate::{
    clock::{Clock as _, SystemClock},
    events::{Event, Events, Outcome, PublishedObject, SessionUser, Transfer, Who},
    vfs::Published,
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use time::OffsetDateTime;
use tokio::time::Instant;

/// An open file. Dropping it without [`OpenTransfer::done`] or [`OpenTransfer::fail`] records it as abandoned.
#[derive(Debug)]
pub struct OpenTransfer {
    who: Arc<SessionUser>,
    events: Events,
    entry: Arc<SessionEntry>,
    number: u64,
    progress: Arc<TransferProgress>,
    since: Instant,
    is_recorded: bool,
}

impl OpenTransfer {
    /// Records that the client opened the file. `size` is the size of a file that it reads, in bytes.
    pub(super) fn new(
        who: Arc<SessionUser>,
        events: Events,
        entry: Arc<SessionEntry>,
        path: String,
        transfer: Transfer,
        size: Option<u64>,
    ) -> Self {
        events.record(Who::Session(Arc::clone(&who)), Event::FileOpened { path: path.clone(), transfer });
        let since = OffsetDateTime::from(SystemClock.now());
        let progress =
            Arc::new(TransferProgress { path: Mutex::new(path), transfer, since, bytes: AtomicU64::new(0), size });
        let number = entry.begin_transfer(Arc::clone(&progress));
        Self { who, events, entry, number, progress, since: Instant::now(), is_recorded: false }
    }

    /// Counts bytes of content.
    pub fn count(&self, bytes: u64) {
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sets the path for the record of the end.
    pub fn rename(&self, path: &str) {
        path.clone_into(&mut self.progress.path.lock());
    }

    /// Records success. The file has `size` bytes; a resumed upload counted fewer, because earlier bytes were already stored.
    /// `published` is the object that the CLOSE of an upload published.
    pub fn done(mut self, size: u64, published: Option<&Published>) {
        self.record(Outcome::Done, Some(size), published.map(|published| Box::new(object(published))));
    }

    /// Records a failure or refusal.
    pub(crate) fn fail(mut self, outcome: Outcome) {
        self.record(outcome, None, None);
    }

    fn record(&mut self, outcome: Outcome, size: Option<u64>, published: Option<Box<PublishedObject>>) {
        self.is_recorded = true;
        let path = self.progress.path.lock().clone();
        let closed = Event::FileClosed {
            path,
            transfer: self.progress.transfer,
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            size,
            duration: self.since.elapsed(),
            outcome,
            published,
        };
        self.events.record(Who::Session(Arc::clone(&self.who)), closed);
    }
}

/// The published object, as records have it.
fn object(published: &Published) -> PublishedObject {
    PublishedObject {
        key: published.key.clone(),
        etag: published.etag.0.clone(),
        version: published.version.as_ref().map(|version| version.0.clone()),
        checksum_crc64nvme: published.checksum.map(|checksum| BASE64.encode(checksum.to_be_bytes())),
        request_id: published.request_id.clone(),
    }
}

impl Drop for OpenTransfer {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.record(Outcome::Abandoned, None, None);
        }
        self.entry.end_transfer(self.number);
    }
}
