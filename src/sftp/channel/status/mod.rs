//! The one table from the tree's errors to SFTP statuses (draft, section 7).

use crate::{
    sftp::wire::{Reply, StatusCode},
    vfs::Error,
};

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
        | Error::StorageFails(_)
        | Error::Storage(_) => StatusCode::Failure,
    }
}

#[cfg(test)]
mod tests;
