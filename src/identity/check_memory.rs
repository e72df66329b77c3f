//! The memory for password checks. It doesn't limit the number of concurrent checks: each buffer here was once in use
//! by a check.
//!
//! The pool never returns a buffer to the allocator, which would keep 19 MiB in each of its arenas, one for every few
//! threads.

use argon2::Block;
use parking_lot::{Mutex, MutexGuard};
use std::collections::TryReserveError;

/// Buffers for argon2, as many as were ever in use at a time.
#[derive(Debug, Default)]
pub(super) struct CheckMemory {
    /// The idle buffers, the smallest first.
    idle: Mutex<Vec<Vec<Block>>>,
}

impl CheckMemory {
    /// Runs `work` on at least `blocks` blocks. They contain data of an earlier check.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn lend<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, TryReserveError> {
        let mut buffer = self.take(blocks);
        let grown = grow(&mut buffer, blocks);
        let output = grown.map(|()| work(&mut buffer));
        self.give_back(buffer);
        output
    }

    /// Returns the smallest idle buffer that is large enough, or else the largest one, so that few buffers ever grow
    /// beyond the usual size.
    fn take(&self, blocks: usize) -> Vec<Block> {
        let mut idle = self.idle();
        let at = idle.partition_point(|buffer| buffer.len() < blocks);
        if at < idle.len() { idle.remove(at) } else { idle.pop().unwrap_or_default() }
    }

    fn give_back(&self, buffer: Vec<Block>) {
        let mut idle = self.idle();
        let at = idle.partition_point(|other| other.len() < buffer.len());
        idle.insert(at, buffer);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock()
    }

    /// Returns the sizes of the idle buffers.
    #[cfg(test)]
    pub(super) fn idle_blocks(&self) -> Vec<usize> {
        self.idle().iter().map(Vec::len).collect()
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
        let memory = CheckMemory::default();
        for _ in 0..3 {
            assert_eq!(memory.lend(16, |blocks| blocks.len()).unwrap(), 16);
        }
        assert_eq!(memory.idle_blocks(), [16]);
    }

    #[test]
    fn one_buffer_grows_for_large_hashes_and_the_others_stay_small() {
        let memory = CheckMemory::default();
        memory.lend(16, |_| memory.lend(16, |_| ()).unwrap()).unwrap();
        memory.lend(64, |_| memory.lend(16, |_| ()).unwrap()).unwrap();
        memory.lend(16, |_| memory.lend(64, |_| ()).unwrap()).unwrap();
        assert_eq!(memory.idle_blocks(), [16, 64]);
    }

    #[test]
    fn no_memory_is_an_error() {
        let memory = CheckMemory::default();
        assert!(memory.lend(usize::MAX / 1_024, |_| ()).is_err());
        assert_eq!(memory.lend(16, |blocks| blocks.len()).unwrap(), 16);
        assert_eq!(memory.idle_blocks(), [16]);
    }
}
