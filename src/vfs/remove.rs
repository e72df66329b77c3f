//! REMOVE: deletes a file.

use super::{Error, Place, Result, Vfs, cache::Change, late::Named};
use crate::{
    account::Permission,
    name::{Key, VirtualPath},
    store::{self, Bucket, RemovalCondition},
};
use tokio::join;

impl Vfs {
    /// Removes a file, and what is stored of an upload of it that was cut off. Where there is none it is one that this
    /// session is uploading, or another one is creating with EXCL, which then doesn't appear. Needs `delete`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Denied`], [`Error::Mounted`] for a mount or what leads to
    /// one, and [`Error::RenameUnderWay`].
    pub async fn remove(&self, path: &VirtualPath) -> Result<()> {
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::Mounted),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Delete)?;
        // S3 says 204 to the deletion of what is not there, so it has to be asked before.
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = Named { path, scope: &scope, bucket: &*bucket, key: &key };
        let _claim = self.claim(&*bucket, &key, None).await?;
        let found = self.look(named).await?;
        let keeping = self.keeping(mount, &*bucket, &key);
        match found.file {
            Some(_) => {}
            None if found.directory => return Err(Error::IsDirectory),
            None => {
                return match self.give_up_partial(path, keeping.as_ref()).await {
                    Ok(was_cut_off) if self.remove_upload(path, &*bucket, &key).await || was_cut_off => Ok(()),
                    Ok(_) => Err(Error::NotFound),
                    // Another session's lock on this node ends also while the journal is down: its OPEN gave up what was cut
                    // off. This session's own upload goes on, because its older ones would come back.
                    Err(_) if !self.is_uploading(path) && self.break_lock(bucket.id(), &key).await => Ok(()),
                    Err(down) => Err(Error::PartialNotFound(down.into())),
                };
            }
        }
        let (removed, ()) =
            join!(store::remove(&*bucket, &key, RemovalCondition::Present), self.keep_directory(named, mount));
        self.changed(named, Change::Removed);
        removed?;
        self.node.cache.done(bucket.id(), &key);
        // Where the journal is down what was cut off before stays, and is seen now.
        let _ = self.give_up_partial(path, keeping.as_ref()).await;
        self.notes.late.forget(named).await;
        Ok(())
    }

    /// Has this session's own upload never appear, or else the one that another session has a lock for. `false` if there is
    /// none.
    async fn remove_upload(&self, path: &VirtualPath, bucket: &dyn Bucket, key: &Key) -> bool {
        if !self.notes.live.remove(path) {
            return self.break_lock(bucket.id(), key).await;
        }
        if !self.is_uploading(path) {
            self.release_lock(bucket.id(), key).await;
        }
        true
    }
}
