//! Uploads that failed where another file is: what their client asks next must not sound like success.
//!
//! Some clients don't look at the answer to a CLOSE, and ask for the file's size instead: paramiko's `put`. Another file
//! of just that size would tell them that all is well. Each session is told of its own failures alone, and of none once any
//! session of the node has stored or removed the file.

use super::{At, Name, lock, object_map::ObjectMap};
use crate::name::{BucketId, Prefix};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_mins(1);
/// Failures that are remembered for a tenant.
const MAX_FAILED: usize = 4096;

/// One session of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct SessionId(u64);

impl SessionId {
    /// An id that no other session of the process has.
    pub(in crate::vfs) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    /// The size that the file was to have, in bytes.
    bytes: u64,
    at: Instant,
}

/// The files that could not be stored.
#[derive(Debug)]
pub(in crate::vfs) struct FailedUploads(Mutex<ObjectMap<SessionId, Failed>>);

impl Default for FailedUploads {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_FAILED)))
    }
}

impl FailedUploads {
    /// Remembers a file of so many bytes that a session could not store.
    pub(in crate::vfs) fn note(&self, at: At<'_>, session: SessionId, bytes: u64) {
        lock(&self.0).insert(at.tenant(), at.name(), session, Failed { bytes, at: Instant::now() });
    }

    /// True if a file of this size would be taken for the one that the session could not store.
    pub(in crate::vfs) fn looks_like(&self, at: At<'_>, session: SessionId, bytes: u64) -> bool {
        let failed = lock(&self.0).find(at.name(), &session).copied();
        failed.is_some_and(|failed| failed.bytes == bytes && failed.at.elapsed() < MEMORY)
    }

    /// The session begins to upload the file again.
    pub(in crate::vfs) fn begin(&self, at: At<'_>, session: SessionId) {
        lock(&self.0).remove(at.name(), &session);
    }

    /// A session stored or removed the file.
    pub(super) fn forget(&self, name: Name<'_>) {
        lock(&self.0).remove_all(name);
    }

    /// A session renamed or replaced the directory.
    pub(super) fn forget_below(&self, bucket: &BucketId, directory: &Prefix) {
        lock(&self.0).take_below(bucket, directory.as_str());
    }
}
