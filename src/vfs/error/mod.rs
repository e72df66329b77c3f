//! Why an operation on the tree failed, in words that a user may hear: no key, no bucket, no request id.
//!
//! What the operator needs on top is the `source`: the storage's error, which goes into the log at the edge.

mod kind;
#[cfg(test)]
mod samples;

pub use kind::ErrorKind;
#[cfg(test)]
pub(crate) use samples::samples;

use crate::{
    account::{self, Permission},
    name::InvalidPath,
    store,
};
use std::sync::Arc;

/// Why an operation on the tree failed. `Display` is a sentence for the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path can't be used.
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    /// Nothing is there.
    #[error("no such file or directory")]
    NotFound,
    /// Something is there that may not be replaced by this request.
    #[error("a file or directory of this name exists already")]
    AlreadyExists,
    /// A file was needed.
    #[error("this is a directory")]
    IsDirectory,
    /// A directory was needed.
    #[error("this is not a directory")]
    NotDirectory,
    /// The directory holds something, perhaps names that can't be shown.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The user's permissions don't allow it here.
    #[error("{}", denied(*.0))]
    Denied(Permission),
    /// The path lies in no mount.
    #[error("this directory only leads to others: nothing can be stored or changed in it")]
    OnlyLists,
    /// The path is a mount or the landing directory, or holds one.
    #[error("this directory belongs to the configuration of your account: it can't be renamed or removed")]
    Mounted,
    /// A rename from one mount to another.
    #[error("source and target of a rename must lie below the same top directory: copy the file instead")]
    AcrossMounts,
    /// A file lies where a directory is meant.
    #[error("a file has the name of the directory that this is to lie in")]
    BelowFile,
    /// A rename of something to a place below itself.
    #[error("nothing can be moved to a place below itself")]
    BelowItself,
    /// The tenant's limit on what is renamed with a directory.
    #[error("a directory with more than {limit} files can't be renamed: move what is in it in smaller portions")]
    TooManyToRename {
        /// `max_rename_objects`.
        limit: u64,
    },
    /// Another session renames or removes the same names.
    #[error("this is being renamed or removed, or a rename that was cut off is being put right: try again in a minute")]
    RenameUnderWay,
    /// The journal is needed and doesn't answer.
    #[error(
        "directories can't be renamed now, because the server could not write down how far it got: try again later"
    )]
    NoJournal(#[source] store::Error),
    /// The protocol has it and the storage can't do it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The lock on a file that was created with EXCL.
    #[error("another session removed this file before it was stored, or is creating it too: nothing was stored")]
    LockLost,
    /// The object is no longer the one that the operation began with.
    #[error("the file was changed by someone else in the meantime")]
    Changed(#[source] store::Error),
    /// The same of the file that is copied from. Poisons the handle that is copied to.
    #[error("the file that is copied was changed by someone else in the meantime")]
    SourceChanged(#[source] store::Error),
    /// A copy out of what is not open for reading alone. Poisons the handle that is copied to.
    #[error("only a file that is open for reading alone can be copied")]
    NoSource,
    /// The object lies in an archive.
    #[error("the file is archived and must be restored before it can be read")]
    Archived,
    /// No upload memory was free in time, or the storage asks for patience.
    #[error("the server is busy, try again later")]
    Busy,
    /// A write to bytes that are on their way already. Poisons the handle.
    #[error("this part of the file is already stored and can't be written again: upload it anew")]
    Shipped,
    /// A write too far behind the end. Poisons the handle.
    #[error("a hole of more than {limit} bytes can't be stored")]
    HoleTooLarge {
        /// The largest hole, in bytes.
        limit: u64,
    },
    /// The tenant's limit on the size of a file. Poisons the handle.
    #[error("files larger than {limit} bytes are not accepted")]
    TooLarge {
        /// `max_object_bytes`.
        limit: u64,
    },
    /// An upload that was cut off, which another session goes on with, or had a moment ago.
    #[error("this file is being uploaded by another session, or was until a moment ago: try again in half a minute")]
    BeingUploaded,
    /// More of an upload that was cut off was stored than its client knows.
    #[error("more of this file was stored than when its size was asked for: ask for its size again")]
    PartialGrown,
    /// What was stored of an upload that was cut off is gone.
    #[error("what was uploaded of this file before is no longer there: upload it anew")]
    PartialLost,
    /// The journal is needed and doesn't answer.
    #[error("what was uploaded of this file before can't be found now: try again later, or upload it anew")]
    PartialNotFound(#[source] store::Error),
    /// A client that went on behind the place up to which the upload was stored. Poisons the handle.
    #[error("bytes are missing behind those that were stored before: upload the file anew")]
    Gap,
    /// An earlier write of the handle failed, so that nothing is published.
    #[error("an earlier write failed, so nothing was stored: upload the file anew")]
    Poisoned(#[source] store::Error),
    /// A CLOSE that came earlier failed, and this one waited for it.
    #[error("a file that was closed before this could not be stored: {0}")]
    EarlierUpload(#[source] Arc<Self>),
    /// The memory of an upload whose CLOSE waited for earlier ones was needed by others.
    #[error("the upload was abandoned: it waited for earlier files while others waited for memory")]
    WaitedTooLong,
    /// An upload that ended without an answer to its CLOSE.
    #[error("the upload was lost: upload the file anew")]
    Lost,
    /// An upload that held memory which others waited for.
    #[error("the upload was given up: it was silent while others waited for memory")]
    Silent,
    /// READ on a handle that was opened for writing alone.
    #[error("the file was not opened for reading")]
    NotOpenForReading,
    /// WRITE, or another size, on a handle that was opened for reading, or to empty the file.
    #[error("the file was not opened for writing")]
    NotOpenForWriting,
    /// READ, on a handle that writes, of bytes that have left the server's memory.
    #[error("this part of the file is on its way to the storage and can be read after the upload has ended")]
    NotReadableYet,
    /// The storage's own rules don't let the server do this.
    #[error("the storage denied the server access to this")]
    Forbidden(#[source] store::Error),
    /// OPEN for writing, after an upload failed for its bucket's sake.
    #[error("the storage did not take the last upload: {}", sentence(.0))]
    StorageFails(#[source] store::Error),
    /// OPEN for writing, after the storage denied this session two uploads in a row.
    #[error("the storage did not take the last uploads: it denied the server access to them")]
    UploadsDenied(#[source] store::Error),
    /// Anything else that went wrong below.
    #[error("{}", sentence(.0))]
    Storage(#[source] store::Error),
}

/// What SFTP has and S3, or this version, has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// A write-open without TRUNC of a file that this session is uploading: each handle is an upload of its own.
    #[error("this file is being uploaded through another handle: close that first")]
    SecondWriter,
    /// SETSTAT of an owner other than the one shown.
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
            store::Error::AlreadyExists => Self::AlreadyExists,
            store::Error::IsDirectory => Self::IsDirectory,
            store::Error::NotEmpty => Self::NotEmpty,
            store::Error::TooManyObjects { limit } => Self::TooManyToRename { limit },
            store::Error::NameTooLong => InvalidPath::TooLong.into(),
            store::Error::RenameUnderWay => Self::RenameUnderWay,
            store::Error::Journal(_) => Self::NoJournal(error),
            store::Error::Archived => Self::Archived,
            store::Error::Busy(_) => Self::Busy,
            store::Error::AlreadyShipped { .. } => Self::Shipped,
            store::Error::HoleTooLarge { limit } => Self::HoleTooLarge { limit },
            store::Error::TooLarge { limit } => Self::TooLarge { limit },
            store::Error::UploadHeld => Self::BeingUploaded,
            store::Error::Gap => Self::Gap,
            store::Error::Poisoned(_) => Self::Poisoned(error),
            store::Error::Forbidden { .. } => Self::Forbidden(error),
            store::Error::RangeNotSatisfiable { .. }
            | store::Error::Throttled { .. }
            | store::Error::Unreachable(_)
            | store::Error::Full { .. }
            | store::Error::Credentials(_)
            | store::Error::UploadGone
            | store::Error::Refused { .. }
            | store::Error::Broken(_) => Self::Storage(error),
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
    fn what_only_the_operator_may_know_is_in_the_source_and_in_no_sentence() {
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
            store::Error::Poisoned(secret()),
        ] {
            let error = Error::from(error);
            let (heard, noted) = (error.to_string(), error.source().unwrap().to_string());
            assert!(!heard.contains("acme") && !heard.contains("4711"), "{heard}");
            assert!(noted.contains("request 4711"), "{noted}");
        }
    }
}
