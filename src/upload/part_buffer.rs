//! The bytes of an upload that are not shipped yet: a window that begins where the next part begins. It consists of
//! blocks, which exist only where bytes were written. Under it may lie an older object, which shows in the gaps.
//!
//! The blocks lie on a grid that is aligned with the first write. So bytes that are appended to an object share no
//! block with the existing ones.

use super::extents::Extents;
use crate::memory::{self, BLOCK_BYTES, Block};
use bytes::{Bytes, BytesMut};
use std::{collections::BTreeMap, ops::Range};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// The window, from [`start`](Self::start) to the file's end.
#[derive(Debug, Default)]
pub(super) struct PartBuffer {
    start: u64,
    size: u64,
    /// The number of bytes of the older object, from its first on, that are still part of the file.
    older_bytes: u64,
    /// The number that is added to an offset to find its place on the grid.
    shift: u64,
    blocks: BTreeMap<u64, Block>,
    written: Extents,
    /// The first of the zeros that count as written.
    zeros_from: Option<u64>,
    /// The bytes that never passed through this server.
    passed_bytes: u64,
}

impl PartBuffer {
    /// The window over an older object of this size.
    pub(super) fn over(bytes: u64) -> Self {
        Self { size: bytes, older_bytes: bytes, ..Self::default() }
    }

    /// The window behind `bytes` that are shipped.
    pub(super) fn behind(bytes: u64) -> Self {
        let mut behind = Self { size: bytes, ..Self::default() };
        behind.skip_to(bytes);
        behind
    }

    /// True if every byte of the window before `end` was written, and none before it is a zero that only counts as
    /// written.
    pub(super) fn is_whole_to(&self, end: u64) -> bool {
        let no_zeros = self.zeros_from.is_none_or(|from| from >= end);
        self.start >= end || no_zeros && self.written.gaps(self.start..end).is_empty()
    }

    /// The first byte that can still be written. All bytes before it are shipped.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The file's size so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The end of the bytes of the older object that are still part of the file.
    pub(super) fn older_bytes(&self) -> u64 {
        self.older_bytes
    }

    /// The end of the contiguous bytes: written without a gap, except for gaps that were closed.
    pub(super) fn contiguous_end(&self) -> u64 {
        self.written.contiguous_end()
    }

    /// The memory that the blocks take, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.blocks.len() as u64 * BLOCK
    }

    /// The memory of the blocks behind the one in which the first gap begins, in bytes.
    pub(super) fn memory_behind_gap_bytes(&self) -> u64 {
        let (gap, _) = self.place(self.contiguous_end());
        self.blocks.range(gap + 1..).count() as u64 * BLOCK
    }

    /// Stops waiting for the bytes of the first gap: they are the older object's, or zeros.
    pub(super) fn close_first_gap(&mut self) {
        self.written.close_first_gap();
    }

    /// The bytes that were written or copied, each counted once, and not truncated since.
    pub(super) fn new_bytes(&self) -> u64 {
        self.written.new_bytes() + self.passed_bytes
    }

    /// True if the writes are so scattered that the gaps [`around`](Self::around) the last one must be filled.
    pub(super) fn is_scattered(&self) -> bool {
        self.written.is_scattered()
    }

    /// Aligns the grid so that a block begins at `offset`. No effect once there is a block.
    pub(super) fn begin_block_at(&mut self, offset: u64) {
        if self.start == 0 && self.blocks.is_empty() {
            self.shift = (BLOCK - offset % BLOCK) % BLOCK;
        }
    }

    /// True if `offset` lies in an existing block.
    pub(super) fn has_room_at(&self, offset: u64) -> bool {
        self.blocks.contains_key(&self.place(offset).0)
    }

    /// Makes the bytes around `offset` writable.
    pub(super) fn make_room_at(&mut self, offset: u64, block: Block) {
        self.blocks.insert(self.place(offset).0, block);
    }

    /// Writes as much of `data` as the block at `offset` takes, and returns the number of bytes written. 0 if there is
    /// no block.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> usize {
        let (number, at) = self.place(offset);
        let Some(block) = self.blocks.get_mut(&number) else { return 0 };
        let written = block.write(at, data);
        let end = offset + written as u64;
        self.written.insert(offset, end);
        self.size = self.size.max(end);
        written
    }

    /// Writes the bytes of `data` at `offset` that lie in gaps.
    pub(super) fn fill(&mut self, offset: u64, data: &[u8]) {
        for gap in self.written.gaps(offset..offset + data.len() as u64) {
            let mut at = gap.start;
            while let Some(rest) = part_of(data, at - offset, gap.end - offset).filter(|rest| !rest.is_empty()) {
                match self.write(at, rest) {
                    0 => break,
                    written => at += written as u64,
                }
            }
        }
    }

    /// Counts the gaps of `range` behind the older object as written zeros.
    pub(super) fn fill_with_zeros(&mut self, range: Range<u64>) {
        let (start, end) = (range.start.max(self.older_bytes), range.end.min(self.size));
        if let Some(gap) = self.written.gaps(start..end.max(start)).first() {
            self.zeros_from = Some(self.zeros_from.map_or(gap.start, |from| from.min(gap.start)));
            self.written.insert(start, end);
        }
    }

    /// The stretches of `range` in which the older object shows.
    pub(super) fn old(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let range = range.start..range.end.min(self.older_bytes);
        if range.is_empty() { Vec::new() } else { self.written.gaps(range) }
    }

    /// The number of bytes of `range` in the window, up to the file's end, that are zeros because nothing was written
    /// there. Zeros that count as written are not among them.
    pub(super) fn hole_bytes(&self, range: Range<u64>) -> u64 {
        let (start, end) = (range.start.max(self.older_bytes).max(self.start), range.end.min(self.size));
        if start >= end {
            return 0;
        }
        self.written.gaps(start..end).into_iter().map(|gap| gap.end - gap.start).sum()
    }

    /// The bytes of the block around `offset`.
    pub(super) fn around(&self, offset: u64) -> Range<u64> {
        let (number, _) = self.place(offset);
        self.block_start(number).max(self.start)..self.block_start(number + 1)
    }

    /// The first stretch of the older object from `from` on, up to `end`, that no block overlaps.
    pub(super) fn untouched(&self, from: u64, end: u64) -> Option<Range<u64>> {
        let end = end.min(self.older_bytes);
        let mut start = from;
        while start < end && self.has_room_at(start) {
            start = self.around(start).end;
        }
        let next = self.blocks.range(self.place(start).0..).next();
        let end = next.map_or(end, |(number, _)| self.block_start(*number).min(end));
        (start < end).then_some(start..end)
    }

    /// The last block boundary up to `offset`, or the window's start if that lies behind it.
    pub(super) fn boundary_before(&self, offset: u64) -> u64 {
        self.block_start(self.place(offset).0).max(self.start)
    }

    /// The first block boundary from `offset` on.
    pub(super) fn boundary_behind(&self, offset: u64) -> u64 {
        let (number, within) = self.place(offset);
        if within == 0 { offset } else { self.block_start(number + 1) }
    }

    /// Up to `len` bytes from `offset`, fewer at the file's end. `None` if some are shipped. Gaps are zero here.
    pub(super) fn read(&self, offset: u64, len: usize) -> Option<BytesMut> {
        if offset < self.start {
            return None;
        }
        let mut at = offset;
        let end = offset.saturating_add(len as u64).min(self.size);
        let mut bytes = BytesMut::new();
        while at < end {
            let (number, within) = self.place(at);
            let wanted = usize::try_from(end - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES - within);
            let filled = bytes.len() + wanted;
            if let Some(block) = self.blocks.get(&number) {
                let there = block.bytes().get(within..).unwrap_or_default();
                bytes.extend_from_slice(there.get(..wanted).unwrap_or(there));
            }
            bytes.resize(filled, 0);
            at += wanted as u64;
        }
        Some(bytes)
    }

    /// Sets the file's size. Bytes behind the new end are gone; added bytes are zero. Returns the memory that this
    /// frees.
    pub(super) fn resize(&mut self, size: u64) -> u64 {
        let memory_before = self.memory_bytes();
        if size < self.size {
            self.older_bytes = self.older_bytes.min(size);
            self.written.truncate(size);
            let (number, within) = self.place(size);
            self.blocks.split_off(&(number + u64::from(within > 0)));
            if let Some(block) = self.blocks.get_mut(&number) {
                block.truncate(within);
            }
        }
        self.size = size;
        memory_before - self.memory_bytes()
    }

    /// Removes all bytes before `end` to be shipped: up to a block boundary, or to the end of the file. Gaps are zero.
    /// Also returns the memory that goes with the bytes.
    pub(super) fn take_part(&mut self, end: u64) -> (Vec<Bytes>, u64) {
        let (end, memory_before, mut pieces) = (end.min(self.size), self.memory_bytes(), Vec::new());
        while self.start < end {
            let (number, within) = self.place(self.start);
            let len = usize::try_from(end - self.start).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES - within);
            pieces.push(match self.blocks.remove(&number) {
                Some(block) => block.freeze(within..within + len),
                None => memory::zeros(len),
            });
            self.start += len as u64;
        }
        self.written.forget_before(self.start);
        (pieces, memory_before - self.memory_bytes())
    }

    /// Moves the window to `start`, over bytes that no block overlaps.
    pub(super) fn skip_to(&mut self, start: u64) {
        self.start = start;
        self.written.forget_before(start);
    }

    /// Extends the file by `bytes` that never pass through this server. All bytes before them are shipped.
    pub(super) fn pass_over(&mut self, bytes: u64) {
        self.size += bytes;
        self.passed_bytes += bytes;
        self.skip_to(self.size);
    }

    /// The number of a byte's block, and the byte's place in it.
    fn place(&self, offset: u64) -> (u64, usize) {
        let on_grid = offset + self.shift;
        (on_grid / BLOCK, usize::try_from(on_grid % BLOCK).unwrap_or_default())
    }

    fn block_start(&self, number: u64) -> u64 {
        (number * BLOCK).saturating_sub(self.shift)
    }
}

fn part_of(data: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    data.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Pool;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn write(buffer: &mut PartBuffer, pool: &Arc<Pool>, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            if !buffer.has_room_at(offset) {
                buffer.make_room_at(offset, pool.block());
            }
            let written = buffer.write(offset, data);
            data = &data[written..];
            offset += written as u64;
        }
    }

    #[test]
    fn holes_take_no_memory_and_read_as_zeros() {
        let (mut buffer, pool) = (PartBuffer::default(), Arc::default());
        write(&mut buffer, &pool, 10 * BLOCK + 5, b"x");
        assert_eq!((buffer.size(), buffer.contiguous_end(), buffer.memory_bytes()), (10 * BLOCK + 6, 0, BLOCK));
        assert_eq!(buffer.read(10 * BLOCK + 3, 100).unwrap(), b"\0\0x".as_slice());
        let (pieces, held) = buffer.take_part(10 * BLOCK);
        assert_eq!((pieces.len(), held), (10, 0));
        assert!(pieces.concat().iter().all(|byte| *byte == 0));
        assert_eq!(buffer.read(10 * BLOCK - 1, 1), None);
        let (pieces, held) = buffer.take_part(u64::MAX);
        assert_eq!((pieces.concat(), held), (b"\0\0\0\0\0x".to_vec(), BLOCK));
    }

    #[test]
    fn what_is_appended_shares_no_block_with_what_is_there() {
        let (mut buffer, pool) = (PartBuffer::over(10 * BLOCK + 7), Arc::default());
        buffer.begin_block_at(10 * BLOCK + 7);
        write(&mut buffer, &pool, 10 * BLOCK + 7, &vec![1; BLOCK_BYTES + 1]);
        assert_eq!(buffer.memory_bytes(), 2 * BLOCK);
        assert_eq!(buffer.untouched(0, u64::MAX), Some(0..10 * BLOCK + 7));
        assert_eq!(buffer.old(0..u64::MAX).first(), Some(&(0..10 * BLOCK + 7)));
        buffer.skip_to(10 * BLOCK + 7);
        assert_eq!(buffer.take_part(u64::MAX).0.concat(), vec![1; BLOCK_BYTES + 1]);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_vector_holds(
            writes in prop::collection::vec((0..6 * BLOCK, 1..2 * BLOCK_BYTES, 1..=255u8), 1..12),
            cut in 0..7u64,
            (anchor, resized) in (0..BLOCK, 0..8 * BLOCK),
        ) {
            let (mut buffer, pool, mut model) = (PartBuffer::default(), Arc::default(), Vec::new());
            buffer.begin_block_at(anchor);
            // A block with another upload's bytes. They must not show.
            let mut old = Pool::block(&pool);
            old.write(0, &vec![99; BLOCK_BYTES]);
            drop(old);
            for (turn, (offset, len, byte)) in writes.into_iter().enumerate() {
                write(&mut buffer, &pool, offset, &vec![byte; len]);
                let at = usize::try_from(offset).unwrap();
                model.resize(model.len().max(at + len), 0);
                model[at..at + len].fill(byte);
                if turn == 3 {
                    buffer.resize(resized);
                    model.resize(usize::try_from(resized).unwrap(), 0);
                }
                prop_assert!(buffer.read(0, model.len() + 1).unwrap() == model);
            }
            let (first, _) = buffer.take_part(buffer.boundary_before(cut * BLOCK));
            let (second, _) = buffer.take_part(u64::MAX);
            prop_assert!([first.concat(), second.concat()].concat() == model);
            prop_assert_eq!(buffer.memory_bytes(), 0);
        }
    }
}
