//! The rates of tenants. A request that exceeds a rate waits for its turn, so that its client notices a rate only by
//! the time of its answers.
//!
//! A [`Pacer`] is one token bucket. Its waiters form one line, in the order in which they came. A waiter that is
//! dropped leaves the line and takes nothing. A connection waits with one request at a time, so the connections of a
//! tenant take turns.
//!
//! Invariant: in any time t a pacer grants at most burst + rate × t, and the last grant, if that is larger than the
//! burst. Amounts that are owed come on top, and count against later grants: those of [`Pacer::take_or_owe`] after its
//! limit, and those that are known only afterwards.

use super::ConnectionRefusal;
use crate::{
    account::{RateFigures, RateLimits},
    name::TenantName,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// The least burst of a rate of bytes: the largest WRITE or READ. A higher rate has the burst of one second.
const LEAST_BURST_BYTES: u64 = 256 << 10;
/// The most that grants without a turn may delay later ones.
const MAX_DEBT: Duration = Duration::from_mins(1);

/// The longest time for which a login waits for its tenant's rate of new sessions.
const MAX_LOGIN_WAIT: Duration = Duration::from_secs(5);
/// The logins of one tenant that wait. Each has one of the server's places for connections that aren't logged in.
const MAX_WAITING_LOGINS: usize = 16;

/// The pacers of one tenant.
#[derive(Debug)]
pub(crate) struct TenantPacers {
    pub(crate) upload_bytes: Pacer,
    pub(crate) download_bytes: Pacer,
    pub(crate) requests: Pacer,
    pub(crate) s3_requests: Pacer,
    /// The permit of requests to S3 that change nothing: one waits in the line of `s3_requests`, and the others behind
    /// it. So a flood of them delays a request that stores something by one turn.
    pub(crate) s3_read_turn: Semaphore,
    /// The same for requests to S3 that change something.
    pub(crate) s3_change_turn: Semaphore,
    pub(crate) listing_entries: Pacer,
    logins: Pacer,
    waiting_logins: Semaphore,
}

impl TenantPacers {
    /// Creates pacers without rates.
    pub(crate) fn unlimited() -> Arc<Self> {
        Arc::new(Self {
            upload_bytes: Pacer::new(LEAST_BURST_BYTES),
            download_bytes: Pacer::new(LEAST_BURST_BYTES),
            requests: Pacer::new(1),
            s3_requests: Pacer::new(1),
            s3_read_turn: Semaphore::new(1),
            s3_change_turn: Semaphore::new(1),
            listing_entries: Pacer::new(1),
            logins: Pacer::new(1),
            waiting_logins: Semaphore::new(MAX_WAITING_LOGINS),
        })
    }

    /// Creates pacers with a rate of requests to S3 alone.
    #[cfg(test)]
    pub(crate) fn of_s3_requests(per_second: u64) -> Arc<Self> {
        let pacers = Self::unlimited();
        pacers.s3_requests.set(Some(per_second));
        pacers
    }

    fn set(&self, limits: &RateLimits) {
        let RateFigures { upload_bytes, download_bytes, requests, s3_requests, logins, listing_entries } = *limits;
        self.upload_bytes.set(upload_bytes);
        self.download_bytes.set(download_bytes);
        self.requests.set(requests);
        self.s3_requests.set(s3_requests);
        self.logins.set(logins);
        self.listing_entries.set(listing_entries);
    }

    /// Waits until the tenant's rate allows another session, for at most five seconds.
    ///
    /// # Errors
    /// The time is over, or 16 logins wait already.
    pub(crate) async fn admit_login(&self) -> Result<(), ConnectionRefusal> {
        if !self.logins.is_limited.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _waiting = self.waiting_logins.try_acquire().map_err(|_| ConnectionRefusal::LoginRate)?;
        timeout(MAX_LOGIN_WAIT, self.logins.take(1)).await.map_err(|_| ConnectionRefusal::LoginRate)
    }
}

/// The pacers of all tenants. The config bounds their number.
#[derive(Debug, Default)]
pub struct PacerTable(Mutex<HashMap<TenantName, Arc<TenantPacers>>>);

impl PacerTable {
    /// Replaces the rates of all tenants. They hold from the next request on, and for requests that wait. A tenant that
    /// isn't named has none.
    pub fn set_rates<'a>(&self, rates: impl IntoIterator<Item = (&'a TenantName, RateLimits)>) {
        let rates: HashMap<&TenantName, RateLimits> = rates.into_iter().collect();
        let mut tenants = self.0.lock();
        // Sessions of a removed tenant have its pacers until they end.
        tenants.retain(|tenant, pacers| rates.contains_key(tenant) || Arc::strong_count(pacers) > 1);
        for (tenant, pacers) in &*tenants {
            pacers.set(&rates.get(tenant).copied().unwrap_or_default());
        }
        for (tenant, limits) in rates {
            if !tenants.contains_key(tenant) {
                let pacers = TenantPacers::unlimited();
                pacers.set(&limits);
                tenants.insert(tenant.clone(), pacers);
            }
        }
    }

    /// Returns the pacers of a tenant.
    #[must_use]
    pub(crate) fn of(&self, tenant: &TenantName) -> Arc<TenantPacers> {
        let mut tenants = self.0.lock();
        if let Some(known) = tenants.get(tenant) {
            return Arc::clone(known);
        }
        let pacers = TenantPacers::unlimited();
        tenants.insert(tenant.clone(), Arc::clone(&pacers));
        pacers
    }
}

/// A rate whose takers wait.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// False while there is no rate. Callers look here first, so that a request without a rate takes no lock.
    pub(crate) is_limited: AtomicBool,
    least_burst: u64,
    bucket: Mutex<PacedBucket>,
    /// The first waiter has its one permit.
    line: Semaphore,
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
    fn new(least_burst: u64) -> Self {
        Self {
            is_limited: AtomicBool::new(false),
            least_burst,
            bucket: Mutex::new(PacedBucket { rate: None, full_at: Instant::now() }),
            line: Semaphore::new(1),
            changed: Notify::new(),
        }
    }

    fn set(&self, per_second: Option<u64>) {
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

    /// Takes `amount` without a turn. Later takers wait so much longer.
    pub(crate) fn owe(&self, amount: u64) {
        let mut bucket = self.bucket.lock();
        let Some(rate) = bucket.rate else { return };
        let now = Instant::now();
        let full_at = bucket.full_at.max(now) + rate.time_of(amount);
        bucket.full_at = full_at.min(now + rate.time_of(rate.burst) + MAX_DEBT);
    }
}

#[cfg(test)]
mod tests;
