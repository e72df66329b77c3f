//! The one table from the tree's errors to SFTP statuses (draft, section 7), and what the operator is told beside.

use crate::{
    events::Outcome,
    sftp::wire::{Reply, StatusCode},
    vfs::Error,
};
use std::error::Error as _;

/// The reply to a request that failed: a status, and the sentence that the error is.
#[must_use]
pub fn reply(id: u32, error: &Error) -> Reply {
    status(id, code(error), &error.to_string())
}

/// A status and a sentence, behind the words that libraries and scripts look for where no code tells them enough: those of
/// OpenSSH.
#[must_use]
pub fn status(id: u32, code: StatusCode, sentence: &str) -> Reply {
    let words = match code {
        StatusCode::NoSuchFile => "No such file",
        StatusCode::PermissionDenied => "Permission denied",
        StatusCode::Failure => "Failure",
        StatusCode::Ok
        | StatusCode::Eof
        | StatusCode::BadMessage
        | StatusCode::NoConnection
        | StatusCode::ConnectionLost
        | StatusCode::OpUnsupported => return Reply::status(id, code, sentence.to_owned()),
    };
    let is_said = sentence.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    match sentence.get(words.len()..).filter(|_| is_said) {
        Some(rest) => Reply::status(id, code, format!("{words}{rest}")),
        None => Reply::status(id, code, format!("{words}: {sentence}")),
    }
}

/// Version 3 has few codes: where none fits, FAILURE and the sentence must do.
fn code(error: &Error) -> StatusCode {
    match error {
        // As ENOTDIR is answered by OpenSSH: there is no directory of this name.
        Error::NotFound | Error::NotDirectory | Error::BelowFile => StatusCode::NoSuchFile,
        Error::Denied(_)
        | Error::OnlyLists
        | Error::Mounted
        | Error::Forbidden(_)
        | Error::UploadsDenied(_)
        | Error::NotOpenForReading
        | Error::NotOpenForWriting => StatusCode::PermissionDenied,
        Error::Unsupported(_) => StatusCode::OpUnsupported,
        Error::EarlierUpload(cause) if code(cause) == StatusCode::PermissionDenied => StatusCode::PermissionDenied,
        Error::InvalidPath(_)
        | Error::AlreadyExists
        | Error::IsDirectory
        | Error::NotEmpty
        | Error::AcrossMounts
        | Error::BelowItself
        | Error::TooManyToRename { .. }
        | Error::RenameUnderWay
        | Error::NoJournal(_)
        | Error::Changed(_)
        | Error::LockLost
        | Error::SourceChanged(_)
        | Error::NoSource
        | Error::Archived
        | Error::Busy
        | Error::Shipped
        | Error::HoleTooLarge { .. }
        | Error::TooLarge { .. }
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
        | Error::NotReadableYet
        | Error::Misconfigured(_)
        | Error::StorageFails(_)
        | Error::Storage(_) => StatusCode::Failure,
    }
}

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
        | Error::Misconfigured(_)
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

    // S158: A status text begins with "No such file", "Permission denied" or "Failure", whichever its code is, and the …
    #[test]
    fn a_text_begins_with_the_words_that_clients_look_for() {
        for (error, text) in [
            (Error::NotFound, "No such file or directory"),
            (Error::NotDirectory, "No such file: this is not a directory"),
            (Error::NotOpenForReading, "Permission denied: the file was not opened for reading"),
            (Error::NotEmpty, "Failure: the directory is not empty"),
            (Error::Unsupported(crate::vfs::Unsupported::Owner), "files have no owner that could be changed"),
        ] {
            assert!(matches!(reply(1, &error), Reply::Status { message, .. } if message == text), "{error}");
        }
        let end = status(1, StatusCode::Eof, "end of file");
        assert!(matches!(end, Reply::Status { message, .. } if message == "end of file"));
    }

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
