//! STAT and LSTAT: what lies under a path. There are no links, so the two are one.

use super::{Error, Metadata, Mount, Place, Result, Vfs, VirtualPath, late::Named, notes::Sight};
use crate::store::{self, Found, Key};

impl Vfs {
    /// What lies under `path`. Needs no permission: whoever can name a thing may know that it is there.
    ///
    /// A file that this session is uploading shows its size so far, and one whose upload was cut off what is stored of
    /// it, to its own user. At most 3 requests to S3; none for mounts and what leads to them, and for a directory that this
    /// session's listing showed within the last two seconds.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the storage says.
    pub async fn stat(&self, path: &VirtualPath) -> Result<Metadata> {
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Virtual => return Ok(self.directory_metadata(path, None)),
            Place::Root(mount) | Place::Parent { mount, .. } => return Ok(self.directory_metadata(path, Some(mount))),
            Place::Object { mount, key } => (mount, key),
            Place::Nowhere => return Err(Error::NotFound),
        };
        if let Some(live) = self.notes.live.newest(path) {
            return Ok(Metadata::of_upload(live, mount));
        }
        // A listing knows no metadata of files, and times and modes are in them. Of a directory it knows all there is.
        if self.notes.seen.is_listed(path) {
            return Ok(self.directory_metadata(path, Some(mount)));
        }
        let found = self.look(path, mount, &key).await?;
        match found.file {
            Some(file) => {
                let bucket = self.bucket(mount).await?;
                let late = self.notes.late.of_file(Named { path, bucket: &*bucket, key: &key }).await;
                Ok(Metadata::of_object(&file, late.of(&file.pin.etag), mount))
            }
            None if found.directory => Ok(self.directory_metadata(path, Some(mount))),
            None => {
                let bucket = self.bucket(mount).await?;
                self.stat_partial(path, mount, &*bucket, &key).await.ok_or(Error::NotFound)
            }
        }
    }

    /// Asks the storage what lies under a key, and notes the answer.
    pub(super) async fn look(&self, path: &VirtualPath, mount: &Mount, key: &Key) -> Result<Found> {
        let bucket = self.bucket(mount).await?;
        let found = store::find(&*bucket, key).await?;
        match &found.file {
            Some(file) => self.notes.seen.note(path, Sight::File(Box::new(file.clone()))),
            None if found.directory => self.notes.seen.note(path, Sight::Directory),
            None => self.notes.seen.forget(path),
        }
        Ok(found)
    }

    /// What was just seen under a key, or else what the storage says.
    pub(super) async fn sight(&self, path: &VirtualPath, mount: &Mount, key: &Key) -> Result<Option<Sight>> {
        if let Some(sight) = self.notes.seen.fresh(path) {
            return Ok(Some(sight));
        }
        self.look(path, mount, key).await?;
        Ok(self.notes.seen.fresh(path))
    }

    /// A directory that is known to exist.
    pub(super) fn directory_metadata(&self, path: &VirtualPath, mount: Option<&Mount>) -> Metadata {
        Metadata::of_directory(self.notes.late.of_directory(path), mount)
    }
}
