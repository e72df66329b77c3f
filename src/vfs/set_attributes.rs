//! SETSTAT: times and modes of what is stored already. Nothing is answered with OK that is not shown afterwards.
//!
//! S3 can't change an object's metadata, so they are kept beside it (see `late.rs`).

use super::{Error, Place, Result, SetAttributes, Unsupported, Vfs, VirtualPath, late::Named, notes::Sight};
use crate::account::Permission;

impl Vfs {
    /// Sets times and mode of a file or directory. Needs `write`. No request to S3 for what this session has just
    /// seen or stored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::OnlyLists`], and [`Error::Unsupported`] for another size or
    /// owner than the present ones; then nothing is set.
    pub async fn set_attributes(&self, path: &VirtualPath, wanted: SetAttributes) -> Result<()> {
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Object { mount, key } => (mount, Some(key)),
            Place::Root(mount) | Place::Parent { mount, .. } => (mount, None),
            Place::Virtual => return Err(Error::OnlyLists),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Write)?;
        wanted.check_owner()?;
        if let Some(live) = self.notes.live.newest(path) {
            wanted.check_size(live.size)?;
            self.notes.live.set_attributes(path, wanted.kept());
            return Ok(());
        }
        let sight = match &key {
            Some(key) => self.sight(path, mount, key).await?.ok_or(Error::NotFound)?,
            None => Sight::Directory,
        };
        match (sight, &key) {
            (Sight::File(file), Some(key)) => {
                wanted.check_size(file.size)?;
                let bucket = self.bucket(mount).await?;
                self.notes.late.add(Named { path, bucket: &*bucket, key }, &file.pin.etag, wanted.kept()).await;
            }
            _ if wanted.size.is_some() => return Err(Error::IsDirectory),
            _ => self.notes.late.add_to_directory(path, wanted.kept()),
        }
        Ok(())
    }
}

impl SetAttributes {
    /// Everything is shown as owned by 0, so only that can be set.
    pub(super) fn check_owner(&self) -> Result<()> {
        match self.owner {
            None | Some((0, 0)) => Ok(()),
            Some(_) => Err(Unsupported::Owner.into()),
        }
    }

    pub(super) fn check_size(&self, present: u64) -> Result<()> {
        match self.size {
            Some(size) if size != present => Err(Unsupported::Resize.into()),
            _ => Ok(()),
        }
    }
}
