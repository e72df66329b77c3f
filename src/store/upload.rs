//! One file on its way up. Writes go into a buffer; parts go to S3 in the background; the object appears at the end,
//! whole, or not at all.
//!
//! **When a part ships.** When every byte of it was written and more bytes come after it, so that the last part, and
//! the file that fits one `PutObject`, are known only at the end. Clients keep up to 64 × 255 KiB in flight, in any
//! order, so a gap is at first just a write that is still on its way. It is a hole, which reads as zeros, at the end of
//! the file, or when 17 MiB of blocks lie behind it. Lack of memory makes no holes: it ships smaller parts.
//!
//! **Memory.** A write that finds no memory ships what is whole, from 5 MiB on, then waits for parts in flight; that
//! wait withholds its reply, which is what slows the client down. Where the reservation is full of writes that came out
//! of order, so that there is nothing to ship, it waits for more memory (see [`Budget::overflow`]), but not for ever.
//!
//! Invariant: the bytes of a write that answered OK are in the object if [`Upload::finish`] answers OK.

mod allowance;
mod block;
mod extents;
mod part_buffer;
mod parts;
mod plan;
mod target;
#[cfg(test)]
mod tests;

pub(super) use block::Pool;
pub use plan::{MAX_OBJECT_BYTES, MIN_PART_BYTES};
pub(super) use target::Target;

use super::{Bucket, Budget, Condition, Error, Key, NewObject, Payload, Reservation, Result, Stored};
use allowance::Allowance;
use block::BLOCK_BYTES;
use bytes::{Buf, Bytes};
use part_buffer::PartBuffer;
use parts::{MAX_IN_FLIGHT, Parts};
use plan::Plan;
use std::{mem, sync::Arc, time::Duration};

/// The largest hole, in bytes.
const MAX_HOLE_BYTES: u64 = 64 * 1024 * 1024;
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
}

/// One file on its way up. End it with [`finish`](Self::finish) or [`abort`](Self::abort); dropped, it publishes
/// nothing, and its multipart upload is aborted in the background, as well as can be.
#[derive(Debug)]
pub struct Upload {
    target: Target,
    plan: Plan,
    condition: Condition,
    object: NewObject,
    buffer: PartBuffer,
    allowance: Arc<Allowance>,
    /// From the first part on.
    parts: Option<Parts>,
    /// Why nothing will be published, if that is so.
    poison: Option<String>,
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
            target: Target { bucket, key },
            plan: Plan::new(options.max_object_bytes),
            condition: options.condition,
            object: options.object,
            buffer: PartBuffer::default(),
            allowance: Allowance::new(budget, reservation),
            parts: None,
            poison: None,
        }
    }

    /// The file's size so far, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// Up to `len` bytes from `offset`: fewer at the file's end, none behind it. `None` if some of them are shipped.
    #[must_use]
    pub fn read(&self, offset: u64, len: usize) -> Option<Bytes> {
        self.buffer.read(offset, len)
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
    /// said of a part that failed, [`Error::Busy`] where writes out of order need memory that nobody gives back, and
    /// from then on [`Error::Poisoned`].
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.check_poison()?;
        self.poison = Some("it was cut off".to_owned());
        let outcome = self.take_in(offset, data).await;
        self.poison = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    /// Publishes the file: one `PutObject` if it fits one part, else the last part and `CompleteMultipartUpload`.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a failed write, else what S3 said. Nothing is published then, and a multipart upload is
    /// aborted.
    pub async fn finish(mut self) -> Result<Stored> {
        let outcome = self.publish().await;
        if outcome.is_err() {
            self.abort().await;
        }
        outcome
    }

    /// Gives the file up: stops the parts in flight, and aborts the multipart upload if one was created.
    pub async fn abort(self) {
        let Self { parts, buffer, allowance, .. } = self;
        // Others may wait for this memory, and S3 may be long in answering.
        drop((buffer, allowance));
        if let Some(parts) = parts {
            parts.abort().await;
        }
    }
}

/// Taking bytes in.
impl Upload {
    async fn take_in(&mut self, offset: u64, mut data: Bytes) -> Result<()> {
        self.check_bounds(offset, data.len() as u64)?;
        let mut at = offset;
        while !data.is_empty() {
            self.make_room_at(at).await?;
            let written = self.buffer.write(at, &data);
            data.advance(written);
            at += written as u64;
        }
        self.send_whole_parts()
    }

    fn check_poison(&self) -> Result<()> {
        self.poison.clone().map_or(Ok(()), |cause| Err(Error::Poisoned(cause)))
    }

    fn check_bounds(&self, offset: u64, len: u64) -> Result<()> {
        let limit = self.plan.max_object_bytes();
        if offset.checked_add(len).is_none_or(|end| end > limit) {
            return Err(Error::TooLarge { limit });
        }
        if len > 0 && offset.saturating_sub(self.size()) > MAX_HOLE_BYTES {
            return Err(Error::HoleTooLarge { limit: MAX_HOLE_BYTES });
        }
        Ok(())
    }

    /// Waits until the byte at `offset` can be written.
    async fn make_room_at(&mut self, offset: u64) -> Result<()> {
        loop {
            self.note_arrived()?;
            let shipped = self.buffer.start();
            if offset < shipped {
                return Err(Error::AlreadyShipped { shipped });
            }
            if self.buffer.has_room_at(offset) {
                return Ok(());
            }
            if self.buffer.held_bytes() <= self.next_part_bytes() + REORDERED_BYTES
                && let Some(block) = self.allowance.block()
            {
                self.buffer.make_room_at(offset, block);
                return Ok(());
            }
            self.free_memory().await?;
        }
    }

    /// Does the one thing that gets nearer to free memory.
    async fn free_memory(&mut self) -> Result<()> {
        let whole_blocks_bytes = self.buffer.whole_bytes() / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        if whole_blocks_bytes >= MIN_PART_BYTES && self.in_flight() < MAX_IN_FLIGHT {
            self.send_part(whole_blocks_bytes.min(self.next_part_bytes()))
        } else if let Some(parts) = self.parts.as_mut().filter(|parts| parts.in_flight() > 0) {
            parts.one_arrived().await
        } else if self.buffer.held_behind_gap_bytes() >= REORDERED_BYTES {
            self.buffer.close_first_gap();
            Ok(())
        } else {
            self.allowance.more(PATIENCE).await
        }
    }

    /// Sends the parts that are whole, as many as may be in flight.
    fn send_whole_parts(&mut self) -> Result<()> {
        while self.buffer.held_behind_gap_bytes() >= REORDERED_BYTES {
            self.buffer.close_first_gap();
        }
        self.note_arrived()?;
        while self.in_flight() < MAX_IN_FLIGHT {
            let whole_bytes = self.buffer.whole_bytes();
            let planned_bytes = self.next_part_bytes();
            let least_bytes = if self.allowance.is_pressed() { MIN_PART_BYTES } else { planned_bytes };
            let part_bytes = planned_bytes.min(whole_bytes / BLOCK_BYTES as u64 * BLOCK_BYTES as u64);
            let more_comes = self.size() - self.buffer.start() > part_bytes;
            if part_bytes < least_bytes || !more_comes {
                break;
            }
            self.send_part(part_bytes)?;
        }
        Ok(())
    }
}

/// Sending and publishing.
impl Upload {
    async fn publish(&mut self) -> Result<Stored> {
        self.check_poison()?;
        if self.parts.is_none() && self.size() <= self.next_part_bytes() {
            let (pieces, held_bytes) = self.buffer.take_part(u64::MAX);
            let _memory = self.allowance.flying(held_bytes);
            let object = self.born()?;
            return self.target.put(Payload::new(pieces), &object, self.condition.clone()).await;
        }
        // What was never written is a hole now; the last part is the one behind which nothing comes.
        while self.buffer.start() < self.size() {
            while self.in_flight() >= MAX_IN_FLIGHT
                && let Some(parts) = &mut self.parts
            {
                parts.one_arrived().await?;
            }
            self.send_part(self.next_part_bytes())?;
        }
        match &mut self.parts {
            Some(parts) => parts.complete(self.condition.clone()).await,
            None => Err(Error::Broken("a file of several parts without a part".into())),
        }
    }

    /// The planned size of the next part, in bytes.
    fn next_part_bytes(&self) -> u64 {
        let number = self.parts.as_ref().map_or(1, Parts::next_number);
        self.plan.part_bytes(number, self.buffer.start())
    }

    fn in_flight(&self) -> usize {
        self.parts.as_ref().map_or(0, Parts::in_flight)
    }

    fn note_arrived(&mut self) -> Result<()> {
        self.parts.as_mut().map_or(Ok(()), Parts::note_arrived)
    }

    fn send_part(&mut self, part_bytes: u64) -> Result<()> {
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => Parts::create(self.target.clone(), self.born()?),
        };
        if parts.is_full() {
            self.parts = Some(parts);
            return Err(Error::TooLarge { limit: self.buffer.start() });
        }
        let (pieces, held_bytes) = self.buffer.take_part(part_bytes);
        parts.send(pieces, self.allowance.flying(held_bytes));
        self.parts = Some(parts);
        Ok(())
    }

    /// What the object is born with, marked as this upload's.
    fn born(&mut self) -> Result<NewObject> {
        let mut object = mem::take(&mut self.object);
        object.mark()?;
        Ok(object)
    }
}
