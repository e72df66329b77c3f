//! STAT and LSTAT: the attributes of a path. There are no links, so both verbs are the same.

use super::{
    Error, Metadata, Place, Result, Vfs, cache::CachedStat, directory_attributes::DirectoryName,
    file_attributes::NamedObject,
};
use crate::{
    journal::Version,
    name::VirtualPath,
    objects::{self, Found},
};
use tokio::{join, time::Instant};

impl Vfs {
    /// Returns the attributes of `path`. Needs no permission: every user may know that a name of the tree exists.
    ///
    /// A file that this session is uploading shows its size so far. An interrupted upload shows its stored part, to its
    /// own user. At most 3 requests to S3. None for mounts, the directories that lead to them, and directories that a
    /// listing of the node showed within the last two seconds.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the storage's error.
    pub async fn stat(&self, path: &VirtualPath) -> Result<Metadata> {
        let place = self.resolve(path)?;
        let (mount, key) = match &place {
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => {
                return Ok(self.directory_metadata(path, &place).await);
            }
            Place::Object { mount, key } => (*mount, key),
            Place::Nowhere => return Err(Error::NotFound),
        };
        if let Some(view) = self.session.open_uploads.newest(path) {
            return Ok(Metadata::of_upload(view, mount));
        }
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key };
        let prefix = key.as_directory();
        let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
        // A listing doesn't read the metadata of files, which has their times and modes. For a directory it is
        // complete.
        if let Some(CachedStat::Listed(times)) = self.node.cache.stat.find(named.scoped()) {
            let times = self.session.directory_attributes.newest_times(directory, times);
            return Ok(self.session.directory_attributes.metadata(path, times, Some(mount)));
        }
        let asked = Instant::now();
        let found = self.look(named).await?;
        match found.file {
            Some(file) => {
                let attributes = self.session.file_attributes.of_file(named).await;
                Ok(Metadata::of_object(&file, attributes.of(&Version::of(&file)), mount))
            }
            None if found.directory || self.is_emptied(named) => Ok(self.directory_metadata(path, &place).await),
            None => {
                let dropped = self.session.directory_attributes.drop_gone(directory, asked);
                let (interrupted, ()) = join!(self.stat_interrupted(path, mount, &*bucket, key), dropped);
                interrupted.ok_or(Error::NotFound)
            }
        }
    }

    /// Asks the storage for a key, and caches the answer.
    pub(super) async fn look(&self, named: NamedObject<'_>) -> Result<Found> {
        let (at, stat) = (named.scoped(), &self.node.cache.stat);
        let stamp = stat.stamp((at.bucket, at.key.as_str()));
        let found = objects::find(named.bucket, named.key).await?;
        let cached = match &found.file {
            Some(file) => Some(CachedStat::File(Box::new(file.clone()))),
            None => found.directory.then_some(CachedStat::Directory),
        };
        stat.note(at, stamp, cached);
        Ok(found)
    }

    /// True for a directory that this user emptied, and below which S3 has nothing any more.
    pub(super) fn is_emptied(&self, named: NamedObject<'_>) -> bool {
        let directory = named.key.as_directory();
        self.node.cache.markers.is_emptied(named.scope, (named.bucket.id(), directory.as_str()))
    }

    /// A directory that is known to exist. At most one question to the journal, and no request to S3.
    pub(super) async fn directory_metadata(&self, path: &VirtualPath, place: &Place<'_>) -> Metadata {
        let Some((mount, prefix)) = place.directory() else {
            return self.session.directory_attributes.metadata(path, None, None);
        };
        let times = match self.node.buckets.id(&self.tenant.name) {
            Ok(bucket) => {
                self.session.directory_attributes.times(DirectoryName { bucket: &bucket, prefix: &prefix }).await
            }
            Err(_) => None,
        };
        self.session.directory_attributes.metadata(path, times, Some(mount))
    }
}
