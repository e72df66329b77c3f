//! The reason why a directory could not be made, or a file or directory not be renamed, in the engine's words.

use crate::{journal::JournalDown, store};

/// The reason why MKDIR or a rename failed, or the repair of a rename. Messages are for the operator's log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectsError {
    /// A file has the name already.
    #[error("a file of this name exists already")]
    AlreadyExists,
    /// A directory has the name already.
    #[error("a directory of this name exists already")]
    IsDirectory,
    /// The directory holds more than its own marker.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The directory holds more objects than one rename may move.
    #[error("more than {limit} objects")]
    TooManyObjects {
        /// `max_rename_objects`.
        limit: u64,
    },
    /// A name in the directory would be longer than S3 allows.
    #[error("a name would be longer than S3 allows")]
    NameTooLong,
    /// Another rename of the same names is running, or was interrupted and waits for its repair.
    #[error("another rename of the same names is under way, or was cut off")]
    RenameInProgress,
    /// A rename of a directory with content needs the journal, and the journal is down.
    #[error(transparent)]
    Journal(#[from] JournalDown),
    /// A request to S3 failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// The result of a rename, or of a step of it.
pub(super) type Result<T, E = ObjectsError> = std::result::Result<T, E>;
