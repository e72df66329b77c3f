//! The errors with which S3 refuses a request.

use crate::store::Error;

/// The condition of the request doesn't hold.
pub(super) fn conflict() -> Error {
    Error::Conflict { request: "PreconditionFailed, memory".into() }
}

/// The request breaks a rule of S3, which has this code.
pub(super) fn refused(code: &str, message: &str) -> Error {
    Error::Refused { code: code.into(), message: message.into(), request: "memory".into() }
}
