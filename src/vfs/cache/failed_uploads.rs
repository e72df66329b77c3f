//! Failed uploads whose name another file has. The next answer to their client must not look like success.
//!
//! Some clients, such as paramiko's `put`, ignore the answer to CLOSE and ask for the file's size instead. Another file
//! of exactly that size would look like a successful upload. The node reports a failure only to its own session, and
//! only until any session of the node stores or removes the file.

use super::ScopedName;
use crate::{
    bounded::{ObjectMap, ObjectName},
    name::{BucketId, Prefix},
    objects::SessionId,
};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// A failure is remembered this long.
const MEMORY: Duration = Duration::from_mins(1);
/// The most failures that are remembered for a tenant.
const MAX_FAILED: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct FailedUpload {
    /// The size of the file that the upload would have stored, in bytes.
    bytes: u64,
    at: Instant,
}

/// The failed uploads, by object and session.
#[derive(Debug)]
pub(in crate::vfs) struct FailedUploads(Mutex<ObjectMap<SessionId, FailedUpload>>);

impl Default for FailedUploads {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_FAILED)))
    }
}

impl FailedUploads {
    /// Records that the session failed to store a file of `bytes` bytes.
    pub(in crate::vfs) fn note(&self, at: ScopedName<'_>, session: SessionId, bytes: u64) {
        self.0.lock().insert(at.tenant(), at.name(), session, FailedUpload { bytes, at: Instant::now() });
    }

    /// True if a client could mistake a file of this size for the one that the session failed to store.
    pub(in crate::vfs) fn looks_like(&self, at: ScopedName<'_>, session: SessionId, bytes: u64) -> bool {
        let failed = self.0.lock().find(at.name(), &session).copied();
        failed.is_some_and(|failed| failed.bytes == bytes && failed.at.elapsed() < MEMORY)
    }

    /// Records that the session uploads the file again.
    pub(in crate::vfs) fn begin(&self, at: ScopedName<'_>, session: SessionId) {
        self.0.lock().remove(at.name(), &session);
    }

    /// Records that a session stored or removed the file.
    pub(super) fn forget(&self, name: ObjectName<'_>) {
        self.0.lock().remove_all(name);
    }

    /// Records that a session renamed or replaced the directory.
    pub(super) fn forget_below(&self, bucket: &BucketId, directory: &Prefix) {
        self.0.lock().take_below(bucket, directory.as_str());
    }
}
