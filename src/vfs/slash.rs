//! Paths that end in `/`, `.` or `..`. They name a directory, and never a file.
//!
//! Each question costs a LIST, as it does for a directory under its plain name.

use super::{
    Error, Metadata, Place, Replace, Result, SetAttributes, Vfs, directory_attributes::DirectoryName,
    file_attributes::NamedObject,
};
use crate::{account::Permission, name::VirtualPath, objects};
use tokio::time::Instant;

impl Vfs {
    /// STAT of a directory. Needs no permission.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a file, or the storage's error.
    pub(crate) async fn stat_directory(&self, path: &VirtualPath) -> Result<Metadata> {
        let place = self.find_directory(path).await?;
        Ok(self.directory_metadata(path, &place).await)
    }

    /// SETSTAT of a directory. Needs `write`.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a file, [`Error::IsDirectory`] for a size, and those of
    /// [`set_attributes`](Self::set_attributes).
    pub(crate) async fn set_attributes_of_directory(&self, path: &VirtualPath, wanted: SetAttributes) -> Result<()> {
        let Place::Object { mount, .. } = self.resolve(path)? else {
            return self.set_attributes(path, wanted).await;
        };
        mount.demand(Permission::Write)?;
        wanted.check_owner()?;
        let place = self.find_directory(path).await?;
        self.set_attributes_in(path, &place, wanted).await
    }

    /// The error of an OPEN or REMOVE that treats a directory as a file.
    pub(crate) async fn refuse_directory(&self, path: &VirtualPath) -> Error {
        self.find_directory(path).await.map_or_else(|error| error, |_| Error::IsDirectory)
    }

    /// RENAME with a source or target that is written as a directory. The source must be a directory, and no file may
    /// have the same name.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a file, and those of [`rename`](Self::rename).
    pub(crate) async fn rename_directory(
        &self,
        source: &VirtualPath,
        target: &VirtualPath,
        replace: Replace,
    ) -> Result<()> {
        if let Place::Object { mount, key } = self.resolve(source)? {
            mount.demand(Permission::Rename)?;
            let found = objects::find_in_listing(&*self.bucket(mount).await?, &key).await?;
            if found.file.is_some() || !found.directory {
                let target = self.find_directory(target).await;
                return Err(if target.is_ok() { Error::AlreadyExists } else { Error::NotFound });
            }
        }
        self.rename(source, target, replace).await
    }

    /// Returns the place of a directory that exists.
    async fn find_directory(&self, path: &VirtualPath) -> Result<Place<'_>> {
        let place = self.resolve(path)?;
        let (mount, key) = match &place {
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Ok(place),
            Place::Nowhere => return Err(Error::NotFound),
            Place::Object { mount, key } => (mount, key),
        };
        let (bucket, scope, prefix) = (self.bucket(mount).await?, self.scope(mount), key.as_directory());
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key };
        let asked = Instant::now();
        if objects::directory_exists(&*bucket, &prefix).await? || self.is_emptied(named) {
            return Ok(place);
        }
        let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
        self.session.directory_attributes.drop_gone(directory, asked).await;
        Err(Error::NotFound)
    }
}
