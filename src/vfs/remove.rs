//! REMOVE: deletes a file.

use super::{Error, Place, Result, Vfs, cache::Change, file_attributes::NamedObject};
use crate::{
    account::Permission,
    name::{BucketId, Key, VirtualPath},
    objects,
    store::{Bucket, RemovalCondition},
};
use tokio::join;

impl Vfs {
    /// Removes a file, and the stored part of an interrupted upload of it. If there is no file, removes the upload of
    /// this session, or one that another session is creating with EXCL: that upload then publishes nothing. Needs
    /// `delete`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Denied`], [`Error::Mounted`] for a mount or a directory
    /// that leads to one, and [`Error::RenameInProgress`].
    pub async fn remove(&self, path: &VirtualPath) -> Result<()> {
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::Mounted),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Delete)?;
        // S3 answers 204 to the deletion of a missing object, so the server looks first.
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key: &key };
        let _claim = self.claim(&*bucket, (&key, None), None).await?;
        let found = self.look(named).await?;
        let upload_journal = self.upload_journal(mount, &*bucket, &key);
        match found.file {
            Some(_) => {}
            None if found.directory => return Err(Error::IsDirectory),
            None => {
                return match self.abandon_interrupted(path, upload_journal.as_ref()).await {
                    Ok(was_resumable) if self.remove_upload(path, &*bucket, &key).await || was_resumable => Ok(()),
                    Ok(_) => Err(Error::NotFound),
                    // The lock of another session on this node ends even while the journal is down: its OPEN abandoned
                    // the interrupted upload. This session's own upload continues, because older interrupted uploads
                    // would reappear.
                    Err(_) if !self.is_uploading(path) && self.break_lock(bucket.id(), &key).await => Ok(()),
                    Err(down) => Err(Error::PartialNotFound(down)),
                };
            }
        }
        let (removed, ()) =
            join!(objects::remove(&*bucket, &key, RemovalCondition::Present), self.ensure_parent_marker(named, mount));
        self.changed(named, Change::Removed);
        removed?;
        self.node.cache.done(bucket.id(), &key);
        // While the journal is down an older interrupted upload remains, and becomes visible now.
        let _ = self.abandon_interrupted(path, upload_journal.as_ref()).await;
        self.session.file_attributes.forget(named).await;
        Ok(())
    }

    /// Stops this session's own upload from publishing, or else the one for which another session holds a lock. Returns
    /// `false` if there is none.
    async fn remove_upload(&self, path: &VirtualPath, bucket: &dyn Bucket, key: &Key) -> bool {
        if !self.session.open_uploads.remove(path) {
            return self.break_lock(bucket.id(), key).await;
        }
        if !self.is_uploading(path) {
            self.release_lock(bucket.id(), key).await;
        }
        true
    }

    /// Ends the lock on the name of a missing file, because the file is removed. Returns `false` if there is no lock.
    /// One question to a shared journal.
    async fn break_lock(&self, bucket: &BucketId, key: &Key) -> bool {
        self.node.locks.break_lock(&*self.session.journal, bucket, key).await
    }

    /// Ends this session's own lock on a name, because its upload is removed or renamed.
    pub(super) async fn release_lock(&self, bucket: &BucketId, key: &Key) {
        self.node.locks.release(self.session_id, bucket, key).await;
    }
}
