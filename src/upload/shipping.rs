//! Ships parts, and publishes the object.

use super::{
    MIN_PART_BYTES, Upload, UploadError, ending,
    error::Result,
    parts::{MAX_IN_FLIGHT, MIN_IN_FLIGHT, Parts, replaced},
    split_point::{NextPart, PartSplitter},
};
use crate::{
    memory::MemoryUsage,
    policy::RequestScope,
    store::{Condition, Error, Payload, Pin, StoredObject, missing_or_forbidden},
};
use std::mem;

impl Upload {
    pub(super) async fn publish(&mut self, condition: Condition) -> Result<StoredObject> {
        self.memory.come_first();
        let condition = self.origin.condition(condition);
        if self.fits_one_part() { self.put(condition).await } else { self.complete(condition).await }
    }

    async fn put(&mut self, condition: Condition) -> Result<StoredObject> {
        if self.origin.refuses_gaps() && !self.buffer.is_whole_to(self.size()) {
            return Err(UploadError::Gap);
        }
        self.fill(0..self.size()).await?;
        let (pieces, held_bytes) = self.buffer.take_part(u64::MAX);
        let _memory = self.memory.of_part(held_bytes);
        self.object.add_token()?;
        self.charges.is_sent = true;
        self.target.tell_publishing(&self.object, self.buffer.size());
        let stored = self.target.put(Payload::new(pieces), &self.object, condition).await;
        // S3 answers 403 or 404 to `If-Match` if the object is gone.
        let stored = match stored {
            Err(refusal @ Error::Forbidden { .. }) if self.origin.is_change() => {
                Err(replaced(missing_or_forbidden(&*self.target.bucket, &self.target.key, refusal).await))
            }
            stored if self.origin.is_change() => stored.map_err(replaced),
            stored => stored,
        };
        Ok(stored?)
    }

    /// Sends the remaining bytes of a file that doesn't fit one part: the client writes no more.
    /// [`finish`](Self::finish) publishes the file. Unused memory is returned. After an error the upload can only be
    /// left.
    ///
    /// # Errors
    /// The errors of `finish`, except those of the last request.
    pub(crate) async fn ship_rest(&mut self) -> Result<()> {
        self.check_failure()?;
        self.memory.come_first();
        if !self.is_unchanged() && !self.fits_one_part() {
            let outcome = ending(self.is_charged(), self.ship_all()).await;
            self.end_step(&outcome);
            outcome?;
        }
        // Bytes that are read back from the older object take memory.
        if !self.origin.is_change() {
            self.memory.trim();
        }
        Ok(())
    }

    /// The bytes that were written, each counted once: bytes that are written again are no progress.
    #[must_use]
    pub(crate) fn new_bytes(&self) -> u64 {
        self.buffer.new_bytes()
    }

    /// A view of the memory that the upload holds, now and later.
    #[must_use]
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::of(&self.memory)
    }

    fn fits_one_part(&self) -> bool {
        self.parts.is_none() && self.size() <= self.next_part_bytes()
    }

    async fn ship_all(&mut self) -> Result<()> {
        // Gaps are holes now. The last part is known: no bytes follow it.
        if self.origin.refuses_gaps() && !self.buffer.is_whole_to(self.size()) {
            return Err(UploadError::Gap);
        }
        while self.buffer.start() < self.size() {
            while !self.may_send()
                && let Some(parts) = &mut self.parts
            {
                parts.one_arrived().await?;
            }
            let part = self.splitter(self.size(), true).next(&self.buffer);
            self.ship(part).await?;
        }
        Ok(())
    }

    async fn complete(&mut self, condition: Condition) -> Result<StoredObject> {
        self.ship_all().await?;
        match &mut self.parts {
            Some(parts) => parts.complete(condition).await,
            None => Err(Error::Broken("a file of several parts without a part".into()).into()),
        }
    }

    /// The next part of the contiguous bytes, if it has its full length, or at least `least_bytes`.
    pub(super) fn next_contiguous_part(&self, least_bytes: u64) -> Option<NextPart> {
        let start = self.buffer.start();
        let end = self.buffer.boundary_before(self.buffer.contiguous_end());
        if end <= start {
            return None;
        }
        let part = self.splitter(end, false).next(&self.buffer);
        match part {
            NextPart::Send { end, whole } if !whole && end - start < least_bytes => None,
            part => Some(part),
        }
    }

    /// The last part to ship before a session leaves the upload. It never takes all bytes: the next session must have
    /// something to send, or clients take the file for complete.
    pub(super) fn last_part_before_leaving(&self) -> Option<NextPart> {
        let start = self.buffer.start();
        let end = self.buffer.boundary_before(self.buffer.contiguous_end().min(self.size().saturating_sub(1)));
        let part = self.splitter(end, false).next(&self.buffer);
        let is_enough = end >= start + MIN_PART_BYTES && self.buffer.is_whole_to(end);
        is_enough.then_some(part)
    }

    /// True if bytes follow the part. The last part is known only at the end.
    pub(super) fn more_follows(&self, part: &NextPart) -> bool {
        let end = match part {
            NextPart::Copy(range) => range.end,
            NextPart::Send { end, .. } => *end,
        };
        end < self.size()
    }

    /// Starts to send or copy a part.
    pub(super) async fn ship(&mut self, part: NextPart) -> Result<()> {
        match part {
            NextPart::Copy(range) => {
                if let Some(pin) = self.older_pin() {
                    self.copy_part(range.end, pin)?;
                }
                Ok(())
            }
            NextPart::Send { end, .. } => {
                self.fill(self.buffer.start()..end).await?;
                self.send_part(end)
            }
        }
    }

    fn copy_part(&mut self, end: u64, pin: Pin) -> Result<()> {
        let range = self.buffer.start()..end;
        let source = self.target.key.clone();
        self.charges.note_copied(end - range.start);
        // The change that it belongs to was answered.
        self.parts()?.copy(source, range, pin, RequestScope::default());
        self.buffer.skip_to(end);
        Ok(())
    }

    fn send_part(&mut self, end: u64) -> Result<()> {
        self.parts()?;
        self.charges.is_sent = true;
        let lasting = end < self.size() && self.buffer.is_whole_to(end);
        let (pieces, held_bytes) = self.buffer.take_part(end);
        let memory = self.memory.of_part(held_bytes);
        self.parts()?.send(pieces, memory, lasting);
        Ok(())
    }

    /// The multipart upload. Fails if it has no part number left.
    pub(super) fn parts(&mut self) -> Result<&mut Parts> {
        let parts = if let Some(parts) = self.parts.take() {
            parts
        } else {
            let mut object = mem::take(&mut self.object);
            object.add_token()?;
            Parts::create(self.target.clone(), object, self.journal.take())
        };
        let parts = self.parts.insert(parts);
        parts.demand_ours()?;
        if parts.is_full() { Err(UploadError::TooLarge { limit: self.buffer.start() }) } else { Ok(parts) }
    }

    fn splitter(&self, end: u64, last: bool) -> PartSplitter {
        // Bytes that are read back take memory of their own.
        let frugal = self.origin.is_change() && self.memory.is_pressed();
        let planned_bytes = if frugal { MIN_PART_BYTES } else { self.next_part_bytes() };
        PartSplitter { end, planned_bytes, copyable: self.origin.is_copyable(), last }
    }

    /// The planned size of the next part, in bytes.
    pub(super) fn next_part_bytes(&self) -> u64 {
        let number = self.parts.as_ref().map_or(1, Parts::next_number);
        self.plan.part_bytes(number, self.buffer.start())
    }

    /// True if one more part may be in flight.
    pub(super) fn may_send(&self) -> bool {
        let in_flight = self.parts.as_ref().map_or(0, Parts::in_flight);
        let is_spared = || self.memory.has_plenty(self.next_part_bytes());
        in_flight < MIN_IN_FLIGHT || in_flight < MAX_IN_FLIGHT && is_spared()
    }

    pub(super) fn note_arrived(&mut self) -> Result<()> {
        self.parts.as_mut().map_or(Ok(()), Parts::note_arrived)
    }
}
