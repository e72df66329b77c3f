//! A rate limiter: one token bucket for each key, in a table of bounded size, with counts of refusals.
//!
//! The server uses it for all rates: log lines of sources and users, and failures of a session. The arithmetic is
//! governor's. The table is ours, because governor's grows with every key that an attacker invents.

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, hash::Hash, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The number of keys with a bucket of their own. A bucket takes about 100 bytes.
const MAX_KEYS: usize = 16_384;
/// The minimum time between two searches of a full table for buckets that are full again and can be deleted.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// The size of a bucket and its refill rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    burst: NonZeroU32,
    per_second: NonZeroU32,
}

impl Rate {
    /// Allows `burst` at once, then `per_second`. Zero counts as one.
    #[must_use]
    pub(crate) const fn new(burst: u32, per_second: u32) -> Self {
        Self { burst: at_least_one(burst), per_second: at_least_one(per_second) }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// A token bucket for each key. Beyond 16,384 keys, new ones share one bucket.
#[derive(Debug)]
pub(crate) struct Rates<K: Hash + Eq + Clone> {
    table: BucketTable<K>,
    /// The limiter takes its tokens from `table`.
    limiter: RateLimiter<K, BucketTable<K>, SinceStart, NoOpMiddleware<Duration>>,
    tidied: Mutex<Instant>,
}

/// The number of refused tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedTokens<K> {
    /// The counts of keys with a bucket of their own.
    pub(crate) by_key: Vec<(K, u64)>,
    /// The count of all other keys together.
    pub(crate) by_others: u64,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// Creates a limiter with full buckets of one rate.
    #[must_use]
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let (now, table) = (Instant::now(), BucketTable::default());
        let limiter = RateLimiter::new(quota, table.clone(), SinceStart(now));
        Self { table, limiter, tidied: Mutex::new(now) }
    }

    /// Takes a token from the bucket of `key`. Returns `false` and counts the refusal if there is none.
    #[must_use]
    pub(crate) fn take(&self, key: &K) -> bool {
        if self.table.len() >= MAX_KEYS {
            self.tidy();
        }
        self.limiter.check_key(key).is_ok()
    }

    /// Returns the counts since the last call.
    #[must_use]
    pub(crate) fn take_refused(&self) -> RefusedTokens<K> {
        self.table.take_refused()
    }

    /// Returns the number of refusals of `key` since the last [`take_refused`](Self::take_refused).
    #[must_use]
    pub(crate) fn refused(&self, key: &K) -> u64 {
        self.table.buckets().own.get(key).map_or(0, |bucket| bucket.refused)
    }

    fn tidy(&self) {
        let mut tidied = self.tidied.lock();
        if tidied.elapsed() >= TIDY_INTERVAL {
            *tidied = Instant::now();
            self.limiter.retain_recent();
        }
    }
}

/// The time since the limiter was created. Uses tokio's clock, so that tests can pause it.
#[derive(Clone, Debug)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The buckets in the form that governor needs. Clones share the table.
#[derive(Clone, Debug)]
struct BucketTable<K>(Arc<Mutex<TokenBuckets<K>>>);

#[derive(Debug)]
struct TokenBuckets<K> {
    own: HashMap<K, TokenBucket>,
    shared: TokenBucket,
}

#[derive(Debug, Default)]
struct TokenBucket {
    /// The time at which the bucket is full again, in governor's time.
    full_at: Option<Nanos>,
    refused: u64,
}

impl<K> Default for BucketTable<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(TokenBuckets { own: HashMap::new(), shared: TokenBucket::default() })))
    }
}

impl<K: Hash + Eq + Clone> BucketTable<K> {
    fn buckets(&self) -> MutexGuard<'_, TokenBuckets<K>> {
        self.0.lock()
    }

    fn take_refused(&self) -> RefusedTokens<K> {
        let mut buckets = self.buckets();
        let by_others = std::mem::take(&mut buckets.shared.refused);
        let refused = buckets.own.iter_mut().filter(|(_, bucket)| bucket.refused > 0);
        let by_key = refused.map(|(key, bucket)| (key.clone(), std::mem::take(&mut bucket.refused))).collect();
        RefusedTokens { by_key, by_others }
    }
}

impl<K: Hash + Eq + Clone> TokenBuckets<K> {
    fn bucket(&mut self, key: &K) -> &mut TokenBucket {
        if self.own.len() >= MAX_KEYS && !self.own.contains_key(key) {
            return &mut self.shared;
        }
        self.own.entry(key.clone()).or_default()
    }
}

impl<K: Hash + Eq + Clone> StateStore for BucketTable<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.buckets();
        let bucket = buckets.bucket(key);
        match decide(bucket.full_at) {
            Ok((taken, full_at)) => {
                bucket.full_at = Some(full_at);
                Ok(taken)
            }
            Err(refused) => {
                bucket.refused = bucket.refused.saturating_add(1);
                Err(refused)
            }
        }
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for BucketTable<K> {
    /// Keeps buckets whose counts no report has taken yet.
    fn retain_recent(&self, drop_below: Nanos) {
        self.buckets().own.retain(|_, bucket| bucket.refused > 0 || bucket.full_at > Some(drop_below));
    }

    fn len(&self) -> usize {
        self.buckets().own.len()
    }

    fn is_empty(&self) -> bool {
        self.buckets().own.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_trickle_in_the_log_and_counted() {
        let rates = Rates::new(Rate::new(100, 1));
        let said = |lines| (0..lines).filter(|_| rates.take(&())).count();
        assert_eq!(said(4_096), 100);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(said(4_096), 3);
        assert_eq!(rates.refused(&()), 2 * 4_096 - 103);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(said(4_096), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_takes_nothing_from_another_and_is_counted_alone() {
        let rates = Rates::new(Rate::new(5, 1));
        assert_eq!((0..9).filter(|_| rates.take(&"flood")).count(), 5);
        assert!(rates.take(&"quiet"));
        assert_eq!(rates.take_refused(), RefusedTokens { by_key: vec![("flood", 4)], by_others: 0 });
        assert_eq!(rates.take_refused(), RefusedTokens { by_key: Vec::new(), by_others: 0 }, "each is counted once");
    }

    // Issue 12.8: the map is bounded.
    #[tokio::test(start_paused = true)]
    async fn keys_beyond_the_bound_share_one_bucket_and_known_ones_keep_theirs() {
        let rates = Rates::new(Rate::new(2, 1));
        let taken = (0..3 * MAX_KEYS).filter(|key| rates.take(key)).count();
        assert_eq!(taken, MAX_KEYS + 2, "those beyond have two tokens together");
        assert_eq!(rates.table.len(), MAX_KEYS);
        assert!(rates.take(&7), "a known key has its second token");
        assert_eq!(rates.take_refused(), RefusedTokens { by_key: Vec::new(), by_others: (2 * MAX_KEYS - 2) as u64 });
    }

    #[tokio::test(start_paused = true)]
    async fn full_buckets_make_room_and_counts_survive() {
        let rates = Rates::new(Rate::new(2, 1));
        assert_eq!((0..5).filter(|_| rates.take(&0)).count(), 2);
        assert_eq!((1..MAX_KEYS).filter(|key| rates.take(key)).count(), MAX_KEYS - 1);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(rates.take(&MAX_KEYS));
        assert_eq!(rates.table.len(), 2, "the one whose count wasn't asked for, and the new one");
        assert_eq!(rates.take_refused().by_key, [(0, 3)]);
    }
}
