//! STAT and LSTAT: what lies under a path. There are no links, so the two are one.

use super::{Error, Metadata, Mount, Place, Result, Vfs, VirtualPath, cache::Sight, late::Named};
use crate::store::{self, Found, Version};

impl Vfs {
    /// What lies under `path`. Needs no permission: whoever can name a thing may know that it is there.
    ///
    /// A file that this session is uploading shows its size so far, and one whose upload was cut off what is stored of
    /// it, to its own user. At most 3 requests to S3; none for mounts and what leads to them, and for a directory that a
    /// listing of the node showed within the last two seconds.
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
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = Named { path, scope: &scope, bucket: &*bucket, key: &key };
        // A listing knows no metadata of files, and times and modes are in them. Of a directory it knows all there is.
        if let Some(Sight::Listed) = self.node.cache.stat.find(named.at()) {
            return Ok(self.directory_metadata(path, Some(mount)));
        }
        let found = self.look(named).await?;
        match found.file {
            Some(file) => {
                let late = self.notes.late.of_file(named).await;
                Ok(Metadata::of_object(&file, late.of(&Version::of(&file)), mount))
            }
            None if found.directory => Ok(self.directory_metadata(path, Some(mount))),
            None if self.is_emptied(named) => Ok(self.directory_metadata(path, Some(mount))),
            None => self.stat_partial(path, mount, &*bucket, &key).await.ok_or(Error::NotFound),
        }
    }

    /// Asks the storage what lies under a key, and notes the answer.
    pub(super) async fn look(&self, named: Named<'_>) -> Result<Found> {
        let (at, stat) = (named.at(), &self.node.cache.stat);
        let asked = stat.ask((at.bucket, at.key.as_str()));
        let found = store::find(named.bucket, named.key).await?;
        let sight = match &found.file {
            Some(file) => Some(Sight::File(Box::new(file.clone()))),
            None => found.directory.then_some(Sight::Directory),
        };
        stat.note(at, asked, sight);
        Ok(found)
    }

    /// True for a directory of which S3 has nothing any more, but that this user saw and emptied.
    pub(super) fn is_emptied(&self, named: Named<'_>) -> bool {
        let directory = named.key.as_directory();
        self.node.cache.markers.is_emptied(named.scope, (named.bucket.id(), directory.as_str()))
    }

    /// A directory that is known to exist.
    pub(super) fn directory_metadata(&self, path: &VirtualPath, mount: Option<&Mount>) -> Metadata {
        Metadata::of_directory(self.notes.late.of_directory(path), mount)
    }
}
