//! RENAME of a file or a directory within a mount.

use super::{
    Error, LeftoverObserver, Place, Replace, Result, Vfs,
    cache::{Change, KnownAttributes},
    directory_attributes::DirectoryName,
    file_attributes::NamedObject,
    name_check::NameCheck,
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
        if replace == Replace::No && self.session.open_uploads.newest(target).is_some() {
            return Err(Error::AlreadyExists);
        }
        let may_replace = replace == Replace::Yes && mount.allows(Permission::Overwrite);
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = |path, key| NamedObject { path, scope: &scope, bucket: &*bucket, key };
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
            let name_check =
                NameCheck::ask(&self.node, named(target, &target_key), &bucket, mount, true).confirm().await;
            if name_check.is_err() {
                claim.note_answer();
            }
            name_check?;
        }
        let (leftovers, journal) = (&*self.session.observer as &dyn LeftoverObserver, &*self.session.journal);
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
                    self.ensure_parent_marker(named(source, &source_key), mount).await;
                }
                return Ok(());
            }
            Err(ObjectsError::Storage(store::Error::NotFound)) if self.is_uploading(source) => {
                objects::check_target(&*bucket, &target_key, may_replace).await.map_err(refusal)?;
                let is_done = source == target || self.session.open_uploads.rename(source, target, target_key, replace);
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
            self.ensure_parent_marker(named(source, &source_key), mount).await;
        }
        if source == target {
            return Ok(());
        }
        if let Some(renamed) = versions {
            let (source, target) = (named(source, &source_key), named(target, &target_key));
            self.session.file_attributes.rename(source, target, &renamed, claim).await;
        } else {
            self.session.file_attributes.forget_in_overlay(named(target, &target_key));
            self.session.file_attributes.forget_in_overlay(named(source, &source_key));
            self.session.directory_attributes.carry_modes(source, target);
            let [old, new] = [&source_key, &target_key].map(Key::as_directory);
            let directory = |prefix| DirectoryName { bucket: bucket.id(), prefix };
            self.session.directory_attributes.renamed(directory(&old), directory(&new)).await;
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
        self.session.file_attributes.flush_all_below(bucket.id(), &source_key.as_directory()).await;
        let (max, leftovers) = (self.tenant.max_rename_objects, &*self.session.observer);
        let renamed = objects::rename_tree(bucket, &self.session.journal, tree, max, leftovers).await;
        for directory in [&source_key, &target_key] {
            self.node.cache.changed_below(bucket.id(), directory);
        }
        let RenamedTree { moved, times } = renamed.map_err(|error| match error {
            // Either kind of RENAME: a directory replaces nothing.
            ObjectsError::IsDirectory => Error::AlreadyExists,
            error => error.into(),
        })?;
        self.session.file_attributes.enter_renamed(bucket.id(), target_key.as_directory(), times);
        let [old, new] = [&source_key, &target_key].map(Key::as_directory);
        self.session.file_attributes.take_below(bucket.id(), &new);
        let entries = self.session.file_attributes.take_below(bucket.id(), &old);
        self.session.directory_attributes.carry_modes(source, target);
        let directory = |prefix| DirectoryName { bucket: bucket.id(), prefix };
        self.session.directory_attributes.carry(directory(&old), directory(&new), true);
        self.carry_overlay(entries, &moved, bucket);
        self.session.file_attributes.flush_below(bucket.id(), &new).await;
        Ok(())
    }

    /// Moves this node's overlay entries to the new names.
    fn carry_overlay(&self, entries: Vec<(Arc<str>, KnownAttributes)>, moved: &[MovedObject], bucket: &dyn Bucket) {
        if entries.is_empty() {
            return;
        }
        let moved: HashMap<&str, &MovedObject> = moved.iter().map(|moved| (moved.source.as_str(), moved)).collect();
        for (old, known) in entries {
            let Some(MovedObject { target: key, versions, .. }) = moved.get(&*old) else { continue };
            if known.of(&versions.source).is_some() {
                self.session.file_attributes.carry(bucket.id(), key, &versions.target, &known);
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
        Ok(self.node.claims.claim(&self.session.journal, bucket.id(), names, rename).await?)
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
