//! The reason why a request to S3 failed, in S3's words. Uploads and renames add reasons of their own, and `vfs` turns
//! all of them into a reason that a user may see.

use crate::policy::DailyLimitReached;
use std::time::Duration;

/// The reason why a request to S3 failed.
///
/// Messages are for the operator's log. They may name request ids, never credentials. `sftp/channel/status.rs` decides
/// which sentence a client gets.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No object of that name (404), or no such upload. An [`Upload`](crate::upload::Upload) reports
    /// [`UploadGone`](Self::UploadGone) for the second.
    #[error("no such object")]
    NotFound,
    /// 403. Under a scoped policy S3 also answers a HEAD of a missing key with it: only a listing tells the two apart.
    #[error("S3 denied access ({request})")]
    Forbidden {
        /// S3's code and request id, and its sentence if that gives a reason.
        request: String,
    },
    /// 412 or 409: the object is not, or no longer, the expected one.
    #[error("the object changed or exists already ({request})")]
    Conflict {
        /// S3's code and request id.
        request: String,
    },
    /// 416. S3 answers every range of an empty object with it.
    #[error("the range lies behind the end of an object of {size:?} bytes")]
    RangeNotSatisfiable {
        /// The object's size in bytes, if S3 reported it.
        size: Option<u64>,
    },
    /// 404 NoSuchUpload. The multipart upload was aborted, perhaps by a lifecycle rule of the bucket, and its parts are
    /// gone.
    #[error("the multipart upload is gone: it was aborted in S3")]
    UploadGone,
    /// The object is archived (Glacier) and must be restored before it can be read.
    #[error("the object is archived and must be restored first")]
    Archived,
    /// 503 SlowDown or an equivalent, after retries.
    #[error("S3 asks to slow down ({request})")]
    Throttled {
        /// S3's code and request id.
        request: String,
    },
    /// No answer in time, a broken connection, or a failure of S3 or of a proxy before it (500, 502, 504), after
    /// retries. S3 may have done the write nevertheless.
    #[error("no answer from S3: {0}")]
    Unreachable(String),
    /// The bucket, or its owner's quota, is full: 507, or a code that a store other than AWS has for it.
    #[error("the bucket is full ({request})")]
    Full {
        /// S3's code and request id.
        request: String,
    },
    /// The server could get no credentials for the mount.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The request was not sent, because its tenant has none left today.
    #[error(transparent)]
    DailyLimit(#[from] DailyLimitReached),
    /// The request was not sent, because the rate of its session, user or tenant allowed none for this long.
    #[error(
        "the rates of requests to S3 allowed none for {0:?}: raise `s3_requests_per_second` in the tenant's `[rates]`, \
         `[rates.each_user]` or `[rates.each_session]`"
    )]
    RateReached(Duration),
    /// Any other error that S3 reported.
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
}
