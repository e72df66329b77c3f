//! One file on its way up. Writes go into a buffer; parts go to S3 in the background; the object appears at the end,
//! whole, or not at all.
//!
//! **When a part ships.** When every byte of it was written and more bytes come after it, so that the last part, and
//! the file that fits one `PutObject`, are known only at the end. Clients keep up to 64 × 255 KiB in flight, in any
//! order, so a gap is at first just a write that is still on its way. It is a hole, which reads as zeros, at the end of
//! the file, or when 17 MiB of blocks lie behind it. Lack of memory makes no holes: it ships smaller parts.
//!
//! **Over an object that is there** ([`Upload::over`]) only what changes goes up. The rest S3 copies from range to range,
//! and small pieces beside new bytes are read back. A gap is then a piece of that object, and all else is as above. The
//! end has the condition that nobody else has replaced the object meanwhile.
//!
//! **Memory.** A write that finds no memory ships what is whole, from 5 MiB on, then waits for parts in flight; that
//! wait withholds its reply, which is what slows the client down. Where the reservation is full of writes that came out
//! of order, so that there is nothing to ship, it waits for more memory (see [`Budget::overflow`]), but not for ever.
//!
//! **Going on later** ([`Upload::leave`], [`Upload::resuming`]). Where it is to be kept, an upload in parts has an entry in
//! the journal. What is stored of it when its connection or the server is lost stays, and the file goes on behind it.
//!
//! Invariant: the bytes of a write that answered OK are in the object if [`Upload::finish`] answers OK.

mod allowance;
mod answer;
mod base;
mod block;
mod copy;
mod cut;
mod entry;
mod extents;
mod held;
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

pub use allowance::HeldMemory;
pub(super) use block::Pool;
pub use entry::Keeping;
pub use observer::UploadObserver;
pub use plan::{MAX_OBJECT_BYTES, MIN_PART_BYTES};
pub use resumed::Taken;
pub(super) use target::Target;

pub(crate) use answer::in_time;

use super::{Bucket, Budget, Condition, Error, NewObject, Object, Pin, Reservation, Result, Stored};
use crate::name::Key;
use allowance::Allowance;
use base::Base;
use bytes::Bytes;
use part_buffer::PartBuffer;
use parts::Parts;
use plan::Plan;
use resumed::Anew;
use std::{sync::Arc, time::Duration};

/// The largest hole, in bytes.
pub const MAX_HOLE_BYTES: u64 = 64 * 1024 * 1024;
/// How much a client has in flight at most, in bytes of blocks, some of them partly filled: with this much behind it, a
/// gap is a hole. The overflow holds it and a part's rest.
const REORDERED_BYTES: u64 = 17 * 1024 * 1024;
/// How long an upload that has nothing to ship waits for memory: whoever has the overflow waits for its own client,
/// which may have fallen silent. Longer than such a client is put up with, shorter than a connection stands still.
const PATIENCE: Duration = Duration::from_secs(45);

/// What an upload is to become.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// The largest size in bytes, at most [`MAX_OBJECT_BYTES`].
    pub max_object_bytes: u64,
    /// What must hold when the object appears.
    pub condition: Condition,
    /// What the object is born with. The token is added here.
    pub object: NewObject,
    /// Where it is entered; `None` enters nothing, and nothing is kept if it is cut off.
    pub keeping: Option<Keeping>,
    /// Hears what S3 says to it.
    pub observer: Option<Arc<dyn UploadObserver>>,
}

/// A file that S3 has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The object's tag and version.
    pub pin: Pin,
    /// How long ago its upload in parts began, whose beginning is S3's time of the object. [`Duration::MAX`] where another
    /// handle began it, `None` for what was not uploaded in parts.
    pub in_parts_for: Option<Duration>,
}

/// One file on its way up. End it with [`finish`](Self::finish) or [`abort`](Self::abort); dropped, it publishes
/// nothing, and its multipart upload is aborted in the background, as well as can be.
#[derive(Debug)]
pub struct Upload {
    target: Target,
    plan: Plan,
    condition: Condition,
    object: NewObject,
    /// The object that the file began as.
    base: Option<Base>,
    buffer: PartBuffer,
    budget: Arc<Budget>,
    allowance: Arc<Allowance>,
    keeping: Option<Keeping>,
    /// From the first part on.
    parts: Option<Parts>,
    /// What the file is if the client doesn't go on with what was stored, as long as it may choose.
    anew: Option<Anew>,
    /// Whether a gap is an error: the client may have taken more for stored than was.
    gapless: bool,
    /// Why nothing will be published, if that is so.
    poison: Option<String>,
    /// Whether what is stored is no use to who goes on later: the client meant to change it, or it leads to nothing.
    is_misled: bool,
}

impl Upload {
    /// An empty file; sends nothing. `reservation` holds at least [`MIN_PART_BYTES`] of `budget`.
    #[must_use]
    pub fn new(
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
            allowance: Allowance::new(Arc::clone(&budget), reservation),
            budget,
            keeping: options.keeping,
            parts: None,
            anew: None,
            gapless: false,
            poison: None,
            is_misled: false,
        }
    }

    /// Lets the file begin as `object`, which is what lies under its name, and replace that version alone. Its metadata
    /// is not taken over.
    #[must_use]
    pub fn over(mut self, object: &Object) -> Self {
        self.condition = Condition::Matches(object.pin.etag.clone());
        // Nobody finds what is stored of it, because the older object is there.
        if let Some(keeping) = &mut self.keeping {
            keeping.kept_for = Duration::ZERO;
        }
        self.buffer = PartBuffer::over(object.size);
        self.base = Some(Base::new(object));
        self
    }

    /// The file's size so far, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// The first byte that can still be changed: what lies before it is shipped.
    #[must_use]
    pub fn shipped(&self) -> u64 {
        self.buffer.start()
    }

    /// Whether the file still is, byte for byte, the object that it began as.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.base.as_ref().is_some_and(|base| !base.changed)
    }

    /// What the object will be born with, as long as it can be changed: S3 is told with the first part, or at the end.
    pub fn object_mut(&mut self) -> Option<&mut NewObject> {
        self.parts.is_none().then_some(&mut self.object)
    }

    /// Writes `data` at `offset` (in bytes), in any order and over what was written before. Waits while the buffer is
    /// full. Dropping this future poisons the upload: some of the bytes may be in it.
    ///
    /// # Errors
    /// Every error poisons the upload: [`Error::AlreadyShipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`], what S3
    /// said of a part that failed, [`Error::Conflict`] when the object under the file is no longer what it was,
    /// [`Error::Gap`] behind what was stored before it was cut off,
    /// [`Error::Busy`] where writes out of order need memory that nobody gives back, and from then on
    /// [`Error::Poisoned`].
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.check_poison()?;
        self.poison = Some("it was cut off".to_owned());
        let outcome = self.take_in(offset, data).await;
        self.note_outcome(&outcome);
        outcome
    }

    /// Sets the file's size, in bytes: what lies behind it is gone, what comes to be is zero.
    ///
    /// # Errors
    /// [`Error::AlreadyShipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`]; nothing is changed then.
    /// [`Error::Poisoned`].
    pub fn set_size(&mut self, size: u64) -> Result<()> {
        self.check_poison()?;
        let shipped = self.buffer.start();
        if size < shipped {
            return Err(Error::AlreadyShipped { shipped });
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

    /// Gives the file another name, under which it appears if `condition` holds.
    ///
    /// # Errors
    /// [`Error::AlreadyShipped`] when S3 knows it by the old one.
    pub fn rename(&mut self, key: Key, condition: Condition) -> Result<()> {
        if self.parts.is_some() || self.base.is_some() {
            return Err(Error::AlreadyShipped { shipped: self.shipped() });
        }
        self.keeping = self.keeping.take().and_then(|keeping| keeping.renamed(&key));
        (self.target.key, self.condition) = (key, condition);
        Ok(())
    }

    /// Lets nothing be published, because of what was promised and can't be kept.
    pub fn spoil(&mut self, cause: &impl ToString) {
        self.is_misled = true;
        self.poison.get_or_insert_with(|| cause.to_string());
    }

    /// Lets nothing be published through this handle. What is stored can still go on through another.
    pub fn refuse(&mut self, cause: &impl ToString) {
        self.poison.get_or_insert_with(|| cause.to_string());
    }

    /// Publishes the file: one `PutObject` if it fits one part, else the last part and `CompleteMultipartUpload`;
    /// nothing at all if it [is unchanged](Self::is_unchanged).
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a failed write, [`Error::Gap`], else what S3 said. Nothing is published then. A multipart
    /// upload is aborted, unless it is kept and S3 alone is to blame.
    pub async fn finish(mut self) -> Result<Published> {
        let is_unchanged = self.is_unchanged();
        let outcome = self.publish().await;
        if outcome.is_err() || !is_unchanged {
            self.target.observe(&outcome);
        }
        let in_parts_for = self.parts.as_ref().map(Parts::age);
        if let Err(error) = &outcome {
            self.is_misled |= leads_nowhere(error);
            // Boxed, because it is rare, and all that ends an upload would be as large.
            Box::pin(self.leave()).await;
        }
        outcome.map(|Stored { pin, .. }| Published { pin, in_parts_for })
    }

    /// Gives the file up: stops the parts in flight, and aborts the multipart upload if one was created.
    pub async fn abort(self) {
        let Self { parts, buffer, base, allowance, .. } = self;
        // Others may wait for this memory, and S3 may be long in answering.
        drop((buffer, base, allowance));
        if let Some(parts) = parts {
            parts.abort().await;
        }
    }

    fn check_poison(&self) -> Result<()> {
        self.poison.clone().map_or(Ok(()), |cause| Err(Error::Poisoned(cause)))
    }

    /// Takes note of the outcome of a step before the end. An error poisons the upload, whatever did before.
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

/// Whether an upload that failed so is no use to who goes on later: it isn't what the client means, or can't be completed.
fn leads_nowhere(error: &Error) -> bool {
    matches!(
        error,
        Error::AlreadyShipped { .. }
            | Error::HoleTooLarge { .. }
            | Error::TooLarge { .. }
            | Error::Gap
            | Error::Conflict { .. }
            | Error::UploadGone
    )
}
