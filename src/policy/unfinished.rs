//! Limits the logins that a source may begin without finishing: a token bucket for each source, and for the networks
//! around an IPv6 source.
//!
//! A key exchange costs the server far more than the client. A successful login gives its token back, so the bucket
//! limits strangers and not busy users.

use super::source::{Network, Source};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The maximum number of stored buckets. Every bucket that isn't full has cost its source a connection within the last
/// seconds, and a machine can't accept this many. Sources beyond that have no bucket; the limit on all connections
/// still applies.
const MAX_BUCKETS: usize = 65_536;

/// The minimum time between two sweeps for full buckets: a sweep visits each bucket.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The rate of unfinished logins that a source may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRate {
    /// The number of logins at once.
    pub burst: u32,
    /// The number of further logins each second.
    pub per_second: u32,
}

/// The buckets of all sources.
#[derive(Debug)]
pub(super) struct UnfinishedLogins {
    interval: Duration,
    window: Duration,
    /// The time at which each bucket is full again. A token is a step of `interval` into the future; `window` is the
    /// time for all tokens. A full bucket needs no entry.
    full_at: HashMap<Network, Instant>,
    swept: Instant,
}

impl UnfinishedLogins {
    pub(super) fn new(rate: LoginRate) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.max(1);
        let window = interval.saturating_mul(rate.burst.max(1));
        Self { interval, window, full_at: HashMap::new(), swept: Instant::now() }
    }

    /// Takes a token from every bucket of `source`, or from none.
    ///
    /// # Errors
    /// One bucket is empty. The error is the time at which it has a token again.
    pub(super) fn take(&mut self, source: &Source) -> Result<(), Instant> {
        let now = Instant::now();
        let tokens_of: Vec<_> = source
            .networks()
            .map(|(bucket, factor)| {
                let full_at = self.full_at.get(&bucket).map_or(now, |full_at| now.max(*full_at));
                (bucket, full_at + self.interval / factor)
            })
            .collect();
        let empty_for = tokens_of.iter().map(|(_, full_at)| full_at.saturating_duration_since(now + self.window)).max();
        if let Some(empty_for) = empty_for.filter(|time| !time.is_zero()) {
            return Err(now + empty_for);
        }
        self.sweep(now);
        for (bucket, full_at) in tokens_of {
            if self.full_at.len() < MAX_BUCKETS || self.full_at.contains_key(&bucket) {
                self.full_at.insert(bucket, full_at);
            }
        }
        Ok(())
    }

    /// Gives back a token that [`Self::take`] took.
    pub(super) fn give_back(&mut self, source: &Source) {
        let now = Instant::now();
        for (bucket, factor) in source.networks() {
            let left = self.full_at.get(&bucket).map(|full_at| full_at.saturating_duration_since(now));
            match left.unwrap_or_default().checked_sub(self.interval / factor) {
                Some(left) if !left.is_zero() => drop(self.full_at.insert(bucket, now + left)),
                _ => drop(self.full_at.remove(&bucket)),
            }
        }
    }

    /// Deletes full buckets, at most once per [`SWEEP_INTERVAL`].
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= SWEEP_INTERVAL {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn source(address: &str) -> Source {
        Source::new(address.parse().unwrap(), None)
    }

    fn logins() -> UnfinishedLogins {
        UnfinishedLogins::new(LoginRate { burst: 20, per_second: 5 })
    }

    fn tokens_of(logins: &mut UnfinishedLogins, sources: impl IntoIterator<Item = Source>) -> usize {
        sources.into_iter().filter(|source| logins.take(source).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn issue_12_7_an_address_has_20_tokens_and_5_more_a_second() {
        let mut logins = logins();
        let address = || std::iter::repeat_n(source("192.0.2.1"), 100);
        assert_eq!(tokens_of(&mut logins, address()), 20);
        assert_eq!(logins.take(&source("192.0.2.1")), Err(Instant::now() + Duration::from_millis(200)));
        assert_eq!(tokens_of(&mut logins, [source("192.0.2.2")]), 1, "another address has its own");
        advance(Duration::from_secs(1)).await;
        assert_eq!(tokens_of(&mut logins, address()), 5);
        advance(Duration::from_hours(1)).await;
        assert_eq!(tokens_of(&mut logins, address()), 20, "no more than that, however long it waits");
    }

    #[tokio::test(start_paused = true)]
    async fn issue_12_7_networks_of_ipv6_have_tokens_of_their_own() {
        for (sources, most) in [
            ((0..100).map(|n| source(&format!("2001:db8:1:234::{n:x}"))).collect::<Vec<_>>(), 20),
            ((0..100).map(|n| source(&format!("2001:db8:1:2{n:02x}::1"))).collect(), 40),
            ((0..200).map(|n| source(&format!("2001:db8:1:{n:x}00::1"))).collect(), 80),
            ((0..200).map(|n| source(&format!("2001:db8:{n:x}::1"))).collect(), 200),
        ] {
            assert_eq!(tokens_of(&mut logins(), sources.iter().cloned()), most, "{:?}", sources[1]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_takes_no_token_of_the_wider_networks() {
        let mut logins = logins();
        let host = || std::iter::repeat_n(source("2001:db8:1:1::1"), 1_000);
        assert_eq!(tokens_of(&mut logins, host()), 20);
        assert_eq!(tokens_of(&mut logins, [source("2001:db8:1:2::1")]), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn issue_12_7_a_login_that_succeeds_gives_its_token_back() {
        let mut logins = logins();
        for address in ["192.0.2.1", "2001:db8::1"].map(source) {
            for _ in 0..1_000 {
                logins.take(&address).unwrap();
                logins.give_back(&address);
            }
            assert!(logins.full_at.is_empty(), "nothing is kept of those who got in");
            assert_eq!(tokens_of(&mut logins, std::iter::repeat_n(address.clone(), 100)), 20);
            logins.give_back(&address);
            assert_eq!(tokens_of(&mut logins, std::iter::repeat_n(address, 100)), 1);
            logins.full_at.clear();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn full_buckets_are_forgotten_and_their_number_is_bounded() {
        let mut logins = logins();
        let all =
            |range: std::ops::Range<u32>| range.map(|n| Source::new(std::net::Ipv4Addr::from_bits(n).into(), None));
        assert_eq!(tokens_of(&mut logins, all(0..100_000)), 100_000);
        assert_eq!(logins.full_at.len(), MAX_BUCKETS);
        advance(Duration::from_secs(1)).await;
        assert_eq!(tokens_of(&mut logins, all(0..1)), 1);
        assert_eq!(logins.full_at.len(), 1);
    }
}
