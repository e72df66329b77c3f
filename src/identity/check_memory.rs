//! The memory for password checks: buffers that checks use again, because an allocator would keep 19 MiB in each of its
//! arenas, one for every few threads.
//!
//! Invariants:
//! - The buffers, in use and idle, have at most the blocks of the limit. A check that needs more is alone.
//! - There are at most as many buffers as were ever in use at a time. One that was idle for a minute goes back to the
//!   system.

use argon2::Block;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::TryReserveError, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, interval},
};

/// A buffer that was idle for this time goes back to the system, at the next look.
const IDLE_TIME: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_secs(10);

/// The buffers for argon2.
#[derive(Debug)]
pub(super) struct CheckMemory {
    limit_blocks: u32,
    /// The blocks that no check may use yet.
    unused: Arc<Semaphore>,
    buffers: Mutex<CheckBuffers>,
}

#[derive(Debug, Default)]
struct CheckBuffers {
    used_blocks: usize,
    /// The smallest first.
    idle: Vec<IdleBuffer>,
}

#[derive(Debug)]
struct IdleBuffer {
    blocks: Vec<Block>,
    since: Instant,
}

impl CheckMemory {
    /// Buffers of at most `limit_blocks` in all.
    pub(super) fn new(limit_blocks: u32) -> Self {
        Self { limit_blocks, unused: Arc::new(Semaphore::new(limit_blocks as usize)), buffers: Mutex::default() }
    }

    /// Waits until a check may use `blocks`, in the order of the checks. A check that needs more than the limit waits
    /// until it is alone.
    pub(super) async fn admit(&self, blocks: usize) -> Option<OwnedSemaphorePermit> {
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).min(self.limit_blocks);
        Arc::clone(&self.unused).acquire_many_owned(blocks).await.ok()
    }

    /// Runs `work` on at least `blocks` blocks, for which the check was admitted. They contain data of an earlier
    /// check.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn lend<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, TryReserveError> {
        let (mut buffer, used_blocks, _surplus) = self.take(blocks);
        if buffer.len() > used_blocks {
            buffer.truncate(used_blocks);
            buffer.shrink_to_fit();
        }
        let grown = grow(&mut buffer, blocks);
        let output = grown.map(|()| work(&mut buffer));
        self.give_back(buffer, used_blocks);
        output
    }

    /// Returns the smallest idle buffer that is large enough, or else the largest one, so that few buffers ever grow
    /// beyond the usual size. Returns also the size that it may have, and the permit for what it has beyond `blocks`.
    /// Frees other idle buffers that would exceed the limit with it.
    fn take(&self, blocks: usize) -> (Vec<Block>, usize, Option<OwnedSemaphorePermit>) {
        let mut buffers = self.buffers();
        let at = buffers.idle.partition_point(|idle| idle.blocks.len() < blocks);
        let idle = if at < buffers.idle.len() { Some(buffers.idle.remove(at)) } else { buffers.idle.pop() };
        let buffer = idle.map(|idle| idle.blocks).unwrap_or_default();
        let surplus = u32::try_from(buffer.len().saturating_sub(blocks)).unwrap_or(u32::MAX);
        let surplus = Arc::clone(&self.unused).try_acquire_many_owned(surplus).ok();
        let used_blocks = if surplus.is_some() { buffer.len().max(blocks) } else { blocks };
        buffers.used_blocks += used_blocks;
        let excess = buffers.remove_excess(self.limit_blocks as usize);
        drop(buffers);
        drop(excess);
        (buffer, used_blocks, surplus)
    }

    fn give_back(&self, blocks: Vec<Block>, used_blocks: usize) {
        let mut buffers = self.buffers();
        buffers.used_blocks = buffers.used_blocks.saturating_sub(used_blocks);
        let at = buffers.idle.partition_point(|idle| idle.blocks.len() < blocks.len());
        buffers.idle.insert(at, IdleBuffer { blocks, since: Instant::now() });
        let excess = buffers.remove_excess(self.limit_blocks as usize);
        drop(buffers);
        drop(excess);
    }

    /// The memory of all buffers, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let buffers = self.buffers();
        (buffers.used_blocks.saturating_add(buffers.idle_blocks()) as u64).saturating_mul(Block::SIZE as u64)
    }

    /// Returns buffers that stay idle to the system. Never ends.
    pub(super) async fn release_idle(&self) {
        let mut ticks = interval(LOOK);
        loop {
            ticks.tick().await;
            let is_old = |idle: &mut IdleBuffer| idle.since.elapsed() >= IDLE_TIME;
            let old: Vec<_> = self.buffers().idle.extract_if(.., is_old).collect();
            // Outside the lock.
            drop(old);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, CheckBuffers> {
        self.buffers.lock()
    }

    /// Returns the sizes of the idle buffers.
    #[cfg(test)]
    pub(super) fn idle_blocks(&self) -> Vec<usize> {
        self.buffers().idle.iter().map(|idle| idle.blocks.len()).collect()
    }
}

impl CheckBuffers {
    fn idle_blocks(&self) -> usize {
        self.idle.iter().map(|idle| idle.blocks.len()).sum()
    }

    /// Removes idle buffers, the smallest first, until all have at most `limit_blocks`.
    fn remove_excess(&mut self, limit_blocks: usize) -> Vec<IdleBuffer> {
        let mut excess = Vec::new();
        while !self.idle.is_empty() && self.used_blocks.saturating_add(self.idle_blocks()) > limit_blocks {
            excess.push(self.idle.remove(0));
        }
        excess
    }
}

fn grow(buffer: &mut Vec<Block>, blocks: usize) -> Result<(), TryReserveError> {
    if buffer.len() < blocks {
        // The old memory is freed first, so that both never exist at once.
        *buffer = Vec::new();
        buffer.try_reserve_exact(blocks)?;
        buffer.resize(blocks, Block::new());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let memory = CheckMemory::new(u32::MAX >> 3);
        for _ in 0..3 {
            assert_eq!(memory.lend(16, |blocks| blocks.len()).unwrap(), 16);
        }
        assert_eq!(memory.idle_blocks(), [16]);
    }

    #[test]
    fn one_buffer_grows_for_large_hashes_and_the_others_stay_small() {
        let memory = CheckMemory::new(u32::MAX >> 3);
        memory.lend(16, |_| memory.lend(16, |_| ()).unwrap()).unwrap();
        memory.lend(64, |_| memory.lend(16, |_| ()).unwrap()).unwrap();
        memory.lend(16, |_| memory.lend(64, |_| ()).unwrap()).unwrap();
        assert_eq!(memory.idle_blocks(), [16, 64]);
    }

    #[test]
    fn no_memory_is_an_error() {
        let memory = CheckMemory::new(u32::MAX >> 3);
        assert!(memory.lend(usize::MAX / 1_024, |_| ()).is_err());
        assert_eq!(memory.lend(16, |blocks| blocks.len()).unwrap(), 16);
        assert_eq!(memory.idle_blocks(), [16]);
    }

    #[test]
    fn all_buffers_together_keep_to_the_limit() {
        let memory = CheckMemory::new(64);
        memory.lend(16, |_| memory.lend(32, |_| ()).unwrap()).unwrap();
        assert_eq!((memory.idle_blocks(), memory.bytes()), (vec![16, 32], 48 * 1024));
        memory.lend(48, |_| assert_eq!(memory.bytes(), 64 * 1024, "48 instead of 32")).unwrap();
        assert_eq!(memory.idle_blocks(), [16, 48]);
        memory.lend(64, |_| assert_eq!(memory.bytes(), 64 * 1024)).unwrap();
        assert_eq!(memory.idle_blocks(), [64]);
        memory.lend(100, |_| assert_eq!(memory.bytes(), 100 * 1024, "alone")).unwrap();
        assert_eq!(memory.idle_blocks(), [0; 0], "more than the limit stays with none");
    }

    #[tokio::test]
    async fn checks_wait_for_their_blocks_and_one_above_the_limit_until_it_is_alone() {
        use futures_util::FutureExt as _;
        let memory = CheckMemory::new(64);
        let (first, second) = (memory.admit(32).await, memory.admit(16).await);
        let mut large = Box::pin(memory.admit(100));
        assert!(large.as_mut().now_or_never().is_none());
        drop(first);
        assert!(large.as_mut().now_or_never().is_none());
        drop(second);
        let large = large.await.unwrap();
        assert!(memory.admit(1).now_or_never().is_none());
        drop(large);
        // A larger buffer than was asked for counts, and is made smaller if others use the rest.
        memory.lend(64, |_| ()).unwrap();
        let small = memory.admit(16).await;
        memory
            .lend(16, |blocks| assert_eq!((blocks.len(), memory.admit(1).now_or_never().is_none()), (64, true)))
            .unwrap();
        let other = memory.admit(16).await;
        memory.lend(16, |blocks| assert_eq!(blocks.len(), 16)).unwrap();
        assert_eq!(memory.idle_blocks(), [16]);
        drop((small, other));
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_that_are_idle_for_a_minute_go_back_to_the_system() {
        let memory = Arc::new(CheckMemory::new(64));
        memory.lend(16, |_| memory.lend(32, |_| ()).unwrap()).unwrap();
        let releasing = Arc::clone(&memory);
        let releasing = tokio::spawn(async move { releasing.release_idle().await });
        tokio::time::sleep(IDLE_TIME / 2).await;
        memory.lend(32, |_| ()).unwrap();
        tokio::time::sleep(IDLE_TIME / 2 + LOOK).await;
        assert_eq!(memory.idle_blocks(), [32]);
        tokio::time::sleep(IDLE_TIME / 2 + LOOK).await;
        assert_eq!((memory.idle_blocks(), memory.bytes()), (vec![], 0));
        releasing.abort();
    }
}
