//! Blocks: the memory of part buffers, in pieces of one size that are reused. So their pages stay warm and memory
//! doesn't fragment. Blocks that no upload has needed for some seconds go back to the system.
//!
//! Invariant: a block never shows a byte that its upload didn't write. Bytes behind its high-water mark, perhaps
//! another tenant's, are overwritten with data or zeros before they can be read.

use bytes::Bytes;
use parking_lot::Mutex;
use std::{fmt, mem, ops::Range, sync::Arc, time::Duration};
use tokio::time::{Instant, interval_at};

/// The size of a block in bytes. Part sizes are multiples of it, so that no two parts share one.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
/// The most idle blocks that are kept: 64 MiB. Further ones go back to the system.
const MAX_IDLE_BLOCKS: usize = 256;
/// A block that was idle for this time goes back to the system within the same time again.
const IDLE_TIME: Duration = Duration::from_secs(5);

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// Zeros that take no memory; at most a block's length of them.
pub(crate) fn zeros(bytes: usize) -> Bytes {
    Bytes::from_static(ZEROS.get(..bytes).unwrap_or(&ZEROS))
}

/// The process's idle blocks.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<IdleBlocks>,
}

#[derive(Default)]
struct IdleBlocks {
    /// A stack: the blocks at its bottom are those that no upload has needed.
    blocks: Vec<Box<[u8]>>,
    /// The fewest that there were since the last release: as many blocks at the bottom were idle all that time.
    fewest: usize,
}

impl Pool {
    /// An idle block, or a new one if there is none.
    pub(crate) fn block(self: &Arc<Self>) -> Block {
        let mut idle = self.idle.lock();
        let block = idle.blocks.pop();
        idle.fewest = idle.fewest.min(idle.blocks.len());
        drop(idle);
        let bytes = block.unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice());
        Block { bytes, filled: 0, pool: Arc::clone(self) }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut idle = self.idle.lock();
        if idle.blocks.len() < MAX_IDLE_BLOCKS {
            idle.blocks.push(bytes);
        }
    }

    /// Returns the blocks to the system that stay idle. Never ends.
    pub(super) async fn release_idle(&self) {
        let mut ticks = interval_at(Instant::now() + IDLE_TIME, IDLE_TIME);
        loop {
            ticks.tick().await;
            let unused = self.idle.lock().unused();
            // Outside the lock: the system takes its time for 64 MiB.
            drop(unused);
        }
    }
}

impl IdleBlocks {
    /// Removes the blocks that were idle since the last call.
    fn unused(&mut self) -> Vec<Box<[u8]>> {
        let unused = self.blocks.drain(..self.fewest).collect();
        self.fewest = self.blocks.len();
        unused
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
        assert_eq!(pool.idle.lock().blocks.len(), 0, "it is the same one");
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
        assert_eq!(pool.idle.lock().blocks.len(), MAX_IDLE_BLOCKS);
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_that_stay_idle_go_back_to_the_system() {
        let pool = Arc::new(Pool::default());
        let releasing = Arc::clone(&pool);
        let releasing = tokio::spawn(async move { releasing.release_idle().await });
        let idle_after = async |time: Duration| {
            tokio::time::sleep(time).await;
            tokio::task::yield_now().await;
            pool.idle.lock().blocks.len()
        };
        assert_eq!(idle_after(IDLE_TIME / 2).await, 0);
        let blocks: Vec<_> = (0..10).map(|_| pool.block()).collect();
        drop(blocks);
        assert_eq!(idle_after(IDLE_TIME).await, 10, "idle for less than the time");
        // An upload needs three at a time, and finds them.
        for _ in 0..3 {
            let blocks: Vec<_> = (0..3).map(|_| pool.block()).collect();
            assert_eq!(pool.idle.lock().blocks.len(), 7);
            drop(blocks);
        }
        assert_eq!(idle_after(IDLE_TIME).await, 3, "seven were idle all the time");
        drop(pool.block());
        assert_eq!(idle_after(IDLE_TIME).await, 1, "two more were");
        assert_eq!(idle_after(IDLE_TIME).await, 0);
        drop(pool.block());
        assert_eq!(pool.idle.lock().blocks.len(), 1);
        assert_eq!(idle_after(IDLE_TIME * 2).await, 0);
        releasing.abort();
    }
}
