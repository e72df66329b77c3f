//! The record of an open file: one event when it opens, one when it ends for whatever reason, and its progress in
//! between.

use super::{SessionTree, registry::TransferProgress};
use crate::{
    clock::{Clock as _, SystemClock},
    events::{Event, Outcome, PublishedObject, Transfer},
    name::VirtualPath,
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

/// The record of an open file. Dropping it without [`OpenTransfer::done`] or [`OpenTransfer::fail`] records the file as
/// abandoned.
#[derive(Debug)]
pub(super) struct OpenTransfer {
    tree: Arc<SessionTree>,
    number: u64,
    progress: Arc<TransferProgress>,
    since: Instant,
    is_recorded: bool,
}

impl SessionTree {
    /// Records that the client opened a file. `size` is the size of a file that the client reads, in bytes.
    pub(super) fn begin_transfer(
        self: &Arc<Self>,
        path: &VirtualPath,
        transfer: Transfer,
        size: Option<u64>,
    ) -> OpenTransfer {
        let path = path.as_str().to_owned();
        self.audit.record(Event::FileOpened { path: path.clone(), transfer });
        let since = OffsetDateTime::from(SystemClock.now());
        let progress =
            Arc::new(TransferProgress { path: Mutex::new(path), transfer, since, bytes: AtomicU64::new(0), size });
        let number = self.entry.begin_transfer(Arc::clone(&progress));
        OpenTransfer { tree: Arc::clone(self), number, progress, since: Instant::now(), is_recorded: false }
    }
}

impl OpenTransfer {
    /// Counts bytes of content.
    pub(super) fn count(&self, bytes: u64) {
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sets the path for the record of the end.
    pub(super) fn rename(&self, path: &str) {
        path.clone_into(&mut self.progress.path.lock());
    }

    /// Records success. The file has `size` bytes; a resumed upload counted fewer, because earlier bytes were already stored.
    /// `published` is the object that the CLOSE of an upload published.
    pub(super) fn done(mut self, size: u64, published: Option<&Published>) {
        self.record(Outcome::Done, Some(size), published.map(|published| Box::new(object(published))));
    }

    /// Records a failure or refusal.
    pub(super) fn fail(mut self, outcome: Outcome) {
        self.record(outcome, None, None);
    }

    fn record(&mut self, outcome: Outcome, size: Option<u64>, published: Option<Box<PublishedObject>>) {
        self.is_recorded = true;
        let path = self.progress.path.lock().clone();
        self.tree.audit.record(Event::FileClosed {
            path,
            transfer: self.progress.transfer,
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            size,
            duration: self.since.elapsed(),
            outcome,
            published,
        });
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
        self.tree.entry.end_transfer(self.number);
    }
}
