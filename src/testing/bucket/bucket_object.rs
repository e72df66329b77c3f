//! One version of an object in the bucket, as S3 stores it and describes it.

use crate::store::{ETag, NewObject, Object, Pin};
use bytes::Bytes;

#[derive(Clone, Debug)]
pub(super) struct BucketObject {
    pub(super) bytes: Bytes,
    pub(super) pin: Pin,
    pub(super) modified: i64,
    pub(super) born: NewObject,
    pub(super) archived: bool,
}

impl BucketObject {
    /// The object as GET and HEAD describe it.
    pub(super) fn describe(&self) -> Object {
        Object {
            size: self.bytes.len() as u64,
            pin: self.pin.clone(),
            modified: self.modified,
            metadata: self.born.metadata.clone(),
            headers: self.born.headers.clone(),
            archived: self.archived,
        }
    }
}

/// An ETag that, like S3's, is the same for the same bytes uploaded the same way.
pub(super) fn etag_of(crc64: u64, parts: Option<usize>) -> ETag {
    ETag(parts.map_or_else(|| format!("\"{crc64:032x}\""), |count| format!("\"{crc64:032x}-{count}\"")))
}
