//! Renames of directories that are under way. S3 renames nothing: a directory is copied, then deleted, and whoever finds
//! half of that must know which half. So each has an entry before its first copy, and until its last deletion.
//!
//! Invariant: names in an entry are relative to the mount's prefix, so that [`TreeRename::source`] and
//! [`TreeRename::target`] can't lie outside it, whatever the entry says.

use super::JournalDown;
use crate::{
    name::{BucketId, InvalidKey, Prefix},
    store::Error,
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// Whose rename it is: what is needed to get at the bucket again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant's name.
    pub tenant: String,
    /// The user's name.
    pub user: String,
}

/// How far a rename has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenamePhase {
    /// Nothing has been done yet.
    Entered,
    /// Copies may lie at the target; the source is whole. What is found so is undone.
    Copying,
    /// The target is whole; the source may be gone in part. What is found so is finished.
    Deleting,
}

/// The rename of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRename {
    /// Unique for ever.
    pub id: String,
    /// Where it is done.
    pub bucket: BucketId,
    /// By whom.
    pub owner: Owner,
    /// The prefix of the mount that it is done in.
    pub mount: Prefix,
    /// The directory's name below the mount, without a slash at its end.
    pub source_name: String,
    /// The name that it gets.
    pub target_name: String,
    /// How far it has come.
    pub phase: RenamePhase,
}

impl TreeRename {
    /// What lies below the old name.
    ///
    /// # Errors
    /// When the entry was changed into something that is no name.
    pub fn source(&self) -> Result<Prefix, InvalidKey> {
        Ok(self.mount.key(&self.source_name)?.as_directory())
    }

    /// What shall lie below the new name.
    ///
    /// # Errors
    /// As [`source`](Self::source).
    pub fn target(&self) -> Result<Prefix, InvalidKey> {
        Ok(self.mount.key(&self.target_name)?.as_directory())
    }
}

/// Who works on a rename, and for how long nobody else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Another one for everybody who takes a rename on.
    pub holder: String,
    /// From now on.
    pub term: Duration,
}

impl Lease {
    /// Renewed every 20 seconds, so that a hiccup of the database ends none.
    const TERM: Duration = Duration::from_mins(1);

    /// A lease for somebody new.
    ///
    /// # Errors
    /// [`Error::Broken`] when the system has no random bytes.
    pub fn new() -> Result<Self, Error> {
        let mut holder = [0; 16];
        getrandom::fill(&mut holder).map_err(|error| Error::Broken(format!("no random name: {error}")))?;
        Ok(Self { holder: hex::encode(holder), term: Self::TERM })
    }
}

impl RenamePhase {
    /// The phase as it is written down.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Entered => 0,
            Self::Copying => 1,
            Self::Deleting => 2,
        }
    }

    /// The phase that was written down.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        [Self::Entered, Self::Copying, Self::Deleting].into_iter().find(|phase| phase.number() == number)
    }
}

/// The part of a [`Journal`](super::Journal) that renames need. Every method is a few round trips at most.
#[async_trait]
pub trait RenameJournal: Send + Sync + fmt::Debug {
    /// Enters a rename. `false`, and nothing is entered, while another one is under way whose source or target is, holds
    /// or lies below one of its own: undoing the one could undo the other. Of several that enter at once one does.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn enter_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown>;

    /// Notes the phase of a rename, and begins the lease's term anew. `false`, and nothing is noted, when the lease's
    /// holder holds it no more.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn hold_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown>;

    /// Takes on a rename that nobody holds any more: the one that has waited longest.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn take_rename(&self, lease: &Lease) -> Result<Option<TreeRename>, JournalDown>;

    /// Strikes out a rename that is finished or undone, if the lease's holder still holds it.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn end_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<(), JournalDown>;
}

/// Whether what is done to two directories could meet: the keys of one lie below the other.
pub(super) fn overlap(one: &TreeRename, other: &TreeRename) -> bool {
    let places = |rename: &TreeRename| {
        [&rename.source_name, &rename.target_name].map(|name| format!("{}{name}/", rename.mount.as_str()))
    };
    let meet = |one: &String, other: &String| one.starts_with(other.as_str()) || other.starts_with(one.as_str());
    one.bucket == other.bucket && places(one).iter().any(|mine| places(other).iter().any(|theirs| meet(mine, theirs)))
}
