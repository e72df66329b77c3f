//! A hook for the owner of an upload. It reports each of S3's answers at once, also for parts that are stored in the
//! background.

use crate::{
    name::Key,
    store::{Error, UploadId},
};
use std::fmt::Debug;

/// Receives the results of one upload's requests. The upload's tasks call it, so it must not wait.
pub trait UploadObserver: Debug + Send + Sync {
    /// A part, or the object, is stored.
    fn stored(&self);
    /// The upload to `key` failed. May be called more than once, for several parts and again at the end.
    fn failed(&self, key: &Key, error: &Error);
    /// The upload to `key` was abandoned, and S3 didn't abort it: its parts take up space.
    fn not_aborted(&self, key: &Key, upload: &UploadId, error: &Error);
}
