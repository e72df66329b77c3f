//! Running renames of directories and files. S3 renames nothing: the server copies, then deletes the source. A node that
//! finds an interrupted rename of a directory must know which half is whole, and of a file which version was copied. So
//! each rename is a task from before its first copy until after its last deletion.
//!
//! Invariant: source and target lie below one mount.

use crate::name::{InvalidKey, Key, MountedKey, Prefix};

/// The progress of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenamePhase {
    /// The rename is entered, and no object was copied.
    Entered,
    /// Copies may lie at the target, and the source is whole. A node that finds this phase undoes the rename.
    Copying,
    /// The target is whole, and parts of the source may be gone. A node that finds this phase finishes the rename.
    Deleting,
}

/// The rename of one directory, as the payload of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryRename {
    /// The old and the new name of the directory, and the mount in which it is renamed.
    pub names: RenamedNames,
    /// The progress of the rename.
    pub phase: RenamePhase,
}

impl DirectoryRename {
    /// True if two renames in one bucket could touch the same keys: a source or target of one is, contains or lies
    /// below a source or target of the other. Undoing the one could undo the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let places = |rename: &Self| [rename.names.source(), rename.names.target()];
        let meet = |one: &Prefix, other: &Prefix| one.contains(other) || other.contains(one);
        places(self).iter().any(|mine| places(other).iter().any(|theirs| meet(mine, theirs)))
    }
}

/// The rename of one file, as the payload of a task. It is entered before the copy and ends after the deletion. The copy
/// carries the task's id in its token, and the ETag of the copied version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRename {
    /// The old and the new name of the file, and the mount in which it is renamed.
    pub names: RenamedNames,
}

/// The names of a file or directory before and after its rename, both below one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedNames {
    source: MountedKey,
    target: Key,
}

impl RenamedNames {
    /// Parses the names `source` and `target` below `mount`, without slashes at their ends.
    ///
    /// # Errors
    /// A name is empty, not normal or too long.
    pub fn new(mount: Prefix, source: &str, target: &str) -> Result<Self, InvalidKey> {
        let target = mount.key(target)?;
        Ok(Self { source: MountedKey::new(mount, source)?, target })
    }

    /// Returns the prefix of the mount.
    #[must_use]
    pub(crate) fn mount(&self) -> &Prefix {
        self.source.mount()
    }

    /// Returns the key of a file with the old name, and the mount.
    #[must_use]
    pub(crate) fn source_place(&self) -> &MountedKey {
        &self.source
    }

    /// Returns the prefix of the directory's old name.
    #[must_use]
    pub fn source(&self) -> Prefix {
        self.source.key().as_directory()
    }

    /// Returns the prefix of the directory's new name.
    #[must_use]
    pub fn target(&self) -> Prefix {
        self.target.as_directory()
    }

    /// Returns the key of a file with the old name.
    #[must_use]
    pub(crate) fn source_file(&self) -> &Key {
        self.source.key()
    }

    /// Returns the key of a file with the new name.
    #[must_use]
    pub(crate) fn target_file(&self) -> &Key {
        &self.target
    }

    /// Returns the old name below the mount, without a slash at its end.
    #[must_use]
    pub(crate) fn source_name(&self) -> &str {
        self.source.name()
    }

    /// Returns the new name below the mount, without a slash at its end.
    #[must_use]
    pub(crate) fn target_name(&self) -> &str {
        self.target.as_str().get(self.mount().as_str().len()..).unwrap_or_default()
    }
}
