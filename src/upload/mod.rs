//! Uploads one file. Writes go into a buffer, and parts go to S3 in the background. At the end the object appears
//! whole, or not at all.
//!
//! **Shipping parts.** A part ships when all its bytes were written and more bytes follow it. So the last part, and a
//! file that fits one `PutObject`, are known only at the end. Clients keep up to 64 × 255 KiB in flight, in any order,
//! so a gap is at first a write that is still in flight. It becomes a hole, which reads as zeros, at the end of the
//! file, or when 17 MiB of blocks lie behind it. Lack of memory makes no holes: the upload ships smaller parts.
//!
//! **Changing an existing object** ([`Upload::over`]) sends only the changes. S3 copies the rest from range to range,
//! and small pieces beside new bytes are read back. A gap is then a piece of that object. Everything else is as above.
//! The last request has the condition that no other client has replaced the object meanwhile.
//!
//! **Memory.** A write that finds no memory ships the whole parts, from 5 MiB on, then waits for parts in flight. That
//! wait withholds its reply, which slows the client down. If the reservation is full of writes out of order, so that no
//! part can ship, the write waits for more memory (see [`Budget::overflow`]), but not for ever.
//!
//! **Resuming later** ([`Upload::leave`], [`Upload::resuming`]). An upload in parts that is to be kept has an entry in
//! the journal. If its connection or the server is lost, its stored parts stay, and a later session continues the file
//! behind them.
//!
//! Invariant: the bytes of a write that succeeded are in the object if [`Upload::finish`] succeeds.

mod base;
mod copy;
mod cut;
mod entry;
mod error;
mod extents;
mod intake;
mod observer;
mod part_buffer;
mod parts;
mod plan;
mod resumed;
mod shipping;
mod target;
#[cfg(test)]
mod tests;
mod whole;

pub(crate) use base::BufferedBytes;
pub use entry::Keeping;
pub use error::UploadError;
pub use observer::UploadObserver;
pub use plan::{MAX_OBJECT_BYTES, MIN_PART_BYTES};
pub use resumed::Taken;

use crate::{
    memory::{Allowance, Budget, Reservation},
    name::Key,
    store::{Bucket, Condition, ETag, Error, NewObject, Object, Pin, Stored, VersionId},
};
use base::Base;
use bytes::Bytes;
use error::Result;
use part_buffer::PartBuffer;
use parts::Parts;
use plan::Plan;
use resumed::Anew;
use std::{sync::Arc, time::Duration};
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
    /// The condition under which the object appears.
    pub(crate) condition: Condition,
    /// The attributes that the object gets. The upload adds the token.
    pub(crate) object: NewObject,
    /// The journal to enter it in. `None`: the upload is not entered, and nothing is kept if it is interrupted.
    pub(crate) keeping: Option<Keeping>,
    /// The observer of S3's answers.
    pub(crate) observer: Option<Arc<dyn UploadObserver>>,
}

/// An object that S3 has published, as S3 answered. After a lost answer, a HEAD describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedUpload {
    /// The object. If the file was unchanged, it is the older one.
    pub(crate) published: Published,
    /// The age of its upload in parts, whose beginning is S3's time of the object. [`Duration::MAX`] if another handle
    /// began it, `None` if the file was not uploaded in parts.
    pub(crate) in_parts_for: Option<Duration>,
}

/// One file that is being uploaded. End it with [`finish`](Self::finish) or [`abort`](Self::abort). If it is dropped,
/// it publishes nothing, and a background task tries to abort its multipart upload.
#[derive(Debug)]
pub struct Upload {
    target: Target,
    plan: Plan,
    condition: Condition,
    object: NewObject,
    /// The object that the file began as.
    base: Option<Base>,
    buffer: PartBuffer,
    allowance: Arc<Allowance>,
    keeping: Option<Keeping>,
    /// `None` until the first part ships.
    parts: Option<Parts>,
    /// The settings of the file if the client doesn't resume the stored parts. `None` once it can no longer choose.
    anew: Option<Anew>,
    /// True if a gap is an error, because the client may have taken more for stored than was.
    gapless: bool,
    /// The reason why nothing will be published, if there is one.
    poison: Option<String>,
    /// True if a later session must not resume the stored parts: the client meant to change them, or they can't be
    /// completed.
    is_misled: bool,
}

impl Upload {
    /// An empty file; sends no request. `reservation` holds at least [`MIN_PART_BYTES`] of `budget`.
    #[must_use]
    pub(crate) fn new(
        bucket: Arc<dyn Bucket>,
        key: Key,
        reservation: Reservation,
        budget: Arc<Budget>,
        options: UploadOptions,
    ) -> Self {
        Self {
            target: Target { bucket, key, observer: options.observer },
            plan: Plan::new(options.max_object_bytes),
            condition: options.condition,
            object: options.object,
            base: None,
            buffer: PartBuffer::default(),
            allowance: Allowance::new(budget, reservation),
            keeping: options.keeping,
            parts: None,
            anew: None,
            gapless: false,
            poison: None,
            is_misled: false,
        }
    }

    /// Makes the file begin as `object`, the current object of its name, and replace only that version. Its metadata is
    /// not taken over.
    #[must_use]
    pub(crate) fn over(mut self, object: &Object) -> Self {
        self.condition = Condition::Matches(object.pin.etag.clone());
        // No session could resume its stored parts, because the older object is there.
        if let Some(keeping) = &mut self.keeping {
            keeping.kept_for = Duration::ZERO;
        }
        self.buffer = PartBuffer::over(object.size);
        self.base = Some(Base::new(object));
        self
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
        self.base.as_ref().is_some_and(|base| !base.changed)
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
    /// [`UploadError::Busy`] if writes out of order need memory that no other upload returns, and from then on
    /// [`UploadError::Poisoned`].
    pub(crate) async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.check_poison()?;
        self.poison = Some("it was cut off".to_owned());
        let outcome = self.take_in(offset, data).await;
        self.note_outcome(&outcome);
        outcome
    }

    /// Sets the file's size, in bytes. Bytes behind the new end are gone; added bytes are zero.
    ///
    /// # Errors
    /// [`UploadError::AlreadyShipped`], [`UploadError::HoleTooLarge`], [`UploadError::TooLarge`]: nothing is changed
    /// then. [`UploadError::Poisoned`].
    pub(crate) fn set_size(&mut self, size: u64) -> Result<()> {
        self.check_poison()?;
        let shipped = self.buffer.start();
        if size < shipped {
            return Err(UploadError::AlreadyShipped { shipped });
        }
        self.check_bounds(size, 0)?;
        if size != self.size() {
            self.anew = None;
            self.note_change();
            let freed = self.buffer.resize(size);
            drop(self.allowance.flying(freed));
        }
        Ok(())
    }

    /// Gives the file another name. It appears there if `condition` holds.
    ///
    /// # Errors
    /// [`UploadError::AlreadyShipped`] if S3 already knows it by its old name.
    pub(crate) fn rename(&mut self, key: Key, condition: Condition) -> Result<()> {
        if self.parts.is_some() || self.base.is_some() {
            return Err(UploadError::AlreadyShipped { shipped: self.shipped() });
        }
        self.keeping = self.keeping.take().and_then(|keeping| keeping.renamed(&key));
        (self.target.key, self.condition) = (key, condition);
        Ok(())
    }

    /// Lets nothing be published, because the server can't keep a promise that it made about the file.
    pub(crate) fn spoil(&mut self, cause: &impl ToString) {
        self.is_misled = true;
        self.poison.get_or_insert_with(|| cause.to_string());
    }

    /// Lets nothing be published through this handle. Another handle can still resume the stored parts.
    pub(crate) fn refuse(&mut self, cause: &impl ToString) {
        self.poison.get_or_insert_with(|| cause.to_string());
    }

    /// Publishes the file: one `PutObject` if it fits one part, else the last part and `CompleteMultipartUpload`. Sends
    /// nothing if the file [is unchanged](Self::is_unchanged).
    ///
    /// # Errors
    /// [`UploadError::Poisoned`] after a failed write, [`UploadError::Gap`], else S3's error. Nothing is published
    /// then. A multipart upload is aborted, unless it is kept and S3 alone caused the failure.
    pub(crate) async fn finish(mut self) -> Result<FinishedUpload> {
        let is_unchanged = self.is_unchanged();
        let outcome = self.publish().await;
        if outcome.is_err() || !is_unchanged {
            self.target.observe(&outcome);
        }
        let in_parts_for = self.parts.as_ref().map(Parts::age);
        match outcome {
            Ok(Stored { pin: Pin { etag, version }, crc64: checksum, request_id, .. }) => {
                let (key, size) = (self.target.key, self.buffer.size());
                let published = Published { key, size, etag, version, checksum, request_id };
                Ok(FinishedUpload { published, in_parts_for })
            }
            Err(error) => {
                self.is_misled |= leads_nowhere(&error);
                // Boxed, because this is rare, and else every future that ends an upload would be as large.
                Box::pin(self.leave()).await;
                Err(error)
            }
        }
    }

    /// Abandons the file: stops the parts in flight, and aborts the multipart upload if one was created.
    pub(crate) async fn abort(self) {
        let Self { parts, buffer, allowance, .. } = self;
        // Other uploads may wait for this memory, and S3 may take long to answer.
        drop((buffer, allowance));
        if let Some(parts) = parts {
            parts.abort().await;
        }
    }

    fn check_poison(&self) -> Result<()> {
        self.poison.clone().map_or(Ok(()), |cause| Err(UploadError::Poisoned(cause)))
    }

    /// Takes note of the outcome of a step before the end. It replaces an earlier poison. An error poisons the upload.
    fn note_outcome(&mut self, outcome: &Result<()>) {
        if outcome.is_err() {
            self.target.observe(outcome);
        }
        self.poison = outcome.as_ref().err().map(ToString::to_string);
        self.is_misled |= outcome.as_ref().is_err_and(leads_nowhere);
    }

    fn note_change(&mut self) {
        if let Some(base) = &mut self.base {
            base.changed = true;
        }
    }
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
