//! Errors of the STS, and the one table that maps them to STS's code, status and XML.

use crate::{clock::Skew, iam::MalformedPolicy, requests::Failure};
use hyper::StatusCode;

/// Reason why a request fails, in STS's words.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    AccessDenied(String),
    #[error("{0}")]
    MalformedPolicyDocument(MalformedPolicy),
    #[error("Packed size of session policies and tags consumes {percent}% of allotted space.")]
    PackedPolicyTooLarge { percent: usize },
    #[error("{0}")]
    Validation(String),
    #[error("Could not find operation {0}")]
    InvalidAction(String),
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    #[error("The security token included in the request is invalid.")]
    InvalidClientTokenId,
    #[error("Request is missing Authentication Token")]
    MissingAuthenticationToken,
    #[error("Credential should be scoped to correct service: 'sts'.")]
    ForeignScope,
    #[error("The request signature we calculated does not match the signature you provided.")]
    SignatureDoesNotMatch,
    #[error("Signature expired: the time of the request is more than 15 minutes away from that of the server.")]
    SignatureExpired,
    /// The time of the signature is too far from the server's clock.
    #[error(transparent)]
    Skewed(#[from] Skew),
    #[error("Rate exceeded")]
    Throttling,
    #[error("The request processing has failed because of an unknown error, exception or failure.")]
    InternalFailure,
    /// s3s refused the request before this code saw it.
    #[error("{message}")]
    Protocol { code: String, message: String },
}

impl Error {
    /// A validation error in AWS's words.
    pub(crate) fn constraint(name: &str, value: &str, constraint: &str) -> Self {
        Self::Validation(format!(
            "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
        ))
    }

    /// STS's code and status.
    pub(crate) fn code(&self) -> (&str, StatusCode) {
        match self {
            Self::AccessDenied(_) => ("AccessDenied", StatusCode::FORBIDDEN),
            Self::MalformedPolicyDocument(_) => ("MalformedPolicyDocument", StatusCode::BAD_REQUEST),
            Self::PackedPolicyTooLarge { .. } => ("PackedPolicyTooLarge", StatusCode::BAD_REQUEST),
            Self::Validation(_) => ("ValidationError", StatusCode::BAD_REQUEST),
            Self::InvalidAction(_) => ("InvalidAction", StatusCode::BAD_REQUEST),
            Self::ExpiredToken => ("ExpiredToken", StatusCode::FORBIDDEN),
            Self::InvalidClientTokenId => ("InvalidClientTokenId", StatusCode::FORBIDDEN),
            Self::MissingAuthenticationToken => ("MissingAuthenticationToken", StatusCode::FORBIDDEN),
            Self::ForeignScope | Self::SignatureDoesNotMatch | Self::SignatureExpired | Self::Skewed(_) => {
                ("SignatureDoesNotMatch", StatusCode::FORBIDDEN)
            }
            Self::Throttling => ("Throttling", StatusCode::BAD_REQUEST),
            Self::InternalFailure => ("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Protocol { code, .. } => (code, StatusCode::BAD_REQUEST),
        }
    }

    /// Converts s3s's error about a signature to STS's.
    pub(crate) fn of_protocol(code: &str, message: &str) -> Self {
        match code {
            "InvalidAccessKeyId" => Self::InvalidClientTokenId,
            "SignatureDoesNotMatch" => Self::SignatureDoesNotMatch,
            _ => Self::Protocol { code: code.to_owned(), message: message.to_owned() },
        }
    }
}

/// Converts an injected failure to STS's error.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::AccessDenied => Self::AccessDenied("Access denied".to_owned()),
            Failure::ExpiredToken => Self::ExpiredToken,
            Failure::InsufficientStorage | Failure::InternalError => Self::InternalFailure,
            Failure::RequestTimeTooSkewed => Self::SignatureExpired,
            Failure::SlowDown => Self::Throttling,
        }
    }
}
