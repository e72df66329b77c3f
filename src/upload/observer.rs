//! A hook for the owner of an upload. It reports each of S3's answers at once, also for parts that are stored in the
//! background.

use crate::{
    name::{BucketId, Key},
    store::{Error, UploadId},
};
use std::fmt::Debug;

/// Receives the results of one upload's requests. The upload's tasks call it, so it must not wait.
pub trait UploadObserver: Debug + Send + Sync {
    /// S3 is about to be told to publish the upload. The call comes before the request, so that a record of it outlives
    /// a kill of the server in between.
    fn publishing(&self, publication: Publication<'_>);
    /// A part, or the object, is stored.
    fn stored(&self);
    /// The upload to `key` failed. May be called more than once, for several parts and again at the end.
    fn failed(&self, key: &Key, error: &Error);
    /// The upload to `key` was abandoned, and S3 didn't abort it: its parts take up space.
    fn not_aborted(&self, key: &Key, upload: &UploadId, error: &Error);
}

/// An upload that S3 is about to publish.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    pub(crate) bucket: &'a BucketId,
    pub(crate) key: &'a Key,
    /// The token in the object's metadata: see [`NewObject::TOKEN`](crate::store::NewObject::TOKEN).
    pub(crate) token: &'a str,
    /// The size of the object, in bytes.
    pub(crate) size: u64,
}
