//! The memory of requests and replies that can't wait for the shares of transfers: requests that arrive although their
//! tenant has no memory left, requests that wait for their answers, and replies that wait for their clients.
//!
//! Waiting for it could stop a connection for ever: the rest of a WRITE may be all that lets an upload ship its part, and
//! a reply in the queue may be all that lets a client read. So it is taken at once, and has a limit of its own. Beyond the
//! limit the connection that has most ends, of the tenant whose connections together have most. A tenant with less than an
//! eighth of the limit isn't touched by what others take. A connection that is asked to end has some seconds to return
//! its memory. Requests that it leaves behind, such as a rename that must end, count for its tenant.
//!
//! The process counts steps of [`STEP_BYTES`] of each connection, so that the requests of a usual client take no lock.
//!
//! Invariant: a connection's steps are its bytes divided by the step, rounded down, except while its bytes change.

use crate::name::TenantName;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The unit in which the process counts a connection's bytes. A connection with less counts nothing.
const STEP_BYTES: u64 = 64 << 10;
/// The least limit: a server with little memory has connections too.
const MIN_LIMIT_BYTES: u64 = 64 << 20;
/// Otherwise the limit is this part of the budget.
const OF_BUDGET: u64 = 4;

/// The time in which a connection that is asked to end returns its memory. Then the rest counts again.
const ENDING: Duration = Duration::from_secs(5);
/// No connection ends of a tenant whose connections have less than this part of the limit.
const OF_LIMIT: i64 = 8;
/// The time between two searches for a connection to end, if there is none.
const SEARCH_PERIOD: Duration = Duration::from_millis(100);

/// The memory of all connections.
#[derive(Debug)]
pub(super) struct RequestMemory {
    limit_bytes: u64,
    connections: Mutex<ConnectionTable>,
}

/// The connections that have at least a step.
#[derive(Debug, Default)]
struct ConnectionTable {
    next_number: u64,
    /// The sum of all steps.
    steps: i64,
    /// Of these, the steps of connections that were asked to end less than [`ENDING`] ago.
    ending_steps: i64,
    /// These connections, in the order in which they were asked.
    ending: VecDeque<(Instant, u64)>,
    /// The time of the last search that found no connection to end.
    searched: Option<Instant>,
    by_number: HashMap<u64, CountedConnection>,
}

#[derive(Debug)]
struct CountedConnection {
    tenant: TenantName,
    /// Below zero for a moment if two tasks change the connection's bytes at the same time.
    steps: i64,
    /// True for a time after it was asked to end.
    is_ending: bool,
    end: Arc<ConnectionEnd>,
}

/// The steps of a tenant's connections.
#[derive(Debug, Default)]
struct TenantSteps {
    steps: i64,
    /// The steps and the number of the largest that wasn't asked to end.
    largest: Option<(i64, u64)>,
}

/// The request to end a connection.
#[derive(Debug, Default)]
struct ConnectionEnd {
    is_asked: AtomicBool,
    asked: Notify,
}

impl RequestMemory {
    /// The memory of the connections beside a budget of `budget_bytes`.
    pub(super) fn beside(budget_bytes: u64) -> Arc<Self> {
        let limit_bytes = (budget_bytes / OF_BUDGET).max(MIN_LIMIT_BYTES);
        Arc::new(Self { limit_bytes, connections: Mutex::default() })
    }

    /// The memory of a new connection of `tenant`.
    pub(super) fn connection(self: &Arc<Self>, tenant: &TenantName) -> Arc<ConnectionMemory> {
        let number = {
            let mut connections = self.connections.lock();
            connections.next_number += 1;
            connections.next_number
        };
        let (all, tenant) = (Arc::clone(self), tenant.clone());
        Arc::new(ConnectionMemory { all, number, tenant, bytes: AtomicU64::new(0), end: Arc::default() })
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit_bytes
    }

    /// The bytes of all connections, in steps.
    pub(super) fn used(&self) -> u64 {
        u64::try_from(self.connections.lock().steps).unwrap_or_default() * STEP_BYTES
    }

    /// Counts more or fewer steps of a connection. Ends the largest if all have too many.
    fn change(&self, connection: &ConnectionMemory, steps: i64) {
        let mut connections = self.connections.lock();
        connections.change(connection, steps);
        if steps > 0 {
            connections.end_beyond(i64::try_from(self.limit_bytes / STEP_BYTES).unwrap_or(i64::MAX));
        }
    }
}

impl ConnectionTable {
    fn change(&mut self, connection: &ConnectionMemory, steps: i64) {
        self.steps += steps;
        let ConnectionMemory { number, tenant, end, .. } = connection;
        let counted = self.by_number.entry(*number).or_insert_with(|| CountedConnection {
            tenant: tenant.clone(),
            steps: 0,
            is_ending: false,
            end: Arc::clone(end),
        });
        counted.steps += steps;
        if counted.is_ending {
            self.ending_steps += steps;
        }
        if counted.steps == 0 {
            self.by_number.remove(number);
        }
    }

    /// Asks connections to end until the others have at most `limit` steps.
    fn end_beyond(&mut self, limit: i64) {
        if self.steps <= limit {
            return;
        }
        let now = Instant::now();
        self.count_again(now);
        if self.searched.is_some_and(|searched| now < searched + SEARCH_PERIOD) {
            return;
        }
        while self.steps - self.ending_steps > limit {
            let Some(number) = self.largest(limit / OF_LIMIT) else {
                self.searched = Some(now);
                return;
            };
            if let Some(largest) = self.by_number.get_mut(&number) {
                largest.is_ending = true;
                self.ending_steps += largest.steps;
                self.ending.push_back((now, number));
                largest.end.ask();
            }
        }
    }

    /// Counts the connections again that had their time to end.
    fn count_again(&mut self, now: Instant) {
        while let Some((asked, number)) = self.ending.front()
            && now >= *asked + ENDING
        {
            if let Some(counted) = self.by_number.get_mut(number)
                && counted.is_ending
            {
                counted.is_ending = false;
                self.ending_steps -= counted.steps;
            }
            self.ending.pop_front();
        }
    }

    /// The number of the connection that has most, of the tenant that has most, and at least `floor` steps. `None` if all
    /// connections of such tenants have been asked to end.
    fn largest(&self, floor: i64) -> Option<u64> {
        let mut by_tenant: HashMap<&TenantName, TenantSteps> = HashMap::new();
        for (number, counted) in self.by_number.iter().filter(|(_, counted)| !counted.is_ending) {
            let of_tenant = by_tenant.entry(&counted.tenant).or_default();
            of_tenant.steps += counted.steps;
            if !counted.end.is_asked.load(Ordering::Relaxed) {
                of_tenant.largest = of_tenant.largest.max(Some((counted.steps, *number)));
            }
        }
        let tenants = by_tenant.into_values().filter(|tenant| tenant.steps >= floor);
        let (_, (_, number)) = tenants.filter_map(|tenant| Some((tenant.steps, tenant.largest?))).max()?;
        Some(number)
    }
}

impl ConnectionEnd {
    fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        self.asked.notify_waiters();
    }
}

/// The memory of the requests and replies of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionMemory {
    all: Arc<RequestMemory>,
    number: u64,
    tenant: TenantName,
    bytes: AtomicU64,
    end: Arc<ConnectionEnd>,
}

impl ConnectionMemory {
    /// Takes `bytes`, which can't be refused. The caller then looks at [`must_end`](Self::must_end).
    #[must_use]
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> RequestCharge {
        self.add(bytes);
        RequestCharge { connection: Arc::clone(self), bytes }
    }

    /// True if the connections have too much, and this one is to end.
    #[must_use]
    pub(crate) fn must_end(&self) -> bool {
        self.end.is_asked.load(Ordering::Relaxed)
    }

    /// Waits until the connection must end.
    pub(crate) async fn end_asked(&self) {
        let asked = self.end.asked.notified();
        // A notification counts from the call of `notified` on, so none is lost after this look.
        if !self.must_end() {
            asked.await;
        }
    }

    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.count(before, before + bytes);
    }

    fn subtract(&self, bytes: u64) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= before, "a charge was returned twice");
        self.count(before, before.saturating_sub(bytes));
    }

    fn count(&self, before: u64, after: u64) {
        let steps = (after / STEP_BYTES).cast_signed() - (before / STEP_BYTES).cast_signed();
        if steps != 0 {
            self.all.change(self, steps);
        }
    }
}

/// Bytes of a connection's requests or replies, returned on drop.
#[derive(Debug)]
pub(crate) struct RequestCharge {
    connection: Arc<ConnectionMemory>,
    bytes: u64,
}

impl RequestCharge {
    /// Changes the number of bytes.
    pub(crate) fn set(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.connection.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.connection.subtract(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// The memory that it is taken from.
    pub(crate) fn connection(&self) -> &Arc<ConnectionMemory> {
        &self.connection
    }
}

impl Drop for RequestCharge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proptest::{collection::vec, prelude::*};
    use std::thread;
    use tokio::time::advance;

    fn memory() -> Arc<RequestMemory> {
        RequestMemory::beside(256 << 20)
    }

    fn connection(memory: &Arc<RequestMemory>, tenant: &str) -> Arc<ConnectionMemory> {
        memory.connection(&tenant.parse().unwrap())
    }

    #[test]
    fn a_quarter_of_the_budget_is_the_limit_and_64_mib_at_least() {
        assert_eq!(RequestMemory::beside(20 << 20).limit(), 64 << 20);
        assert_eq!(RequestMemory::beside(1 << 30).limit(), 256 << 20);
    }

    #[test]
    fn a_usual_connection_counts_nothing() {
        let memory = memory();
        let many: Vec<_> = (0..10_000).map(|_| connection(&memory, "acme").take(STEP_BYTES - 1)).collect();
        assert_eq!(memory.used(), 0);
        assert!(memory.connections.lock().by_number.is_empty());
        assert!(many.iter().all(|charge| !charge.connection().must_end()));
    }

    #[test]
    fn beyond_the_limit_the_largest_connection_of_the_largest_tenant_ends() {
        let memory = memory();
        let [small, large, other] = ["acme", "acme", "globex"].map(|tenant| connection(&memory, tenant));
        let _small = small.take(20 << 20);
        let large_charge = large.take(20 << 20);
        let _larger_than_each = other.take(24 << 20);
        assert!([&small, &large, &other].iter().all(|connection| !connection.must_end()));
        let more = large.take(STEP_BYTES);
        assert!(large.must_end() && !small.must_end() && !other.must_end());
        // The memory that the ending one still has makes no other end.
        let _rest = small.take(19 << 20);
        assert!(!small.must_end() && !other.must_end());
        drop((large_charge, more));
        assert_eq!(memory.used(), 63 << 20);
    }

    #[test]
    fn as_many_end_as_must() {
        let memory = memory();
        let ten: Vec<_> = (0..10).map(|_| connection(&memory, "acme")).collect();
        let mut charges: Vec<_> = ten.iter().map(|connection| connection.take(6 << 20)).collect();
        let late = connection(&memory, "globex");
        charges.push(late.take(16 << 20));
        assert_eq!(ten.iter().filter(|connection| connection.must_end()).count(), 2);
        assert!(!late.must_end());
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_ended_connection_leaves_behind_counts_again_for_its_tenant() {
        let memory = memory();
        let [one, two, other] = ["acme", "acme", "globex"].map(|tenant| connection(&memory, tenant));
        let (left_behind, _two) = (one.take(40 << 20), two.take(2 << 20));
        let _other = other.take(23 << 20);
        assert!(one.must_end() && !two.must_end() && !other.must_end());
        advance(ENDING / 2).await;
        drop(other.take(STEP_BYTES));
        assert!(!two.must_end(), "the first one still has time");
        advance(ENDING / 2).await;
        drop(other.take(STEP_BYTES));
        assert!(two.must_end() && !other.must_end());
        drop(left_behind);
        assert_eq!(memory.used(), 25 << 20);
        advance(ENDING).await;
        drop(connection(&memory, "acme").take(64 << 20));
        assert_eq!(memory.connections.lock().ending_steps, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_has_little_stays_when_the_largest_has_no_connection_left() {
        let memory = memory();
        let [gone, small, large] = ["acme", "globex", "initech"].map(|tenant| connection(&memory, tenant));
        let _left_behind = gone.take(65 << 20);
        assert!(gone.must_end());
        advance(ENDING).await;
        let _small = small.take(7 << 20);
        assert!(!small.must_end());
        advance(SEARCH_PERIOD).await;
        let _large = large.take(9 << 20);
        assert!(large.must_end() && !small.must_end());
    }

    #[test]
    fn tasks_that_change_a_connection_at_the_same_time_leave_nothing() {
        let memory = memory();
        let connection = connection(&memory, "acme");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(connection.take(STEP_BYTES - 1));
                    }
                });
            }
        });
        assert_eq!(memory.used(), 0);
        assert!(memory.connections.lock().by_number.is_empty());
    }

    #[tokio::test]
    async fn the_one_that_must_end_is_told() {
        let memory = memory();
        let connection = connection(&memory, "acme");
        assert!(connection.end_asked().now_or_never().is_none());
        let mut told = Box::pin(connection.end_asked());
        assert!(told.as_mut().now_or_never().is_none());
        let _charge = connection.take(65 << 20);
        told.await;
        connection.end_asked().await;
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_all_steps_and_nothing_is_left(
            changes in vec((0..4_usize, 0..4 * STEP_BYTES), 0..100),
        ) {
            let memory = memory();
            let connections: Vec<_> = (0..4).map(|_| connection(&memory, "acme")).collect();
            let mut charges: Vec<_> = connections.iter().map(|connection| connection.take(0)).collect();
            let mut bytes = [0; 4];
            for (number, change) in changes {
                charges[number].set(change);
                bytes[number] = change;
                let steps: u64 = bytes.iter().map(|bytes| bytes / STEP_BYTES).sum();
                prop_assert_eq!(memory.used(), steps * STEP_BYTES);
            }
            charges.clear();
            prop_assert_eq!(memory.used(), 0);
            prop_assert!(memory.connections.lock().by_number.is_empty());
        }
    }
}
