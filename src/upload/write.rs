//! Writes bytes into the buffer, and makes room for them.

use super::{MAX_HOLE_BYTES, MIN_PART_BYTES, PATIENCE, REORDERED_BYTES, Upload, UploadError, error::Result};
use bytes::{Buf, Bytes};

impl Upload {
    pub(super) async fn write_bytes(&mut self, offset: u64, mut data: Bytes) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.check_bounds(offset, data.len() as u64)?;
        if self.is_charged() {
            self.charge_change()?;
            self.charge_holes(offset, data.len() as u64)?;
        }
        self.origin.note_change();
        // The copied range before the first write may have any length from 5 MiB on, so the grid can begin at this
        // write.
        if self.origin.is_copyable() && (MIN_PART_BYTES..=self.buffer.older_bytes()).contains(&offset) {
            self.buffer.begin_block_at(offset);
        }
        let mut at = offset;
        while !data.is_empty() {
            self.make_room_at(at).await?;
            let written = self.buffer.write(at, &data);
            if self.buffer.is_scattered() {
                if self.origin.refuses_gaps() {
                    return Err(UploadError::Gap);
                }
                let block = self.buffer.around(at);
                self.fill(block.clone()).await?;
                self.buffer.fill_with_zeros(block);
            }
            data.advance(written);
            at += written as u64;
        }
        self.send_whole_parts().await
    }

    /// Fails if `len` bytes at `offset` exceed the limits of a file.
    pub(super) fn check_bounds(&self, offset: u64, len: u64) -> Result<()> {
        let limit = self.plan.max_object_bytes();
        if offset.checked_add(len).is_none_or(|end| end > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        if offset.saturating_sub(self.size()) > MAX_HOLE_BYTES {
            return Err(UploadError::HoleTooLarge { limit: MAX_HOLE_BYTES });
        }
        Ok(())
    }

    /// Fails if an empty file can't get the size `size`.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::HoleTooLarge`].
    pub(crate) fn check_first_size(&self, size: u64) -> Result<()> {
        let limit = self.plan.max_object_bytes();
        if size > limit {
            return Err(UploadError::TooLarge { limit });
        }
        if size > MAX_HOLE_BYTES {
            return Err(UploadError::HoleTooLarge { limit: MAX_HOLE_BYTES });
        }
        Ok(())
    }

    /// Charges the bytes of a WRITE, and takes them in.
    pub(super) async fn write_charged(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.charges.written(data.len() as u64)?;
        self.write_bytes(offset, data).await
    }

    /// Charges bytes that the server copies, and takes them in.
    pub(super) async fn write_copied_bytes(&mut self, offset: u64, data: Bytes) -> Result<()> {
        if self.is_charged() {
            self.charges.copied(data.len() as u64)?;
        }
        self.write_bytes(offset, data).await
    }

    /// Charges the older object before its first change.
    pub(super) fn charge_change(&mut self) -> Result<()> {
        match self.older_object().map(|object| object.size) {
            Some(bytes) => self.charges.changes(bytes),
            None => Ok(()),
        }
    }

    /// Charges the hole before `len` bytes at `offset`, and gives back the bytes of holes that they fill.
    fn charge_holes(&mut self, offset: u64, len: u64) -> Result<()> {
        self.charges.hole(offset.saturating_sub(self.size()))?;
        let filled = self.buffer.hole_bytes(offset..offset.saturating_add(len));
        self.charges.fill_hole(filled);
        Ok(())
    }

    /// Charges the change to another size: the zeros of a larger one. Gives back those behind a smaller one.
    pub(super) fn charge_resize(&mut self, size: u64) -> Result<()> {
        self.charge_change()?;
        self.charges.hole(size.saturating_sub(self.size()))?;
        let removed = self.buffer.hole_bytes(size..u64::MAX);
        self.charges.fill_hole(removed);
        Ok(())
    }

    /// Waits until the byte at `offset` can be written.
    async fn make_room_at(&mut self, offset: u64) -> Result<()> {
        loop {
            self.note_arrived()?;
            let shipped = self.buffer.start();
            if offset < shipped {
                return Err(UploadError::AlreadyShipped { shipped });
            }
            if self.buffer.has_room_at(offset) {
                return Ok(());
            }
            if self.buffer.memory_bytes() <= self.next_part_bytes() + REORDERED_BYTES
                && let Some(block) = self.memory.block()
            {
                self.buffer.make_room_at(offset, block);
                return Ok(());
            }
            self.free_memory().await?;
        }
    }

    /// Takes the one step that comes closest to free memory.
    async fn free_memory(&mut self) -> Result<()> {
        if self.may_send()
            && let Some(part) = self.next_contiguous_part(MIN_PART_BYTES)
        {
            self.ship(part).await
        } else if let Some(parts) = self.parts.as_mut().filter(|parts| parts.in_flight() > 0) {
            parts.one_arrived().await
        } else if self.buffer.memory_behind_gap_bytes() >= REORDERED_BYTES {
            self.close_first_gap()
        } else {
            Ok(self.memory.more(PATIENCE).await?)
        }
    }

    /// Sends the parts that are whole, as many as may be in flight.
    async fn send_whole_parts(&mut self) -> Result<()> {
        while self.buffer.memory_behind_gap_bytes() >= REORDERED_BYTES {
            self.close_first_gap()?;
        }
        self.note_arrived()?;
        while self.may_send() && !self.may_wait() {
            let least_bytes = if self.memory.is_pressed() { MIN_PART_BYTES } else { self.next_part_bytes() };
            let Some(part) = self.next_contiguous_part(least_bytes).filter(|part| self.more_follows(part)) else {
                break;
            };
            self.ship(part).await?;
        }
        Ok(())
    }

    fn close_first_gap(&mut self) -> Result<()> {
        if self.origin.refuses_gaps() {
            return Err(UploadError::Gap);
        }
        self.buffer.close_first_gap();
        Ok(())
    }

    /// True if whole parts should stay in memory: a client that changes a stored file goes back and forth in it.
    fn may_wait(&self) -> bool {
        self.origin.is_change() && self.buffer.memory_bytes() < REORDERED_BYTES && !self.memory.is_pressed()
    }
}
