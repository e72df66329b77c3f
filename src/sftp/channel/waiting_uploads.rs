//! The uploads of a node whose CLOSE waits for earlier CLOSEs. They hold memory that other uploads may need to make
//! progress or to begin.

use crate::{memory::TenantMemory, name::TenantName};
use parking_lot::{Mutex, MutexGuard};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// The pause before the next upload yields its memory, so that the memory of the last one reaches others first.
const PAUSE: Duration = Duration::from_secs(1);

/// The waiting uploads. An upload without memory is in the table only for its `patience`; the budget bounds all others.
#[derive(Debug, Default)]
pub(crate) struct WaitingUploads(Mutex<WaitingTable>);

#[derive(Debug, Default)]
struct WaitingTable {
    next: u64,
    waiting: BTreeMap<u64, WaitingEntry>,
}

struct WaitingEntry {
    memory: TenantMemory,
    memory_bytes: Box<dyn Fn() -> u64 + Send>,
    /// The end of the upload's patience. From then on others have precedence.
    until: Instant,
}

impl fmt::Debug for WaitingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingEntry").field("memory", &self.memory).field("until", &self.until).finish_non_exhaustive()
    }
}

impl WaitingUploads {
    /// Registers an upload. `memory_bytes` returns its current memory, which it may keep for `patience` even if others
    /// need it.
    pub(crate) fn enter(
        self: &Arc<Self>,
        memory: &TenantMemory,
        memory_bytes: impl Fn() -> u64 + Send + 'static,
        patience: Duration,
    ) -> WaitingUpload {
        let until = Instant::now() + patience;
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table
            .waiting
            .insert(number, WaitingEntry { memory: memory.clone(), memory_bytes: Box::new(memory_bytes), until });
        WaitingUpload { uploads: Arc::clone(self), memory: memory.clone(), number, until }
    }

    /// Returns the upload that yields its memory first: of the tenant whose waiting uploads hold most, the largest, and
    /// among equals the oldest. A tenant has to yield only if the request that waits has a better right to the memory.
    fn first(&self) -> Option<u64> {
        let now = Instant::now();
        let table = self.table();
        let mut tenants: HashMap<&TenantName, (u64, (u64, Reverse<u64>))> = HashMap::new();
        let must_yield = |waiting: &WaitingEntry| waiting.until <= now && waiting.memory.is_wanted();
        for (number, waiting) in table.waiting.iter().filter(|(_, waiting)| must_yield(waiting)) {
            let bytes = (waiting.memory_bytes)();
            let (sum, largest) = tenants.entry(waiting.memory.tenant()).or_insert((0, (0, Reverse(*number))));
            *sum += bytes;
            *largest = (*largest).max((bytes, Reverse(*number)));
        }
        let most = tenants.into_values().max().filter(|(sum, _)| *sum > 0);
        most.map(|(_, (_, Reverse(number)))| number)
    }

    /// True while the upload holds memory. An upload without memory leaves the table, because it takes in no more
    /// bytes.
    fn keep(&self, number: u64) -> bool {
        let mut table = self.table();
        let holds = table.waiting.get(&number).is_some_and(|waiting| (waiting.memory_bytes)() > 0);
        if !holds {
            table.waiting.remove(&number);
        }
        holds
    }

    fn table(&self) -> MutexGuard<'_, WaitingTable> {
        self.0.lock()
    }
}

/// An upload's entry. Dropping it removes the upload from the table.
#[derive(Debug)]
pub(crate) struct WaitingUpload {
    uploads: Arc<WaitingUploads>,
    memory: TenantMemory,
    number: u64,
    until: Instant,
}

impl WaitingUpload {
    /// Removes the upload from the table: it no longer waits and keeps its memory.
    pub(crate) fn leave(&self) {
        self.uploads.table().waiting.remove(&self.number);
    }

    /// Waits until others need the upload's memory and this upload is the next to yield. It stays the next until this
    /// entry is dropped, so drop the entry after its memory is free.
    pub(crate) async fn must_yield(&self) {
        sleep_until(self.until).await;
        while self.uploads.keep(self.number) {
            if self.memory.is_wanted() && self.uploads.first() == Some(self.number) {
                return;
            }
            sleep(PAUSE).await;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for WaitingUpload {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;
    use futures_util::FutureExt;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_yields_first_once_it_waited_and_only_to_those_who_need_memory() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(10));
        let acme = budget.of(&tenant("acme"));
        let [small, large, none] = [2, 6, 0].map(|bytes| uploads.enter(&acme, move || bytes, PATIENCE));
        sleep(PATIENCE * 2).await;
        let young = uploads.enter(&acme, || 9, PATIENCE);
        assert!(large.must_yield().now_or_never().is_none(), "there is memory");
        let all = acme.charge(10).unwrap();
        assert!(small.must_yield().now_or_never().is_none());
        assert!(young.must_yield().now_or_never().is_none());
        large.must_yield().await;
        assert!(small.must_yield().now_or_never().is_none(), "the large one is on its way out");
        drop(large);
        small.must_yield().await;
        drop((small, young));
        let waited = Instant::now();
        assert!(tokio::time::timeout(PATIENCE * 9, none.must_yield()).await.is_err(), "it has nothing to give");
        assert_eq!(waited.elapsed(), PATIENCE * 9);
        assert!(uploads.table().waiting.is_empty(), "nor a place in the table");
        drop((all, none));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tenant_that_holds_most_yields_first() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(15));
        let (acme, globex, initech) =
            (budget.of(&tenant("acme")), budget.of(&tenant("globex")), budget.of(&tenant("initech")));
        let _charged = (acme.charge(7).unwrap(), globex.charge(8).unwrap());
        let many = [3, 4, 4].map(|bytes| uploads.enter(&acme, move || bytes, PATIENCE));
        let one = uploads.enter(&globex, || 8, PATIENCE);
        let mut newcomer = Box::pin(initech.charge_in_turn(1, PATIENCE * 9));
        assert!(newcomer.as_mut().now_or_never().is_none());
        sleep(PATIENCE).await;
        assert!(one.must_yield().now_or_never().is_none());
        let [third, first, second] = many;
        first.must_yield().await;
        drop(first);
        one.must_yield().await;
        drop(one);
        second.must_yield().await;
        drop(second);
        third.must_yield().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_does_not_yield_to_one_that_has_more() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(15));
        let (acme, globex) = (budget.of(&tenant("acme")), budget.of(&tenant("globex")));
        let _charged = (acme.charge(11).unwrap(), globex.charge(2).unwrap());
        let [large, small] =
            [(&acme, 11), (&globex, 2)].map(|(memory, bytes)| uploads.enter(memory, move || bytes, PATIENCE));
        sleep(PATIENCE).await;
        let mut more = Box::pin(acme.charge_in_turn(1, PATIENCE * 9));
        assert!(more.as_mut().now_or_never().is_none());
        assert!(tokio::time::timeout(PATIENCE, small.must_yield()).await.is_err());
        large.must_yield().await;
    }
}
