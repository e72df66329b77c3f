//! Uploads in parts that can be resumed after their connection, or the server, was lost. S3 keeps the parts. The
//! journal keeps which upload they belong to, and how much of it is as the client sent it.

use crate::{
    name::MountedKey,
    store::{NewObject, UploadId},
};

/// An upload in parts, as the payload of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumableUpload {
    /// The key of the object that it is to become, and the mount that it is uploaded through.
    pub place: MountedKey,
    /// S3's id of the upload.
    pub upload: UploadId,
    /// The attributes that the object will get, its token included. S3 got them when the upload was created.
    pub object: NewObject,
    /// The stored beginning of it, when that was last noted.
    pub whole: Whole,
}

/// The part of an upload that is stored from its first byte on without a gap, and as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The number of these parts, counted from the first.
    pub parts: u32,
    /// The size of these parts, in bytes.
    pub bytes: u64,
    /// A checksum of their ETags. It detects a part that is stored again later.
    pub etags: u64,
}
