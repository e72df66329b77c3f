//! Removes a file in two steps, so that it can come back whole, with owner, mode, ACL and other names: it is renamed to a
//! hidden file beside it, which is deleted later.
//!
//! The caller has the lock of the tenants' directory, so that no other edit uses the hidden file. Links are removed, and
//! not their targets.

use super::replace::{ReplaceError, hidden, rename_to_free_name, require_content};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the hidden file to which the file at `path` is renamed.
pub(super) fn aside(path: &Path) -> PathBuf {
    hidden(path, "removed")
}

/// Renames the file at `path`, which must still have this content, to a hidden file.
pub(super) fn set_aside(path: &Path, former: &[u8]) -> Result<(), ReplaceError> {
    let aside = aside(path);
    // A process that was killed may have left it.
    let _ = fs::remove_file(&aside);
    fs::rename(path, &aside).map_err(ReplaceError::Unremoved)?;
    // Editors don't know the lock. None of them knows this name, so that the content can be compared without a race.
    if let Err(error) = require_content(&aside, former) {
        bring_back(path)?;
        return Err(error);
    }
    Ok(())
}

/// Gives the hidden file its former name.
pub(super) fn bring_back(path: &Path) -> Result<(), ReplaceError> {
    rename_to_free_name(&aside(path), path)
}

/// Deletes the hidden file.
pub(super) fn delete_aside(path: &Path) -> Result<(), ReplaceError> {
    fs::remove_file(aside(path)).map_err(ReplaceError::Unremoved)
}
