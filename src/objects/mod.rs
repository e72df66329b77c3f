//! Objects as files and directories: find, list, rename and remove them, and make directories.
//!
//! Invariant: an object is removed only if it still is the version that the caller saw or copied.

mod children;
mod find;
mod listing;
mod make_directory;
mod remove;
mod rename;

pub(crate) use children::{directory_page, missing_directories};
pub use find::{DirectoryState, Found, directory_exists, directory_state, find, find_in_listing};
pub(crate) use listing::{Entry, EntryKind, Listing};
pub use make_directory::make_directory;
pub use remove::remove;
pub use rename::{
    LeasedRename, Moved, ObjectsError, Renamed, RenamedTree, TimesWritten, Tree, check_target, rename, rename_tree,
    repair_file_rename, repair_rename,
};
