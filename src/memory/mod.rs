//! The memory that all transfers of the process share. Every byte of it is charged to a tenant. A waiter gets its bytes
//! in line, fairly between tenants. An upload gets more than its first charge only while no other waits.
//!
//! Invariant: the sum of all living [`Charge`]s never exceeds the total. A charge returns its bytes when it is dropped,
//! wherever that happens, so that a cancelled future leaks nothing.

mod block;
mod charge;
mod upload_memory;

pub(crate) use block::{BLOCK_BYTES, Block, Pool, zeros};
pub use charge::{Charge, TenantMemory};
pub use upload_memory::HeldMemory;
pub(crate) use upload_memory::{PartMemory, UploadMemory};

use crate::name::TenantName;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
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
    state: Mutex<State>,
    overflow: Arc<Semaphore>,
    pool: Arc<Pool>,
}

#[derive(Debug, Default)]
struct State {
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
    tenant: TenantName,
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
        TenantMemory::new(self, tenant)
    }

    /// Waits in `line` for `bytes`, at most for `deadline`. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    async fn wait(
        self: &Arc<Self>,
        line: Line,
        tenant: &TenantName,
        bytes: u64,
        deadline: Duration,
    ) -> Result<Charge, BudgetExhausted> {
        if bytes > self.total_bytes {
            return Err(BudgetExhausted(Duration::ZERO));
        }
        let Some((place, granted)) = self.queue(line, tenant, bytes) else {
            return Ok(Charge::taken(self, tenant, bytes));
        };
        let answer = tokio::time::timeout(deadline, granted).await;
        drop(place);
        answer.ok().and_then(Result::ok).ok_or(BudgetExhausted(deadline))
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

    /// Takes `bytes` at once (`None`), or joins the line.
    fn queue(
        self: &Arc<Self>,
        line: Line,
        tenant: &TenantName,
        bytes: u64,
    ) -> Option<(Place<'_>, oneshot::Receiver<Charge>)> {
        let mut state = self.state();
        if state.take(bytes, self.total_bytes) {
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let waiters = state.lines.entry(line.clone()).or_default();
        waiters.push_back(Waiter { ticket, tenant: tenant.clone(), bytes, grant });
        if waiters.len() == 1 {
            state.take_turn(line.clone());
        }
        Some((Place { budget: self, line, ticket }, granted))
    }

    /// Changes the state, then notifies the waiters that the change serves.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let served = {
            let mut state = self.state();
            change(&mut state);
            state.serve(self.total_bytes)
        };
        // They are notified outside the lock.
        for Waiter { tenant, bytes, grant, .. } in served {
            // A waiter that has just left returns its charge. Dropping that serves the next waiter.
            drop(grant.send(Charge::taken(self, &tenant, bytes)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
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
    fn serve(&mut self, total_bytes: u64) -> Vec<Waiter> {
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
            served.push(waiter);
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
struct Place<'a> {
    budget: &'a Arc<Budget>,
    line: Line,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.update(|state| state.leave(&self.line, self.ticket));
    }
}

/// The process's one overflow, returned on drop.
#[derive(Debug)]
pub(crate) struct Overflow {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests;
