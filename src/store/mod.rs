//! Objects as files, on a [`Bucket`]: S3, or a double of it. All logic lies above that trait and is tested without a
//! network: uploads in parts ([`Upload`]), pinned and prefetched reads ([`Reader`]), streamed listings ([`Listing`]),
//! stat and rename. A [`Journal`] beside the bucket keeps the facts that S3 can't store.
//!
//! Invariant: no function here takes a raw string for a name. Only a mount's prefix makes a
//! [`Key`](crate::name::Key) or [`Prefix`](crate::name::Prefix). That is the first of the two jails.

mod bucket;
mod budget;
mod children;
mod copies;
mod early;
mod error;
pub mod faulty;
mod find;
mod journal;
mod leftovers;
mod listing;
mod make_directory;
pub mod memory;
mod own_write;
mod reader;
mod refusal;
mod remove;
mod rename;
mod s3;
mod task;
mod upload;

pub use bucket::{
    Body, Bucket, Condition, ETag, Headers, ListScope, Listed, NewObject, Object, OpenUpload, Page, PageToken, Part,
    PartsPage, Payload, Pin, Read, RemovalCondition, Stored, UploadId, UploadsPage, UploadsToken, VersionId,
};
pub use budget::{Budget, BudgetExhausted, HeldMemory, Reservation};
pub(crate) use children::{directory_page, missing_directories};
pub(crate) use early::EarlyReader;
pub use error::Error;
pub use faulty::FaultyBucket;
pub use find::{DirectoryState, Found, directory_exists, directory_state, find, find_in_listing};
pub(crate) use journal::CLOCK_MARGIN;
pub use journal::{
    ClaimJournal, DirectoryJournal, DirectoryNote, DirectoryTimes, Journal, JournalDown, Late, LateAttributes,
    LateNote, LateTimes, Lease, ListedDirectories, LockJournal, Locked, MemoryJournal, Owner, PartialFile,
    PartialJournal, PartialUpload, RenameJournal, RenamePhase, RenamedNames, Standing, TreeRename, Version, Whole,
};
pub use leftovers::{LeftoverObserver, NoObserver};
pub(crate) use listing::{Entry, EntryKind, Listing};
pub use make_directory::make_directory;
pub use memory::MemoryBucket;
pub(crate) use own_write::in_time;
pub(crate) use reader::Reader;
pub use refusal::file_exists;
pub use remove::remove;
pub use rename::{
    Moved, ObjectsError, Renamed, RenamedTree, TimesWritten, Tree, check_target, rename, rename_tree, repair_rename,
};
pub(crate) use s3::{S3Bucket, S3Options};
pub(crate) use s3::{is_credentials, reasons};
pub(crate) use upload::BufferedBytes;
pub use upload::{
    FinishedUpload, Keeping, MAX_HOLE_BYTES, MAX_OBJECT_BYTES, MIN_PART_BYTES, Published, Taken, Upload, UploadError,
    UploadObserver, UploadOptions,
};

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
