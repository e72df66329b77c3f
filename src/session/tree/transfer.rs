//! The record of an open file: one event when it opens, one when it ends for whatever reason, and its progress in
//! between.

use super::SessionTree;
use crate::{
    events::{Event, Outcome, TransferredObject},
    session::progress::{TransferPath, TransferProgress},
    vfs::Published,
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use std::sync::Arc;
use tokio::time::Instant;

/// The record of an open file. Dropping it without [`OpenTransfer::done`] or [`OpenTransfer::fail`] records the file as
/// abandoned.
#[derive(Debug)]
pub(in crate::session) struct OpenTransfer {
    tree: Arc<SessionTree>,
    number: u64,
    progress: Arc<TransferProgress>,
    since: Instant,
    is_recorded: bool,
}

impl SessionTree {
    /// Records that the client opened a file.
    pub(in crate::session) fn begin_transfer(self: &Arc<Self>, path: TransferPath) -> OpenTransfer {
        let progress = Arc::new(TransferProgress::new(path));
        let (transfer_id, transfer) = (progress.transfer_id(), progress.direction());
        self.audit.record(Event::FileOpened { transfer_id, path: progress.path(), transfer });
        let number = self.entry.begin_transfer(Arc::clone(&progress));
        OpenTransfer { tree: Arc::clone(self), number, progress, since: Instant::now(), is_recorded: false }
    }
}

impl OpenTransfer {
    /// Returns the progress, for counting.
    pub(in crate::session) fn progress(&self) -> &TransferProgress {
        &self.progress
    }

    /// Records success. The file has `size` bytes; a resumed upload counted fewer, because earlier bytes were already
    /// stored. `published` is the object that the CLOSE of an upload published.
    pub(in crate::session) fn done(mut self, size: u64, published: Option<&Published>) {
        self.record(Outcome::Done, Some(size), published.map(object));
    }

    /// Records a failure or refusal.
    pub(in crate::session) fn fail(mut self, outcome: Outcome) {
        self.record(outcome, None, None);
    }

    fn record(&mut self, outcome: Outcome, size: Option<u64>, published: Option<TransferredObject>) {
        self.is_recorded = true;
        let object = published.or_else(|| self.progress.read_object().cloned());
        self.tree.audit.record(Event::FileClosed {
            transfer_id: self.progress.transfer_id(),
            path: self.progress.path(),
            transfer: self.progress.direction(),
            bytes: self.progress.client_bytes(),
            size,
            duration: self.since.elapsed(),
            outcome,
            object: object.map(Box::new),
        });
    }
}

/// Returns the published object, as records have it.
fn object(published: &Published) -> TransferredObject {
    TransferredObject {
        bucket: published.bucket.clone(),
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
