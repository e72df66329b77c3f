//! Those who wait for bytes, and their order.

use super::{Charge, Share, SharedState, TenantMemory};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// Upload memory was not free before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no upload memory was free within {0:?}")]
pub struct BudgetExhausted(pub(crate) Duration);

/// The purpose for which a waiter needs bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Purpose {
    /// A transfer that begins.
    Begin,
    /// An upload that needs more.
    Grow,
    /// An upload that needs more after its CLOSE has arrived.
    Close,
}

/// The waiters of one tenant.
#[derive(Debug)]
pub(super) struct TenantWaiters {
    pub(super) beginning: VecDeque<Waiter>,
    pub(super) growing: VecDeque<Waiter>,
    /// True if the next turn is that of the growing ones.
    pub(super) is_turn_of_growing: bool,
    pub(super) share: Arc<Share>,
    /// The number of the tenant's last turn, or that of its arrival.
    pub(super) turn: u64,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) number: u64,
    pub(super) share: Arc<Share>,
    pub(super) bytes: u64,
    pub(super) grant: oneshot::Sender<Charge>,
}

impl TenantWaiters {
    /// The line whose turn it is.
    pub(super) fn line(&self) -> &VecDeque<Waiter> {
        let is_growing = self.beginning.is_empty() || self.is_turn_of_growing && !self.growing.is_empty();
        if is_growing { &self.growing } else { &self.beginning }
    }

    pub(super) fn pop(&mut self) -> Option<Waiter> {
        let is_growing = std::ptr::eq(self.line(), &raw const self.growing);
        self.is_turn_of_growing = !is_growing;
        if is_growing { self.growing.pop_front() } else { self.beginning.pop_front() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.beginning.is_empty() && self.growing.is_empty()
    }
}

impl SharedState {
    /// Adds a waiter, and returns its number.
    fn enter(&mut self, share: &Arc<Share>, bytes: u64, purpose: Purpose, grant: oneshot::Sender<Charge>) -> u64 {
        let number = self.take_number();
        let waiter = Waiter { number, share: Arc::clone(share), bytes, grant };
        let of_tenant = |state: &mut Self| {
            state.waiting.entry(share.tenant.clone()).or_insert_with(|| TenantWaiters {
                beginning: VecDeque::new(),
                growing: VecDeque::new(),
                is_turn_of_growing: false,
                share: Arc::clone(share),
                turn: number,
            });
        };
        match purpose {
            Purpose::Close => self.closing.push_back(waiter),
            Purpose::Begin | Purpose::Grow => {
                of_tenant(self);
                if let Some(waiters) = self.waiting.get_mut(&share.tenant) {
                    let line = if purpose == Purpose::Grow { &mut waiters.growing } else { &mut waiters.beginning };
                    line.push_back(waiter);
                }
            }
        }
        number
    }

    fn leave(&mut self, share: &Share, number: u64) {
        self.closing.retain(|waiter| waiter.number != number);
        let Some(waiters) = self.waiting.get_mut(&share.tenant) else { return };
        waiters.beginning.retain(|waiter| waiter.number != number);
        waiters.growing.retain(|waiter| waiter.number != number);
        if waiters.is_empty() {
            self.waiting.remove(&share.tenant);
        }
    }
}

/// A place among the waiters, left on drop. Leaving may serve others.
struct WaiterPlace<'a> {
    share: &'a Arc<Share>,
    number: u64,
}

impl Drop for WaiterPlace<'_> {
    fn drop(&mut self) {
        self.share.update(|state| state.leave(self.share, self.number));
    }
}

impl Share {
    /// Waits for `bytes`, at most for `deadline`. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    pub(super) async fn charge_in_turn(
        self: &Arc<Self>,
        bytes: u64,
        purpose: Purpose,
        deadline: Duration,
    ) -> Result<Charge, BudgetExhausted> {
        if bytes > self.bytes.total_bytes {
            return Err(BudgetExhausted(Duration::ZERO));
        }
        let Some((place, granted)) = self.queue(bytes, purpose) else {
            return Ok(Charge { share: Arc::clone(self), bytes });
        };
        let answer = tokio::time::timeout(deadline, granted).await;
        drop(place);
        answer.ok().and_then(Result::ok).ok_or(BudgetExhausted(deadline))
    }

    /// Takes `bytes` at once (`None`), or joins the waiters.
    fn queue(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Option<(WaiterPlace<'_>, oneshot::Receiver<Charge>)> {
        let (grant, granted) = oneshot::channel();
        let mut number = None;
        self.update(|state| {
            if !state.take(self, bytes, self.bytes.total_bytes) {
                number = Some(state.enter(self, bytes, purpose, grant));
            }
        });
        let number = number?;
        Some((WaiterPlace { share: self, number }, granted))
    }
}

impl TenantMemory {
    /// True if a request waits that has a better right to the tenant's memory than the tenant.
    pub(crate) fn is_waited_for(&self) -> bool {
        let share = &self.0.transfers;
        share.state().is_behind(share)
    }

    /// The memory of the tenant's transfers, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.0.transfers.used()
    }
}
