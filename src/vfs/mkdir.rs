//! MKDIR: a zero-byte object that marks the directory, so that it exists while it is empty.

use super::{
    Error, Kind, NewAttributes, Place, Result, Vfs,
    cache::{Change, Sight},
    directories::DirectoryName,
    late::Named,
    room::Room,
};
use crate::{
    account::Permission,
    name::{Key, VirtualPath},
    store::{self, NewObject},
};
use std::sync::Arc;
use tokio::join;

impl Vfs {
    /// Makes a directory. Parents that are missing are made too. Needs `mkdir`, and says of what is there that it is there
    /// to those who don't have it too.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a file or directory of this name, [`Error::Denied`], [`Error::OnlyLists`].
    pub async fn mkdir(&self, path: &VirtualPath, attributes: NewAttributes) -> Result<()> {
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::AlreadyExists),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        if self.notes.live.newest(path).is_some() {
            return Err(Error::AlreadyExists);
        }
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = Named { path, scope: &scope, bucket: &*bucket, key: &key };
        if let Err(denied) = mount.demand(Permission::Mkdir) {
            // Clients that make each parent before an upload go on where it is there. STAT would tell as much.
            let found = self.look(named).await?;
            let is_nothing = found.is_nothing() && !self.is_emptied(named);
            return Err(if is_nothing { denied } else { Error::AlreadyExists });
        }
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::Directory);
        let missing = Room::ask(&self.node, named, &bucket, mount, true).confirm().await?;
        // The outer ones first, for stores that have real directories.
        for directory in missing.iter().rev() {
            if let Some(marker) = directory.as_directory().marker() {
                self.mark(&*bucket, &marker, NewObject::default()).await?;
                self.node.cache.changed(bucket.id(), directory, Change::Made);
            }
        }
        let asked = self.node.cache.stat.ask((bucket.id(), key.as_str()));
        let prefix = key.as_directory();
        let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
        let making = store::make_directory(Arc::clone(&bucket), &key, object);
        let (made, is_kept) = join!(making, self.notes.directories.is_kept(directory));
        match &made {
            Ok(()) => {
                self.node.cache.replaced(named.at(), asked, Change::Made, Sight::Directory);
                self.note_stored(named);
            }
            // Nothing was done.
            Err(store::Error::IsDirectory | store::Error::AlreadyExists) => {}
            Err(_) => self.changed(named, Change::Made),
        }
        made.map_err(|error| match error {
            store::Error::IsDirectory | store::Error::Conflict { .. } => Error::AlreadyExists,
            error => error.into(),
        })?;
        self.notes.late.forget_note(named);
        // A row of a directory that has just come to be is of an older one. With its parents all goes that is kept
        // below the outermost.
        if let Some(outermost) = missing.last().map(Key::as_directory) {
            let outermost = DirectoryName { prefix: &outermost, ..directory };
            self.notes.directories.made(named.path, outermost, true).await;
        } else {
            self.notes.directories.made(named.path, directory, is_kept).await;
        }
        // STAT of a directory doesn't read its marker, which would be one request more for each.
        self.notes.directories.set(named.path, directory, attributes).await;
        Ok(())
    }
}
