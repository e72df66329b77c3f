//! Answers by kind, as a client distinguishes them.

use wharfinger::vfs::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    Ok,
    NotFound,
    AlreadyExists,
    IsDirectory,
    NotDirectory,
    NotEmpty,
    Denied,
    Mounted,
    BelowItself,
    BelowFile,
    Changed,
    LockLost,
    Shipped,
    TooLarge,
    HoleTooLarge,
    Poisoned,
    NotReadableYet,
    NotOpenForReading,
    NotOpenForWriting,
    /// The protocol has the request, but the tree doesn't support it in this state.
    Unsupported,
    /// An answer that no promise mentions.
    Other(String),
}

impl<T> From<&Result<T, Error>> for AnswerKind {
    fn from(result: &Result<T, Error>) -> Self {
        let Err(error) = result else { return Self::Ok };
        match error {
            Error::NotFound => Self::NotFound,
            Error::AlreadyExists => Self::AlreadyExists,
            Error::IsDirectory => Self::IsDirectory,
            Error::NotDirectory => Self::NotDirectory,
            Error::NotEmpty => Self::NotEmpty,
            Error::Denied(_) => Self::Denied,
            Error::Mounted => Self::Mounted,
            Error::BelowItself => Self::BelowItself,
            Error::BelowFile => Self::BelowFile,
            Error::Changed(_) => Self::Changed,
            Error::LockLost => Self::LockLost,
            Error::Shipped => Self::Shipped,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::HoleTooLarge { .. } => Self::HoleTooLarge,
            Error::Poisoned(_) => Self::Poisoned,
            Error::NotReadableYet => Self::NotReadableYet,
            Error::NotOpenForReading => Self::NotOpenForReading,
            Error::NotOpenForWriting => Self::NotOpenForWriting,
            Error::Unsupported(_) => Self::Unsupported,
            other => Self::Other(format!("{other:?}")),
        }
    }
}
