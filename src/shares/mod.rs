//! Permits that keys, such as tenants, share fairly.
//!
//! The key with the fewest permits is served first. Keys with equally many take turns, and each is served in the order
//! of its requests. A key has two lines, which take turns too, so that a flood of one kind delays no other kind.
//!
//! Invariants:
//! - The permits in use never exceed the total. The last quarter is for keys that have fewer permits than are free. So
//!   one key holds at most three quarters, and a newcomer has its first permit at once, unless keys in dozens hold all.
//! - No key waits that may have a permit. A permit that is dropped serves the next waiter, wherever that happens, and a
//!   cancelled waiter leaves its line.
//! - No lock is held across an `await`. Without contention a permit costs one short lock, and no allocation.

mod rounds;

pub(crate) use rounds::{Rounds, RunningRequest};

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};
use tokio::sync::oneshot;

/// The permits.
#[derive(Debug)]
pub(crate) struct Shares<K: Clone + Eq + Hash> {
    total: usize,
    state: Mutex<SharesState<K>>,
}

#[derive(Debug)]
struct SharesState<K: Clone + Eq + Hash> {
    in_use: usize,
    /// The keys that have permits or wait.
    keys: HashMap<K, KeyShare<K>>,
    /// The keys that wait, by the number of their permits and their last turn. The first one is served next.
    turns: BTreeMap<(usize, u64), K>,
    /// The number of the next turn, or of the next waiter.
    next_number: u64,
}

#[derive(Debug)]
struct KeyShare<K: Clone + Eq + Hash> {
    in_use: usize,
    /// The number of its turn while it waits.
    turn: Option<u64>,
    first: WaitingLine<K>,
    second: WaitingLine<K>,
    /// The line that is served next, if it isn't empty.
    next_line: ShareLine,
}

/// The waiters of a line, in their order.
type WaitingLine<K> = BTreeMap<u64, oneshot::Sender<SharePermit<K>>>;

/// A waiter and the permit that it gets.
type Grant<K> = (oneshot::Sender<SharePermit<K>>, SharePermit<K>);

/// A line of a key, for requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareLine {
    /// For requests that come in floods.
    First,
    /// For the others. It has the first turn.
    Second,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// Creates `total` permits. With fewer than 4 there is no reserve for newcomers.
    #[must_use]
    pub(crate) fn new(total: usize) -> Arc<Self> {
        let (keys, turns) = (HashMap::new(), BTreeMap::new());
        let state = SharesState { in_use: 0, keys, turns, next_number: 0 };
        Arc::new(Self { total: total.max(1), state: Mutex::new(state) })
    }

    /// Waits for a permit of `key`. Dropping the future leaves the line.
    pub(crate) async fn acquire(self: &Arc<Self>, key: &K, line: ShareLine) -> SharePermit<K> {
        loop {
            let Some((mut place, granted)) = self.queue(key, line) else { return self.permit(key) };
            // A waiter leaves its line only with a permit, so there is no second round.
            if let Ok(permit) = granted.await {
                place.is_served = true;
                return permit;
            }
        }
    }

    /// The permits in use.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.state().in_use
    }

    /// The permits in use by `key`.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn in_use_by(&self, key: &K) -> usize {
        self.state().keys.get(key).map_or(0, |share| share.in_use)
    }

    /// Takes a permit at once (`None`), or joins the line.
    fn queue<'a>(
        self: &'a Arc<Self>,
        key: &'a K,
        line: ShareLine,
    ) -> Option<(SharePlace<'a, K>, oneshot::Receiver<SharePermit<K>>)> {
        let mut state = self.state();
        if state.take(key, self.total) {
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let number = state.join(key, line, grant);
        Some((SharePlace { shares: self, key, line, number, is_served: false }, granted))
    }

    /// Changes the state, then hands permits to the waiters that the change serves.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut SharesState<K>)) {
        let served = {
            let mut state = self.state();
            change(&mut state);
            let served = state.serve(self);
            state.assert_sound(self.total);
            served
        };
        // Outside the lock: a waiter that has just left returns its permit, which serves the next one.
        for (grant, permit) in served {
            drop(grant.send(permit));
        }
    }

    /// The permit that was counted for `key`.
    fn permit(self: &Arc<Self>, key: &K) -> SharePermit<K> {
        SharePermit { shares: Arc::clone(self), key: key.clone() }
    }

    fn state(&self) -> MutexGuard<'_, SharesState<K>> {
        self.state.lock()
    }
}

/// True if a key with `in_use` permits may have another one.
fn may_take(in_use: usize, free: usize, total: usize) -> bool {
    free > total / 4 || in_use < free
}

impl<K: Clone + Eq + Hash> SharesState<K> {
    /// Takes a permit, unless `key` waits already. Other keys that wait have more permits, or it may not have one.
    fn take(&mut self, key: &K, total: usize) -> bool {
        let free = total.saturating_sub(self.in_use);
        let (in_use, waits) = self.keys.get(key).map_or((0, false), |share| (share.in_use, share.turn.is_some()));
        let takes = !waits && may_take(in_use, free, total);
        if takes {
            self.in_use += 1;
            if let Some(share) = self.keys.get_mut(key) {
                share.in_use += 1;
            } else {
                self.keys.insert(key.clone(), KeyShare { in_use: 1, ..KeyShare::new() });
            }
        }
        takes
    }

    /// Adds a waiter. Returns its number.
    fn join(&mut self, key: &K, line: ShareLine, grant: oneshot::Sender<SharePermit<K>>) -> u64 {
        let number = self.number();
        let share = self.keys.entry(key.clone()).or_insert_with(KeyShare::new);
        share.line(line).insert(number, grant);
        if share.turn.is_none() {
            share.turn = Some(number);
            self.turns.insert((share.in_use, number), key.clone());
        }
        number
    }

    /// Removes a waiter, if it was not served.
    fn leave(&mut self, key: &K, line: ShareLine, number: u64) {
        let Some(share) = self.keys.get_mut(key) else { return };
        share.line(line).remove(&number);
        if share.is_idle()
            && let Some(turn) = share.turn.take()
        {
            self.turns.remove(&(share.in_use, turn));
        }
        self.drop_unused(key);
    }

    fn give_back(&mut self, key: &K) {
        let Some(share) = self.keys.get_mut(key) else { return };
        if let Some(turn) = share.turn
            && let Some(key) = self.turns.remove(&(share.in_use, turn))
        {
            self.turns.insert((share.in_use.saturating_sub(1), turn), key);
        }
        share.in_use = share.in_use.saturating_sub(1);
        self.in_use = self.in_use.saturating_sub(1);
        self.drop_unused(key);
    }

    /// Serves the keys in turn, as long as the first one may have a permit: if it may not, no other may.
    fn serve(&mut self, shares: &Arc<Shares<K>>) -> Vec<Grant<K>> {
        let mut served = Vec::new();
        while let Some(first) = self.turns.first_entry() {
            let free = shares.total.saturating_sub(self.in_use);
            if !may_take(first.key().0, free, shares.total) {
                break;
            }
            let key = first.remove();
            let number = self.number();
            let Some(share) = self.keys.get_mut(&key) else { continue };
            share.turn = None;
            let Some(waiter) = share.next_waiter() else { continue };
            share.in_use += 1;
            self.in_use += 1;
            served.push((waiter, shares.permit(&key)));
            if !share.is_idle() {
                share.turn = Some(number);
                self.turns.insert((share.in_use, number), key);
            }
        }
        served
    }

    fn drop_unused(&mut self, key: &K) {
        if self.keys.get(key).is_some_and(|share| share.in_use == 0 && share.turn.is_none()) {
            self.keys.remove(key);
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Asserts the invariants in debug builds.
    fn assert_sound(&self, total: usize) {
        let free = total.saturating_sub(self.in_use);
        debug_assert!(self.in_use <= total, "{} permits of {total}", self.in_use);
        let waits = self.turns.first_key_value().is_some_and(|((in_use, _), _)| may_take(*in_use, free, total));
        debug_assert!(!waits, "a key waits that may have a permit");
    }
}

impl<K: Clone + Eq + Hash> KeyShare<K> {
    fn new() -> Self {
        let (first, second) = (BTreeMap::new(), BTreeMap::new());
        Self { in_use: 0, turn: None, first, second, next_line: ShareLine::Second }
    }

    /// True if no request waits.
    fn is_idle(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    fn line(&mut self, line: ShareLine) -> &mut WaitingLine<K> {
        match line {
            ShareLine::First => &mut self.first,
            ShareLine::Second => &mut self.second,
        }
    }

    /// Takes the next waiter out of the lines, which take turns.
    fn next_waiter(&mut self) -> Option<oneshot::Sender<SharePermit<K>>> {
        let line = self.next_line;
        if let Some((_, waiter)) = self.line(line).pop_first() {
            self.next_line = line.other();
            return Some(waiter);
        }
        self.line(line.other()).pop_first().map(|(_, waiter)| waiter)
    }
}

impl ShareLine {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A permit, returned on drop.
#[derive(Debug)]
pub(crate) struct SharePermit<K: Clone + Eq + Hash> {
    shares: Arc<Shares<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Drop for SharePermit<K> {
    fn drop(&mut self) {
        self.shares.update(|state| state.give_back(&self.key));
    }
}

/// A place in a line, left on drop.
struct SharePlace<'a, K: Clone + Eq + Hash> {
    shares: &'a Arc<Shares<K>>,
    key: &'a K,
    line: ShareLine,
    number: u64,
    is_served: bool,
}

impl<K: Clone + Eq + Hash> Drop for SharePlace<'_, K> {
    fn drop(&mut self) {
        if !self.is_served {
            self.shares.update(|state| state.leave(self.key, self.line, self.number));
        }
    }
}

#[cfg(test)]
mod tests;
