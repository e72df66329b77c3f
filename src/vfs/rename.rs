//! RENAME of a file or a directory within a mount.

use super::{Error, Mount, Place, Result, Vfs, VirtualPath, late::Named, notes::Noted};
use crate::{
    account::Permission,
    store::{self, Bucket, Key, Moved, Owner, Renamed, Tree},
};
use std::collections::HashMap;

/// What a rename does with a file that is at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Fails: RENAME of version 3.
    No,
    /// Replaces it: `posix-rename@openssh.com`. Needs `overwrite`.
    Yes,
}

impl Vfs {
    /// Renames a file, or a directory with all that is in it. Where there is none it is a file that this session is
    /// uploading, which then appears under the other name, as long as nothing of it is in S3. Needs `rename`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::IsDirectory`], [`Error::Denied`],
    /// [`Error::AcrossMounts`], [`Error::Mounted`] for a mount or what leads to one, [`Error::BelowItself`].
    /// [`Error::Changed`] when the source was replaced meanwhile: then both names exist. For directories that hold
    /// something, [`Error::TooManyToRename`], [`Error::RenameUnderWay`] and [`Error::NoJournal`] too.
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
        let refusal = |error| match error {
            store::Error::IsDirectory if replace == Replace::No => Error::AlreadyExists,
            store::Error::AlreadyExists if replace == Replace::Yes && !may_replace => {
                Error::Denied(Permission::Overwrite)
            }
            error => error.into(),
        };
        let renamed = match store::rename(&*bucket, &source_key, &target_key, may_replace).await {
            Err(store::Error::NotEmpty) => {
                return self.rename_tree(mount, &*bucket, source, target).await;
            }
            Err(store::Error::NotFound) if self.is_uploading(source) => {
                store::check_target(&*bucket, &target_key, may_replace).await.map_err(refusal)?;
                let is_done = source == target || self.notes.live.rename(source, target, target_key, replace);
                return if is_done { Ok(()) } else { Err(Error::NotFound) };
            }
            answered => answered,
        };
        let versions = renamed.map_err(refusal)?;
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

    /// Renames a directory that holds something. Nothing is ever replaced by it.
    async fn rename_tree(
        &self,
        mount: &Mount,
        bucket: &dyn Bucket,
        source: &VirtualPath,
        target: &VirtualPath,
    ) -> Result<()> {
        let name = |path: &VirtualPath| path.relative_to(&mount.entry).map(str::to_owned).ok_or(Error::Mounted);
        let (source_name, target_name) = (name(source)?, name(target)?);
        let tree = Tree {
            owner: Owner { tenant: self.tenant.name.to_string(), user: self.user.name.to_string() },
            mount: &mount.prefix,
            source_name: &source_name,
            target_name: &target_name,
        };
        let renamed = store::rename_tree(bucket, &*self.node.journal, tree, self.tenant.max_rename_objects).await;
        let moved = renamed.map_err(|error| {
            // Parts of both may be there; what the session set is still that of the old names.
            self.notes.seen.doubt_below(source);
            self.notes.seen.doubt_below(target);
            match error {
                // Whatever RENAME it is, a directory replaces nothing.
                store::Error::IsDirectory => Error::AlreadyExists,
                error => error.into(),
            }
        })?;
        self.notes.forget_below(target);
        let noted = self.notes.forget_below(source);
        self.take_along(noted, &moved, bucket, (source, target)).await;
        Ok(())
    }

    /// Notes under the new names what this session had noted under the old ones. What the journal knows has moved already.
    async fn take_along(
        &self,
        noted: Vec<(VirtualPath, Noted)>,
        moved: &[Moved],
        bucket: &dyn Bucket,
        (source, target): (&VirtualPath, &VirtualPath),
    ) {
        if noted.is_empty() {
            return;
        }
        let moved: HashMap<&Key, &Moved> = moved.iter().map(|moved| (&moved.source, moved)).collect();
        for (old, noted) in noted {
            let new = match old.relative_to(source) {
                None => Some(target.clone()),
                Some(name) => name.split('/').try_fold(target.clone(), |path, name| path.child(name)),
            };
            let Some(new) = new else { continue };
            if let Some(attributes) = noted.of(None) {
                self.notes.late.add_to_directory(&new, attributes);
            }
            let Ok(Place::Object { key, .. }) = self.mounts.resolve(&old) else { continue };
            if let Some(Moved { target: key, versions, .. }) = moved.get(&key)
                && let Some(attributes) = noted.of(Some(&versions.source))
            {
                if noted.is_newest() {
                    let file = Named { path: &new, bucket, key };
                    self.notes.late.add(file, &versions.target, attributes).await;
                } else {
                    self.notes.late.carry(&new, &versions.target, &noted);
                }
            }
        }
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
