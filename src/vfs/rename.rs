//! RENAME of a file or a directory within a mount.

use super::{
    Error, Place, Replace, Result, Vfs,
    cache::{Change, Noted},
    directories::DirectoryName,
    late::Named,
    room::Room,
};
use crate::{
    account::{Mount, Permission},
    journal::{FileRename, Lease, RenamedNames, Task},
    name::{InvalidPath, Key, VirtualPath},
    objects::{self, Claim, MovedObject, ObjectsError, RenamedTree, Tree},
    store::{self, Bucket},
};
use std::{collections::HashMap, sync::Arc};

impl Vfs {
    /// Renames a file, or a directory with its content. If S3 has neither, renames this session's upload, which then
    /// appears under the other name. This works only while S3 has nothing of the upload. Needs `rename`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::IsDirectory`], [`Error::Denied`],
    /// [`Error::AcrossMounts`], [`Error::Mounted`] for a mount or a directory that leads to one,
    /// [`Error::BelowItself`]. [`Error::Changed`] if the source was replaced meanwhile: then both names exist.
    /// [`Error::RenameInProgress`] if another session still renames or removes one of the names after half a minute.
    /// For directories with content also [`Error::TooManyToRename`] and [`Error::NoJournal`].
    pub async fn rename(&self, source: &VirtualPath, target: &VirtualPath, replace: Replace) -> Result<()> {
        let (mount, source_key) = match self.resolve(source)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::Mounted),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Rename)?;
        let target_key = self.target_key(mount, target)?;
        if target.is_below(source) {
            return Err(Error::BelowItself);
        }
        if replace == Replace::No && self.notes.open_uploads.newest(target).is_some() {
            return Err(Error::AlreadyExists);
        }
        let may_replace = replace == Replace::Yes && mount.allows(Permission::Overwrite);
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = |path, key| Named { path, scope: &scope, bucket: &*bucket, key };
        let refusal = |error| match error {
            ObjectsError::IsDirectory if replace == Replace::No => Error::AlreadyExists,
            ObjectsError::AlreadyExists if replace == Replace::Yes && !may_replace => {
                Error::Denied(Permission::Overwrite)
            }
            error => error.into(),
        };
        let task = self.file_rename(mount, &*bucket, source, target)?;
        let mut claim = self.claim(&*bucket, (&source_key, Some(&target_key)), task).await?;
        let is_elsewhere = source_key.directory() != target_key.directory();
        // A stored source proves that its own directory is one. Another directory, or an upload, needs the check.
        if is_elsewhere || self.is_uploading(source) {
            let room = Room::ask(&self.node, named(target, &target_key), &bucket, mount, true).confirm().await;
            if room.is_err() {
                claim.note_answer();
            }
            room?;
        }
        let (leftovers, journal) = (&*self.notes.leftovers, &*self.node.journal);
        let leased = claim.entered(journal);
        let renamed = objects::rename(&*bucket, &source_key, &target_key, may_replace, leftovers, leased).await;
        claim.note_answer();
        if source != target {
            let (source, target) = (named(source, &source_key), named(target, &target_key));
            // After an error, too, a copy of a file or of a directory's marker may exist.
            if !matches!(renamed, Ok(None)) {
                self.changed(target, Change::Stored);
            }
            if !matches!(renamed, Ok(Some(_))) {
                self.changed(target, Change::Made);
            }
            self.changed(source, Change::Removed);
        }
        let renamed = match renamed {
            Err(ObjectsError::NotEmpty) => {
                self.rename_tree(mount, &*bucket, source, target).await?;
                self.note_stored(named(target, &target_key));
                if is_elsewhere {
                    self.keep_directory(named(source, &source_key), mount).await;
                }
                return Ok(());
            }
            Err(ObjectsError::Storage(store::Error::NotFound)) if self.is_uploading(source) => {
                objects::check_target(&*bucket, &target_key, may_replace).await.map_err(refusal)?;
                let is_done = source == target || self.notes.open_uploads.rename(source, target, target_key, replace);
                if is_done && !self.is_uploading(source) {
                    // No lock is taken on the new name: it stays free until CLOSE.
                    self.release_lock(bucket.id(), &source_key).await;
                }
                return if is_done { Ok(()) } else { Err(Error::NotFound) };
            }
            answered => answered,
        };
        let versions = renamed.map_err(refusal)?;
        if source != target {
            self.note_stored(named(target, &target_key));
        }
        for key in [&source_key, &target_key] {
            self.node.cache.done(bucket.id(), key);
        }
        if is_elsewhere {
            self.keep_directory(named(source, &source_key), mount).await;
        }
        if source == target {
            return Ok(());
        }
        if let Some(renamed) = versions {
            self.notes.late.rename(named(source, &source_key), named(target, &target_key), &renamed).await;
        } else {
            self.notes.late.forget_note(named(target, &target_key));
            self.notes.late.forget_note(named(source, &source_key));
            self.notes.directories.carry_modes(source, target);
            let [old, new] = [&source_key, &target_key].map(Key::as_directory);
            let directory = |prefix| DirectoryName { bucket: bucket.id(), prefix };
            self.notes.directories.renamed(directory(&old), directory(&new)).await;
        }
        Ok(())
    }

    /// Renames a directory with content. It never replaces anything.
    async fn rename_tree(
        &self,
        mount: &Mount,
        bucket: &dyn Bucket,
        source: &VirtualPath,
        target: &VirtualPath,
    ) -> Result<()> {
        let source_name = source.relative_to(&mount.entry).ok_or(Error::Mounted)?;
        let target_name = target.relative_to(&mount.entry).ok_or(Error::Mounted)?;
        let names = RenamedNames::new(mount.prefix.clone(), source_name, target_name);
        let names = names.map_err(|_| InvalidPath::TooLong)?;
        let key = |name: &str| mount.prefix.key(name).map_err(|_| InvalidPath::TooLong);
        let (source_key, target_key) = (key(source_name)?, key(target_name)?);
        let tree = Tree { owner: self.owner(), names, permissions: mount.permissions };
        self.notes.late.settle_below(bucket.id(), &source_key.as_directory()).await;
        let (max, leftovers) = (self.tenant.max_rename_objects, &*self.notes.leftovers);
        let renamed = objects::rename_tree(bucket, &self.node.journal, tree, max, leftovers).await;
        for directory in [&source_key, &target_key] {
            self.node.cache.changed_below(bucket.id(), directory);
        }
        let RenamedTree { moved, times } = renamed.map_err(|error| match error {
            // Either kind of RENAME: a directory replaces nothing.
            ObjectsError::IsDirectory => Error::AlreadyExists,
            error => error.into(),
        })?;
        self.notes.late.enter_renamed(bucket.id(), target_key.as_directory(), times);
        let [old, new] = [&source_key, &target_key].map(Key::as_directory);
        self.notes.late.take_below(bucket.id(), &new);
        let noted = self.notes.late.take_below(bucket.id(), &old);
        self.notes.directories.carry_modes(source, target);
        let directory = |prefix| DirectoryName { bucket: bucket.id(), prefix };
        self.notes.directories.carry(directory(&old), directory(&new), true);
        self.take_along(noted, &moved, bucket);
        self.notes.late.tell_below(bucket.id(), &new).await;
        Ok(())
    }

    /// Moves this node's overlay entries to the new names.
    fn take_along(&self, noted: Vec<(Arc<str>, Noted)>, moved: &[MovedObject], bucket: &dyn Bucket) {
        if noted.is_empty() {
            return;
        }
        let moved: HashMap<&str, &MovedObject> = moved.iter().map(|moved| (moved.source.as_str(), moved)).collect();
        for (old, noted) in noted {
            let Some(MovedObject { target: key, versions, .. }) = moved.get(&*old) else { continue };
            if noted.of(&versions.source).is_some() {
                self.notes.late.carry(bucket.id(), key, &versions.target, &noted);
            }
        }
    }

    fn target_key(&self, source: &Mount, target: &VirtualPath) -> Result<Key> {
        match self.resolve(target)? {
            // Each mount has its own credentials. No credentials reach two mounts.
            Place::Object { mount, .. } if mount.entry != source.entry => Err(Error::AcrossMounts),
            Place::Object { key, .. } => Ok(key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => Err(Error::AlreadyExists),
            Place::Nowhere => Err(Error::OnlyLists),
        }
    }

    /// Waits until no other session renames or removes the source, and none on this node creates or removes the target.
    /// Enters `rename` with the claim.
    ///
    /// # Errors
    /// [`Error::RenameInProgress`] after half a minute.
    pub(super) async fn claim(
        &self,
        bucket: &dyn Bucket,
        names: (&Key, Option<&Key>),
        rename: Option<Task>,
    ) -> Result<Claim> {
        Ok(self.node.claims.claim(&self.node.journal, bucket.id(), names, rename).await?)
    }

    /// The task of a rename, with which another node finishes it after a crash. `None` if nothing is renamed.
    fn file_rename(
        &self,
        mount: &Mount,
        bucket: &dyn Bucket,
        source: &VirtualPath,
        target: &VirtualPath,
    ) -> Result<Option<Task>> {
        let (Some(old), Some(new)) = (source.relative_to(&mount.entry), target.relative_to(&mount.entry)) else {
            return Ok(None);
        };
        let Ok(names) = RenamedNames::new(mount.prefix.clone(), old, new) else { return Ok(None) };
        Ok((source != target).then_some(Task {
            id: Lease::new()?.holder,
            bucket: bucket.id().clone(),
            owner: self.owner(),
            permissions: Some(mount.permissions),
            payload: FileRename { names }.into(),
        }))
    }
}
