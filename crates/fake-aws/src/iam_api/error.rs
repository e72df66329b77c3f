//! Errors of IAM's API, and the table that maps them to IAM's codes and statuses.

use crate::{iam::RoleError, sts};
use hyper::StatusCode;

/// Reason why a call fails.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("The request signature does not conform to AWS standards.")]
    IncompleteSignature,
    #[error("Credential should be scoped to a valid region, not '{0}'.")]
    Region(String),
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The reason is one that STS has too.
    #[error(transparent)]
    Query(#[from] sts::Error),
}

impl Error {
    /// IAM's code and status.
    pub(super) fn code(&self) -> (&str, StatusCode) {
        match self {
            Self::IncompleteSignature => ("IncompleteSignature", StatusCode::BAD_REQUEST),
            Self::Region(_) => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::Role(RoleError::Exists(_)) => ("EntityAlreadyExists", StatusCode::CONFLICT),
            Self::Role(RoleError::Missing(_) | RoleError::PolicyMissing(_)) => ("NoSuchEntity", StatusCode::NOT_FOUND),
            Self::Role(RoleError::HasPolicies) => ("DeleteConflict", StatusCode::CONFLICT),
            Self::Role(RoleError::TooManyRoles | RoleError::TrustTooLong | RoleError::PoliciesTooLong(_)) => {
                ("LimitExceeded", StatusCode::CONFLICT)
            }
            Self::Query(error) => error.code(),
        }
    }
}
