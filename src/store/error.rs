//! Why a storage operation failed, in storage's words. `vfs` turns it into what a user may know.

use std::time::Duration;

/// Why a storage operation failed.
///
/// Messages are for the operator's log. They may name request ids, never credentials; what a client is told is
/// decided in `sftp/channel/status.rs`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No object of that name (404), or no such upload: who has an [`Upload`](super::Upload) hears
    /// [`UploadGone`](Self::UploadGone) instead.
    #[error("no such object")]
    NotFound,
    /// 403. Under a scoped policy a HEAD of a missing key says this too: only a listing decides.
    #[error("S3 denied access ({request})")]
    Forbidden {
        /// S3's code and request id.
        request: String,
    },
    /// 412 or 409: the object is not, or no longer, the one that was meant.
    #[error("the object changed or exists already ({request})")]
    Conflict {
        /// S3's code and request id.
        request: String,
    },
    /// 416. An empty object says so to every range.
    #[error("the range lies behind the end of an object of {size:?} bytes")]
    RangeNotSatisfiable {
        /// The object's size in bytes, where S3 said it.
        size: Option<u64>,
    },
    /// The object is archived (Glacier) and must be restored before it can be read.
    #[error("the object is archived and must be restored first")]
    Archived,
    /// 503 SlowDown or an equivalent, after retries.
    #[error("S3 asks to slow down ({request})")]
    Throttled {
        /// S3's code and request id.
        request: String,
    },
    /// No answer in time, the connection broke, or S3 or a proxy before it failed (500, 502, 504), after retries: a
    /// write may have happened all the same.
    #[error("no answer from S3: {0}")]
    Unreachable(String),
    /// The bucket, or its owner's quota, is full: 507, or one of the codes that stores other than AWS have for it.
    #[error("the bucket is full ({request})")]
    Full {
        /// S3's code and request id.
        request: String,
    },
    /// No credentials could be had for the mount.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// Anything else that S3 said.
    #[error("S3 refused: {code}: {message} ({request})")]
    Refused {
        /// S3's error code, such as `InvalidPart`.
        code: String,
        /// S3's sentence.
        message: String,
        /// S3's request id.
        request: String,
    },
    /// The answer made no sense, such as a body shorter than its length.
    #[error("S3's answer was not as it should be: {0}")]
    Broken(String),
    /// Upload memory was not free before the deadline.
    #[error("no upload memory was free within {0:?}")]
    Busy(Duration),
    /// A write to bytes that are already on their way to S3.
    #[error("bytes before offset {shipped} are already stored and can't be written again")]
    AlreadyShipped {
        /// The first offset that can still be written.
        shipped: u64,
    },
    /// A write so far behind the end that the hole would be larger than the limit.
    #[error("a hole of more than {limit} bytes")]
    HoleTooLarge {
        /// The largest hole, in bytes.
        limit: u64,
    },
    /// The file is larger than the tenant allows.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// `max_object_bytes`.
        limit: u64,
    },
    /// The directory holds more than may be renamed with it.
    #[error("more than {limit} objects")]
    TooManyObjects {
        /// `max_rename_objects`.
        limit: u64,
    },
    /// A name in the directory would be longer than S3 allows.
    #[error("a name would be longer than S3 allows")]
    NameTooLong,
    /// Another rename has to do with the same names, or one that was cut off waits to be finished or undone.
    #[error("another rename of the same names is under way, or was cut off")]
    RenameUnderWay,
    /// What needs the journal can't be done without.
    #[error(transparent)]
    Journal(#[from] super::JournalDown),
    /// A file has the name already.
    #[error("a file of this name exists already")]
    AlreadyExists,
    /// A directory has the name already.
    #[error("a directory of this name exists already")]
    IsDirectory,
    /// The directory holds more than its own marker.
    #[error("the directory is not empty")]
    NotEmpty,
    /// Somebody, perhaps a lifecycle rule of the bucket, aborted the multipart upload, and its parts are gone.
    #[error("the multipart upload is gone: it was aborted in S3")]
    UploadGone,
    /// Somebody else goes on with the upload, or did so a moment ago.
    #[error("the upload that was cut off is held by another session")]
    UploadHeld,
    /// Bytes are missing behind those that were stored before the upload was cut off.
    #[error("bytes are missing behind those that were stored before the upload was cut off")]
    Gap,
    /// An earlier write failed, so nothing of this upload will be published.
    #[error("an earlier write of this upload failed: {0}")]
    Poisoned(String),
}
