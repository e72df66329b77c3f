//! The one table from the tree's errors to SFTP statuses (draft, section 7), and what the operator is told beside.

use crate::{
    sftp::{Reply, StatusCode},
    vfs::Error,
};
use std::error::Error as _;

/// The reply to a request that failed: a status, and the sentence that the error is.
#[must_use]
pub fn reply(id: u32, error: &Error) -> Reply {
    Reply::status(id, code(error), error.to_string())
}

/// Version 3 has few codes: where none fits, FAILURE and the sentence must do.
fn code(error: &Error) -> StatusCode {
    match error {
        Error::NotFound => StatusCode::NoSuchFile,
        Error::Denied(_) | Error::OnlyLists | Error::Mounted | Error::Forbidden(_) | Error::NotOpenForReading => {
            StatusCode::PermissionDenied
        }
        Error::Unsupported(_) => StatusCode::OpUnsupported,
        Error::InvalidPath(_)
        | Error::AlreadyExists
        | Error::IsDirectory
        | Error::NotDirectory
        | Error::NotEmpty
        | Error::AcrossMounts
        | Error::BelowItself
        | Error::TooManyToRename { .. }
        | Error::RenameUnderWay
        | Error::NoJournal(_)
        | Error::InvalidFlags(_)
        | Error::Changed(_)
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
        | Error::NotReadableYet
        | Error::Misconfigured(_)
        | Error::Storage(_) => StatusCode::Failure,
    }
}

/// Whether an error is the ordinary answer to a question: clients ask for what isn't there all the time.
#[must_use]
pub fn is_ordinary(error: &Error) -> bool {
    matches!(error, Error::NotFound | Error::AlreadyExists | Error::NotDirectory | Error::IsDirectory | Error::NotEmpty)
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
