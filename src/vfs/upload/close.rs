//! CLOSE of an upload: S3 publishes the file, and the node notes what it knows of it.
//!
//! Invariant: the lock on the name ends after S3 has the file. So another session always finds the lock or the file.

use super::{Conflicting, UploadedFile, WriteHandle};
use crate::{
    account::Permission,
    journal::{LateAttributes, LateTimes, Version},
    name::VirtualPath,
    objects,
    store::{self, ETag, NewObject, Object, Pin, RemovalCondition},
    upload::{FinishedUpload, Keeping, Published, Upload, UploadError},
    vfs::{
        Error, Kind, Metadata, NewAttributes, Result,
        cache::{Change, Sight},
        late::Named,
        locks::Lock,
        notes::Live,
        patch::Patched,
    },
};
use std::time::Duration;
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
    /// Publishes the file. The bytes are stored when this returns. An existing file that
    /// was not changed stays as it is. A file that was removed meanwhile doesn't appear.
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
        let closed = Box::pin(self.close_under(lock.as_mut())).await;
        if let Some(lock) = &lock {
            // If the lock was lost, `close_under` has returned that.
            let _ = lock.end().await;
        }
        closed
    }

    async fn close_under(mut self, mut lock: Option<&mut Lock>) -> Result<ClosedUpload> {
        // Its memory would be of no use while S3 takes its time.
        self.former = None;
        self.settle_at_close().await;
        let (shown, size) = (self.file.live.shown(), self.upload.size());
        if shown.removed {
            self.upload.abort().await;
            return Ok(ClosedUpload { size, published: None });
        }
        if self.upload.is_only_resumed() {
            // No WRITE was acknowledged, so the upload can still be resumed.
            Box::pin(self.upload.leave()).await;
            return Ok(ClosedUpload { size, published: None });
        }
        if let Err(error) = self.confirm_name(lock.as_deref_mut()).await {
            if matches!(error, Error::BelowFile | Error::IsDirectory | Error::LockLost) {
                self.upload.abort().await;
            } else {
                self.observer.refused(&self.file.key, &error);
                Box::pin(self.upload.leave()).await;
            }
            return Err(error);
        }
        let Self { upload, file, owed, .. } = self;
        let published = file.publish(upload, shown, owed).await?;
        let Some(etag) = published.as_ref().map(|published| published.etag.clone()) else {
            return Ok(ClosedUpload { size, published });
        };
        let locked = match lock {
            Some(lock) => lock.end().await.map_err(Error::from),
            None => Ok(()),
        };
        if file.live.shown().removed || locked.is_err() {
            // The file was removed, or its lock lost, while S3 stored it.
            file.take_back(etag).await?;
            return locked.map(|()| ClosedUpload { size, published: None });
        }
        Ok(ClosedUpload { size, published })
    }

    /// Checks, before the file is published, that its name is free and its lock still held.
    ///
    /// # Errors
    /// [`Error::BelowFile`], [`Error::IsDirectory`], [`Error::LockLost`], and those of the storage.
    async fn confirm_name(&mut self, lock: Option<&mut Lock>) -> Result<()> {
        store::in_time(async { Ok(self.room.confirm_at_close().await) }).await??;
        match lock {
            Some(lock) => Ok(lock.confirm(&self.file.key).await?),
            None => Ok(()),
        }
    }
}

impl UploadedFile {
    /// Publishes the file, and notes its attributes. Returns `None` if an existing file is unchanged and stays.
    async fn publish(&self, upload: Upload, shown: Live, owed: Option<Keeping>) -> Result<Option<Published>> {
        let path = self.live.path().current();
        let (named, late) = (self.named(&path), self.attributes_beside(shown));
        let unchanged = self.patched.as_ref().filter(|_| upload.is_unchanged());
        // The journal is asked in parallel, and mostly has nothing to forget. Attributes that are set during this CLOSE
        // may count as set after it.
        let asks = unchanged.is_none() && late.is_empty();
        let asked_at = self.node.cache.stat.ask((self.bucket.id(), self.key.as_str()));
        let (finished, is_kept) = join!(upload.finish(), async { asks && self.notes.late.is_kept(named).await });
        if finished.is_err() && unchanged.is_none() {
            // The file may be stored in spite of the error.
            self.node.cache.changed(self.bucket.id(), &self.key, Change::Stored);
        }
        let FinishedUpload { published, in_parts_for } = finished.map_err(|error| self.refusal(error))?;
        if let Some(owed) = owed {
            let _ = owed.abandon_uploads().await;
        }
        if let Some(patched) = unchanged {
            let attributes = shown.attributes.beside(patched.live().attributes);
            self.notes.late.add(named, &Version::of(&patched.file), attributes.into()).await;
            return Ok(None);
        }
        let version = Version::stored_now(published.etag.clone());
        let attributes = known_to_server(shown, in_parts_for, &version).updated(late.into());
        if is_kept || !late.is_empty() {
            self.notes.late.replace(named, &version, attributes).await;
        } else {
            self.notes.late.show(named, &version, attributes);
        }
        let sight = Sight::Stored(Box::new(self.object(&published, version.modified)));
        self.node.cache.replaced(named.at(), asked_at, Change::Stored, sight);
        Ok(Some(published))
    }

    /// Removes the published file, unless it was replaced since.
    async fn take_back(&self, etag: ETag) -> Result<()> {
        let removing = objects::remove(&*self.bucket, &self.key, RemovalCondition::Matches(etag));
        let removed = store::in_time(removing).await;
        self.node.cache.changed(self.bucket.id(), &self.key, Change::Removed);
        match removed {
            Ok(()) | Err(store::Error::NotFound | store::Error::Conflict { .. }) => {
                self.notes.late.forget(self.named(&self.live.path().current())).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The attributes to keep beside the object. Times are kept even if the object has them: READDIR needs them, and
    /// listings don't show an object's metadata.
    fn attributes_beside(&self, Live { attributes, .. }: Live) -> NewAttributes {
        if attributes != self.stored || attributes.times.is_some() { attributes } else { NewAttributes::default() }
    }

    /// The object as S3 has it now.
    fn object(&self, published: &Published, modified: i64) -> Object {
        let mut born = self.patched.as_ref().map(Patched::heir).unwrap_or_default();
        self.stored.write_to(&mut born, Kind::File);
        let NewObject { metadata, headers } = born;
        let pin = Pin { etag: published.etag.clone(), version: published.version.clone() };
        Object { size: published.size, pin, modified, metadata, headers, archived: false }
    }

    fn refusal(&self, error: UploadError) -> Error {
        match error {
            UploadError::Storage(conflict @ store::Error::Conflict { .. }) => match self.conflicting {
                Conflicting::Exists => Error::AlreadyExists,
                Conflicting::MayNotReplace => Error::Denied(Permission::Overwrite),
                Conflicting::Changed => Error::Changed(conflict),
            },
            error => error.into(),
        }
    }

    fn named<'a>(&'a self, path: &'a VirtualPath) -> Named<'a> {
        Named { path, scope: &self.scope, bucket: &*self.bucket, key: &self.key }
    }
}

/// Attributes that only the server knows of a new file: its mode, which listings don't show, and its time, if S3
/// reports the much earlier begin of the upload.
fn known_to_server(live: Live, in_parts_for: Option<Duration>, version: &Version) -> LateAttributes {
    let mode = live.attributes.mode.filter(|mode| !Metadata::is_listed_mode(*mode));
    let is_older_in_s3 = in_parts_for.is_some_and(|age| age > S3_TIME_IS_NEAR);
    LateAttributes { times: is_older_in_s3.then(|| LateTimes::appeared(version.modified)), mode }
}
