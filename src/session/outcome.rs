//! The operator's side of an error of the tree: the outcome that a record has of it.

use crate::{
    events::Outcome,
    vfs::{Error, ErrorKind},
};
use std::error::Error as _;

/// True if the error is the ordinary answer to a question: clients often ask for names that don't exist.
#[must_use]
pub fn is_ordinary(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

/// The outcome that the operator is told of an error. The request was refused if it can't be done as things are. It
/// failed if a permission, a limit or the storage stood against it.
#[must_use]
pub fn outcome(error: &Error) -> Outcome {
    let detail = detail(error);
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::NotOpen
        | ErrorKind::Invalid
        | ErrorKind::Unsupported => Outcome::Refused(detail),
        ErrorKind::Denied
        | ErrorKind::Conflict
        | ErrorKind::TooLarge
        | ErrorKind::Full
        | ErrorKind::Busy
        | ErrorKind::Unavailable
        | ErrorKind::Failed => Outcome::Failed(detail),
    }
}

/// The error with all its causes, for the operator.
#[must_use]
pub fn detail(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Permission;

    // Issue 12.8: expected refusals are no warnings, storage that fails and access that is denied are.
    #[test]
    fn what_a_client_could_know_is_refused_and_the_rest_failed() {
        for expected in [Error::AlreadyExists, Error::IsDirectory, Error::NotEmpty, Error::NotFound, Error::BelowItself]
        {
            assert!(matches!(outcome(&expected), Outcome::Refused(_)), "{expected}");
        }
        for failure in [Error::Denied(Permission::Delete), Error::Busy, Error::Archived, Error::TooLarge { limit: 1 }] {
            assert!(matches!(outcome(&failure), Outcome::Failed(_)), "{failure}");
        }
    }
}
