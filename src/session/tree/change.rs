//! Changes to the tree, each with its record.

use super::SessionTree;
use crate::{
    events::{ChangeKind, Outcome},
    name::VirtualPath,
    session::{ReadableFile, outcome},
    vfs::{Error, NewAttributes, Replace, Result, SetAttributes},
};
use std::{mem, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A change to the tree, with all its arguments except its path.
#[derive(Debug)]
pub enum TreeChange {
    /// Sets attributes of a file or a directory.
    SetAttributes(SetAttributes),
    /// Sets attributes of a path in a directory's form.
    SetDirectoryAttributes(SetAttributes),
    /// Sets attributes of a file that is open for reading.
    SetOpenAttributes(Arc<ReadableFile>, SetAttributes),
    /// Removes a file.
    Remove,
    /// Refuses to remove a file under a path in a directory's form.
    RemoveDirectory,
    /// Creates a directory.
    Mkdir(NewAttributes),
    /// Removes an empty directory.
    Rmdir,
    /// Renames a file or a directory to the path.
    Rename(VirtualPath, Replace),
    /// Renames a file or a directory, if one of the paths has a directory's form.
    RenameDirectory(VirtualPath, Replace),
}

impl TreeChange {
    /// Returns the change as it is recorded.
    fn kind(&self) -> ChangeKind {
        match self {
            Self::SetAttributes(_) | Self::SetDirectoryAttributes(_) | Self::SetOpenAttributes(..) => {
                ChangeKind::SetAttributes
            }
            Self::Remove | Self::RemoveDirectory => ChangeKind::Remove,
            Self::Mkdir(_) => ChangeKind::Mkdir,
            Self::Rmdir => ChangeKind::Rmdir,
            Self::Rename(..) | Self::RenameDirectory(..) => ChangeKind::Rename,
        }
    }

    /// True if the change creates or removes a name.
    #[must_use]
    pub(crate) fn changes_names(&self) -> bool {
        self.kind() != ChangeKind::SetAttributes
    }

    /// Returns the second path of a rename.
    #[must_use]
    pub(crate) fn target(&self) -> Option<&VirtualPath> {
        match self {
            Self::Rename(target, _) | Self::RenameDirectory(target, _) => Some(target),
            Self::SetAttributes(_)
            | Self::SetDirectoryAttributes(_)
            | Self::SetOpenAttributes(..)
            | Self::Remove
            | Self::RemoveDirectory
            | Self::Mkdir(_)
            | Self::Rmdir => None,
        }
    }
}

impl SessionTree {
    /// Makes a change and records it, or its failure. If this tree is uploading the file, and storage doesn't have it
    /// yet, the change waits for `later` and is tried once more. The output of `later` lives until then.
    ///
    /// Run it to its end: a change that is dropped may be half done, and is recorded as abandoned.
    ///
    /// # Errors
    /// The errors of the [`Vfs`](crate::vfs::Vfs)'s method.
    pub async fn change<T>(
        &self,
        change: &TreeChange,
        path: &VirtualPath,
        later: impl Future<Output = T>,
    ) -> Result<()> {
        let record = ChangeRecord { tree: self, change, path, since: Instant::now(), outcome: Outcome::Abandoned };
        let mut result = self.apply(change, path).await;
        if let Err(Error::NotFound) = result
            && self.is_uploading(path)
        {
            let _turn = later.await;
            result = self.apply(change, path).await;
        }
        record.finish(result.as_ref().map_or_else(outcome, |()| Outcome::Done));
        result
    }

    /// Records that the edge refuses a change because of `error`, and returns the error.
    pub(crate) fn refuse_change(&self, change: &TreeChange, path: &VirtualPath, error: Error) -> Error {
        self.audit.record_change(change.kind(), path, change.target(), Duration::ZERO, outcome(&error));
        error
    }

    async fn apply(&self, change: &TreeChange, path: &VirtualPath) -> Result<()> {
        let vfs = self.vfs_of_request()?;
        match change {
            TreeChange::SetAttributes(attributes) => vfs.set_attributes(path, *attributes).await,
            TreeChange::SetDirectoryAttributes(attributes) => vfs.set_attributes_of_directory(path, *attributes).await,
            TreeChange::SetOpenAttributes(file, attributes) => {
                vfs.set_attributes_of_open(file.handle(), *attributes).await
            }
            TreeChange::Remove => vfs.remove(path).await,
            TreeChange::RemoveDirectory => Err(vfs.refuse_directory(path).await),
            TreeChange::Mkdir(attributes) => vfs.mkdir(path, *attributes).await,
            TreeChange::Rmdir => vfs.rmdir(path).await,
            TreeChange::Rename(target, replace) => vfs.rename(path, target, *replace).await,
            TreeChange::RenameDirectory(target, replace) => vfs.rename_directory(path, target, *replace).await,
        }
    }
}

/// The record of a change, which is made when this is dropped.
struct ChangeRecord<'a> {
    tree: &'a SessionTree,
    change: &'a TreeChange,
    path: &'a VirtualPath,
    since: Instant,
    outcome: Outcome,
}

impl ChangeRecord<'_> {
    fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for ChangeRecord<'_> {
    fn drop(&mut self) {
        let Self { tree, change, path, since, outcome } = self;
        let outcome = mem::replace(outcome, Outcome::Abandoned);
        tree.audit.record_change(change.kind(), path, change.target(), since.elapsed(), outcome);
    }
}
