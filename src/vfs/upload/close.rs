//! CLOSE of an upload: S3 publishes the file, and the node caches it and stores its attributes.
//!
//! Invariant: the lock on the name ends after S3 has the file. So another session always finds the lock or the file.

use super::{ConflictCause, UploadedFile, WriteHandle};
use crate::{
    account::Permission,
    journal::{ObjectTimes, TimesAndMode, Version},
    name::Key,
    objects::{self, Lock},
    store::{self, Bucket, Condition, NewObject, Object, Pin, RemovalCondition},
    upload::{self, FinishedUpload, Published, StoredUpload, Upload, UploadError},
    vfs::{
        Error, Metadata, NewAttributes, Result,
        cache::{CachedStat, Change},
        file_attributes::NamedObject,
        interrupted::OlderUpload,
        open_uploads::{Mail, UploadStage},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::join;

/// An upload in parts that took no longer than this shows S3's time.
const S3_TIME_IS_NEAR: Duration = Duration::from_secs(2);

/// The result of a CLOSE.
#[derive(Debug)]
pub struct ClosedUpload {
    /// The file's size, in bytes.
    pub size: u64,
    /// The object that S3 published. `None` if the file didn't change, was removed meanwhile, or can still be resumed.
    pub(crate) published: Option<Published>,
}

impl WriteHandle {
    /// Publishes the file. The bytes are stored when this returns. An existing file that was not changed stays as it
    /// is. A file that was removed meanwhile doesn't appear.
    ///
    /// # Errors
    /// If it fails, nothing is published.
    ///
    /// - [`Error::AlreadyExists`] with EXCL, or [`Error::Denied`] without `overwrite`, if the file was created
    ///   meanwhile.
    /// - [`Error::IsDirectory`] or [`Error::BelowFile`] if the name isn't free.
    /// - [`Error::Changed`] if the file to be changed was changed meanwhile.
    /// - [`Error::LockLost`], [`Error::Poisoned`] after a failed write, or the storage's error.
    pub async fn close(mut self) -> Result<ClosedUpload> {
        let mut lock = self.lock.take();
        let closed = upload::ending(self.upload.is_charged(), Box::pin(self.close_under(lock.as_mut()))).await;
        if let Some(lock) = &lock {
            // If the lock was lost, `close_under` has returned that.
            let _ = lock.end().await;
        }
        closed
    }

    async fn close_under(mut self, mut lock: Option<&mut Lock>) -> Result<ClosedUpload> {
        // 1. The requests that came before the CLOSE are applied. The reader's memory is of no more use.
        self.former = None;
        self.apply_before_close(UploadStage::Closing).await;
        let size = self.upload.size();
        // 2. A removed file publishes nothing. A stored part that the client didn't add to can still be resumed.
        if self.file.is_removed || self.upload.is_only_resumed() {
            Box::pin(self.end_unpublished()).await;
            return Ok(ClosedUpload { size, published: None });
        }
        // 3. The name must be free, and the session must hold the lock.
        if let Err(error) = self.confirm_name(lock.as_deref_mut()).await {
            return Err(Box::pin(self.refuse(error)).await);
        }
        // 4. S3 publishes the file.
        let Self { upload, mut file, older, .. } = self;
        let (bucket, key) = (Arc::clone(upload.bucket()), upload.key().clone());
        let (published, version) = file.publish(upload, older).await?;
        // 5. The lock ends.
        let locked = end(lock).await;
        // 6. Requests by path that came since are applied. A file that was removed, or whose lock was lost, while S3
        //    stored it is removed.
        file.apply_last(&*bucket, &key, &version).await;
        if let Some(published) = published.as_ref().filter(|_| file.is_removed || locked.is_err()) {
            file.remove_published(&*bucket, published).await?;
            return locked.map(|()| ClosedUpload { size, published: None });
        }
        locked.map(|()| ClosedUpload { size, published })
    }

    async fn end_unpublished(self) {
        if self.file.is_removed { self.upload.abort().await } else { self.upload.leave().await }
    }

    /// Ends the upload because its name is not free, or the storage didn't answer that.
    async fn refuse(self, error: Error) -> Error {
        if matches!(error, Error::BelowFile | Error::IsDirectory | Error::LockLost) {
            self.upload.abort().await;
        } else {
            self.observer.refused(self.upload.key(), &error);
            self.upload.leave().await;
        }
        error
    }

    /// Checks, before the file is published, that its name is free and that the session still holds the lock.
    ///
    /// # Errors
    /// [`Error::BelowFile`], [`Error::IsDirectory`], [`Error::LockLost`], and those of the storage.
    async fn confirm_name(&mut self, lock: Option<&mut Lock>) -> Result<()> {
        store::in_time(async { Ok(self.name_check.confirm_at_close().await) }).await??;
        match lock {
            Some(lock) => Ok(lock.confirm(self.upload.key()).await?),
            None => Ok(()),
        }
    }
}

impl UploadedFile {
    /// Publishes the file, and stores its attributes. Returns the version under the name, and `None` if an existing file
    /// is unchanged and stays.
    async fn publish(&mut self, upload: Upload, older: Option<OlderUpload>) -> Result<(Option<Published>, Version)> {
        let (path, scope) = (self.entry.path().current(), Arc::clone(&self.scope));
        let (bucket, key) = (Arc::clone(upload.bucket()), upload.key().clone());
        let named = NamedObject { path: &path, scope: &scope, bucket: &*bucket, key: &key };
        let (beside, is_unchanged) = (self.attributes_beside(), upload.is_unchanged());
        // The journal is asked in parallel, and mostly has nothing to forget.
        let asks = !is_unchanged && beside.is_empty();
        let stamp = self.node.cache.stat.stamp((bucket.id(), key.as_str()));
        let is_resumed = upload.is_resumed();
        let finishing = upload.finish(self.condition());
        let (finished, has_row) =
            join!(finishing, async { asks && self.session.file_attributes.may_be_in_journal(named).await });
        if finished.is_err() && !is_unchanged {
            // The file may be stored in spite of the error.
            self.node.cache.changed(bucket.id(), &key, Change::Stored);
        }
        let finished = finished.map_err(|error| self.refusal(is_resumed, error))?;
        if let Some(older) = older {
            older.retry().await;
        }
        let beside = beside.updated(self.receive(self.entry.receive()));
        let StoredUpload { published, object, in_parts_for } = match finished {
            FinishedUpload::Stored(stored) => stored,
            FinishedUpload::Unchanged(object) => {
                let attributes = self.attributes.differing_from(self.stored);
                self.session.file_attributes.add(named, &Version::of(&object), attributes.into()).await;
                return Ok((None, Version::of(&object)));
            }
        };
        let version = Version::stored_now(published.etag.clone());
        let attributes = self.known_to_server(in_parts_for, &version).updated(beside.into());
        if has_row || !beside.is_empty() {
            self.session.file_attributes.replace(named, &version, attributes).await;
        } else {
            self.session.file_attributes.show(named, &version, attributes);
        }
        let cached = CachedStat::Stored(Box::new(stored_object(&published, object, version.modified)));
        self.node.cache.replaced(named.scoped(), stamp, Change::Stored, cached);
        Ok((Some(published), version))
    }

    /// Applies the mail that came after the file was published, until the upload has left the table.
    async fn apply_last(&mut self, bucket: &dyn Bucket, key: &Key, version: &Version) {
        while let Some(mail) = self.entry.end() {
            let attributes = self.receive(Some(mail));
            let path = self.entry.path().current();
            let named = NamedObject { path: &path, scope: &self.scope, bucket, key };
            self.session.file_attributes.add(named, version, attributes.into()).await;
        }
    }

    /// Removes the published file, unless it was replaced since.
    async fn remove_published(&self, bucket: &dyn Bucket, published: &Published) -> Result<()> {
        let (key, path) = (&published.key, self.entry.path().current());
        let removing = objects::remove(bucket, key, RemovalCondition::Matches(published.etag.clone()));
        let removed = store::in_time(removing).await;
        self.node.cache.changed(bucket.id(), key, Change::Removed);
        match removed {
            Ok(()) | Err(store::Error::NotFound | store::Error::Conflict { .. }) => {
                self.session.file_attributes.forget(NamedObject { path: &path, scope: &self.scope, bucket, key }).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The condition under which a new file appears.
    fn condition(&self) -> Condition {
        match self.conflict_cause {
            ConflictCause::Exists | ConflictCause::MayNotReplace => Condition::Absent,
            ConflictCause::Changed => Condition::Always,
        }
    }

    /// The reason why the file was not published. A resumed upload replaces nothing.
    fn refusal(&self, is_resumed: bool, error: UploadError) -> Error {
        match error {
            UploadError::Storage(conflict @ store::Error::Conflict { .. }) => match self.conflict_cause {
                _ if is_resumed => Error::AlreadyExists,
                ConflictCause::Exists => Error::AlreadyExists,
                ConflictCause::MayNotReplace => Error::Denied(Permission::Overwrite),
                ConflictCause::Changed => Error::Changed(conflict),
            },
            error => error.into(),
        }
    }

    /// The attributes to store beside the object. Times are among them even if the object has them: READDIR needs them,
    /// and listings don't show an object's metadata.
    fn attributes_beside(&self) -> NewAttributes {
        let attributes = self.attributes;
        if attributes != self.stored || attributes.times.is_some() { attributes } else { NewAttributes::default() }
    }

    /// Attributes that only the server knows of a new file: its mode, which listings don't show, and its time, if S3
    /// reports the much earlier begin of the upload.
    fn known_to_server(&self, in_parts_for: Option<Duration>, version: &Version) -> TimesAndMode {
        let mode = self.attributes.mode.filter(|mode| !Metadata::is_listed_mode(*mode));
        let is_older_in_s3 = in_parts_for.is_some_and(|age| age > S3_TIME_IS_NEAR);
        TimesAndMode { times: is_older_in_s3.then(|| ObjectTimes::appeared(version.modified)), mode }
    }

    /// Takes in the mail that came while S3 published the file, and returns the attributes that it sets.
    fn receive(&mut self, mail: Option<Mail>) -> NewAttributes {
        let mail = mail.unwrap_or_default();
        self.is_removed |= mail.is_removed;
        self.attributes = self.attributes.updated(mail.attributes);
        mail.attributes
    }
}

/// Ends a lock, if there is one.
///
/// # Errors
/// [`Error::LockLost`].
async fn end(lock: Option<&mut Lock>) -> Result<()> {
    match lock {
        Some(lock) => Ok(lock.end().await?),
        None => Ok(()),
    }
}

/// The object as S3 has it now.
fn stored_object(published: &Published, object: NewObject, modified: i64) -> Object {
    let NewObject { metadata, headers } = object;
    let pin = Pin { etag: published.etag.clone(), version: published.version.clone() };
    Object { size: published.size, pin, modified, metadata, headers, archived: false }
}
