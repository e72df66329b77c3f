//! The bytes of an upload that were not shipped yet: a window that begins where the next part begins, made of blocks
//! that exist only where something was written.

use super::{
    block::{self, BLOCK_BYTES, Block},
    extents::Extents,
};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// The window, from [`start`](Self::start) to the file's end.
#[derive(Debug, Default)]
pub(super) struct PartBuffer {
    start: u64,
    size: u64,
    blocks: VecDeque<Option<Block>>,
    held_blocks: u64,
    written: Extents,
}

impl PartBuffer {
    /// The first byte that can still be written; all before it is shipped.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The file's size so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes from the start are there without a gap.
    pub(super) fn whole_bytes(&self) -> u64 {
        self.written.whole().saturating_sub(self.start)
    }

    /// The memory that the blocks take, in bytes.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_blocks * BLOCK
    }

    /// The memory of the blocks behind the one in which the first gap begins, in bytes.
    pub(super) fn held_behind_gap_bytes(&self) -> u64 {
        let (gap, _) = place(self.whole_bytes());
        self.blocks.iter().skip(gap + 1).flatten().count() as u64 * BLOCK
    }

    /// Takes the first gap for a hole, which reads as zeros.
    pub(super) fn close_first_gap(&mut self) {
        self.written.close_first_gap();
    }

    /// Whether `offset` lies in a block that is there.
    pub(super) fn has_room_at(&self, offset: u64) -> bool {
        let (index, _) = place(offset.saturating_sub(self.start));
        self.blocks.get(index).is_some_and(Option::is_some)
    }

    /// Makes the bytes around `offset` writable.
    pub(super) fn make_room_at(&mut self, offset: u64, block: Block) {
        let (index, _) = place(offset.saturating_sub(self.start));
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.blocks.get_mut(index)
            && slot.replace(block).is_none()
        {
            self.held_blocks += 1;
        }
    }

    /// Writes as much of `data` as the block at `offset` takes, and says how much that is: nothing where there is no room.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> usize {
        let Some(from_start) = offset.checked_sub(self.start) else { return 0 };
        let (index, at) = place(from_start);
        let Some(Some(block)) = self.blocks.get_mut(index) else { return 0 };
        let written = block.write(at, data);
        let end = offset + written as u64;
        self.written.insert(offset, end);
        self.size = self.size.max(end);
        written
    }

    /// Up to `len` bytes from `offset`, fewer at the file's end; `None` if some are shipped.
    pub(super) fn read(&self, offset: u64, len: usize) -> Option<Bytes> {
        let mut at = offset.checked_sub(self.start)?;
        let end = offset.saturating_add(len as u64).min(self.size).saturating_sub(self.start);
        let mut bytes = BytesMut::new();
        while at < end {
            let (index, within) = place(at);
            let wanted = usize::try_from(end - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES - within);
            let filled = bytes.len() + wanted;
            if let Some(Some(block)) = self.blocks.get(index) {
                let there = block.bytes().get(within..).unwrap_or_default();
                bytes.extend_from_slice(there.get(..wanted).unwrap_or(there));
            }
            bytes.resize(filled, 0);
            at += wanted as u64;
        }
        Some(bytes.freeze())
    }

    /// Takes the first `part_bytes` out to be shipped: whole blocks, or all there is. What was never written is zero.
    /// Says too how much memory goes with them, in bytes.
    pub(super) fn take_part(&mut self, part_bytes: u64) -> (Vec<Bytes>, u64) {
        let part_bytes = part_bytes.min(self.size - self.start);
        let (mut pieces, mut rest, held_before) = (Vec::new(), part_bytes, self.held_bytes());
        while rest > 0 {
            let len = usize::try_from(rest).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            pieces.push(match self.blocks.pop_front().flatten() {
                Some(block) => {
                    self.held_blocks -= 1;
                    block.freeze(len)
                }
                None => block::zeros(len),
            });
            rest -= len as u64;
        }
        self.start += part_bytes;
        (pieces, held_before - self.held_bytes())
    }
}

/// The index of the block that a byte lies in, counted from the window's start, and the byte's place in it.
fn place(from_start: u64) -> (usize, usize) {
    let index = usize::try_from(from_start / BLOCK).unwrap_or(usize::MAX - 1);
    let within = usize::try_from(from_start % BLOCK).unwrap_or_default();
    (index, within)
}

#[cfg(test)]
mod tests {
    use super::{super::block::Pool, *};
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
        assert_eq!((buffer.size(), buffer.whole_bytes(), buffer.held_bytes()), (10 * BLOCK + 6, 0, BLOCK));
        assert_eq!(buffer.read(10 * BLOCK + 3, 100).unwrap(), b"\0\0x".as_slice());
        let (pieces, held) = buffer.take_part(10 * BLOCK);
        assert_eq!((pieces.len(), held), (10, 0));
        assert!(pieces.concat().iter().all(|byte| *byte == 0));
        assert_eq!(buffer.read(10 * BLOCK - 1, 1), None);
        let (pieces, held) = buffer.take_part(u64::MAX);
        assert_eq!((pieces.concat(), held), (b"\0\0\0\0\0x".to_vec(), BLOCK));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_vector_holds(
            writes in prop::collection::vec((0..6 * BLOCK, 1..2 * BLOCK_BYTES, 1..=255u8), 1..12),
            cut in 0..7u64,
        ) {
            let (mut buffer, pool, mut model) = (PartBuffer::default(), Arc::default(), Vec::new());
            // A block with another upload's bytes, which must not shine through.
            let mut old = Pool::block(&pool);
            old.write(0, &vec![99; BLOCK_BYTES]);
            drop(old);
            for (offset, len, byte) in writes {
                write(&mut buffer, &pool, offset, &vec![byte; len]);
                let at = usize::try_from(offset).unwrap();
                model.resize(model.len().max(at + len), 0);
                model[at..at + len].fill(byte);
                prop_assert_eq!(&buffer.read(0, model.len() + 1).unwrap(), &model);
            }
            let (first, _) = buffer.take_part(cut * BLOCK);
            let (second, _) = buffer.take_part(u64::MAX);
            prop_assert_eq!([first.concat(), second.concat()].concat(), model);
            prop_assert_eq!(buffer.held_bytes(), 0);
        }
    }
}
