//! The operator's view of a vfs error: the outcome in its record.

use crate::{
    events::Outcome,
    vfs::{Error, ErrorKind},
};

/// True if the error is an ordinary answer to a query: clients often ask for names that don't exist.
#[must_use]
pub(crate) fn is_ordinary(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

/// Returns the outcome in the record of an error. The request was refused if the state of the tree rules it out. It
/// failed because of a permission, a limit or the storage.
#[must_use]
pub(crate) fn outcome(error: &Error) -> Outcome {
    let detail = error.detail();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Permission;

    // Issue 12.8: expected refusals are no warnings; failing storage and denied access are.
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
