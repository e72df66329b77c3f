//! RENAME of a file, or of an empty directory, within a mount.

use super::{Error, Mount, Place, Result, Unsupported, Vfs, VirtualPath, late::Named};
use crate::{
    account::Permission,
    store::{self, Key, Renamed},
};

/// What a rename does with a file that is at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Fails: RENAME of version 3.
    No,
    /// Replaces it: `posix-rename@openssh.com`. Needs `overwrite`.
    Yes,
}

impl Vfs {
    /// Renames a file or an empty directory. Needs `rename`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::IsDirectory`], [`Error::Denied`],
    /// [`Error::AcrossMounts`], [`Error::Mounted`] for a mount or what leads to one, [`Error::BelowItself`], and
    /// [`Error::Unsupported`] for a directory that holds something. [`Error::Changed`] when the source was replaced
    /// meanwhile: then both names exist.
    pub async fn rename(&self, source: &VirtualPath, target: &VirtualPath, replace: Replace) -> Result<()> {
        let (mount, source_key) = match self.mounts.resolve(source)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::Mounted),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Rename)?;
        let target_key = self.target_key(mount, target)?;
        if target.is_below(source) {
            return Err(Error::BelowItself);
        }
        if replace == Replace::No && self.notes.live.newest(target).is_some() {
            return Err(Error::AlreadyExists);
        }
        let may_replace = replace == Replace::Yes && mount.allows(Permission::Overwrite);
        let bucket = self.bucket(mount).await?;
        let renamed = store::rename(&*bucket, &source_key, &target_key, may_replace).await;
        let versions = renamed.map_err(|error| match error {
            store::Error::NotEmpty => Unsupported::RenameDirectory.into(),
            store::Error::IsDirectory if replace == Replace::No => Error::AlreadyExists,
            store::Error::AlreadyExists if replace == Replace::Yes && !may_replace => {
                Error::Denied(Permission::Overwrite)
            }
            error => error.into(),
        })?;
        if source == target {
            return Ok(());
        }
        self.notes.forget(target);
        match versions {
            Some(Renamed { source: old, target: new }) => {
                let named = |path, key| Named { path, bucket: &*bucket, key };
                self.notes.late.rename(named(source, &source_key), &old, named(target, &target_key), &new).await;
            }
            None => self.notes.late.add_to_directory(target, self.notes.late.of_directory(source)),
        }
        self.notes.forget(source);
        Ok(())
    }

    fn target_key(&self, source: &Mount, target: &VirtualPath) -> Result<Key> {
        match self.mounts.resolve(target)? {
            // Each mount has credentials of its own, and none that reach two.
            Place::Object { mount, .. } if mount.entry != source.entry => Err(Error::AcrossMounts),
            Place::Object { key, .. } => Ok(key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => Err(Error::AlreadyExists),
            Place::Nowhere => Err(Error::OnlyLists),
        }
    }
}
