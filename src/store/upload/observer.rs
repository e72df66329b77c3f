//! The seam by which the owner of an upload hears at once what S3 says to it, also of parts that are stored in the
//! background.

use crate::{name::Key, store::Error};
use std::fmt::Debug;

/// Hears the answers to one upload's requests. It is called from the upload's tasks, and must not wait.
pub trait UploadObserver: Debug + Send + Sync {
    /// A part, or the object, is stored.
    fn stored(&self);
    /// The upload to `key` fails. It may be told more than once, for several parts and again at the end.
    fn failed(&self, key: &Key, error: &Error);
}
