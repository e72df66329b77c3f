//! Bytes that tenants share: who has how many, and who waits for more (`waiters.rs`), or is expected to need more
//! (`expected.rs`).
//!
//! - A tenant that has none gets what it asks for if it is free. One that has some leaves a quarter of the total free,
//!   or as much as it has then. So one tenant has at most three quarters, and a newcomer finds its first bytes at once.
//! - Free bytes go to the waiting tenant that has least; tenants that have equally many take turns. So all that want
//!   more come to have the same share. The waiters of a tenant are served in their order, those that begin in turn
//!   with those that grow. A large waiter is not overtaken by others of its tenant, or it would starve.
//! - Uploads whose CLOSE has arrived are served before all others, up to seven eighths of the total: other CLOSEs may
//!   wait for such an upload, and have the bytes that the other waiters need.
//!
//! Invariant: the sum of all living [`Charge`]s of all tenants never exceeds the total. A charge returns its bytes when
//! it is dropped, wherever that happens, so that a cancelled future leaks nothing.

mod expected;
mod shared_bytes;
mod waiters;

pub(crate) use expected::ExpectedBytes;
pub use waiters::BudgetExhausted;
pub(super) use waiters::Purpose;
use waiters::{TenantWaiters, Waiter};

use super::block::Pool;
use crate::name::TenantName;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// A number of bytes that tenants share.
#[derive(Debug)]
pub(super) struct SharedBytes {
    total_bytes: u64,
    state: Mutex<SharedState>,
    /// The number of files that wait to open, and the notification of each change that may let one open.
    opening: AtomicUsize,
    changed: Notify,
}

#[derive(Debug, Default)]
struct SharedState {
    used_bytes: u64,
    /// Every share that a charge or a caller refers to.
    shares: HashMap<TenantName, Weak<Share>>,
    /// The uploads of all tenants whose CLOSE has arrived, in their order.
    closing: VecDeque<Waiter>,
    /// The other waiters. No tenant is here without waiters.
    waiting: HashMap<TenantName, TenantWaiters>,
    next_number: u64,
}

/// The bytes of one tenant.
#[derive(Debug)]
pub(super) struct Share {
    bytes: Arc<SharedBytes>,
    tenant: TenantName,
    /// Changed only under the lock of the state, like the next one.
    used_bytes: AtomicU64,
    /// The bytes that the tenant's open files are expected to need. They are free for other tenants.
    expected_bytes: AtomicU64,
    /// The number of its files that wait to open. They take turns to look for memory.
    opening: AtomicUsize,
    opening_turn: Semaphore,
}

impl SharedState {
    /// The bytes that `share` may have more, if no other waits.
    fn room(&self, share: &Share, total_bytes: u64) -> u64 {
        let (free_bytes, has_bytes) = (total_bytes.saturating_sub(self.used_bytes), share.used());
        if has_bytes == 0 {
            return free_bytes;
        }
        room_beside(has_bytes, free_bytes, total_bytes)
    }

    fn allows(&self, share: &Share, bytes: u64, total_bytes: u64) -> bool {
        bytes <= self.room(share, total_bytes)
    }

    /// The bytes that `share` may have more for what it returns as soon as others need it. At most half of its bytes
    /// are left to open files, of which many may never write.
    fn optional_room(&self, share: &Share, total_bytes: u64) -> u64 {
        let expected_bytes = share.expected_bytes.load(Ordering::Relaxed).min(most_bytes(total_bytes) / 2);
        self.room(share, total_bytes).saturating_sub(expected_bytes)
    }

    /// The bytes that `share` may have more beside those that its open files are expected to need.
    fn spare_room(&self, share: &Share, total_bytes: u64) -> u64 {
        self.room(share, total_bytes).saturating_sub(share.expected_bytes.load(Ordering::Relaxed))
    }

    /// True if a CLOSE may have `bytes` more.
    fn allows_close(&self, bytes: u64, total_bytes: u64) -> bool {
        self.used_bytes.saturating_add(bytes) <= total_bytes - total_bytes / 8
    }

    /// True if a request waits that free bytes go to before `share`.
    fn is_behind(&self, share: &Share) -> bool {
        let has_bytes = share.used();
        let closing = self.closing.iter().map(|waiter| &waiter.share);
        let mut waiting = self.waiting.values().map(|waiters| &waiters.share).chain(closing);
        waiting.any(|waiting| waiting.used() <= has_bytes)
    }

    /// Takes bytes that are free, never before a waiter that they belong to.
    fn take(&mut self, share: &Share, bytes: u64, total_bytes: u64) -> bool {
        let fits = self.allows(share, bytes, total_bytes) && !self.is_behind(share);
        if fits {
            self.add(share, bytes);
        }
        fits
    }

    fn add(&mut self, share: &Share, bytes: u64) {
        self.used_bytes += bytes;
        share.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&mut self, share: &Share, bytes: u64) {
        debug_assert!(bytes <= share.used() && share.used() <= self.used_bytes, "a charge was returned twice");
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
        share.used_bytes.store(share.used().saturating_sub(bytes), Ordering::Relaxed);
    }

    /// Grants free bytes to waiters.
    fn serve(&mut self, total_bytes: u64) -> Vec<(oneshot::Sender<Charge>, Charge)> {
        let mut served = Vec::new();
        while let Some(granted) = self.serve_next(total_bytes) {
            debug_assert!(self.used_bytes <= total_bytes, "more was granted than there is");
            served.push(granted);
        }
        served
    }

    /// Removes the next waiter that can be served, and charges its bytes.
    fn serve_next(&mut self, total_bytes: u64) -> Option<(oneshot::Sender<Charge>, Charge)> {
        let is_closing = self.closing.front().is_some_and(|closing| self.allows_close(closing.bytes, total_bytes));
        let Waiter { share, bytes, grant, .. } = if is_closing {
            self.closing.pop_front()?
        } else {
            let next = self.waiting.values().min_by_key(|waiters| (waiters.share.used(), waiters.turn))?;
            let (share, bytes) = (Arc::clone(&next.share), next.line().front()?.bytes);
            let is_behind_a_close = self.closing.iter().any(|waiter| waiter.share.used() <= share.used());
            if is_behind_a_close || !self.allows(&share, bytes, total_bytes) {
                return None;
            }
            let turn = self.take_number();
            let waiters = self.waiting.get_mut(&share.tenant)?;
            waiters.turn = turn;
            let waiter = waiters.pop()?;
            if waiters.is_empty() {
                self.waiting.remove(&share.tenant);
            }
            waiter
        };
        self.add(&share, bytes);
        Some((grant, Charge { share, bytes }))
    }

    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl Share {
    pub(super) fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Changes the state, then notifies the waiters that the change serves.
    fn update(&self, change: impl FnOnce(&mut SharedState)) {
        let served = {
            let mut state = self.state();
            change(&mut state);
            state.serve(self.bytes.total_bytes)
        };
        self.notify_opening();
        // Outside the lock: a waiter that has just left returns its charge, and dropping that serves the next waiter.
        for (grant, charge) in served {
            drop(grant.send(charge));
        }
    }

    fn notify_opening(&self) {
        if self.bytes.opening.load(Ordering::SeqCst) > 0 {
            self.bytes.changed.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, SharedState> {
        self.bytes.state.lock()
    }

    /// The sum of the tenant's charges.
    pub(super) fn used(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Charges `bytes`, if they are free, no waiter comes first, the tenant has not its share, and its open files
    /// aren't expected to need them.
    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let total_bytes = self.bytes.total_bytes;
        let mut state = self.state();
        let fits = bytes <= state.spare_room(self, total_bytes) && state.take(self, bytes, total_bytes);
        drop(state);
        fits.then(|| Charge { share: Arc::clone(self), bytes })
    }

    /// Charges `bytes` for what the tenant returns as soon as others need it, if they are free.
    pub(super) fn charge_optional(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let total_bytes = self.bytes.total_bytes;
        let mut state = self.state();
        let fits = bytes <= state.optional_room(self, total_bytes) && state.take(self, bytes, total_bytes);
        drop(state);
        fits.then(|| Charge { share: Arc::clone(self), bytes })
    }

    /// Charges `bytes` if the tenant can get `further_bytes` after them. Else those who have the first bytes of their
    /// files would wait for memory that only they have.
    pub(super) fn charge_before(self: &Arc<Self>, bytes: u64, further_bytes: u64) -> Option<Charge> {
        let total_bytes = self.bytes.total_bytes;
        let mut state = self.state();
        let free_bytes = total_bytes.saturating_sub(state.used_bytes).saturating_sub(bytes);
        let room_bytes = room_beside(self.used().saturating_add(bytes), free_bytes, total_bytes);
        let fits = further_bytes <= room_bytes && state.take(self, bytes, total_bytes);
        drop(state);
        fits.then(|| Charge { share: Arc::clone(self), bytes })
    }

    /// Charges `bytes` for an open file that is expected to need them, if they are free.
    pub(super) fn charge_expected(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let fits = self.state().take(self, bytes, self.bytes.total_bytes);
        fits.then(|| Charge { share: Arc::clone(self), bytes })
    }

    /// Charges optional `bytes` for a holder of `holder_bytes`, if there are plenty.
    pub(super) fn charge_spare(self: &Arc<Self>, bytes: u64, holder_bytes: u64) -> Option<Charge> {
        let total_bytes = self.bytes.total_bytes;
        let mut state = self.state();
        let fits = spares(&state, self, bytes, holder_bytes, total_bytes) && state.take(self, bytes, total_bytes);
        fits.then(|| Charge { share: Arc::clone(self), bytes })
    }

    /// True if [`charge_spare`](Self::charge_spare) would succeed.
    pub(super) fn has_spare(&self, bytes: u64, holder_bytes: u64) -> bool {
        let (state, total_bytes) = (self.state(), self.bytes.total_bytes);
        spares(&state, self, bytes, holder_bytes, total_bytes) && !state.is_behind(self)
    }

    /// True if optional holders of this tenant should return their bytes: a request waits that has a better right to
    /// them, a file of the tenant waits to open, or the tenant may have less than an eighth of its bytes more.
    pub(super) fn is_tight(&self) -> bool {
        let (state, total_bytes) = (self.state(), self.bytes.total_bytes);
        state.is_behind(self)
            || self.opening.load(Ordering::Relaxed) > 0
            || state.optional_room(self, total_bytes) < most_bytes(total_bytes) / 8
    }

    /// True if others need what the tenant has: a request waits that has a better right to it, or no byte is free.
    pub(super) fn is_wanted(&self) -> bool {
        let state = self.state();
        state.is_behind(self) || state.used_bytes >= self.bytes.total_bytes
    }

    /// True if the tenant can get no byte more at once.
    pub(super) fn is_pressed(&self) -> bool {
        let (state, total_bytes) = (self.state(), self.bytes.total_bytes);
        state.is_behind(self) || !state.allows(self, 1, total_bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.state();
        // Another share may have come in its place already.
        if state.shares.get(&self.tenant).is_some_and(|share| share.strong_count() == 0) {
            state.shares.remove(&self.tenant);
        }
    }
}

/// The bytes that a tenant may have more beside `has_bytes`: a quarter of the total stays free, or as much as it has
/// then.
fn room_beside(has_bytes: u64, free_bytes: u64, total_bytes: u64) -> u64 {
    free_bytes.saturating_sub(total_bytes / 4).max(free_bytes.saturating_sub(has_bytes) / 2)
}

/// The most bytes that one tenant may have.
fn most_bytes(total_bytes: u64) -> u64 {
    total_bytes - total_bytes / 4
}

/// True if the tenant may have a quarter of its bytes after `bytes` more, and at least as many as the holder of
/// `holder_bytes` has then.
fn spares(state: &SharedState, share: &Share, bytes: u64, holder_bytes: u64, total_bytes: u64) -> bool {
    let left_bytes = (most_bytes(total_bytes) / 4).max(holder_bytes.saturating_add(bytes));
    bytes.saturating_add(left_bytes) <= state.optional_room(share, total_bytes)
}

/// Bytes that are charged to a tenant, returned on drop.
#[derive(Debug)]
pub struct Charge {
    share: Arc<Share>,
    bytes: u64,
}

impl Charge {
    /// The number of bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True if others need the bytes, and they are optional for their holder.
    #[must_use]
    pub(crate) fn is_tight(&self) -> bool {
        self.share.is_tight()
    }

    /// Splits `bytes` off; `None` if it has fewer.
    #[must_use]
    pub(crate) fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(Self { share: Arc::clone(&self.share), bytes })
    }

    /// Returns the bytes beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
    }

    /// Takes in another charge of the same share. Any other charge returns to its own.
    pub(crate) fn merge(&mut self, mut other: Self) {
        if Arc::ptr_eq(&self.share, &other.share) {
            self.bytes += mem::take(&mut other.bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes > 0 {
            let share = &self.share;
            share.update(|state| state.subtract(share, bytes));
        }
    }
}

/// The memory for the transfers of one tenant. Cloning is cheap (a reference count).
#[derive(Clone, Debug)]
pub struct TenantMemory(Arc<TenantShares>);

#[derive(Debug)]
struct TenantShares {
    pool: Arc<Pool>,
    overflow: Arc<Semaphore>,
    transfers: Arc<Share>,
    small_files: Arc<Share>,
}

impl TenantMemory {
    /// The memory of a tenant, with what all tenants share: the pool of blocks, and the overflow.
    pub(super) fn new(
        (pool, overflow): (Arc<Pool>, Arc<Semaphore>),
        transfers: Arc<Share>,
        small_files: Arc<Share>,
    ) -> Self {
        Self(Arc::new(TenantShares { pool, overflow, transfers, small_files }))
    }

    /// The pool that hands out the memory itself.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.0.pool
    }

    /// Waits for the one overflow of the process: memory outside the budget. It is for an upload whose writes came so
    /// far out of order that its charge is full before a part is whole. The budget alone can't help there: uploads that
    /// wait for one another may hold all of it.
    pub(crate) async fn overflow(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.overflow).acquire_owned().await.ok()
    }

    /// The tenant.
    #[must_use]
    pub(crate) fn tenant(&self) -> &TenantName {
        self.0.transfers.tenant()
    }

    /// Charges `bytes` to the tenant, if they are free, the tenant hasn't more than its share, and its uploads aren't
    /// expected to need them.
    #[must_use]
    pub fn charge(&self, bytes: u64) -> Option<Charge> {
        self.0.transfers.charge(bytes)
    }

    /// Charges the memory of a file of at most 256 KiB, if it is free.
    #[must_use]
    pub(crate) fn charge_small_file(&self, bytes: u64) -> Option<Charge> {
        self.0.small_files.charge(bytes)
    }

    /// Charges optional `bytes` for a holder of `holder_bytes`, if memory is plentiful. The tenant may then still have
    /// a quarter of the most that it may have, and at least as much as this holder has. So all optional holders get
    /// about the same.
    #[must_use]
    pub(crate) fn charge_spare(&self, bytes: u64, holder_bytes: u64) -> Option<Charge> {
        self.0.transfers.charge_spare(bytes, holder_bytes)
    }

    /// True if [`charge_spare`](Self::charge_spare) would succeed.
    #[must_use]
    pub(crate) fn has_spare(&self, bytes: u64, holder_bytes: u64) -> bool {
        self.0.transfers.has_spare(bytes, holder_bytes)
    }

    /// True if optional holders of the tenant should return their memory: a request waits that has a better right to
    /// it, or little is left for the tenant.
    #[must_use]
    pub(crate) fn is_tight(&self) -> bool {
        self.0.transfers.is_tight()
    }

    /// True if the tenant can get no more memory at once: another request waits for it, or the tenant has its share.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.0.transfers.is_pressed()
    }

    /// Waits for `bytes` as [`charge_for`](Self::charge_for) an upload that begins.
    pub(crate) async fn charge_in_turn(&self, bytes: u64, deadline: Duration) -> Result<Charge, BudgetExhausted> {
        self.0.transfers.charge_in_turn(bytes, Purpose::Begin, deadline).await
    }

    /// Charges `bytes` for a range of a download, which it returns as soon as others need them.
    #[must_use]
    pub(crate) fn charge_range(&self, bytes: u64) -> Option<Charge> {
        self.0.transfers.charge_optional(bytes)
    }

    /// Charges `bytes` if the tenant can get `further_bytes` after them.
    pub(super) fn charge_before(&self, bytes: u64, further_bytes: u64) -> Option<Charge> {
        self.0.transfers.charge_before(bytes, further_bytes)
    }

    /// True if the bytes aren't those that are set aside for small files.
    pub(super) fn is_of_transfers(&self, charge: &Charge) -> bool {
        Arc::ptr_eq(&charge.share, &self.0.transfers)
    }

    /// True if others need the tenant's memory: a request waits that has a better right to it, or no byte is free.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.transfers.is_wanted()
    }

    /// Charges `bytes` for an upload that is expected to need them, if they are free.
    pub(super) fn charge_expected(&self, bytes: u64) -> Option<Charge> {
        self.0.transfers.charge_expected(bytes)
    }

    /// Waits until the tenant can get `bytes` for one more open file, at most for `patience`. It charges nothing, and
    /// takes nothing from other tenants.
    pub(crate) async fn expect(&self, bytes: u64, patience: Duration) -> ExpectedBytes {
        self.0.transfers.expect(bytes, patience).await
    }

    /// Waits for `bytes` for an upload, at most for `deadline`. The tenant that has least is served first, the requests
    /// of one tenant in their order. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    pub(super) async fn charge_for(
        &self,
        purpose: Purpose,
        bytes: u64,
        deadline: Duration,
    ) -> Result<Charge, BudgetExhausted> {
        self.0.transfers.charge_in_turn(bytes, purpose, deadline).await
    }
}

#[cfg(test)]
mod tests;
