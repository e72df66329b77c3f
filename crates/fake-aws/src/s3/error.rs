//! Errors of the S3, and the one table that maps them to S3's code, status and sentence.

use crate::requests::Failure;
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};
use std::io;

/// Result of the layers below the protocol.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Reason why a request fails, in S3's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketExists,
    #[error("This S3 has the buckets that it was started with.")]
    FixedBuckets,
    #[error("The specified accesspoint does not exist")]
    NoSuchAccessPoint,
    #[error("The specified key does not exist.")]
    NoSuchKey,
    #[error("Access Denied")]
    AccessDenied,
    /// Access is denied, with AWS's sentence.
    #[error("{0}")]
    Denied(String),
    #[error("The specified multipart upload does not exist. It may have been aborted or completed.")]
    NoSuchUpload,
    #[error("At least one of the preconditions you specified did not hold.")]
    PreconditionFailed,
    #[error("Not Modified")]
    NotModified,
    #[error("The requested range is not satisfiable")]
    InvalidRange { size: u64 },
    #[error("One or more of the specified parts could not be found, or its entity tag did not match.")]
    InvalidPart,
    #[error("The list of parts was not in ascending order, or not consecutive although it has checksums.")]
    InvalidPartOrder,
    #[error("Your proposed upload is smaller than the minimum allowed size: only the last part may be.")]
    EntityTooSmall,
    #[error("Your proposed upload exceeds the maximum allowed size.")]
    EntityTooLarge,
    #[error("The {0} you specified did not match the calculated checksum.")]
    BadDigest(&'static str),
    #[error("The body ended early or was not what was signed: {0}")]
    IncompleteBody(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidArgument(&'static str),
    #[error("{0} is disabled.")]
    KmsKeyDisabled(String),
    #[error("Key '{0}' does not exist")]
    KmsKeyNotFound(String),
    #[error("{0}")]
    InvalidTag(&'static str),
    #[error("Object tags cannot be greater than 10")]
    TooManyTags,
    #[error("The XML you provided was not well-formed or did not validate against our published schema")]
    MalformedTags,
    #[error("The list of parts or keys is empty or too long.")]
    MalformedList,
    #[error("This S3 does not know {0}.")]
    NotImplemented(&'static str),
    #[error("This S3 keeps at most {limit} bytes in memory, and they are taken.")]
    MemoryFull { limit: u64 },
    #[error("The file system of this S3 is full.")]
    DiskFull,
    #[error("This S3 could not store or read its files: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoSuchBucket => S3ErrorCode::NoSuchBucket,
            Error::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
            Error::FixedBuckets | Error::AccessDenied | Error::Denied(_) => S3ErrorCode::AccessDenied,
            Error::NoSuchAccessPoint => return custom(StatusCode::NOT_FOUND, "NoSuchAccessPoint", &error),
            Error::NoSuchKey => S3ErrorCode::NoSuchKey,
            Error::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            Error::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            Error::NotModified => S3ErrorCode::NotModified,
            Error::InvalidRange { size } => return unsatisfiable(*size, &error),
            Error::InvalidPart => S3ErrorCode::InvalidPart,
            Error::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            Error::EntityTooSmall => S3ErrorCode::EntityTooSmall,
            Error::EntityTooLarge => S3ErrorCode::EntityTooLarge,
            Error::BadDigest(_) => S3ErrorCode::BadDigest,
            Error::IncompleteBody(_) => S3ErrorCode::IncompleteBody,
            Error::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
            Error::InvalidArgument(_) => S3ErrorCode::InvalidArgument,
            Error::InvalidTag(_) => S3ErrorCode::InvalidTag,
            Error::KmsKeyDisabled(_) => return custom(StatusCode::BAD_REQUEST, "KMS.DisabledException", &error),
            Error::KmsKeyNotFound(_) => return custom(StatusCode::BAD_REQUEST, "KMS.NotFoundException", &error),
            Error::TooManyTags => return custom(StatusCode::BAD_REQUEST, "BadRequest", &error),
            Error::MalformedList | Error::MalformedTags => S3ErrorCode::MalformedXML,
            Error::NotImplemented(_) => S3ErrorCode::NotImplemented,
            Error::MemoryFull { .. } | Error::DiskFull => return full(&error.to_string()),
            Error::Io(_) => S3ErrorCode::InternalError,
        };
        S3Error::with_message(code, error.to_string())
    }
}

/// Converts an injected failure to S3's error.
impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::AccessDenied => s3_error!(AccessDenied, "Access Denied"),
            Failure::ExpiredToken => s3_error!(ExpiredToken, "The provided token has expired."),
            Failure::RequestTimeTooSkewed => s3_error!(
                RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large."
            ),
            Failure::InsufficientStorage => full("The storage is full."),
            Failure::InternalError => s3_error!(InternalError, "We encountered an internal error. Please try again."),
            Failure::SlowDown => s3_error!(SlowDown, "Please reduce your request rate."),
        }
    }
}

/// 507, which SDKs don't retry. S3 has no code for a full disk.
fn full(sentence: &str) -> S3Error {
    let mut answer = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), sentence.to_owned());
    answer.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    answer
}

/// An answer whose code isn't in s3s's list, or has no status there.
fn custom(status: StatusCode, code: &'static str, error: &Error) -> S3Error {
    let mut answer = S3Error::with_message(S3ErrorCode::Custom(code.into()), error.to_string());
    answer.set_status_code(status);
    answer
}

/// 416 with the actual size of the object.
fn unsatisfiable(size: u64, error: &Error) -> S3Error {
    let mut answer = s3_error!(InvalidRange, "{error}");
    let mut headers = hyper::HeaderMap::new();
    headers.insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/xml"));
    if let Ok(range) = hyper::header::HeaderValue::try_from(format!("bytes */{size}")) {
        headers.insert(hyper::header::CONTENT_RANGE, range);
    }
    answer.set_headers(headers);
    answer
}
