//! RMDIR: deletes the marker of an empty directory.

use super::{
    Error, Place, Result, Vfs, cache::Change, directory_attributes::DirectoryName, file_attributes::NamedObject,
};
use crate::{
    account::Permission,
    name::VirtualPath,
    objects::{self, DirectoryState},
    store::RemovalCondition,
};
use tokio::join;

impl Vfs {
    /// Removes an empty directory. Names that can't be shown count as content, and so do this session's uploads. Needs
    /// `delete`.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Denied`], [`Error::Mounted`] for a
    /// mount or a directory that leads to one, and [`Error::RenameInProgress`].
    pub async fn rmdir(&self, path: &VirtualPath) -> Result<()> {
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::Mounted),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Delete)?;
        let bucket = self.bucket(mount).await?;
        let _claim = self.claim(&*bucket, (&key, None), None).await?;
        let directory = key.as_directory();
        let scope = self.scope(mount);
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key: &key };
        let state = objects::directory_state(&*bucket, &directory).await?;
        let is_empty = matches!(state, DirectoryState::Empty { .. }) || self.is_emptied(named);
        // An upload creates its parent directories, so its CLOSE would create this one again.
        if is_empty && self.session.open_uploads.is_any_below(path) {
            return Err(Error::NotEmpty);
        }
        let name = DirectoryName { bucket: bucket.id(), prefix: &directory };
        match state {
            DirectoryState::Occupied => return Err(Error::NotEmpty),
            DirectoryState::Absent if self.is_emptied(named) => {
                self.changed(named, Change::Removed);
                self.session.directory_attributes.removed(named.path, name, true).await;
                return Ok(());
            }
            DirectoryState::Absent if bucket.head(&key).await.is_ok() => return Err(Error::NotDirectory),
            DirectoryState::Absent => return Err(Error::NotFound),
            DirectoryState::Empty { .. } => {}
        }
        let remove = async {
            match directory.marker() {
                Some(marker) => objects::remove(&*bucket, &marker, RemovalCondition::Present).await,
                None => Ok(()),
            }
        };
        let (removed, (), has_rows) = join!(
            remove,
            self.ensure_parent_marker(named, mount),
            self.session.directory_attributes.may_be_in_journal(name)
        );
        self.changed(named, Change::Removed);
        removed?;
        self.session.file_attributes.forget_in_overlay(named);
        self.session.directory_attributes.removed(named.path, name, has_rows).await;
        Ok(())
    }
}
