//! Objects as files and directories: find, list, rename and remove them, make directories, and claim and lock their
//! names.
//!
//! Invariant: an object is removed only if it still is the version that the caller saw or copied.

mod children;
mod claims;
mod find;
mod lease;
mod listing;
mod locks;
mod make_directory;
mod remove;
mod rename;

pub(crate) use children::{directory_page, missing_directories};
pub(crate) use claims::{Claim, ClaimError, Claims};
pub use find::{DirectoryState, Found, directory_exists, directory_state, find, find_in_listing};
pub(crate) use listing::{EntryKind, ListedPage, Listing, ListingEntry, ListingError};
pub(crate) use locks::{Lock, LockError, Locks, SessionId};
pub use make_directory::make_directory;
pub use remove::remove;
pub(crate) use rename::RenamedTimes;
pub use rename::{
    LeasedRename, MovedObject, ObjectsError, RenamedTree, RenamedVersions, TimesWritten, Tree, check_target, rename,
    rename_tree, repair_file_rename, repair_rename,
};
