//! One token bucket, whose takers wait for their turn.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// The most that grants without a turn may delay later ones.
pub(super) const MAX_DEBT: Duration = Duration::from_mins(1);

/// The kinds of takers that take turns: a flood of one delays a taker of the other by one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakerKind {
    /// A request to S3 that changes nothing.
    Read,
    /// A request to S3 that stores, copies, removes or ends something.
    Change,
}

/// A rate whose takers wait.
#[derive(Debug)]
pub(crate) struct Pacer {
    is_limited: AtomicBool,
    least_burst: u64,
    bucket: Mutex<PacedBucket>,
    /// The first waiter has its one permit.
    line: Semaphore,
    /// One taker of each kind waits in the line. The others wait for this permit.
    kinds: [Semaphore; 2],
    changed: Notify,
}

#[derive(Debug)]
struct PacedBucket {
    rate: Option<PaceRate>,
    /// The time at which the bucket is full again.
    full_at: Instant,
}

/// Neither number is 0.
#[derive(Clone, Copy, Debug)]
struct PaceRate {
    per_second: u64,
    burst: u64,
}

impl PaceRate {
    /// Returns the time in which the bucket gets `amount`.
    fn time_of(self, amount: u64) -> Duration {
        let nanos = (u128::from(amount) * 1_000_000_000).div_ceil(u128::from(self.per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Pacer {
    pub(super) fn new(least_burst: u64) -> Self {
        Self {
            is_limited: AtomicBool::new(false),
            least_burst,
            bucket: Mutex::new(PacedBucket { rate: None, full_at: Instant::now() }),
            line: Semaphore::new(1),
            kinds: [const { Semaphore::const_new(1) }; 2],
            changed: Notify::new(),
        }
    }

    pub(super) fn set(&self, per_second: Option<u64>) {
        let rate = per_second.map(|per_second| {
            let per_second = per_second.max(1);
            PaceRate { per_second, burst: per_second.max(self.least_burst) }
        });
        let mut bucket = self.bucket.lock();
        if bucket.rate.map(|rate| rate.per_second) == rate.map(|rate| rate.per_second) {
            return;
        }
        *bucket = PacedBucket { rate, full_at: Instant::now() };
        drop(bucket);
        self.is_limited.store(rate.is_some(), Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// False while there is no rate. Callers look here first, so that a request without a rate takes no lock.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// True if a taker that comes now finds all of its burst.
    pub(super) fn is_full(&self) -> bool {
        self.bucket.lock().full_at <= Instant::now()
    }

    /// Waits for the turn to take `amount`, and takes it. Dropping the future takes nothing.
    pub(crate) async fn take(&self, amount: u64) {
        // The line is never closed.
        let _first = self.line.acquire().await;
        loop {
            let changed = self.changed.notified();
            let Err(until) = self.try_take(amount) else { return };
            tokio::select! {
                () = sleep_until(until) => {}
                () = changed => {}
            }
        }
    }

    /// Like [`take`](Self::take), behind earlier takers of the kind and in turn with the other kind.
    pub(super) async fn take_as(&self, kind: TakerKind, amount: u64) {
        let [reads, changes] = &self.kinds;
        // The permit is never closed.
        let _turn = match kind {
            TakerKind::Read => reads.acquire().await,
            TakerKind::Change => changes.acquire().await,
        };
        self.take(amount).await;
    }

    /// Takes `amount` if no other waits and the bucket has it.
    pub(crate) fn take_at_once(&self, amount: u64) -> bool {
        let first = self.line.try_acquire();
        first.is_ok() && self.try_take(amount).is_ok()
    }

    /// Like [`take`](Self::take), for at most `limit`. After that it takes the amount without a turn, and later takers
    /// wait so much longer.
    pub(crate) async fn take_or_owe(&self, amount: u64, limit: Duration) {
        if timeout(limit, self.take(amount)).await.is_err() {
            self.owe(amount);
        }
    }

    /// Takes `amount`, or returns the time at which that may succeed.
    fn try_take(&self, amount: u64) -> Result<(), Instant> {
        let mut bucket = self.bucket.lock();
        let Some(rate) = bucket.rate else { return Ok(()) };
        let now = Instant::now();
        // An amount above the burst needs a full bucket.
        let latest = now + rate.time_of(rate.burst.saturating_sub(amount));
        if bucket.full_at > latest {
            return Err(now + (bucket.full_at - latest));
        }
        bucket.full_at = bucket.full_at.max(now) + rate.time_of(amount);
        Ok(())
    }

    /// Returns an amount that was taken and not used.
    pub(super) fn give_back(&self, amount: u64) {
        let mut bucket = self.bucket.lock();
        let Some(rate) = bucket.rate else { return };
        let earlier = bucket.full_at.checked_sub(rate.time_of(amount));
        bucket.full_at = earlier.unwrap_or(bucket.full_at);
        drop(bucket);
        self.changed.notify_waiters();
    }

    /// Takes `amount` without a turn. Later takers wait so much longer.
    pub(crate) fn owe(&self, amount: u64) {
        let mut bucket = self.bucket.lock();
        let Some(rate) = bucket.rate else { return };
        let now = Instant::now();
        let full_at = bucket.full_at.max(now) + rate.time_of(amount);
        bucket.full_at = full_at.min(now + rate.time_of(rate.burst) + MAX_DEBT);
    }
}
