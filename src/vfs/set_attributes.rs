//! SETSTAT: times, modes and sizes of stored files and directories. OK is answered only for attributes that STAT shows
//! later.
//!
//! S3 can't change an object's metadata, so the journal stores times and modes (`file_attributes.rs`). Another size
//! makes another object (`upload/`).

use super::{
    Error, NewAttributes, Place, ReadHandle, Result, SetAttributes, Unsupported, Vfs, WriteOptions,
    cache::CachedStat,
    directory_attributes::DirectoryName,
    file_attributes::NamedObject,
    open_uploads::{UploadStage, UploadView},
};
use crate::{
    account::Permission, journal::Version, name::VirtualPath, objects::Found, store::Object, upload::MAX_HOLE_BYTES,
};
use std::time::Duration;

/// SETSTAT of a size waits this long for upload memory.
const PATIENCE: Duration = Duration::from_secs(30);

impl Vfs {
    /// Sets size, times and mode of a file, or times and mode of a directory. Needs `write`, and `overwrite` too for
    /// another size. Times and modes of a file that this node stored a moment ago need no request to S3.
    ///
    /// # Errors
    /// If it fails, nothing is set. [`Error::NotFound`], [`Error::Denied`], [`Error::OnlyLists`],
    /// [`Error::Unsupported`] for another owner than the present one, and for another size those of writing a file.
    pub async fn set_attributes(&self, path: &VirtualPath, wanted: SetAttributes) -> Result<()> {
        let place = self.resolve(path)?;
        let (mount, key) = match &place {
            Place::Object { mount, key } => (*mount, Some(key)),
            Place::Root(mount) | Place::Parent { mount, .. } => (*mount, None),
            Place::Virtual => return Err(Error::OnlyLists),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Write)?;
        wanted.check_owner()?;
        let check = |view| wanted.check_size_of(view, self.tenant.max_object_bytes);
        if let Some(set) = self.session.open_uploads.set_attributes(path, wanted, check) {
            return set;
        }
        let Some(key) = key else {
            return self.set_attributes_in(path, &place, wanted).await;
        };
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key };
        let file = match self.node.cache.stat.find(named.scoped()) {
            // A CLOSE of this node stored the file a moment ago. An entry from S3 may be outdated, and times that are
            // set on a replaced version would be lost.
            Some(CachedStat::Stored(file)) if wanted.size.is_none() => *file,
            _ => match self.look(named).await? {
                Found { file: Some(file), .. } => file,
                Found { directory: true, .. } => return self.set_attributes_in(path, &place, wanted).await,
                Found { .. } => return Err(Error::NotFound),
            },
        };
        if wanted.size.is_some_and(|size| size != file.size) {
            self.resize(path, file, wanted).await
        } else {
            self.session.file_attributes.add(named, &Version::of(&file), wanted.times_and_mode().into()).await;
            Ok(())
        }
    }

    /// Sets times and mode of a directory that is known to exist.
    pub(super) async fn set_attributes_in(
        &self,
        path: &VirtualPath,
        place: &Place<'_>,
        wanted: SetAttributes,
    ) -> Result<()> {
        let (_, prefix) = place.directory().ok_or(Error::OnlyLists)?;
        if wanted.size.is_some() {
            return Err(Error::IsDirectory);
        }
        let bucket = self.node.buckets.id(&self.tenant.name)?;
        let directory = DirectoryName { bucket: &bucket, prefix: &prefix };
        self.session.directory_attributes.set(path, directory, wanted.times_and_mode()).await;
        Ok(())
    }
}

impl Vfs {
    /// Sets times and mode of a file that is open for reading, on the version that is open. A newer file of the same
    /// name isn't changed. Needs `write`. 1 request to S3.
    ///
    /// # Errors
    /// If it fails, nothing is set. [`Error::Denied`], [`Error::NotOpenForWriting`] for a size, [`Error::Unsupported`]
    /// for another owner than the present one.
    pub(crate) async fn set_attributes_of_open(&self, file: &ReadHandle, wanted: SetAttributes) -> Result<()> {
        let (mount, path, (key, pin)) = (file.mount(), file.path(), file.version());
        mount.demand(Permission::Write)?;
        wanted.check_owner()?;
        if wanted.size.is_some() {
            return Err(Error::NotOpenForWriting);
        }
        let is_same = |current: &Object| match file.metadata().size {
            // S3 returns no version for an empty object when asked for bytes. All empty objects have the same bytes.
            0 => current.size == 0,
            _ => current.pin.etag == pin.etag,
        };
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key };
        // Attributes of a replaced version would replace those of the present one.
        if let Some(current) = self.look(named).await?.file.filter(is_same) {
            self.session.file_attributes.add(named, &Version::of(&current), wanted.times_and_mode().into()).await;
        }
        file.show(wanted.times_and_mode());
        Ok(())
    }

    /// Sets another size, and the other `wanted` attributes, of a stored file that was looked up just now. Needs
    /// `overwrite`.
    ///
    /// # Errors
    /// The errors of [`open_write`](Self::open_write) and of the handle's close.
    async fn resize(&self, path: &VirtualPath, file: Object, wanted: SetAttributes) -> Result<()> {
        let options = WriteOptions { write: true, ..WriteOptions::default() };
        let found = Found { file: Some(file), directory: false };
        let (file, name_check, older) =
            self.find_writable(path, options, NewAttributes::default(), Some(found)).await?;
        let mut handle = file.begin(name_check, older)?.admit(PATIENCE).await?;
        match handle.set_attributes(wanted) {
            Ok(()) => handle.close().await.map(drop),
            Err(error) => {
                handle.discard().await;
                Err(error)
            }
        }
    }
}

impl SetAttributes {
    /// Checks the owner. Everything shows as owned by 0, so only that can be set.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn check_owner(&self) -> Result<()> {
        match self.owner {
            None | Some((0, 0)) => Ok(()),
            Some(_) => Err(Unsupported::Owner.into()),
        }
    }

    /// Checks that a file that is being uploaded can take the size. It applies the size with its next request.
    fn check_size_of(&self, view: UploadView, max_object_bytes: u64) -> Result<()> {
        match self.size {
            Some(size) if size < view.shipped => Err(Error::Shipped),
            Some(size) if size != view.size && view.stage == UploadStage::Closing => Err(Error::Shipped),
            Some(size) if size > max_object_bytes => Err(Error::TooLarge { limit: max_object_bytes }),
            Some(size) if size.saturating_sub(view.size) > MAX_HOLE_BYTES => {
                Err(Error::HoleTooLarge { limit: MAX_HOLE_BYTES })
            }
            _ => Ok(()),
        }
    }
}
