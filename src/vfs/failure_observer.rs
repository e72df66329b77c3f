//! Observes uploads, and records their results in the node's outages and the session's denials (`store/outage.rs`).
//! Passes on to the session's observer that S3 is about to publish an upload.
//!
//! Invariants:
//! - An upload counts as one failure, even if several of its parts fail. After it failed, its later successes don't end
//!   the outage.
//! - Errors of the client, and S3's other refusals, change nothing. A denial (403) counts only for its own session.

use super::{Error, Node, UploadPath, cache::CredentialScope, session_state::SessionState};
use crate::{
    name::{BucketId, Key, Prefix},
    store::{self, UploadId},
    upload::{Publication, UploadObserver},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The observer of one upload.
#[derive(Debug)]
pub(super) struct FailureObserver {
    node: Arc<Node>,
    session: Arc<SessionState>,
    bucket: BucketId,
    scope: Arc<CredentialScope>,
    path: UploadPath,
    mount: Prefix,
    has_failed: AtomicBool,
}

impl FailureObserver {
    pub(super) fn new(
        node: &Arc<Node>,
        session: &Arc<SessionState>,
        bucket: &BucketId,
        scope: &Arc<CredentialScope>,
        (path, mount): (&UploadPath, &Prefix),
    ) -> Self {
        let (node, session, scope) = (Arc::clone(node), Arc::clone(session), Arc::clone(scope));
        let (bucket, path, mount) = (bucket.clone(), path.clone(), mount.clone());
        Self { node, session, bucket, scope, path, mount, has_failed: AtomicBool::new(false) }
    }

    /// Records that the upload to `key` fails because of `error`, the answer to the check of its name.
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
    fn publishing(&self, publication: Publication<'_>) {
        let (transfer_id, path) = (self.path.transfer_id(), self.path.current());
        self.session.observer.publishing(transfer_id, &path, &self.mount, publication);
    }

    fn stored(&self) {
        if !self.has_failed.load(Ordering::Relaxed) {
            self.node.cache.outages.end(&self.bucket, &self.scope);
            self.session.denials.end(&self.bucket, &self.scope);
        }
    }

    fn failed(&self, key: &Key, error: &store::Error) {
        match error {
            store::Error::Unreachable(_) | store::Error::Throttled { .. } | store::Error::Full { .. } => {
                self.note_once(|| self.node.cache.outages.note(&self.bucket, &self.scope, error.clone()));
            }
            store::Error::Forbidden { .. } => {
                self.note_once(|| self.session.denials.note((&self.bucket, &self.scope), key, error.clone()));
            }
            _ => {}
        }
    }

    fn not_aborted(&self, key: &Key, upload: &UploadId, error: &store::Error) {
        self.session.observer.not_aborted(key, &upload.0, error);
    }
}
