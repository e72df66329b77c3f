//! The memory that one upload may use: its charge. It grows while memory is free and shrinks back as soon as it may. As a
//! last resort, the process's overflow joins it.
//!
//! Invariant: until the upload takes in no more bytes, the charge never falls below its initial size. So the
//! upload can always fill and ship one part. Bytes count as used from the moment they are taken until S3 has confirmed
//! them, or the upload is gone.

use super::{
    BudgetExhausted, Charge, OVERFLOW_BYTES, Overflow, TenantMemory,
    block::{BLOCK_BYTES, Block},
};
use parking_lot::Mutex;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// The memory of one upload, shared with its parts in flight.
#[derive(Debug)]
pub(crate) struct UploadMemory {
    memory: TenantMemory,
    state: Mutex<UploadMemoryState>,
}

#[derive(Debug)]
struct UploadMemoryState {
    /// The initial charge. The upload always keeps it, so that it can fill and ship one part.
    admitted_bytes: u64,
    charge: Charge,
    /// The memory of the buffer's blocks and of parts in flight.
    used_bytes: u64,
    overflow: Option<Overflow>,
    /// True once the CLOSE has come: other requests may wait for it.
    comes_first: bool,
}

/// Tells how much memory an upload holds. It doesn't keep the memory.
#[derive(Clone, Debug)]
pub struct MemoryUsage(Weak<UploadMemory>);

impl MemoryUsage {
    pub(crate) fn of(memory: &Arc<UploadMemory>) -> Self {
        Self(Arc::downgrade(memory))
    }

    /// The bytes of the budget that the upload has. 0 once the upload is gone.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.upgrade().map_or(0, |memory| memory.state.lock().charge.bytes())
    }
}

impl UploadMemory {
    /// The memory of an upload that was admitted with `charge`.
    pub(crate) fn new(charge: Charge) -> Arc<Self> {
        let (memory, admitted_bytes) = (charge.memory().clone(), charge.bytes());
        let state =
            Mutex::new(UploadMemoryState { admitted_bytes, charge, used_bytes: 0, overflow: None, comes_first: false });
        Arc::new(Self { memory, state })
    }

    /// A block, if there is memory for it at once.
    pub(crate) fn block(&self) -> Option<Block> {
        self.take(BLOCK_BYTES as u64).then(|| self.memory.budget().pool().block())
    }

    /// Takes `bytes`, if they are free at once: of the charge, of the budget, or of the overflow.
    fn take(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let used_bytes = state.used_bytes + bytes;
        let mut fits = used_bytes <= state.charge.bytes();
        if !fits && let Some(more) = self.memory.charge(bytes) {
            state.charge.merge(more);
            fits = true;
        }
        if !fits && state.overflow.is_some() {
            fits = used_bytes <= state.charge.bytes() + OVERFLOW_BYTES;
        }
        if fits {
            state.used_bytes = used_bytes;
        }
        fits
    }

    /// True if memory is short, so that parts should ship as soon as S3 accepts their size.
    pub(crate) fn is_pressed(&self) -> bool {
        self.memory.budget().pressed()
    }

    /// True if memory is plentiful: the budget has `bytes` to spare beside the memory of this upload.
    pub(crate) fn has_plenty(&self, bytes: u64) -> bool {
        let used_bytes = self.state.lock().used_bytes;
        self.memory.budget().has_spare(bytes, used_bytes)
    }

    /// Returns unused memory, now and from now on: the upload takes in no more bytes.
    pub(crate) fn trim(&self) {
        self.state.lock().admitted_bytes = 0;
        self.free(0);
    }

    /// From now on the upload waits for memory ahead of all others.
    pub(crate) fn come_first(&self) {
        self.state.lock().comes_first = true;
    }

    /// Waits for memory that no part of this upload will free: a block's worth of the budget, or the process's
    /// overflow, whichever comes first.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if neither came in time.
    pub(crate) async fn more(&self, patience: Duration) -> Result<(), BudgetExhausted> {
        let is_closing = self.state.lock().comes_first;
        tokio::select! {
            biased;
            more = self.memory.charge_more(BLOCK_BYTES as u64, patience, is_closing) => {
                self.state.lock().charge.merge(more?);
            }
            overflow = self.memory.budget().overflow() => self.state.lock().overflow = overflow,
        }
        Ok(())
    }

    /// Assigns `bytes` of the used memory to a part in flight.
    pub(crate) fn of_part(self: &Arc<Self>, bytes: u64) -> PartMemory {
        PartMemory { memory: Arc::clone(self), bytes }
    }

    fn free(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used_bytes = state.used_bytes.saturating_sub(bytes);
        let kept_bytes = state.used_bytes.max(state.admitted_bytes);
        let spare_bytes = state.charge.bytes().saturating_sub(kept_bytes);
        let given_back = state.charge.split(spare_bytes);
        let overflow = if state.used_bytes <= state.charge.bytes() { state.overflow.take() } else { None };
        drop(state);
        // Dropped outside the lock, because this serves other waiters.
        drop((given_back, overflow));
    }
}

/// The memory of a part in flight; returned on drop.
#[derive(Debug)]
pub(crate) struct PartMemory {
    memory: Arc<UploadMemory>,
    bytes: u64,
}

impl Drop for PartMemory {
    fn drop(&mut self) {
        self.memory.free(self.bytes);
    }
}
