//! The memory that all transfers of the process share. Each charge names its tenant. A waiter gets its bytes
//! in line, fairly between tenants. An upload gets more than its first charge only while no other waits.
//!
//! Invariant: the sum of all living [`Charge`]s never exceeds the total. A charge returns its bytes when it is dropped,
//! wherever that happens, so that a cancelled future leaks nothing.

mod block;
mod upload_memory;

pub(crate) use block::{BLOCK_BYTES, Block, Pool, zeros};
pub use upload_memory::MemoryUsage;
pub(crate) use upload_memory::{PartMemory, UploadMemory};

use crate::name::TenantName;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The memory that one upload at a time may hold outside the budget, in bytes: see [`Budget::overflow`].
const OVERFLOW_BYTES: u64 = 18 * 1024 * 1024;

/// A line of waiters. The lines take turns, and each is served in its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Line {
    /// The requests of one tenant that begin.
    Tenant(TenantName),
    /// The uploads of all tenants that need more memory.
    Growing,
    /// The uploads of all tenants that need more memory after their CLOSE arrived. It is served first: other CLOSEs may
    /// wait for such an upload, and hold the memory that the other lines wait for.
    Closing,
}

/// The process's memory for transfers.
#[derive(Debug)]
pub struct Budget {
    total_bytes: u64,
    state: Mutex<BudgetState>,
    overflow: Arc<Semaphore>,
    pool: Arc<Pool>,
}

#[derive(Debug, Default)]
struct BudgetState {
    used_bytes: u64,
    /// First come first served; no empty lines.
    lines: HashMap<Line, VecDeque<Waiter>>,
    /// The lines; the front one is served next.
    turns: VecDeque<Line>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    memory: TenantMemory,
    bytes: u64,
    grant: oneshot::Sender<Charge>,
}

/// Upload memory was not free before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no upload memory was free within {0:?}")]
pub struct BudgetExhausted(pub(crate) Duration);

impl Budget {
    /// A budget of `total_bytes`.
    #[must_use]
    pub fn new(total_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            total_bytes,
            state: Mutex::default(),
            overflow: Arc::new(Semaphore::new(1)),
            pool: Arc::default(),
        })
    }

    /// The memory that is charged to `tenant`.
    #[must_use]
    pub fn of(self: &Arc<Self>, tenant: &TenantName) -> TenantMemory {
        TenantMemory(Arc::new(TenantShare { budget: Arc::clone(self), tenant: tenant.clone() }))
    }

    /// Takes `bytes` if they are free and no request waits.
    fn take(&self, bytes: u64) -> bool {
        self.state().take(bytes, self.total_bytes)
    }

    /// Takes optional `bytes` for a holder of `held_bytes`, if memory is plentiful.
    fn take_spare(&self, bytes: u64, held_bytes: u64) -> bool {
        let mut state = self.state();
        state.spares(bytes, held_bytes, self.total_bytes) && state.take(bytes, self.total_bytes)
    }

    /// Takes `bytes` back.
    fn give_back(self: &Arc<Self>, bytes: u64) {
        self.update(|state| state.used_bytes = state.used_bytes.saturating_sub(bytes));
    }

    /// True if [`TenantMemory::charge_spare`] would succeed.
    #[must_use]
    pub(crate) fn has_spare(&self, bytes: u64, held_bytes: u64) -> bool {
        let state = self.state();
        state.turns.is_empty() && state.spares(bytes, held_bytes, self.total_bytes)
    }

    /// True if optional holders should return their memory: a request waits, or less than an eighth is free.
    #[must_use]
    pub(crate) fn is_tight(&self) -> bool {
        let state = self.state();
        !state.turns.is_empty() || self.total_bytes.saturating_sub(state.used_bytes) < self.total_bytes / 8
    }

    /// True if memory is short: a request waits, or no byte is free.
    #[must_use]
    pub fn pressed(&self) -> bool {
        let state = self.state();
        !state.turns.is_empty() || state.used_bytes >= self.total_bytes
    }

    /// The most that all charges may be, in bytes.
    #[must_use]
    pub(crate) fn total(&self) -> u64 {
        self.total_bytes
    }

    /// The sum of all charges, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used_bytes
    }

    /// Waits for the one overflow of the process: [`OVERFLOW_BYTES`] outside the budget. It is for an upload whose
    /// writes came so far out of order that its charge is full before a part is whole. The budget alone can't help
    /// there: uploads that wait for one another may hold all of it.
    pub(crate) async fn overflow(&self) -> Option<Overflow> {
        Arc::clone(&self.overflow).acquire_owned().await.ok().map(|permit| Overflow { _permit: permit })
    }

    /// The pool that hands out the memory itself.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Changes the state, then notifies the waiters that the change serves.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut BudgetState)) {
        let served = {
            let mut state = self.state();
            change(&mut state);
            state.serve(self.total_bytes)
        };
        // Outside the lock: a waiter that has just left returns its charge, and dropping that serves the next waiter.
        for (grant, charge) in served {
            drop(grant.send(charge));
        }
    }

    fn state(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock()
    }
}

impl BudgetState {
    /// Takes free bytes, never ahead of a waiter.
    fn take(&mut self, bytes: u64, total_bytes: u64) -> bool {
        let fits = self.turns.is_empty() && bytes <= total_bytes.saturating_sub(self.used_bytes);
        if fits {
            self.used_bytes += bytes;
        }
        fits
    }

    /// True if a quarter stays free after `bytes` more, and at least as much as the holder of `held_bytes` has then.
    fn spares(&self, bytes: u64, held_bytes: u64, total_bytes: u64) -> bool {
        let left_bytes = (total_bytes / 4).max(held_bytes.saturating_add(bytes));
        self.used_bytes.saturating_add(bytes).saturating_add(left_bytes) <= total_bytes
    }

    /// Serves the lines in turn as long as the next waiter fits. A large waiter is not overtaken, or it would starve.
    fn serve(&mut self, total_bytes: u64) -> Vec<(oneshot::Sender<Charge>, Charge)> {
        let mut served = Vec::new();
        while let Some(line) = self.turns.pop_front() {
            let free_bytes = total_bytes.saturating_sub(self.used_bytes);
            let Some(waiters) = self.lines.get_mut(&line) else { continue };
            let Some(waiter) = waiters.pop_front_if(|waiter| waiter.bytes <= free_bytes) else {
                self.turns.push_front(line);
                break;
            };
            if waiters.is_empty() {
                self.lines.remove(&line);
            } else {
                self.take_turn(line);
            }
            self.used_bytes += waiter.bytes;
            served.push((waiter.grant, waiter.memory.charge_of(waiter.bytes)));
        }
        served
    }

    /// Schedules a line after the others, or before them if it is [`Line::Closing`].
    fn take_turn(&mut self, line: Line) {
        if line == Line::Closing { self.turns.push_front(line) } else { self.turns.push_back(line) }
    }

    fn leave(&mut self, line: &Line, ticket: u64) {
        let Some(waiters) = self.lines.get_mut(line) else { return };
        waiters.retain(|waiter| waiter.ticket != ticket);
        if waiters.is_empty() {
            self.lines.remove(line);
            self.turns.retain(|turn| turn != line);
        }
    }
}

/// A place in a line, left on drop. Leaving may serve the waiters behind it.
struct LinePlace<'a> {
    budget: &'a Arc<Budget>,
    line: Line,
    ticket: u64,
}

impl Drop for LinePlace<'_> {
    fn drop(&mut self) {
        self.budget.update(|state| state.leave(&self.line, self.ticket));
    }
}

/// The memory for the transfers of one tenant. Cloning is cheap (a reference count).
#[derive(Clone, Debug)]
pub struct TenantMemory(Arc<TenantShare>);

#[derive(Debug)]
struct TenantShare {
    budget: Arc<Budget>,
    tenant: TenantName,
}

impl TenantMemory {
    /// The memory of all tenants.
    #[must_use]
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Charges `bytes` to the tenant, if they are free and no request waits.
    #[must_use]
    pub fn charge(&self, bytes: u64) -> Option<Charge> {
        self.budget().take(bytes).then(|| self.charge_of(bytes))
    }

    /// Charges optional `bytes` for a holder of `held_bytes`, if memory is plentiful. A quarter of the total stays free,
    /// and at least as much as this holder has then. So all optional holders get about the same share.
    #[must_use]
    pub(crate) fn charge_spare(&self, bytes: u64, held_bytes: u64) -> Option<Charge> {
        self.budget().take_spare(bytes, held_bytes).then(|| self.charge_of(bytes))
    }

    /// Waits for `bytes`, at most for `deadline`. Tenants are served in turn, the requests of one tenant in their order.
    /// Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    pub(crate) async fn charge_in_turn(&self, bytes: u64, deadline: Duration) -> Result<Charge, BudgetExhausted> {
        self.wait(Line::Tenant(self.0.tenant.clone()), bytes, deadline).await
    }

    /// Waits for `bytes` more for an upload. One whose CLOSE has come is served before all others.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline.
    async fn charge_more(&self, bytes: u64, deadline: Duration, is_closing: bool) -> Result<Charge, BudgetExhausted> {
        let line = if is_closing { Line::Closing } else { Line::Growing };
        self.wait(line, bytes, deadline).await
    }

    /// Waits in `line` for `bytes`, at most for `deadline`. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    async fn wait(&self, line: Line, bytes: u64, deadline: Duration) -> Result<Charge, BudgetExhausted> {
        if bytes > self.budget().total_bytes {
            return Err(BudgetExhausted(Duration::ZERO));
        }
        let Some((place, granted)) = self.queue(line, bytes) else { return Ok(self.charge_of(bytes)) };
        let answer = tokio::time::timeout(deadline, granted).await;
        drop(place);
        answer.ok().and_then(Result::ok).ok_or(BudgetExhausted(deadline))
    }

    /// Takes `bytes` at once (`None`), or joins the line.
    fn queue(&self, line: Line, bytes: u64) -> Option<(LinePlace<'_>, oneshot::Receiver<Charge>)> {
        let mut state = self.budget().state();
        if state.take(bytes, self.budget().total_bytes) {
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let waiters = state.lines.entry(line.clone()).or_default();
        waiters.push_back(Waiter { ticket, memory: self.clone(), bytes, grant });
        if waiters.len() == 1 {
            state.take_turn(line.clone());
        }
        Some((LinePlace { budget: self.budget(), line, ticket }, granted))
    }

    /// The charge for bytes that the budget has accounted for.
    fn charge_of(&self, bytes: u64) -> Charge {
        Charge { memory: self.clone(), bytes }
    }
}

/// Bytes that are charged to a tenant, returned on drop.
#[derive(Debug)]
pub struct Charge {
    memory: TenantMemory,
    bytes: u64,
}

impl Charge {
    /// The number of bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory of its tenant.
    fn memory(&self) -> &TenantMemory {
        &self.memory
    }

    /// Splits `bytes` off; `None` if it has fewer.
    #[must_use]
    pub(crate) fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(self.memory.charge_of(bytes))
    }

    /// Takes in another charge of the same tenant and budget. Any other charge returns to its own.
    pub(crate) fn merge(&mut self, mut other: Self) {
        let (mine, others) = (&self.memory.0, &other.memory.0);
        if Arc::ptr_eq(&mine.budget, &others.budget) && mine.tenant == others.tenant {
            self.bytes += mem::take(&mut other.bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes > 0 {
            self.memory.budget().give_back(bytes);
        }
    }
}

/// The process's one overflow, returned on drop.
#[derive(Debug)]
pub(crate) struct Overflow {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests;
