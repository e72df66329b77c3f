//! The reason why an operation on the tree failed, in words for a user: no key, no bucket, no request id.
//!
//! The operator's details are in the `source`, the storage's error. The edge logs it.

mod kind;
#[cfg(test)]
mod samples;

pub use kind::ErrorKind;
#[cfg(test)]
pub(crate) use samples::samples;

use crate::{
    account::{self, Permission},
    journal::JournalDown,
    memory::BudgetExhausted,
    name::InvalidPath,
    objects::{ClaimError, ListingError, LockError, ObjectsError},
    store::{self, DailyLimitReached},
    upload::UploadError,
};
use std::sync::Arc;

/// The result of an operation on the tree.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why an operation on the tree failed. `Display` is a sentence for the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is invalid.
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    /// No file or directory has the name.
    #[error("no such file or directory")]
    NotFound,
    /// The request may not replace the existing file or directory.
    #[error("a file or directory of this name exists already")]
    AlreadyExists,
    /// The request needs a file.
    #[error("this is a directory")]
    IsDirectory,
    /// The request needs a directory.
    #[error("this is not a directory")]
    NotDirectory,
    /// The directory holds entries, perhaps some that can't be shown.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The user lacks this permission at the path.
    #[error("{}", denied(*.0))]
    Denied(Permission),
    /// The path lies in no mount.
    #[error("this directory only leads to others: nothing can be stored or changed in it")]
    OnlyLists,
    /// The path is a mount or the landing directory, or holds one.
    #[error("this directory belongs to the configuration of your account: it can't be renamed or removed")]
    Mounted,
    /// Source and target of a rename lie in different mounts.
    #[error("source and target of a rename must lie below the same top directory: copy the file instead")]
    AcrossMounts,
    /// A file has the name of a parent directory.
    #[error("a file has the name of the directory that this is to lie in")]
    BelowFile,
    /// The target of a rename lies below its source.
    #[error("nothing can be moved to a place below itself")]
    BelowItself,
    /// The directory holds more files than the tenant's limit for renames.
    #[error("a directory with more than {limit} files can't be renamed: move what is in it in smaller portions")]
    TooManyToRename {
        /// The value of `max_rename_objects`.
        limit: u64,
    },
    /// Another session renames or removes the same names.
    #[error("this is being renamed or removed, or an interrupted rename is being repaired: try again in a minute")]
    RenameInProgress,
    /// The operation needs the journal, which doesn't answer.
    #[error(
        "directories can't be renamed now, because the server could not write down how far it got: try again later"
    )]
    NoJournal(#[source] JournalDown),
    /// The protocol has this request, and the storage can't serve it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The session lost the lock on a file that it created with EXCL.
    #[error("another session removed this file before it was stored, or is creating it too: nothing was stored")]
    LockLost,
    /// The object is no longer the version that the operation began with.
    #[error("the file was changed by another writer in the meantime")]
    Changed(#[source] store::Error),
    /// The source of a copy is no longer the version that the copy began with. Poisons the target's handle.
    #[error("the file that is copied was changed by another writer in the meantime")]
    SourceChanged(#[source] store::Error),
    /// The source of a copy is not open for reading only. Poisons the target's handle.
    #[error("only a file that is open for reading alone can be copied")]
    NoSource,
    /// The object is archived.
    #[error("the file is archived and must be restored before it can be read")]
    Archived,
    /// No upload memory was free in time, or the storage asked the server to slow down.
    #[error("the server is busy, try again later")]
    Busy,
    /// A WRITE to bytes that the server has already sent to the storage. Poisons the handle.
    #[error("this part of the file is already stored and can't be written again: upload it again")]
    Shipped,
    /// A WRITE too far behind the end. Poisons the handle.
    #[error("a hole of more than {limit} bytes can't be stored")]
    HoleTooLarge {
        /// The largest hole, in bytes.
        limit: u64,
    },
    /// The file exceeds the tenant's limit on file sizes. Poisons the handle.
    #[error("files larger than {limit} bytes are not accepted")]
    TooLarge {
        /// The value of `max_object_bytes`.
        limit: u64,
    },
    /// The tenant has used up what it may use today. Poisons the handle of a WRITE.
    #[error(transparent)]
    DailyLimit(#[from] DailyLimitReached),
    /// Another session resumes the interrupted upload, or did so a moment ago.
    #[error("this file is being uploaded by another session, or was until a moment ago: try again in half a minute")]
    BeingUploaded,
    /// More bytes of the interrupted upload were stored than its client knows.
    #[error("more of this file was stored than when its size was asked for: ask for its size again")]
    PartialGrown,
    /// The stored bytes of an interrupted upload are gone.
    #[error("the earlier part of this file is no longer stored: upload it again")]
    PartialLost,
    /// The operation needs the journal, which doesn't answer.
    #[error("the earlier part of this file can't be found now: try again later, or upload it again")]
    PartialNotFound(#[source] JournalDown),
    /// The client resumed behind the end of the stored bytes. Poisons the handle.
    #[error("bytes are missing behind those that were stored before: upload the file again")]
    Gap,
    /// An earlier WRITE of the handle failed, so the server publishes nothing.
    #[error("an earlier write failed, so nothing was stored: upload the file again")]
    Poisoned(#[source] UploadError),
    /// This CLOSE waited for an earlier one, and the earlier one failed.
    #[error("a file that was closed before this could not be stored: {0}")]
    EarlierUpload(#[source] Arc<Self>),
    /// The CLOSE of this upload waited for earlier ones, and other uploads needed its memory.
    #[error("the upload was abandoned: it waited for earlier files while others waited for memory")]
    WaitedTooLong,
    /// The server is about to end the session. The reason is a sentence without a full stop.
    #[error("the server is ending this session: {0}")]
    SessionEnds(&'static str),
    /// The upload ended without an answer to its CLOSE.
    #[error("the upload was lost: upload the file again")]
    Lost,
    /// The upload took in next to nothing and held memory that others waited for.
    #[error("the upload was abandoned: it made no progress while others waited for memory")]
    Stalled,
    /// READ on a handle that is open for writing only.
    #[error("the file was not opened for reading")]
    NotOpenForReading,
    /// WRITE, or a change of the size, on a handle that is open for reading or to empty the file.
    #[error("the file was not opened for writing")]
    NotOpenForWriting,
    /// READ, on a writing handle, of bytes that have left the server's memory.
    #[error("this part of the file is on its way to the storage and can be read after the upload has ended")]
    NotReadableYet,
    /// The storage's own rules deny the server this operation.
    #[error("the storage denied the server access to this")]
    Forbidden(#[source] store::Error),
    /// OPEN for writing after an upload failed because of its bucket.
    #[error("the storage did not take the last upload: {}", sentence(.0))]
    StorageFails(#[source] store::Error),
    /// OPEN for writing after the storage denied this session two uploads in a row.
    #[error("the storage did not take the last uploads: it denied the server access to them")]
    UploadsDenied(#[source] store::Error),
    /// Any other error of the storage.
    #[error("{}", sentence(.0))]
    Storage(#[source] store::Error),
}

/// A request that SFTP has and that S3, or this version, doesn't support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// An OPEN for writing without TRUNC, of a file that this session is uploading: each handle is an upload of its
    /// own.
    #[error("this file is being uploaded through another handle: close that first")]
    SecondWriter,
    /// SETSTAT of an owner other than the displayed one.
    #[error("files have no owner that could be changed")]
    Owner,
}

impl From<account::Denied> for Error {
    fn from(account::Denied(permission): account::Denied) -> Self {
        Self::Denied(permission)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound => Self::NotFound,
            store::Error::Conflict { .. } => Self::Changed(error),
            store::Error::Archived => Self::Archived,
            store::Error::DailyLimit(reached) => Self::DailyLimit(reached),
            store::Error::Forbidden { .. } => Self::Forbidden(error),
            store::Error::RangeNotSatisfiable { .. }
            | store::Error::Throttled { .. }
            | store::Error::Unreachable(_)
            | store::Error::RateReached(_)
            | store::Error::Full { .. }
            | store::Error::Credentials(_)
            | store::Error::UploadGone
            | store::Error::Refused { .. }
            | store::Error::Broken(_) => Self::Storage(error),
        }
    }
}

impl From<ObjectsError> for Error {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::AlreadyExists => Self::AlreadyExists,
            ObjectsError::IsDirectory => Self::IsDirectory,
            ObjectsError::NotEmpty => Self::NotEmpty,
            ObjectsError::TooManyObjects { limit } => Self::TooManyToRename { limit },
            ObjectsError::NameTooLong => InvalidPath::TooLong.into(),
            ObjectsError::RenameInProgress => Self::RenameInProgress,
            ObjectsError::Journal(down) => Self::NoJournal(down),
            ObjectsError::Storage(error) => error.into(),
        }
    }
}

impl From<BudgetExhausted> for Error {
    fn from(_: BudgetExhausted) -> Self {
        Self::Busy
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Busy => Self::RenameInProgress,
            ClaimError::Storage(error) => error.into(),
        }
    }
}

impl From<ListingError> for Error {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::Busy(exhausted) => exhausted.into(),
            ListingError::Storage(error) => error.into(),
        }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Locked => Self::AlreadyExists,
            LockError::Lost => Self::LockLost,
            LockError::Storage(error) => error.into(),
        }
    }
}

impl From<UploadError> for Error {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::AlreadyShipped { .. } => Self::Shipped,
            UploadError::HoleTooLarge { limit } => Self::HoleTooLarge { limit },
            UploadError::TooLarge { limit } => Self::TooLarge { limit },
            UploadError::Gap => Self::Gap,
            UploadError::DailyLimit(reached) => Self::DailyLimit(reached),
            UploadError::Poisoned(_) => Self::Poisoned(error),
            UploadError::Leased => Self::BeingUploaded,
            UploadError::Busy(exhausted) => exhausted.into(),
            UploadError::Journal(down) => Self::PartialNotFound(down),
            UploadError::Storage(error) => error.into(),
        }
    }
}

fn denied(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => "you may not download from here",
        Permission::Write => "you may not upload or change anything here",
        Permission::Overwrite => "a file of this name exists, and you may not replace files here",
        Permission::List => "you may not list this directory",
        Permission::Delete => "you may not remove anything here",
        Permission::Rename => "you may not rename anything here",
        Permission::Mkdir => "you may not make directories here",
    }
}

fn sentence(error: &store::Error) -> &'static str {
    match error {
        store::Error::Throttled { .. } => "the storage is overloaded, try again later",
        store::Error::Unreachable(_) => "the storage did not answer, try again later",
        store::Error::RateReached(_) => "your account sends too many requests at once, try again later",
        store::Error::Full { .. } => "the storage is full",
        store::Error::Credentials(_) => "the server has no access to the storage of your account",
        _ => "the storage could not do this",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn details_for_the_operator_are_in_the_source_and_in_no_sentence() {
        let secret = || "acme-bucket/key AKIA request 4711".to_owned();
        for error in [
            store::Error::Forbidden { request: secret() },
            store::Error::Conflict { request: secret() },
            store::Error::Throttled { request: secret() },
            store::Error::Unreachable(secret()),
            store::Error::Full { request: secret() },
            store::Error::Credentials(secret()),
            store::Error::Refused { code: secret(), message: secret(), request: secret() },
            store::Error::Broken(secret()),
        ]
        .map(Error::from)
        .into_iter()
        .chain([UploadError::Poisoned(secret()).into()])
        {
            let (sentence, source) = (error.to_string(), error.source().unwrap().to_string());
            assert!(!sentence.contains("acme") && !sentence.contains("4711"), "{sentence}");
            assert!(source.contains("request 4711"), "{source}");
        }
    }
}
