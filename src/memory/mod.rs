//! The memory that all uploads of the process share. A waiter gets its bytes in line, fairly between owners. An upload
//! gets more than its first reservation only while no other waits.
//!
//! Invariant: the sum of all living [`Reservation`]s never exceeds the total. A reservation returns its bytes when it
//! is dropped, wherever that happens, so that a cancelled future leaks nothing.

mod allowance;
mod block;

pub use allowance::HeldMemory;
pub(crate) use allowance::{Allowance, Flying};
pub(crate) use block::{BLOCK_BYTES, Block, Pool, zeros};

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

/// The line of uploads of all owners that need more memory after their CLOSE arrived. It is served first: other CLOSEs
/// may wait for such an upload, and hold the memory that the rest of the line waits for. No tenant has this name.
const CLOSING: &str = "";
/// The line of all other admitted uploads that need more. It takes its turn. No tenant has this name.
const GROWING: &str = " ";

/// The process's budget of upload memory.
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
    /// Each owner's line, first come first served; no empty lines.
    lines: HashMap<String, VecDeque<Waiter>>,
    /// The owners that have a line; the front one is served next.
    turns: VecDeque<String>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    bytes: u64,
    grant: oneshot::Sender<Reservation>,
}

/// A waiter whose bytes are accounted for. It is notified outside the lock.
type Grant = (oneshot::Sender<Reservation>, u64);

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

    /// Waits for `bytes`, at most for `deadline`. Owners (tenants) are served in turn, the requests of one owner in
    /// their order. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        owner: &str,
        bytes: u64,
        deadline: Duration,
    ) -> Result<Reservation, BudgetExhausted> {
        if bytes > self.total_bytes {
            return Err(BudgetExhausted(Duration::ZERO));
        }
        let Some((place, granted)) = self.queue(owner, bytes) else {
            return Ok(self.reservation(bytes));
        };
        let answer = tokio::time::timeout(deadline, granted).await;
        drop(place);
        answer.ok().and_then(Result::ok).ok_or(BudgetExhausted(deadline))
    }

    /// Takes `bytes` if they are free and no request waits.
    #[must_use]
    pub(crate) fn try_take(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.state().take(bytes, self.total_bytes).then(|| self.reservation(bytes))
    }

    /// Takes optional `bytes` for a holder of `held_bytes`, if memory is plentiful. A quarter of the total stays free,
    /// and at least as much as this holder has then. So all optional holders get about the same share.
    #[must_use]
    pub(crate) fn try_take_spare(self: &Arc<Self>, bytes: u64, held_bytes: u64) -> Option<Reservation> {
        let mut state = self.state();
        let spare = state.spares(bytes, held_bytes, self.total_bytes);
        (spare && state.take(bytes, self.total_bytes)).then(|| self.reservation(bytes))
    }

    /// True if [`try_take_spare`](Self::try_take_spare) would succeed.
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

    /// The most that reservations may be, in bytes.
    #[must_use]
    pub(crate) fn total(&self) -> u64 {
        self.total_bytes
    }

    /// The sum of all reservations, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used_bytes
    }

    /// Waits for the one overflow of the process: [`OVERFLOW_BYTES`] outside the budget. It is for an upload whose
    /// writes came so far out of order that its reservation is full before a part is whole. The budget alone can't help
    /// there: uploads that wait for one another may hold all of it.
    pub(crate) async fn overflow(&self) -> Option<Overflow> {
        Arc::clone(&self.overflow).acquire_owned().await.ok().map(|permit| Overflow { _permit: permit })
    }

    /// The pool that hands out the memory itself.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Takes `bytes` at once (`None`), or joins the owner's line.
    fn queue(self: &Arc<Self>, owner: &str, bytes: u64) -> Option<(Place<'_>, oneshot::Receiver<Reservation>)> {
        let mut state = self.state();
        if state.take(bytes, self.total_bytes) {
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let line = state.lines.entry(owner.to_owned()).or_default();
        line.push_back(Waiter { ticket, bytes, grant });
        if line.len() == 1 {
            state.take_turn(owner.to_owned());
        }
        Some((Place { budget: self, owner: owner.to_owned(), ticket }, granted))
    }

    /// Changes the state, then notifies the waiters that the change serves.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let grants = {
            let mut state = self.state();
            change(&mut state);
            state.serve(self.total_bytes)
        };
        for (grant, bytes) in grants {
            // A waiter that has just left returns its reservation. Dropping that serves the next waiter.
            drop(grant.send(self.reservation(bytes)));
        }
    }

    fn reservation(self: &Arc<Self>, bytes: u64) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes }
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
    fn serve(&mut self, total_bytes: u64) -> Vec<Grant> {
        let mut grants = Vec::new();
        while let Some(owner) = self.turns.pop_front() {
            let free_bytes = total_bytes.saturating_sub(self.used_bytes);
            let Some(line) = self.lines.get_mut(&owner) else { continue };
            let Some(waiter) = line.pop_front_if(|waiter| waiter.bytes <= free_bytes) else {
                self.turns.push_front(owner);
                break;
            };
            if line.is_empty() {
                self.lines.remove(&owner);
            } else {
                self.take_turn(owner);
            }
            self.used_bytes += waiter.bytes;
            grants.push((waiter.grant, waiter.bytes));
        }
        grants
    }

    /// Schedules an owner's line after the others, or before them if it is [`CLOSING`].
    fn take_turn(&mut self, owner: String) {
        if owner == CLOSING { self.turns.push_front(owner) } else { self.turns.push_back(owner) }
    }

    fn leave(&mut self, owner: &str, ticket: u64) {
        let Some(line) = self.lines.get_mut(owner) else { return };
        line.retain(|waiter| waiter.ticket != ticket);
        if line.is_empty() {
            self.lines.remove(owner);
            self.turns.retain(|turn| turn != owner);
        }
    }
}

/// A place in an owner's line, left on drop. Leaving may serve the waiters behind it.
struct Place<'a> {
    budget: &'a Arc<Budget>,
    owner: String,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.update(|state| state.leave(&self.owner, self.ticket));
    }
}

/// Bytes of the budget, returned on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// The number of bytes that it holds.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Splits `bytes` off; `None` if it holds fewer.
    #[must_use]
    pub(crate) fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(self.budget.reservation(bytes))
    }

    /// Takes in another reservation of the same budget. A reservation of another budget returns to its own instead.
    pub(crate) fn merge(&mut self, mut other: Self) {
        if Arc::ptr_eq(&self.budget, &other.budget) {
            self.bytes += mem::take(&mut other.bytes);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes > 0 {
            self.budget.update(|state| state.used_bytes = state.used_bytes.saturating_sub(bytes));
        }
    }
}

/// The process's one overflow, returned on drop.
#[derive(Debug)]
pub(crate) struct Overflow {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use std::{future::Future, pin::Pin};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_the_deadline_and_leaves_no_trace() {
        let budget = Budget::new(10);
        let all = budget.reserve("acme", 10, SECOND).await.unwrap();
        assert!(budget.pressed());
        let asked = tokio::time::Instant::now();
        assert!(matches!(budget.reserve("acme", 1, SECOND).await, Err(BudgetExhausted(SECOND))));
        assert_eq!(asked.elapsed(), SECOND);
        drop(all);
        assert!(!budget.pressed());
        assert_eq!(budget.used(), 0);
        assert!(matches!(budget.reserve("acme", 11, SECOND).now_or_never(), Some(Err(BudgetExhausted(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn owners_take_turns_and_nobody_overtakes() {
        let budget = Budget::new(1);
        let mut held = budget.try_take(1);
        let asks = ["acme", "acme", "acme", "globex"];
        let mut waiting: Vec<_> = asks.iter().map(|owner| Some(Box::pin(budget.reserve(owner, 1, SECOND)))).collect();
        for ask in waiting.iter_mut().flatten() {
            assert!(ask.now_or_never().is_none());
        }
        let mut order = Vec::new();
        while order.len() < asks.len() {
            drop(held.take());
            assert!(budget.try_take(1).is_none(), "taken ahead of those who wait");
            for (index, slot) in waiting.iter_mut().enumerate() {
                if let Some(Some(answer)) = slot.as_mut().map(FutureExt::now_or_never) {
                    *slot = None;
                    held = Some(answer.unwrap());
                    order.push(index);
                    break;
                }
            }
        }
        assert_eq!(order, [0, 3, 1, 2]);
    }

    // S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, …
    #[tokio::test(start_paused = true)]
    async fn uploads_whose_close_has_come_are_served_before_all_others() {
        let budget = Budget::new(2);
        let held = budget.try_take(2);
        let mut beginning = Box::pin(budget.reserve("acme", 2, SECOND));
        let mut growing = [(); 2].map(|()| Box::pin(budget.reserve(GROWING, 2, SECOND)));
        let mut closing = [(); 2].map(|()| Box::pin(budget.reserve(CLOSING, 1, SECOND)));
        assert!(beginning.as_mut().now_or_never().is_none());
        for waiting in growing.iter_mut().chain(&mut closing) {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(held);
        for waiting in closing {
            assert!(waiting.now_or_never().is_some_and(|grown| grown.is_ok()));
        }
        assert!(growing[0].as_mut().now_or_never().is_none(), "it takes its turn");
        assert!(beginning.await.is_ok());
        for waiting in growing {
            assert!(waiting.await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_waiter_that_leaves_lets_the_next_one_in() {
        let budget = Budget::new(10);
        let _held = budget.try_take(5).unwrap();
        let mut large = Box::pin(budget.reserve("acme", 8, SECOND));
        let mut small = Box::pin(budget.reserve("globex", 2, SECOND));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().is_none());
        drop(large);
        assert_eq!(small.await.unwrap().bytes(), 2);
    }

    #[test]
    fn what_is_spare_is_shared_and_leaves_a_quarter() {
        let budget = Budget::new(100);
        let mut held = [0; 3];
        let mut taken = Vec::new();
        for index in (0..3).cycle().take(99) {
            let has_spare = budget.has_spare(1, held[index]);
            let some = budget.try_take_spare(1, held[index]);
            assert_eq!(some.is_some(), has_spare);
            if let Some(some) = some {
                held[index] += 1;
                taken.push(some);
            }
        }
        assert_eq!(held, [25, 25, 25]);
        assert!(budget.try_take_spare(1, 0).is_none() && !budget.is_tight());
        let _needed = budget.try_take(14).unwrap();
        assert!(budget.is_tight());
    }

    #[test]
    fn reservations_split_and_merge() {
        let budget = Budget::new(10);
        let mut whole = budget.try_take(8).unwrap();
        let part = whole.split(3).unwrap();
        assert!(whole.split(6).is_none());
        assert_eq!((whole.bytes(), part.bytes(), budget.used()), (5, 3, 8));
        whole.merge(part);
        assert_eq!((whole.bytes(), budget.used()), (8, 8));
        whole.merge(Budget::new(1).try_take(1).unwrap());
        drop(whole);
        assert_eq!(budget.used(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask { owner: u8, bytes: u64 },
        Poll(prop::sample::Index),
        Cancel(prop::sample::Index),
        Take(u64),
        Free(prop::sample::Index),
        Wait,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u8, 1..8u64).prop_map(|(owner, bytes)| Step::Ask { owner, bytes }),
            4 => any::<prop::sample::Index>().prop_map(Step::Poll),
            2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            2 => (1..8u64).prop_map(Step::Take),
            3 => any::<prop::sample::Index>().prop_map(Step::Free),
            1 => Just(Step::Wait),
        ]
    }

    type Asking<'a> = Pin<Box<dyn Future<Output = Result<Reservation, BudgetExhausted>> + 'a>>;

    proptest! {
        #[test]
        fn nothing_is_granted_twice_or_lost(steps in prop::collection::vec(step(), 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let budget = Budget::new(10);
                let (mut asking, mut held): (Vec<Asking<'_>>, Vec<Reservation>) = (Vec::new(), Vec::new());
                for step in steps {
                    match step {
                        Step::Ask { owner, bytes } => {
                            let budget = &budget;
                            asking.push(Box::pin(async move {
                                budget.reserve(&format!("tenant{owner}"), bytes, SECOND).await
                            }));
                        }
                        Step::Poll(index) if !asking.is_empty() => {
                            let index = index.index(asking.len());
                            if let Some(answer) = asking[index].as_mut().now_or_never() {
                                drop(asking.swap_remove(index));
                                held.extend(answer.ok());
                            }
                        }
                        Step::Cancel(index) if !asking.is_empty() => {
                            drop(asking.swap_remove(index.index(asking.len())));
                        }
                        Step::Take(bytes) => held.extend(budget.try_take(bytes)),
                        Step::Free(index) if !held.is_empty() => {
                            held.swap_remove(index.index(held.len()));
                        }
                        Step::Wait => tokio::time::advance(SECOND / 2).await,
                        _ => {}
                    }
                    let sum: u64 = held.iter().map(Reservation::bytes).sum();
                    assert!(sum <= budget.used() && budget.used() <= 10);
                }
                drop((asking, held));
                assert_eq!(budget.used(), 0);
                let state = budget.state();
                assert!(state.lines.is_empty() && state.turns.is_empty());
            });
        }
    }
}
