//! The memory that one upload may use: its charge. It grows while memory is free and shrinks back as soon as it may. As
//! a last resort, the process's overflow joins it.
//!
//! An upload that has written nothing holds nothing. Its first block is that of a small file. With its second one it
//! is admitted: it gets the memory of one part.
//!
//! Invariants:
//! - Until an admitted upload takes in no more bytes, its charge never falls below one part. So the upload can always
//!   fill and ship one, and one that isn't admitted can be published as it is: no upload waits for memory that only
//!   waiting uploads have.
//! - Bytes count as used from the moment they are taken until S3 has confirmed them, or the upload is gone.

use super::{
    BudgetExhausted, Charge, ExpectedBytes, TenantMemory,
    block::{BLOCK_BYTES, Block},
    shares::Purpose,
};
use parking_lot::Mutex;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::OwnedSemaphorePermit;

/// The memory that one upload at a time may hold outside the budget, in bytes: see [`TenantMemory::overflow`].
const OVERFLOW_BYTES: u64 = 18 * 1024 * 1024;
/// The longest time that a WRITE waits until its upload is admitted. Shorter than the time after which the server ends
/// a channel whose uploads take nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(45);
/// The time that an OPEN waits while its tenant has more open files than there is memory for.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// The memory of one upload, shared with its parts in flight.
#[derive(Debug)]
pub(crate) struct UploadMemory {
    memory: TenantMemory,
    /// The memory that an upload is admitted with, in bytes: that of one part.
    part_bytes: u64,
    /// The time that an upload waits until it is admitted.
    wait: Duration,
    state: Mutex<UploadMemoryState>,
}

#[derive(Debug, Default)]
struct UploadMemoryState {
    /// The part of the charge that stays while the upload may take in bytes. 0 before it is admitted.
    admitted_bytes: u64,
    charge: Option<Charge>,
    /// The memory of the buffer's blocks and of parts in flight.
    used_bytes: u64,
    overflow: Option<OwnedSemaphorePermit>,
    /// Until the upload is admitted: its part, which no other file of the tenant counts on.
    expected: Option<ExpectedBytes>,
    /// True once the CLOSE has come: other requests may wait for it.
    comes_first: bool,
    /// True while the upload waits for the memory that it is admitted with.
    waits_to_begin: bool,
}

impl UploadMemoryState {
    fn charged(&self) -> u64 {
        self.charge.as_ref().map_or(0, Charge::bytes)
    }

    fn grow(&mut self, more: Charge) {
        match &mut self.charge {
            Some(charge) => charge.merge(more),
            None => self.charge = Some(more),
        }
    }

    /// Admits the upload with `charge`, in which its first block finds room. Returns the charge of that block, and the
    /// bytes that were expected.
    fn admit(&mut self, charge: Charge) -> (Option<Charge>, Option<ExpectedBytes>) {
        self.admitted_bytes = charge.bytes();
        (self.charge.replace(charge), self.expected.take())
    }
}

/// Tells how much memory an upload holds. It doesn't keep the memory.
#[derive(Clone, Debug)]
pub struct MemoryUsage(Weak<UploadMemory>);

impl MemoryUsage {
    pub(crate) fn of(memory: &Arc<UploadMemory>) -> Self {
        Self(Arc::downgrade(memory))
    }

    /// The bytes that others wait for and the upload has: not those of a small file. 0 once the upload is gone.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.upgrade().map_or(0, |memory| memory.of_transfers())
    }

    /// True if the upload has the memory of a part. It waits for none with others then.
    #[must_use]
    pub(crate) fn is_admitted(&self) -> bool {
        self.0.upgrade().is_some_and(|memory| memory.state.lock().admitted_bytes > 0)
    }

    /// True while the upload waits for the memory of its first part.
    #[must_use]
    pub(crate) fn waits_to_begin(&self) -> bool {
        self.0.upgrade().is_some_and(|memory| memory.state.lock().waits_to_begin)
    }
}

/// The wait of an upload until it is admitted.
struct BeginWait<'a>(&'a UploadMemory);

impl<'a> BeginWait<'a> {
    fn begin(memory: &'a UploadMemory) -> Self {
        memory.state.lock().waits_to_begin = true;
        Self(memory)
    }
}

impl Drop for BeginWait<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waits_to_begin = false;
    }
}

impl UploadMemory {
    /// The memory of an upload that has written nothing, and will wait at most for `wait` until it is admitted with
    /// `part_bytes`.
    ///
    /// Waits for ten seconds at most if the tenant couldn't get that now. A client that opened more files than there is
    /// memory for would stall its own connection with the first WRITEs to all of them.
    pub(crate) async fn open(memory: TenantMemory, part_bytes: u64, wait: Duration) -> Arc<Self> {
        let expected = Some(memory.expect(part_bytes, OPEN_PATIENCE.min(wait)).await);
        let wait = wait.min(LONGEST_WAIT);
        let state = UploadMemoryState { expected, ..UploadMemoryState::default() };
        Arc::new(Self { memory, part_bytes, wait, state: Mutex::new(state) })
    }

    /// The charged bytes, except those that are set aside for small files.
    fn of_transfers(&self) -> u64 {
        let state = self.state.lock();
        state.charge.as_ref().filter(|charge| self.memory.is_of_transfers(charge)).map_or(0, Charge::bytes)
    }

    /// A block, if there is memory for it at once.
    pub(crate) fn block(&self) -> Option<Block> {
        self.take(BLOCK_BYTES as u64).then(|| self.memory.pool().block())
    }

    /// Takes `bytes`, if they are free at once: of the charge, of the budget, or of the overflow.
    fn take(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let used_bytes = state.used_bytes + bytes;
        let mut former = (None, None);
        let mut fits = used_bytes <= state.charged();
        if !fits && state.admitted_bytes > 0 {
            if let Some(more) = self.memory.charge(bytes) {
                state.grow(more);
                fits = true;
            }
        } else if !fits && state.used_bytes == 0 {
            former.0 = state.charge.take();
            state.charge =
                self.memory.charge_small_file(bytes).or_else(|| self.memory.charge_before(bytes, self.part_bytes));
            fits = state.charge.is_some();
        } else if !fits && let Some(part) = self.memory.charge_expected(self.part_bytes) {
            former = state.admit(part);
            fits = used_bytes <= self.part_bytes;
        }
        if !fits && state.overflow.is_some() {
            fits = used_bytes <= state.charged() + OVERFLOW_BYTES;
        }
        if fits {
            state.used_bytes = used_bytes;
        }
        drop(state);
        // Dropped outside the lock, because this serves other waiters.
        drop(former);
        fits
    }

    /// True if memory is short, so that parts should ship as soon as S3 accepts their size.
    pub(crate) fn is_pressed(&self) -> bool {
        self.memory.is_pressed()
    }

    /// True if memory is plentiful: the budget has `bytes` to spare beside the memory of this upload.
    pub(crate) fn has_plenty(&self, bytes: u64) -> bool {
        let used_bytes = self.state.lock().used_bytes;
        self.memory.has_spare(bytes, used_bytes)
    }

    /// Returns unused memory, now and from now on: the upload takes in no more bytes.
    pub(crate) fn trim(&self) {
        self.expect_nothing();
        self.state.lock().admitted_bytes = 0;
        self.free(0);
    }

    /// Leaves the part that the upload was expected to need to the tenant's other files: it failed.
    pub(crate) fn expect_nothing(&self) {
        let expected = self.state.lock().expected.take();
        drop(expected);
    }

    /// From now on the upload waits for memory ahead of all others.
    pub(crate) fn come_first(&self) {
        self.state.lock().comes_first = true;
    }

    /// Waits for memory that no part of this upload will free: the memory of one part if the upload isn't admitted,
    /// else a block's worth of the budget, or the process's overflow, whichever comes first.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if it didn't come in time. An admitted upload waits for `patience`.
    pub(crate) async fn more(&self, patience: Duration) -> Result<(), BudgetExhausted> {
        let (is_admitted, is_closing) = {
            let state = self.state.lock();
            (state.admitted_bytes > 0, state.comes_first)
        };
        let purpose = |other| if is_closing { Purpose::Close } else { other };
        if !is_admitted {
            let _wait = BeginWait::begin(self);
            let part = self.memory.charge_for(purpose(Purpose::Begin), self.part_bytes, self.wait).await?;
            // Dropped outside the lock, because this serves other waiters.
            let former = self.state.lock().admit(part);
            drop(former);
            return Ok(());
        }
        tokio::select! {
            biased;
            more = self.memory.charge_for(purpose(Purpose::Grow), BLOCK_BYTES as u64, patience) => {
                let more = more?;
                self.state.lock().grow(more);
            }
            overflow = self.memory.overflow() => self.state.lock().overflow = overflow,
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
        let spare_bytes = state.charged().saturating_sub(kept_bytes);
        let given_back = state.charge.as_mut().and_then(|charge| charge.split(spare_bytes));
        let overflow = if state.used_bytes <= state.charged() { state.overflow.take() } else { None };
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
