//! MKDIR: stores a marker, a zero-byte object, so that the directory exists while it is empty.

use super::{
    Error, Kind, NewAttributes, Place, Result, Vfs,
    cache::{CachedStat, Change},
    directory_attributes::DirectoryName,
    file_attributes::NamedObject,
    name_check::NameCheck,
};
use crate::{
    account::Permission,
    name::{Key, VirtualPath},
    objects::{self, ObjectsError},
    store::{self, NewObject},
};
use std::sync::Arc;
use tokio::join;

impl Vfs {
    /// Makes a directory, and its missing parents. Needs `mkdir`. A user without it also gets [`Error::AlreadyExists`]
    /// for a name that exists.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if a file or directory has the name, [`Error::Denied`], [`Error::OnlyLists`].
    pub async fn mkdir(&self, path: &VirtualPath, attributes: NewAttributes) -> Result<()> {
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::AlreadyExists),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        if self.session.open_uploads.newest(path).is_some() {
            return Err(Error::AlreadyExists);
        }
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key: &key };
        if let Err(denied) = mount.demand(Permission::Mkdir) {
            // Some clients make each parent before an upload, and continue if it exists. STAT would tell them the same.
            let found = self.look(named).await?;
            let is_nothing = found.is_nothing() && !self.is_emptied(named);
            return Err(if is_nothing { denied.into() } else { Error::AlreadyExists });
        }
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::Directory);
        let missing = NameCheck::ask(&self.node, named, &bucket, mount, true).confirm().await?;
        // Outer directories come first, for stores that have real directories.
        for directory in missing.iter().rev() {
            if let Some(marker) = directory.as_directory().marker() {
                self.store_marker(&*bucket, &marker, NewObject::default()).await?;
                self.node.cache.changed(bucket.id(), directory, Change::Made);
            }
        }
        let stamp = self.node.cache.stat.stamp((bucket.id(), key.as_str()));
        let prefix = key.as_directory();
        let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
        let making = objects::make_directory(Arc::clone(&bucket), &key, object);
        let (made, has_rows) = join!(making, self.session.directory_attributes.may_be_in_journal(directory));
        match &made {
            Ok(()) => {
                self.node.cache.replaced(named.scoped(), stamp, Change::Made, CachedStat::Directory);
                self.note_stored(named);
            }
            // S3 changed nothing.
            Err(ObjectsError::IsDirectory | ObjectsError::AlreadyExists) => {}
            Err(_) => self.changed(named, Change::Made),
        }
        made.map_err(|error| match error {
            ObjectsError::IsDirectory | ObjectsError::Storage(store::Error::Conflict { .. }) => Error::AlreadyExists,
            error => error.into(),
        })?;
        self.session.file_attributes.forget_in_overlay(named);
        // A row of a directory that was made just now belongs to an older one. If parents were made too, all rows below
        // the outermost of them are outdated.
        if let Some(outermost) = missing.last().map(Key::as_directory) {
            let outermost = DirectoryName { prefix: &outermost, ..directory };
            self.session.directory_attributes.made(named.path, outermost, true).await;
        } else {
            self.session.directory_attributes.made(named.path, directory, has_rows).await;
        }
        // STAT of a directory doesn't read its marker, which would cost a request for each. So the times go to the
        // journal.
        self.session.directory_attributes.set(named.path, directory, attributes).await;
        Ok(())
    }
}
