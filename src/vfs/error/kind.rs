//! The kinds of errors: the distinctions that edges need.

use super::Error;
use crate::store;

/// The kind of an error. Every edge has one table from kinds to its protocol's codes: SFTP's statuses, FTP's replies
/// (RFC 959), HTTP's status codes (RFC 9110).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No file or directory has the name, or the path leads through a name that is not a directory.
    NotFound,
    /// Another file or directory has the name, or lies in the directory.
    AlreadyExists,
    /// A permission, the account's configuration, or the storage's own rules forbid the request.
    Denied,
    /// The handle was not opened for this operation.
    NotOpen,
    /// The request is invalid: a name that can't be stored, or a target that can't be reached.
    Invalid,
    /// The server doesn't support this request of the protocol.
    Unsupported,
    /// The file's state differs from the one that the request assumes, perhaps because another session changed it.
    Conflict,
    /// The request exceeds a limit of the tenant or of the storage.
    TooLarge,
    /// The bucket is full.
    Full,
    /// The server or another session needs some time. The same request may succeed soon.
    Busy,
    /// The storage or the journal doesn't answer. The same request may succeed later.
    Unavailable,
    /// The server stored nothing, and repeating only this request doesn't help.
    Failed,
}

impl Error {
    /// Returns the sentence with all its causes, for the operator.
    #[must_use]
    pub(crate) fn detail(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    #[must_use]
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::NotDirectory | Self::BelowFile => ErrorKind::NotFound,
            Self::AlreadyExists | Self::IsDirectory | Self::NotEmpty => ErrorKind::AlreadyExists,
            Self::Denied(_)
            | Self::OnlyLists
            | Self::Mounted
            | Self::Forbidden(_)
            | Self::UploadsDenied(_)
            | Self::SessionEnds(_) => ErrorKind::Denied,
            Self::NotOpenForReading | Self::NotOpenForWriting => ErrorKind::NotOpen,
            Self::InvalidPath(_) | Self::AcrossMounts | Self::BelowItself | Self::NoSource | Self::NotReadableYet => {
                ErrorKind::Invalid
            }
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Changed(_) | Self::SourceChanged(_) | Self::LockLost | Self::PartialGrown | Self::Archived => {
                ErrorKind::Conflict
            }
            Self::TooManyToRename { .. } | Self::HoleTooLarge { .. } | Self::TooLarge { .. } | Self::DailyLimit(_) => {
                ErrorKind::TooLarge
            }
            Self::Busy | Self::RenameInProgress | Self::BeingUploaded | Self::WaitedTooLong => ErrorKind::Busy,
            Self::NoJournal(_) | Self::PartialNotFound(_) => ErrorKind::Unavailable,
            // A permission that the earlier upload lacks is lacking for this request too.
            Self::EarlierUpload(cause) => match cause.kind() {
                ErrorKind::Denied | ErrorKind::NotOpen => ErrorKind::Denied,
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::Invalid
                | ErrorKind::Unsupported
                | ErrorKind::Conflict
                | ErrorKind::TooLarge
                | ErrorKind::Full
                | ErrorKind::Busy
                | ErrorKind::Unavailable
                | ErrorKind::Failed => ErrorKind::Failed,
            },
            Self::Shipped | Self::Gap | Self::PartialLost | Self::Poisoned(_) | Self::Lost | Self::Stalled => {
                ErrorKind::Failed
            }
            Self::StorageFails(cause) | Self::Storage(cause) => of_storage(cause),
        }
    }
}

/// Returns the kind of a storage error without a variant of its own.
fn of_storage(cause: &store::Error) -> ErrorKind {
    match cause {
        store::Error::Full { .. } => ErrorKind::Full,
        store::Error::Throttled { .. }
        | store::Error::Unreachable(_)
        | store::Error::RateReached(_)
        | store::Error::Credentials(_) => ErrorKind::Unavailable,
        store::Error::DailyLimit(_) => ErrorKind::TooLarge,
        store::Error::NotFound
        | store::Error::Forbidden { .. }
        | store::Error::Conflict { .. }
        | store::Error::RangeNotSatisfiable { .. }
        | store::Error::UploadGone
        | store::Error::Archived
        | store::Error::Refused { .. }
        | store::Error::Broken(_) => ErrorKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::samples;
    use std::collections::HashSet;

    #[test]
    fn there_are_twelve_kinds_at_most_and_an_error_of_each() {
        let kinds: HashSet<_> = samples().iter().map(Error::kind).collect();
        assert_eq!(kinds.len(), 12);
    }
}
