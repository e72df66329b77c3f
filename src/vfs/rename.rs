//! RENAME of a file, or of an empty directory, within a mount.

use super::{Error, Mount, NewAttributes, Place, Result, Unsupported, Vfs, VirtualPath, notes::Sight};
use crate::{
    account::Permission,
    store::{self, ETag, Key},
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
        let late = self.late_attributes(source, &source_key).await?;
        let may_replace = replace == Replace::Yes && mount.allows(Permission::Overwrite);
        let bucket = self.bucket().await?;
        store::rename(&*bucket, &source_key, &target_key, may_replace).await.map_err(|error| match error {
            store::Error::NotEmpty => Unsupported::RenameDirectory.into(),
            store::Error::IsDirectory | store::Error::Conflict { .. } if replace == Replace::No => Error::AlreadyExists,
            store::Error::Conflict { .. } if !may_replace => Error::Denied(Permission::Overwrite),
            error => error.into(),
        })?;
        if source == target {
            return Ok(());
        }
        self.notes.forget(source);
        self.notes.forget(target);
        if let Some((version, attributes)) = late {
            self.keep_late_attributes(target, &target_key, version, attributes).await;
        }
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

    /// What is kept beside the source, if it is of the version that is there.
    async fn late_attributes(&self, source: &VirtualPath, key: &Key) -> Result<Option<(Option<ETag>, NewAttributes)>> {
        let Some((version, attributes)) = self.notes.late.kept(source) else { return Ok(None) };
        let present = match self.sight(source, key).await? {
            Some(Sight::File(file)) => Some(file.pin.etag),
            Some(Sight::Directory) | None => None,
        };
        Ok((present == version).then_some((version, attributes)))
    }

    /// Keeps them beside the target. The copy of an object that was uploaded in parts has another ETag, so a file is
    /// looked at again: rename and late attributes seldom meet.
    async fn keep_late_attributes(
        &self,
        target: &VirtualPath,
        key: &Key,
        version: Option<ETag>,
        attributes: NewAttributes,
    ) {
        if version.is_none() {
            return self.notes.late.add(target, None, attributes);
        }
        // The rename has happened: what can't be learned now is worth no failure, as losing the session's memory is none.
        if let Ok(Some(Sight::File(file))) = self.sight(target, key).await {
            self.notes.late.add(target, Some(file.pin.etag), attributes);
        }
    }
}
