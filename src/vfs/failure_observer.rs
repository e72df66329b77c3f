//! The outcome of uploads decides on the next OPEN for writing: `outage.rs` says why.
//!
//! Invariants:
//! - An upload fails once, however many of its parts do, and nothing that is stored of it later ends the outage.
//! - What the client itself did wrong, and S3's other refusals, decide on nothing. A denial (403) decides on its own
//!   session alone.

use super::{Error, Node, Result, Vfs, cache::CredentialScope, late::Named, notes::Notes};
use crate::{
    name::{BucketId, Key},
    store::{self, UploadObserver},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Hears what becomes of one upload.
#[derive(Debug)]
pub(super) struct FailureObserver {
    node: Arc<Node>,
    notes: Arc<Notes>,
    bucket: BucketId,
    scope: Arc<CredentialScope>,
    has_failed: AtomicBool,
}

impl FailureObserver {
    pub(super) fn new(node: &Arc<Node>, notes: &Arc<Notes>, bucket: &BucketId, scope: &Arc<CredentialScope>) -> Self {
        let (node, notes) = (Arc::clone(node), Arc::clone(notes));
        Self { node, notes, bucket: bucket.clone(), scope: Arc::clone(scope), has_failed: AtomicBool::new(false) }
    }

    /// The upload to `key` fails because of `error`, which a question about its name met.
    pub(super) fn refused(&self, key: &Key, error: &Error) {
        if let Error::Storage(cause) | Error::Forbidden(cause) = error {
            self.failed(key, cause);
        }
    }

    fn note_once(&self, note: impl FnOnce()) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            note();
        }
    }
}

impl UploadObserver for FailureObserver {
    fn stored(&self) {
        if !self.has_failed.load(Ordering::Relaxed) {
            self.node.cache.outages.end(&self.bucket, &self.scope);
            self.notes.denials.end(&self.bucket, &self.scope);
        }
    }

    fn failed(&self, key: &Key, error: &store::Error) {
        match error {
            store::Error::Unreachable(_) | store::Error::Throttled { .. } | store::Error::Full { .. } => {
                self.note_once(|| self.node.cache.outages.note(&self.bucket, &self.scope, error.clone()));
            }
            store::Error::Forbidden { .. } => {
                self.note_once(|| self.notes.denials.note((&self.bucket, &self.scope), key, error.clone()));
            }
            _ => {}
        }
    }
}

impl Vfs {
    /// Refuses an OPEN for writing where uploads fail. No IO.
    ///
    /// # Errors
    /// [`Error::StorageFails`], [`Error::UploadsDenied`].
    pub(super) fn demand_storage(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> Result<()> {
        // An OPEN that the outage refuses takes the turn of no OPEN that tells if uploads are denied still.
        self.node.cache.outages.check(bucket, scope).map_err(Error::StorageFails)?;
        self.notes.denials.admit(bucket, scope).map_err(Error::UploadsDenied)?;
        self.node.cache.outages.admit(bucket, scope).map_err(Error::StorageFails)
    }

    /// This session has stored an object other than by an upload.
    pub(super) fn note_stored(&self, named: Named<'_>) {
        self.node.cache.outages.end(named.bucket.id(), named.scope);
        self.notes.denials.end(named.bucket.id(), named.scope);
    }
}
