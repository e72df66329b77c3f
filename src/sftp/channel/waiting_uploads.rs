//! The uploads of a node that hold memory without using it, in the order in which they yield it to uploads that need
//! it: those that stall, then those whose CLOSE waits for earlier CLOSEs.
//!
//! An upload stalls that takes in next to no new bytes, whatever else its client asks. Up to a minute in which the client
//! can't send more doesn't count: while the connection is held up, and while the server works on its requests. A WRITE
//! that waits for storage has a minute, so that a dead bucket doesn't hold the memory for long.

use crate::{
    memory::{MemoryUsage, TenantMemory},
    name::TenantName,
    session::Activity,
};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    future::pending,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// The pause before the next upload yields its memory, so that the memory of the last one reaches others first.
const PAUSE: Duration = Duration::from_secs(1);
/// An upload stalls that takes in fewer bytes in the time that it has for them: less than one WRITE of most clients.
const LEAST_BYTES: u64 = 16 << 10;
/// The bytes of WRITEs in part that count before new bytes must follow: one WRITE of the largest size.
const MAX_ARRIVING_BYTES: u64 = 256 << 10;
/// The time that counts for no stall. A client could cause it without end, with other uploads or with READs.
const MAX_EXCUSE: Duration = Duration::from_mins(1);

/// The waiting uploads. An upload without memory is in the table only for its patience; the budget bounds all others.
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
    /// True if it stalls, false if its CLOSE waits.
    is_stalled: bool,
    /// The end of its patience, from which on others have precedence. The beginning of its stall if it stalls.
    until: Instant,
}

impl WaitingEntry {
    /// The place among the entries of its tenant; the greatest yields first. Stalled uploads come before files that
    /// only wait for their turn, the longest stall first.
    fn rank(&self, number: u64) -> (Option<Reverse<Instant>>, u64, Reverse<u64>) {
        (self.is_stalled.then_some(Reverse(self.until)), (self.memory_bytes)(), Reverse(number))
    }
}

impl fmt::Debug for WaitingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, is_stalled, until, .. } = self;
        let mut fields = f.debug_struct("WaitingEntry");
        fields.field("memory", memory).field("is_stalled", is_stalled).field("until", until).finish_non_exhaustive()
    }
}

impl WaitingUploads {
    /// Registers an upload whose CLOSE waits. It may keep its memory for `patience` even if others need it.
    pub(crate) fn enter_close(
        self: &Arc<Self>,
        memory: &TenantMemory,
        usage: MemoryUsage,
        patience: Duration,
    ) -> WaitingUpload {
        self.enter(memory, move || usage.bytes(), false, Instant::now() + patience)
    }

    /// Registers an upload. `memory_bytes` returns its current memory, which it may keep until `until`.
    fn enter(
        self: &Arc<Self>,
        memory: &TenantMemory,
        memory_bytes: impl Fn() -> u64 + Send + 'static,
        is_stalled: bool,
        until: Instant,
    ) -> WaitingUpload {
        let mut table = self.0.lock();
        let number = table.next;
        table.next += 1;
        let entry = WaitingEntry { memory: memory.clone(), memory_bytes: Box::new(memory_bytes), is_stalled, until };
        table.waiting.insert(number, entry);
        WaitingUpload { uploads: Arc::clone(self), memory: memory.clone(), number, is_stalled, until }
    }

    /// Returns the upload that yields its memory first: of the tenant that has most memory, the one of the highest
    /// rank. A tenant has to yield only if the request that waits has a better right to the memory.
    fn first(&self) -> Option<u64> {
        let now = Instant::now();
        let table = self.0.lock();
        let mut pressing: HashMap<(&TenantName, bool), bool> = HashMap::new();
        let mut tenants: HashMap<&TenantName, _> = HashMap::new();
        for (number, waiting) in table.waiting.iter().filter(|(_, waiting)| waiting.until <= now) {
            let WaitingEntry { memory, is_stalled, .. } = waiting;
            let tenant = memory.tenant();
            let rank = waiting.rank(*number);
            if *pressing.entry((tenant, *is_stalled)).or_insert_with(|| is_pressing(memory, *is_stalled)) && rank.1 > 0
            {
                let (_, highest) = tenants.entry(tenant).or_insert_with(|| (memory.used_bytes(), rank));
                *highest = (*highest).max(rank);
            }
        }
        tenants.into_values().max().map(|(_, (.., Reverse(number)))| number)
    }

    /// True while the upload holds memory. An upload without memory leaves the table: it takes in no more bytes, or
    /// begins another wait with the next ones.
    fn keep(&self, number: u64) -> bool {
        let mut table = self.0.lock();
        let holds = table.waiting.get(&number).is_some_and(|waiting| (waiting.memory_bytes)() > 0);
        if !holds {
            table.waiting.remove(&number);
        }
        holds
    }
}

/// True if others need the tenant's memory. A CLOSE that waits also makes room before the next upload asks.
fn is_pressing(memory: &TenantMemory, is_stalled: bool) -> bool {
    if is_stalled { memory.is_waited_for() } else { memory.is_wanted() }
}

/// An upload's entry. Dropping it removes the upload from the table.
#[derive(Debug)]
pub(crate) struct WaitingUpload {
    uploads: Arc<WaitingUploads>,
    memory: TenantMemory,
    number: u64,
    is_stalled: bool,
    until: Instant,
}

impl WaitingUpload {
    /// Removes the upload from the table: it no longer waits and keeps its memory.
    pub(crate) fn leave(&self) {
        self.uploads.0.lock().waiting.remove(&self.number);
    }

    /// Waits until others need the upload's memory and this upload is the next to yield. It stays the next until this
    /// entry is dropped, so drop the entry after its memory is free.
    pub(crate) async fn must_yield(&self) {
        if self.until > Instant::now() {
            sleep_until(self.until).await;
        }
        while self.uploads.keep(self.number) {
            if is_pressing(&self.memory, self.is_stalled) && self.uploads.first() == Some(self.number) {
                return;
            }
            sleep(PAUSE).await;
        }
        pending::<()>().await;
    }
}

impl Drop for WaitingUpload {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Finds out if one upload stalls.
#[derive(Debug)]
pub(crate) struct StallClock {
    uploads: Arc<WaitingUploads>,
    memory: TenantMemory,
    activity: Arc<Activity>,
    usage: MemoryUsage,
    /// The beginning of the time in which the upload took in `bytes`, and the hold-ups before it.
    since: Instant,
    hold_ups: Duration,
    /// The time since in which the server worked on requests.
    served: Duration,
    bytes: u64,
    /// The most new bytes that the upload ever had. Only what exceeds them counts, so that a client gains no time with
    /// bytes that it writes again and again.
    most_new_bytes: u64,
    /// The bytes that counted when they arrived, before their WRITE was whole.
    arriving_bytes: u64,
}

impl StallClock {
    /// The upload that uses `usage` of the `memory` begins now.
    pub(crate) fn new(
        uploads: &Arc<WaitingUploads>,
        (memory, usage): (&TenantMemory, MemoryUsage),
        activity: &Arc<Activity>,
    ) -> Self {
        let (uploads, memory, activity) = (Arc::clone(uploads), memory.clone(), Arc::clone(activity));
        let (since, hold_ups) = (Instant::now(), activity.hold_up_time());
        Self {
            uploads,
            memory,
            activity,
            usage,
            since,
            hold_ups,
            served: Duration::ZERO,
            bytes: 0,
            most_new_bytes: 0,
            arriving_bytes: 0,
        }
    }

    /// Counts a WRITE that the server worked on since `began`. The upload has had `new_bytes` in all.
    pub(crate) fn count_write(&mut self, new_bytes: u64, began: Instant) {
        let bytes = self.note_new(new_bytes);
        self.arriving_bytes = self.arriving_bytes.saturating_sub(bytes);
        self.count(bytes, began);
    }

    /// Counts a copy. A request of 60 bytes counts for less than the bytes that it names.
    pub(crate) fn count_copy(&mut self, new_bytes: u64, began: Instant) {
        let bytes = self.note_new(new_bytes) / 16;
        self.count(bytes, began);
    }

    /// Counts `bytes` of a WRITE that takes long to arrive.
    pub(crate) fn count_arriving(&mut self, bytes: u64) {
        let bytes = bytes.min(MAX_ARRIVING_BYTES - self.arriving_bytes);
        self.arriving_bytes += bytes;
        self.count(bytes, Instant::now());
    }

    /// Counts another request.
    pub(crate) fn count_other(&mut self, began: Instant) {
        self.count(0, began);
    }

    fn note_new(&mut self, new_bytes: u64) -> u64 {
        let bytes = new_bytes.saturating_sub(self.most_new_bytes);
        self.most_new_bytes += bytes;
        bytes
    }

    fn count(&mut self, bytes: u64, began: Instant) {
        self.bytes += bytes;
        if self.bytes >= LEAST_BYTES {
            self.restart();
        } else {
            self.served += began.elapsed();
        }
    }

    /// Starts the time again.
    pub(crate) fn restart(&mut self) {
        (self.since, self.hold_ups) = (Instant::now(), self.activity.hold_up_time());
        (self.served, self.bytes) = (Duration::ZERO, 0);
    }

    /// Returns the entry if the upload stalls at `now` and must yield at once. A client whose next request always waits
    /// already leaves no time for [`must_yield`](Self::must_yield).
    pub(crate) fn must_yield_at(&self, now: Instant, limit: Duration) -> Option<WaitingUpload> {
        (now.saturating_duration_since(self.since) >= limit).then(|| self.must_yield(limit).now_or_never()).flatten()
    }

    /// The beginning of the time that counts: what is excused is passed over.
    fn begin(&self) -> Instant {
        let hold_ups = self.activity.hold_up_time().saturating_sub(self.hold_ups);
        self.since + (self.served + hold_ups).min(MAX_EXCUSE)
    }

    /// True if the upload was due to yield for more than a look of an idle time from `idle_since` to `now`, and no
    /// request needed its memory. A client that comes back then gets its time again.
    pub(crate) fn was_spared(&self, idle_since: Instant, now: Instant, limit: Duration) -> bool {
        let due = |begin: Instant| now.saturating_duration_since(begin) >= limit;
        due(self.since) && now.saturating_duration_since((self.begin() + limit).max(idle_since)) >= PAUSE * 2
    }

    /// Waits until the upload took in less than [`LEAST_BYTES`] in `limit`, others wait for its memory, and it is the
    /// next to yield. Drop the entry after the memory is free. Call it while the server works on no request.
    pub(crate) async fn must_yield(&self, limit: Duration) -> WaitingUpload {
        if self.usage.bytes() == 0 {
            // Only a request could change that.
            return pending().await;
        }
        loop {
            let begin = self.begin();
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return self.next_to_yield(begin).await;
            }
            sleep(left.max(PAUSE)).await;
        }
    }

    /// The same while a request, on which the server works since `began`, waits for storage or for a rate: the upload has
    /// `patience`, from the time on at which it has memory.
    pub(crate) async fn must_yield_in_request(&self, mut began: Instant, patience: Duration) -> WaitingUpload {
        while self.usage.bytes() == 0 {
            sleep(PAUSE).await;
            began = Instant::now();
        }
        sleep_until(began + patience).await;
        self.next_to_yield(began).await
    }

    async fn next_to_yield(&self, begin: Instant) -> WaitingUpload {
        let usage = self.usage.clone();
        let entry = self.uploads.enter(&self.memory, move || usage.bytes(), true, begin);
        entry.must_yield().await;
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Budget, UploadMemory};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    fn close(uploads: &Arc<WaitingUploads>, memory: &TenantMemory, bytes: u64) -> WaitingUpload {
        uploads.enter(memory, move || bytes, false, Instant::now() + PATIENCE)
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_yields_first_once_it_waited_and_only_to_those_who_need_memory() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(10));
        let acme = budget.of(&tenant("acme"));
        let [small, large, none] = [2, 6, 0].map(|bytes| close(&uploads, &acme, bytes));
        sleep(PATIENCE * 2).await;
        let young = close(&uploads, &acme, 9);
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
        assert!(uploads.0.lock().waiting.is_empty(), "nor a place in the table");
        drop((all, none));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tenant_that_holds_most_yields_first() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(21));
        let (acme, globex, initech) =
            (budget.of(&tenant("acme")), budget.of(&tenant("globex")), budget.of(&tenant("initech")));
        let begin = |memory: &TenantMemory, bytes| (close(&uploads, memory, bytes), memory.charge(bytes).unwrap());
        let [third, first, second] = [3, 5, 4].map(|bytes| begin(&acme, bytes));
        let one = begin(&globex, 8);
        let mut newcomer = Box::pin(initech.charge_in_turn(20, PATIENCE * 9));
        assert!(newcomer.as_mut().now_or_never().is_none());
        sleep(PATIENCE).await;
        assert!(one.0.must_yield().now_or_never().is_none());
        first.0.must_yield().await;
        drop(first);
        one.0.must_yield().await;
        drop(one);
        second.0.must_yield().await;
        drop(second);
        third.0.must_yield().await;
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_uploads_yield_before_files_that_are_whole_and_only_to_those_who_wait() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(16));
        let (acme, globex) = (budget.of(&tenant("acme")), budget.of(&tenant("globex")));
        let now = Instant::now();
        let whole = uploads.enter(&acme, || 9, false, now);
        let last = uploads.enter(&acme, || 9, true, now - Duration::from_secs(1));
        let first = uploads.enter(&acme, || 1, true, now - Duration::from_secs(2));
        let _charged = (acme.charge(11).unwrap(), globex.charge(4).unwrap());
        assert!(tokio::time::timeout(PATIENCE, first.must_yield()).await.is_err(), "no request waits");
        let mut newcomer = Box::pin(globex.charge_in_turn(1, PATIENCE * 9));
        assert!(newcomer.as_mut().now_or_never().is_none());
        assert!(tokio::time::timeout(PATIENCE, last.must_yield()).await.is_err());
        first.must_yield().await;
        drop(first);
        assert!(tokio::time::timeout(PATIENCE, whole.must_yield()).await.is_err());
        last.must_yield().await;
        drop(last);
        whole.must_yield().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_does_not_yield_to_one_that_has_more() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(15));
        let (acme, globex) = (budget.of(&tenant("acme")), budget.of(&tenant("globex")));
        let _charged = (acme.charge(11).unwrap(), globex.charge(2).unwrap());
        let [large, small] = [(&acme, 11), (&globex, 2)].map(|(memory, bytes)| close(&uploads, memory, bytes));
        sleep(PATIENCE).await;
        let mut more = Box::pin(acme.charge_in_turn(1, PATIENCE * 9));
        assert!(more.as_mut().now_or_never().is_none());
        assert!(tokio::time::timeout(PATIENCE, small.must_yield()).await.is_err());
        large.must_yield().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_stalls_whose_client_could_send_more_and_does_not() {
        const LIMIT: Duration = Duration::from_secs(10);
        const MIB: u64 = 1 << 20;
        let (uploads, budget, activity) = (Arc::new(WaitingUploads::default()), Budget::new(20 * MIB), Activity::new());
        let acme = budget.of(&tenant("acme"));
        let upload = UploadMemory::open(acme.clone(), 5 * MIB, PATIENCE).await;
        let blocks = [upload.block().unwrap(), upload.block().unwrap()];
        let charges: Vec<_> = std::iter::from_fn(|| acme.charge(MIB / 4)).collect();
        let clock = || StallClock::new(&uploads, (&acme, MemoryUsage::of(&upload)), &activity);
        let mut since = Instant::now();
        let mut elapsed = || std::mem::replace(&mut since, Instant::now()).elapsed().as_secs();
        assert!(tokio::time::timeout(LIMIT * 9, clock().must_yield(LIMIT)).await.is_err(), "no request waits");
        let mut newcomer = Box::pin(acme.charge_in_turn(MIB, PATIENCE * 99));
        assert!(newcomer.as_mut().now_or_never().is_none());

        elapsed();
        drop(clock().must_yield(LIMIT).await);
        assert_eq!(elapsed(), 10);
        let mut taken_in = (1..).map(|writes: u64| writes * (LEAST_BYTES / 10));
        let mut dribble = clock();
        for _ in 0..9 {
            sleep(LIMIT / 10).await;
            dribble.count_write(taken_in.next().unwrap(), Instant::now());
            assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_none());
        }
        sleep(LIMIT / 10).await;
        drop(dribble.must_yield_at(Instant::now(), LIMIT).unwrap());
        dribble.count_write(LEAST_BYTES * 2, Instant::now());
        assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_none(), "it took in enough");
        sleep(LIMIT).await;
        dribble.count_write(LEAST_BYTES * 2, Instant::now());
        assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_some(), "nothing of it was new");
        dribble.count_copy(LEAST_BYTES * 17, Instant::now());
        assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_some(), "a copy counts less");
        dribble.count_copy(LEAST_BYTES * 18, Instant::now());
        assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_none());
        for same_write in 0..=16 {
            sleep(LIMIT).await;
            dribble.count_arriving(LEAST_BYTES);
            assert_eq!(dribble.must_yield_at(Instant::now(), LIMIT).is_some(), same_write == 16);
        }
        dribble.count_write(LEAST_BYTES * 34, Instant::now());
        sleep(LIMIT).await;
        dribble.count_arriving(LEAST_BYTES);
        assert!(dribble.must_yield_at(Instant::now(), LIMIT).is_none(), "its next WRITE may be as slow");

        elapsed();
        let held_up = clock();
        let hold = activity.hold();
        sleep(LIMIT * 2).await;
        drop(hold);
        drop(held_up.must_yield(LIMIT).await);
        assert_eq!(elapsed(), 30);
        let mut reading = clock();
        for _ in 0..20 {
            let began = Instant::now();
            sleep(LIMIT).await;
            reading.count_other(began);
            if reading.must_yield_at(Instant::now(), LIMIT).is_some() {
                break;
            }
        }
        assert_eq!(elapsed(), 70, "a minute and the limit");
        let back = clock();
        sleep(LIMIT * 2).await;
        let was_spared = |idle_for: u32| back.was_spared(Instant::now() - PAUSE * idle_for, Instant::now(), LIMIT);
        assert_eq!((was_spared(1), was_spared(2)), (false, true), "a request came between two looks");
        assert!(!clock().was_spared(Instant::now() - LIMIT, Instant::now(), LIMIT), "it wasn't due");
        elapsed();
        drop(clock().must_yield_in_request(Instant::now(), PATIENCE).await);
        assert_eq!(elapsed(), 30);
        drop((blocks, charges));
    }
}
