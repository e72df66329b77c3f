//! STAT and LSTAT: what lies under a path. There are no links, so the two are one.

use super::{Error, Metadata, Place, Result, Vfs, cache::Sight, directories::DirectoryName, late::Named};
use crate::{
    name::VirtualPath,
    store::{self, Found, Version},
};
use tokio::{join, time::Instant};

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
        let place = self.mounts.resolve(path)?;
        let (mount, key) = match &place {
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => {
                return Ok(self.directory_metadata(path, &place).await);
            }
            Place::Object { mount, key } => (*mount, key),
            Place::Nowhere => return Err(Error::NotFound),
        };
        if let Some(live) = self.notes.live.newest(path) {
            return Ok(Metadata::of_upload(live, mount));
        }
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = Named { path, scope: &scope, bucket: &*bucket, key };
        let prefix = key.as_directory();
        let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
        // A listing knows no metadata of files, and times and modes are in them. Of a directory it knows all there is.
        if let Some(Sight::Listed(times)) = self.node.cache.stat.find(named.at()) {
            let times = self.notes.directories.newest_times(directory, times);
            return Ok(self.notes.directories.metadata(path, times, Some(mount)));
        }
        let asked = Instant::now();
        let found = self.look(named).await?;
        match found.file {
            Some(file) => {
                let late = self.notes.late.of_file(named).await;
                Ok(Metadata::of_object(&file, late.of(&Version::of(&file)), mount))
            }
            None if found.directory || self.is_emptied(named) => Ok(self.directory_metadata(path, &place).await),
            None => {
                let dropped = self.notes.directories.drop_gone(directory, asked);
                let (partial, ()) = join!(self.stat_partial(path, mount, &*bucket, key), dropped);
                partial.ok_or(Error::NotFound)
            }
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

    /// A directory that is known to exist. At most one question to the journal, and no request to S3.
    pub(super) async fn directory_metadata(&self, path: &VirtualPath, place: &Place<'_>) -> Metadata {
        let Some((mount, prefix)) = place.directory() else { return self.notes.directories.metadata(path, None, None) };
        let times = match self.node.buckets.id(&self.tenant.name) {
            Ok(bucket) => self.notes.directories.times(DirectoryName { bucket: &bucket, prefix: &prefix }).await,
            Err(_) => None,
        };
        self.notes.directories.metadata(path, times, Some(mount))
    }
}
