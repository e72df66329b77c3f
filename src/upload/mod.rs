//! Uploads one file. Writes go into a buffer, and parts go to S3 in the background. At the end the object appears
//! whole, or not at all.
//!
//! **Shipping parts.** A part ships when all its bytes were written and more bytes follow it. So the last part, and a
//! file that fits one `PutObject`, are known only at the end. Clients keep up to 64 × 255 KiB in flight, in any order,
//! so a gap is at first a write that is still in flight. It becomes a hole, which reads as zeros, at the end of the
//! file, or when 17 MiB of blocks lie behind it. Lack of memory makes no holes: the upload ships smaller parts.
//!
//! **Changing an existing object** ([`Origin::Change`]) sends only the changes. S3 copies the rest from range to range,
//! and small pieces beside new bytes are read back. A gap is then a piece of that object. Everything else is as above.
//! The last request has the condition that no other client has replaced the object meanwhile.
//!
//! **Memory.** A write that finds no memory ships the whole parts, from 5 MiB on, then waits for parts in flight. That
//! wait withholds its reply, which slows the client down. If its memory is full of writes out of order, so that no part
//! can ship, the write waits for more memory (see [`TenantMemory::overflow`](crate::memory::TenantMemory::overflow)),
//! but not for ever.
//!
//! **Resuming later** ([`Upload::leave`], [`Origin::Resume`]). An upload in parts that can be resumed has a task in the
//! journal. If its connection or the server is lost, its stored parts stay, and a later session continues the file
//! behind them.
//!
//! Invariant: the bytes of a write that succeeded are in the object if [`Upload::finish`] succeeds.

mod charges;
mod copy;
mod error;
mod extents;
mod interrupted;
mod lease;
mod leave;
mod observer;
mod older_object;
mod origin;
mod part_buffer;
mod parts;
mod plan;
mod read_back;
mod shipping;
mod split_point;
mod target;
#[cfg(test)]
mod tests;
mod whole;
mod write;

pub use error::UploadError;
pub use interrupted::InterruptedUpload;
pub use lease::UploadJournal;
pub use observer::{Publication, UploadObserver};
pub(crate) use older_object::BufferedBytes;
pub use older_object::OlderObject;
pub use origin::{Gaps, Origin};
pub use plan::{MAX_OBJECT_BYTES, MIN_PART_BYTES};

use crate::{
    memory::UploadMemory,
    name::{BucketId, Key},
    policy::must_end,
    store::{Bucket, Condition, ETag, Error, NewObject, Object, Pin, StoredObject, VersionId},
};
use bytes::Bytes;
use charges::UploadCharges;
use error::Result;
use part_buffer::PartBuffer;
use parts::Parts;
use plan::PartPlan;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use target::Target;

/// The largest hole, in bytes.
pub const MAX_HOLE_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes that a client has in flight, counted in blocks, some of them partly filled. With this much behind it,
/// a gap is a hole. The overflow holds these bytes and the rest of a part.
const REORDERED_BYTES: u64 = 17 * 1024 * 1024;
/// The time that an upload with nothing to ship waits for memory. The holder of the overflow waits for its own client,
/// which may have fallen silent. The time is longer than the server tolerates such a client, and shorter than a
/// connection may stall.
const PATIENCE: Duration = Duration::from_secs(45);

/// The settings of an upload.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// The largest size in bytes, at most [`MAX_OBJECT_BYTES`].
    pub(crate) max_object_bytes: u64,
    /// The attributes that the object gets. The upload adds the token. A resumed upload has its own.
    pub(crate) object: NewObject,
    /// The journal that gets its task. `None`: there is no task, and no session can resume the upload.
    pub(crate) journal: Option<UploadJournal>,
    /// The observer of S3's answers.
    pub(crate) observer: Option<Arc<dyn UploadObserver>>,
}

/// An object that S3 has published, as S3 answered. After a lost answer, a HEAD describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The object's bucket.
    pub bucket: BucketId,
    /// The object's key.
    pub key: Key,
    /// Its size, in bytes.
    pub size: u64,
    /// Its tag.
    pub etag: ETag,
    /// Its version, in a bucket that keeps versions.
    pub version: Option<VersionId>,
    /// The CRC64NVME of its bytes. `None` if the answer was lost, or the store computes none.
    pub checksum: Option<u64>,
    /// S3's id of the request that published it. `None` if the answer was lost, or the store gives no ids.
    pub request_id: Option<String>,
}

/// The end of an upload.
#[derive(Debug)]
pub enum FinishedUpload {
    /// The client changed nothing. The object that the file began as stays.
    Unchanged(Object),
    /// S3 published the file.
    Stored(StoredUpload),
}

/// A file that S3 published.
#[derive(Debug)]
pub struct StoredUpload {
    /// The object.
    pub(crate) published: Published,
    /// The attributes that it was stored with.
    pub(crate) object: NewObject,
    /// The age of its upload in parts, whose beginning is S3's time of the object. [`Duration::MAX`] if another handle
    /// began it, `None` if the file was not uploaded in parts.
    pub(crate) in_parts_for: Option<Duration>,
}

/// One file that is being uploaded. End it with [`finish`](Self::finish) or [`abort`](Self::abort). If it is dropped,
/// it publishes nothing, and a background task tries to abort its multipart upload.
#[derive(Debug)]
pub struct Upload {
    target: Target,
    plan: PartPlan,
    origin: Origin,
    /// The attributes of the object. Once there are parts, those have them.
    object: NewObject,
    buffer: PartBuffer,
    memory: Arc<UploadMemory>,
    charges: UploadCharges,
    journal: Option<UploadJournal>,
    /// `None` until the first part ships.
    parts: Option<Parts>,
    /// The reason why nothing will be published, if there is one.
    failure: Option<UploadFailure>,
}

/// The failure of an upload.
#[derive(Debug)]
struct UploadFailure {
    cause: String,
    /// False if a later session must not resume the stored parts: the client meant to change them, or they can't be
    /// completed.
    is_resumable: bool,
}

impl Upload {
    /// Opens an upload, which holds no memory until its first bytes come. Takes over an interrupted one; else sends no
    /// request.
    ///
    /// # Errors
    /// Those of taking over an interrupted upload: [`UploadError::Leased`] if another session uploads it,
    /// [`Error::UploadGone`] if S3 lacks a part, [`UploadError::Journal`], or S3's error.
    pub(crate) async fn open(
        bucket: Arc<dyn Bucket>,
        key: Key,
        memory: Arc<UploadMemory>,
        origin: Origin,
        options: UploadOptions,
    ) -> Result<Self> {
        let UploadOptions { max_object_bytes, object, mut journal, observer } = options;
        let target = Target { bucket, key, observer };
        let parts = match &origin {
            Origin::New(_) => None,
            Origin::Change(_) => {
                // No session could resume its stored parts, because the older object is there.
                if let Some(journal) = &mut journal {
                    journal.resumable_for = Duration::ZERO;
                }
                None
            }
            Origin::Resume(upload) => {
                let taken = upload.take(&*target.bucket).await?;
                Some(Parts::resume(target.clone(), upload, taken))
            }
        };
        Ok(Self {
            plan: PartPlan::new(max_object_bytes),
            buffer: origin.buffer(),
            memory,
            charges: UploadCharges::new(target.bucket.usage()),
            failure: None,
            target,
            origin,
            object,
            journal,
            parts,
        })
    }

    /// The bucket that it is uploaded to.
    pub(crate) fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.target.bucket
    }

    /// The key under which the object will appear.
    pub(crate) fn key(&self) -> &Key {
        &self.target.key
    }

    /// The object that the file began as, if it changes one.
    pub(crate) fn older_object(&self) -> Option<&Object> {
        self.origin.older_object()
    }

    /// The file's size so far, in bytes.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// The first byte that can still be changed. All bytes before it are shipped.
    #[must_use]
    pub(crate) fn shipped(&self) -> u64 {
        self.buffer.start()
    }

    /// True if the file still is, byte for byte, the object that it began as.
    #[must_use]
    pub(crate) fn is_unchanged(&self) -> bool {
        matches!(&self.origin, Origin::Change(base) if !base.is_changed)
    }

    /// True if the file still is the stored beginning of an interrupted upload, and no more.
    #[must_use]
    pub(crate) fn is_only_resumed(&self) -> bool {
        matches!(&self.origin, Origin::Resume(upload) if upload.is_untouched) && self.failure.is_none()
    }

    /// True if the file resumes an interrupted upload.
    #[must_use]
    pub(crate) fn is_resumed(&self) -> bool {
        matches!(self.origin, Origin::Resume(_))
    }

    /// The bytes of an interrupted upload that the file began with. 0 for any other file.
    #[must_use]
    pub(crate) fn resumed_bytes(&self) -> u64 {
        if let Origin::Resume(upload) = &self.origin { upload.bytes() } else { 0 }
    }

    /// True if a hole or a missing beginning is an error.
    #[must_use]
    pub(crate) fn refuses_gaps(&self) -> bool {
        self.origin.refuses_gaps()
    }

    /// The attributes that the object will get. `None` once they can't be changed: S3 gets them with the first part, or
    /// at the end.
    pub(crate) fn object_mut(&mut self) -> Option<&mut NewObject> {
        self.parts.is_none().then_some(&mut self.object)
    }

    /// Writes `data` at `offset` (in bytes), in any order, also over bytes that were written before. Waits while the
    /// buffer is full. Dropping this future poisons the upload, because some of the bytes may be in it.
    ///
    /// # Errors
    /// Every error poisons the upload: [`UploadError::AlreadyShipped`], [`UploadError::HoleTooLarge`],
    /// [`UploadError::TooLarge`], S3's error for a part that failed, [`Error::Conflict`] if the object under the file
    /// was replaced, [`UploadError::Gap`] behind the bytes that were stored before an interruption,
    /// [`UploadError::Busy`] if writes out of order need memory that no other upload returns,
    /// [`UploadError::DailyLimit`], and from then on [`UploadError::Poisoned`].
    pub(crate) async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.begin_step()?;
        let outcome = if self.is_charged() {
            self.write_charged(offset, data).await
        } else {
            self.write_bytes(offset, data).await
        };
        self.end_step(&outcome);
        outcome
    }

    /// [`write`](Self::write) of bytes that the server copies for the client.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn write_copied(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.begin_step()?;
        let outcome = self.write_copied_bytes(offset, data).await;
        self.end_step(&outcome);
        outcome
    }

    /// Sets the file's size, in bytes. Bytes behind the new end are gone; added bytes are zero.
    ///
    /// # Errors
    /// [`UploadError::AlreadyShipped`], [`UploadError::HoleTooLarge`], [`UploadError::TooLarge`],
    /// [`UploadError::DailyLimit`]: nothing is changed then. [`UploadError::Poisoned`].
    pub(crate) fn set_size(&mut self, size: u64) -> Result<()> {
        self.check_failure()?;
        let shipped = self.buffer.start();
        if size < shipped {
            return Err(UploadError::AlreadyShipped { shipped });
        }
        self.check_bounds(size, 0)?;
        if size != self.size() {
            if self.is_charged() {
                self.charge_resize(size)?;
            }
            self.origin.note_change();
            let freed = self.buffer.resize(size);
            drop(self.memory.of_part(freed));
        }
        Ok(())
    }

    /// True if S3 knows the upload, or the file that it changes, by its key.
    #[must_use]
    pub(crate) fn is_named(&self) -> bool {
        self.parts.is_some() || self.origin.is_change()
    }

    /// Gives the file another name.
    ///
    /// # Errors
    /// [`UploadError::AlreadyShipped`] if S3 already knows it by its old name.
    pub(crate) fn rename(&mut self, key: Key) -> Result<()> {
        if self.is_named() {
            return Err(UploadError::AlreadyShipped { shipped: self.shipped() });
        }
        self.journal = self.journal.take().and_then(|journal| journal.renamed(&key));
        self.target.key = key;
        Ok(())
    }

    /// Lets nothing be published, because the server can't keep a promise that it made about the file.
    pub(crate) fn spoil(&mut self, cause: &impl ToString) {
        self.fail(cause, false);
    }

    /// Lets nothing be published through this handle. Another handle can still resume the stored parts.
    pub(crate) fn refuse(&mut self, cause: &impl ToString) {
        self.fail(cause, true);
    }

    /// Publishes the file: one `PutObject` if it fits one part, else the last part and `CompleteMultipartUpload`. Sends
    /// nothing if the file [is unchanged](Self::is_unchanged). A new file appears if
    /// `condition` holds. A change replaces only the version that it began as, and a resumed upload none.
    ///
    /// # Errors
    /// [`UploadError::Poisoned`] after a failed write, [`UploadError::Gap`], else S3's error. Nothing is published
    /// then. A multipart upload is aborted, unless it is resumable and S3 alone caused the failure.
    pub(crate) async fn finish(mut self, condition: Condition) -> Result<FinishedUpload> {
        let outcome = match self.check_failure() {
            Ok(())
                if self.is_unchanged()
                    && let Some(object) = self.older_object() =>
            {
                return Ok(FinishedUpload::Unchanged(object.clone()));
            }
            Ok(()) => self.publish(condition).await,
            Err(failed) => Err(failed),
        };
        self.target.observe(&outcome);
        match outcome {
            Ok(StoredObject { pin: Pin { etag, version }, crc64: checksum, request_id, .. }) => {
                let (in_parts_for, object) = match self.parts {
                    Some(parts) => (Some(parts.age()), parts.into_object()),
                    None => (None, self.object),
                };
                let (key, size) = (self.target.key, self.buffer.size());
                let bucket = self.target.bucket.id().clone();
                let published = Published { bucket, key, size, etag, version, checksum, request_id };
                Ok(FinishedUpload::Stored(StoredUpload { published, object, in_parts_for }))
            }
            Err(error) => {
                self.fail(&error, !leads_nowhere(&error));
                // Boxed, because this is rare, and else every future that ends an upload would be as large.
                Box::pin(self.leave()).await;
                Err(error)
            }
        }
    }

    /// Abandons the file: stops the parts in flight, and aborts the multipart upload if one was created.
    pub(crate) async fn abort(self) {
        let Self { parts, buffer, memory, .. } = self;
        // Other uploads may wait for this memory, and S3 may take long to answer.
        drop((buffer, memory));
        if let Some(parts) = parts {
            parts.abort().await;
        }
    }

    /// True if its tenant has a limit per day, so that bytes must be charged.
    pub(crate) fn is_charged(&self) -> bool {
        self.charges.usage.is_limited.load(Ordering::Relaxed)
    }

    fn check_failure(&self) -> Result<()> {
        let cause = self.failure.as_ref().map(|failure| failure.cause.clone());
        cause.map_or(Ok(()), |cause| Err(UploadError::Poisoned(cause)))
    }

    /// Begins a step that fails the upload if it is dropped. [`end_step`](Self::end_step) ends it.
    fn begin_step(&mut self) -> Result<()> {
        self.check_failure()?;
        self.failure = Some(UploadFailure { cause: "it was cut off".to_owned(), is_resumable: true });
        Ok(())
    }

    /// Ends a step with its outcome. An error fails the upload.
    fn end_step(&mut self, outcome: &Result<()>) {
        self.failure = None;
        if let Err(error) = outcome {
            self.target.observe(outcome);
            self.fail(error, !leads_nowhere(error));
        }
    }

    /// Fails the upload. The first cause stays.
    fn fail(&mut self, cause: &impl ToString, is_resumable: bool) {
        let failure = self.failure.get_or_insert_with(|| UploadFailure { cause: cause.to_string(), is_resumable });
        failure.is_resumable &= is_resumable;
        self.memory.expect_nothing();
    }
}

/// Runs an end of an upload. If the tenant has limits, its requests to S3 count and aren't refused.
pub(crate) async fn ending<T>(is_charged: bool, end: impl Future<Output = T>) -> T {
    if is_charged { must_end(end).await } else { end.await }
}

/// True if a later session can't resume an upload that failed with this error: it isn't the client's file, or can't be
/// completed.
fn leads_nowhere(error: &UploadError) -> bool {
    matches!(
        error,
        UploadError::AlreadyShipped { .. }
            | UploadError::HoleTooLarge { .. }
            | UploadError::TooLarge { .. }
            | UploadError::Gap
            | UploadError::Storage(Error::Conflict { .. } | Error::UploadGone)
    )
}
