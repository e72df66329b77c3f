//! Running renames of directories. S3 renames nothing: the server copies a directory, then deletes the source. A node
//! that finds an interrupted rename must know which half is whole. So each rename has an entry from before its first
//! copy until after its last deletion.
//!
//! Invariant: source and target of an entry lie below its mount. The journal parses them as it reads a row, and skips a
//! row that names anything else.

use super::{JournalDown, Lease, Owner};
use crate::{
    account::Permissions,
    name::{BucketId, InvalidKey, Key, MountedKey, Prefix},
};
use async_trait::async_trait;
use std::fmt;

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

/// The rename of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRename {
    /// Unique for ever.
    pub id: String,
    /// The bucket of the directory.
    pub bucket: BucketId,
    /// The user who renames it.
    pub owner: Owner,
    /// The old and the new name of the directory, and the mount in which it is renamed.
    pub names: RenamedNames,
    /// The owner's permissions in the mount. `None`: an earlier version entered the rename.
    pub permissions: Option<Permissions>,
    /// The progress of the rename.
    pub phase: RenamePhase,
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

/// The names of a directory before and after its rename, both below one mount.
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

impl RenamePhase {
    /// The number that is written to the journal for this phase.
    #[must_use]
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Entered => 0,
            Self::Copying => 1,
            Self::Deleting => 2,
        }
    }

    /// The phase for a number from the journal. `None` for an unknown one.
    #[must_use]
    pub(crate) fn of_number(number: i64) -> Option<Self> {
        [Self::Entered, Self::Copying, Self::Deleting].into_iter().find(|phase| phase.number() == number)
    }
}

/// The part of a [`Journal`](super::Journal) that renames need. Every method is a few round trips at most.
#[async_trait]
pub trait RenameJournal: Send + Sync + fmt::Debug {
    /// Enters a rename. Returns `false`, and enters nothing, while another entered rename overlaps it: a source or
    /// target of one is, contains or lies below a source or target of the other. Undoing the one could undo the other.
    /// If several renames that overlap are entered at once, one succeeds.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn enter_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown>;

    /// Notes the phase of a rename, and restarts the lease's term. Returns `false`, and notes nothing, if the lease's
    /// holder no longer holds it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn hold_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown>;

    /// Takes over the rename that has waited longest since its lease ended.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn take_rename(&self, lease: &Lease) -> Result<Option<TreeRename>, JournalDown>;

    /// Deletes the row of a rename that is finished or undone, if the lease's holder still holds it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<(), JournalDown>;
}

/// True if two renames could touch the same keys: the keys of one lie below the other's.
pub(super) fn overlap(one: &TreeRename, other: &TreeRename) -> bool {
    let places = |rename: &TreeRename| [rename.names.source(), rename.names.target()];
    let meet = |one: &Prefix, other: &Prefix| one.contains(other) || other.contains(one);
    one.bucket == other.bucket && places(one).iter().any(|mine| places(other).iter().any(|theirs| meet(mine, theirs)))
}
