//! Blocks: the memory of part buffers, in pieces of one size that are reused. So their pages stay warm and memory
//! doesn't fragment.
//!
//! Invariant: a block never shows a byte that its upload didn't write. Bytes behind its high-water mark, perhaps
//! another tenant's, are overwritten with data or zeros before they can be read.

use bytes::Bytes;
use parking_lot::Mutex;
use std::{fmt, mem, ops::Range, sync::Arc};

/// The size of a block in bytes. Part sizes are multiples of it, so that no two parts share one.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
/// The most idle blocks that are kept: 64 MiB. Further ones go back to the system.
const MAX_IDLE_BLOCKS: usize = 256;

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// Zeros that take no memory; at most a block's length of them.
pub(crate) fn zeros(bytes: usize) -> Bytes {
    Bytes::from_static(ZEROS.get(..bytes).unwrap_or(&ZEROS))
}

/// The process's idle blocks.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Box<[u8]>>>,
}

impl Pool {
    /// An idle block, or a new one if there is none.
    pub(crate) fn block(self: &Arc<Self>) -> Block {
        let idle = self.idle.lock().pop();
        let bytes = idle.unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice());
        Block { bytes, filled: 0, pool: Arc::clone(self) }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE_BLOCKS {
            idle.push(bytes);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Up to [`BLOCK_BYTES`] of a file; returns to its pool on drop.
pub(crate) struct Block {
    bytes: Box<[u8]>,
    /// The high-water mark: the bytes before it are data or zeros of this upload.
    filled: usize,
    pool: Arc<Pool>,
}

impl Block {
    /// Writes as much of `data` as fits at `at`, and returns the number of bytes written.
    pub(crate) fn write(&mut self, at: usize, data: &[u8]) -> usize {
        self.fill_to(at);
        let Some(room) = self.bytes.get_mut(at..) else { return 0 };
        let written = room.len().min(data.len());
        if let (Some(room), Some(data)) = (room.get_mut(..written), data.get(..written)) {
            room.copy_from_slice(data);
        }
        self.filled = self.filled.max(at + written);
        written
    }

    /// The bytes so far. Gaps between writes are zero.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Forgets the bytes from `end` on: they are zero again.
    pub(crate) fn truncate(&mut self, end: usize) {
        self.filled = self.filled.min(end);
    }

    /// The bytes of `range`, to be sent. The block returns to its pool when the last reference is gone.
    pub(crate) fn freeze(mut self, range: Range<usize>) -> Bytes {
        let end = range.end.min(BLOCK_BYTES);
        self.fill_to(end);
        Bytes::from_owner(self).slice(range.start.min(end)..end)
    }

    /// Writes zeros behind the high-water mark, up to `end`.
    fn fill_to(&mut self, end: usize) {
        let end = end.min(BLOCK_BYTES);
        if let Some(gap) = self.bytes.get_mut(self.filled..end) {
            gap.fill(0);
            self.filled = end;
        }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.give_back(mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("filled", &self.filled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_block_shows_nothing_of_its_past() {
        let pool = Arc::new(Pool::default());
        let mut block = pool.block();
        assert_eq!(block.write(0, &vec![7; BLOCK_BYTES + 1]), BLOCK_BYTES);
        drop(block.freeze(0..BLOCK_BYTES));
        let mut again = pool.block();
        assert_eq!(pool.idle.lock().len(), 0, "it is the same one");
        assert_eq!(again.write(10, b"x"), 1);
        assert_eq!(again.bytes(), b"\0\0\0\0\0\0\0\0\0\0x");
        let frozen = again.freeze(0..BLOCK_BYTES);
        assert_eq!(frozen.len(), BLOCK_BYTES);
        assert!(frozen[11..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn writes_end_at_the_blocks_end() {
        let mut block = Arc::new(Pool::default()).block();
        assert_eq!(block.write(BLOCK_BYTES - 1, b"ab"), 1);
        assert_eq!(block.write(BLOCK_BYTES, b"ab"), 0);
        assert_eq!(block.bytes().last(), Some(&b'a'));
    }

    #[test]
    fn truncated_bytes_are_zero() {
        let mut block = Arc::new(Pool::default()).block();
        block.write(0, b"abcdef");
        block.truncate(2);
        block.write(4, b"x");
        assert_eq!(block.freeze(1..6).as_ref(), b"b\0\0x\0");
    }

    #[test]
    fn few_blocks_stay_idle() {
        let pool = Arc::new(Pool::default());
        let blocks: Vec<_> = (0..MAX_IDLE_BLOCKS + 5).map(|_| pool.block()).collect();
        drop(blocks);
        assert_eq!(pool.idle.lock().len(), MAX_IDLE_BLOCKS);
    }
}
