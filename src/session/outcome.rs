//! The operator's side of an error of the tree: the outcome that a record has of it.

use crate::{events::Outcome, vfs::Error};
use std::error::Error as _;

/// Whether an error is the ordinary answer to a question: clients ask for what isn't there all the time.
#[must_use]
pub fn is_ordinary(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound
            | Error::BelowFile
            | Error::AlreadyExists
            | Error::NotDirectory
            | Error::IsDirectory
            | Error::NotEmpty
    )
}

/// The outcome that the operator is told of an error: that the request was refused, where it couldn't be done as things
/// are, or that it failed, where a permission, a limit or the storage stood against it.
#[must_use]
pub fn outcome(error: &Error) -> Outcome {
    let detail = detail(error);
    match error {
        Error::NotFound
        | Error::AlreadyExists
        | Error::IsDirectory
        | Error::NotDirectory
        | Error::NotEmpty
        | Error::InvalidPath(_)
        | Error::Unsupported(_)
        | Error::AcrossMounts
        | Error::BelowFile
        | Error::BelowItself
        | Error::NoSource
        | Error::NotOpenForReading
        | Error::NotOpenForWriting
        | Error::NotReadableYet => Outcome::Refused(detail),
        Error::Denied(_)
        | Error::OnlyLists
        | Error::Mounted
        | Error::Forbidden(_)
        | Error::StorageFails(_)
        | Error::UploadsDenied(_)
        | Error::TooManyToRename { .. }
        | Error::TooLarge { .. }
        | Error::HoleTooLarge { .. }
        | Error::RenameUnderWay
        | Error::NoJournal(_)
        | Error::Changed(_)
        | Error::LockLost
        | Error::SourceChanged(_)
        | Error::Archived
        | Error::Busy
        | Error::Shipped
        | Error::BeingUploaded
        | Error::PartialGrown
        | Error::PartialLost
        | Error::PartialNotFound(_)
        | Error::Gap
        | Error::Poisoned(_)
        | Error::EarlierUpload(_)
        | Error::WaitedTooLong
        | Error::Lost
        | Error::Silent
        | Error::Storage(_) => Outcome::Failed(detail),
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
