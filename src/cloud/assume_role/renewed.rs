//! A cache for one value that expires. It renews the value before its end, and doesn't know what the value is.
//!
//! Invariants:
//! - At most one request to the source is in flight, however many callers wait.
//! - While the value is good, callers never wait, and a failed renewal doesn't affect them.
//! - A source that refuses is not asked again for a moment.

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::warn;

/// A value is renewed after this part of its life. Of an hour this leaves a quarter of an hour for a source that fails.
const RENEW_AFTER: (u32, u32) = (3, 4);
/// A value with only this much time left is not given out, or an eighth of its life if that is less: its request still
/// has to arrive.
const LAST_MOMENTS: Duration = Duration::from_secs(10);
/// A failed renewal is retried after this time, or after a quarter of the rest if that is less.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// Without a good value, a refusal is repeated this long without asking. A thousand sessions with a wrong role cause
/// one request every two seconds, and an operator who repairs the role need not wait.
const REFUSAL_PAUSE: Duration = Duration::from_secs(2);

/// The answer of the source.
#[derive(Clone, Debug)]
pub(super) struct Expiring<T> {
    pub(super) value: T,
    /// Counted from the answer.
    pub(super) lifetime: Duration,
}

type ValueSource<T, E> = dyn Fn() -> BoxFuture<'static, Result<Expiring<T>, E>> + Send + Sync;
type Flight<T, E> = Shared<BoxFuture<'static, Result<T, E>>>;

/// The value, its source, and the request in flight.
pub(super) struct Renewed<T, E> {
    /// The name of the value, for the log.
    what: &'static str,
    source: Box<ValueSource<T, E>>,
    state: Mutex<RenewalState<T, E>>,
}

struct RenewalState<T, E> {
    cached: Option<CachedValue<T>>,
    flight: Option<Flight<T, E>>,
    /// The last refusal, and until when it is repeated.
    refusal: Option<(E, Instant)>,
}

struct CachedValue<T> {
    value: T,
    obtained_at: Instant,
    renew_at: Instant,
    good_until: Instant,
}

impl<T, E> Renewed<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + fmt::Display + Send + Sync + 'static,
{
    /// Sends no request yet.
    pub(super) fn new(
        what: &'static str,
        source: impl Fn() -> BoxFuture<'static, Result<Expiring<T>, E>> + Send + Sync + 'static,
    ) -> Self {
        let state = RenewalState { cached: None, flight: None, refusal: None };
        Self { what, source: Box::new(source), state: Mutex::new(state) }
    }

    /// Returns a good value: the cached one, or a new one after its end. Starts a renewal in the background if the
    /// value is old.
    ///
    /// # Errors
    /// The source's error, if there is no good value.
    pub(super) async fn current(self: &Arc<Self>) -> Result<T, E> {
        let flight = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let refusal = state.refusal.as_ref().filter(|(_, until)| now < *until).map(|(error, _)| error.clone());
            match &state.cached {
                Some(cached) if now < cached.good_until => {
                    let value = cached.value.clone();
                    if now >= cached.renew_at && refusal.is_none() {
                        drop(self.ask(&mut state));
                    }
                    return Ok(value);
                }
                _ => match refusal {
                    Some(error) => return Err(error),
                    None => self.ask(&mut state),
                },
            }
        };
        flight.await
    }

    /// Returns a value that was obtained after `at`: the cached one, or a new one. An older value stays until there is a new
    /// one.
    ///
    /// # Errors
    /// The source's error, also if the older value is still good.
    pub(super) async fn obtained_after(self: &Arc<Self>, at: Instant) -> Result<T, E> {
        let flight = {
            let mut state = self.state.lock();
            let now = Instant::now();
            match &state.cached {
                Some(cached) if cached.obtained_at > at && now < cached.good_until => return Ok(cached.value.clone()),
                _ => match state.refusal.as_ref().filter(|(_, until)| now < *until) {
                    Some((error, _)) => return Err(error.clone()),
                    None => self.ask(&mut state),
                },
            }
        };
        flight.await
    }

    /// The time of the cached value, if there is one.
    pub(super) fn obtained_at(&self) -> Option<Instant> {
        self.state.lock().cached.as_ref().map(|cached| cached.obtained_at)
    }

    /// Drops the cached value unless it was obtained after `at`. The next caller asks for a new one.
    pub(super) fn forget_until(&self, at: Instant) {
        self.state.lock().cached.take_if(|cached| cached.obtained_at <= at);
    }

    /// Drops the cached value if `is_the_one` finds that it is the invalid one. The next caller asks for a new one.
    pub(super) fn forget(&self, is_the_one: impl FnOnce(&T) -> bool) {
        let mut state = self.state.lock();
        state.cached.take_if(|cached| is_the_one(&cached.value));
    }

    /// Asks the source, unless a request is in flight. The request continues even if no caller waits for it any more.
    fn ask(self: &Arc<Self>, state: &mut RenewalState<T, E>) -> Flight<T, E> {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (this, answer) = (Arc::clone(self), (self.source)());
        let flight = async move { this.finish(answer.await) }.boxed().shared();
        tokio::spawn(flight.clone().map(drop));
        state.flight = Some(flight.clone());
        flight
    }

    fn finish(&self, answer: Result<Expiring<T>, E>) -> Result<T, E> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.flight = None;
        match answer {
            Ok(Expiring { value, lifetime }) => {
                let (of, whole) = RENEW_AFTER;
                state.cached = Some(CachedValue {
                    value: value.clone(),
                    obtained_at: now,
                    renew_at: now + lifetime * of / whole,
                    good_until: now + lifetime.saturating_sub(LAST_MOMENTS.min(lifetime / 8)),
                });
                state.refusal = None;
                Ok(value)
            }
            Err(error) => {
                let left = state.cached.as_ref().map(|cached| cached.good_until.saturating_duration_since(now));
                let pause = match left.filter(|left| !left.is_zero()) {
                    Some(left) => {
                        warn!(%error, good_for_s = left.as_secs(), "{} could not be renewed yet", self.what);
                        RENEWAL_PAUSE.min(left / 4)
                    }
                    None => REFUSAL_PAUSE,
                };
                state.refusal = Some((error.clone(), now + pause));
                Err(error)
            }
        }
    }
}

impl<T, E> fmt::Debug for Renewed<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("what", &self.what).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::{advance, sleep};

    /// Counts its requests, and answers each with the count after a second.
    #[derive(Default)]
    struct Counter {
        asked: AtomicU32,
        down: std::sync::atomic::AtomicBool,
    }

    fn counter(lifetime: Duration) -> (Arc<Counter>, Arc<Renewed<u32, String>>) {
        let counter = Arc::new(Counter::default());
        let source = Arc::clone(&counter);
        let renewed = Renewed::new("a number", move || {
            let source = Arc::clone(&source);
            async move {
                let value = source.asked.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(Duration::from_secs(1)).await;
                if source.down.load(Ordering::SeqCst) {
                    Err("down".to_owned())
                } else {
                    Ok(Expiring { value, lifetime })
                }
            }
            .boxed()
        });
        (counter, Arc::new(renewed))
    }

    const HOUR: Duration = Duration::from_hours(1);

    async fn minutes(minutes: u64) {
        // Background tasks run before and after.
        sleep(Duration::from_secs(2)).await;
        advance(Duration::from_mins(minutes)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_need_it_ask_once() {
        let (counter, renewed) = counter(HOUR);
        let all = join_all((0..1_000).map(|_| renewed.current())).await;
        assert!(all.into_iter().all(|value| value == Ok(1)));
        assert_eq!(renewed.current().await, Ok(1));
        assert_eq!(counter.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_renewed_in_time_and_no_request_waits() {
        let (counter, renewed) = counter(HOUR);
        renewed.current().await.unwrap();
        minutes(44).await;
        assert_eq!(renewed.current().await, Ok(1));
        assert_eq!(counter.asked.load(Ordering::SeqCst), 1);
        minutes(1).await;
        let before = Instant::now();
        assert_eq!((renewed.current().await, renewed.current().await), (Ok(1), Ok(1)));
        assert_eq!(Instant::now(), before, "nobody waited");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(renewed.current().await, Ok(2));
        assert_eq!(counter.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_in_trouble_hurts_nobody_while_the_value_is_good() {
        let (counter, renewed) = counter(HOUR);
        renewed.current().await.unwrap();
        counter.down.store(true, Ordering::SeqCst);
        minutes(46).await;
        for _ in 0..13 {
            assert_eq!(renewed.current().await, Ok(1));
            minutes(1).await;
        }
        assert_eq!(counter.asked.load(Ordering::SeqCst), 14, "once a minute is asked for here");
        minutes(1).await;
        assert_eq!(renewed.current().await, Err("down".to_owned()), "it has expired");
        counter.down.store(false, Ordering::SeqCst);
        assert_eq!(renewed.current().await, Err("down".to_owned()), "the source is left in peace");
        sleep(REFUSAL_PAUSE).await;
        assert_eq!(renewed.current().await, Ok(16));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_failed_is_not_tried_at_once() {
        let (counter, renewed) = counter(HOUR);
        renewed.current().await.unwrap();
        counter.down.store(true, Ordering::SeqCst);
        minutes(46).await;
        for _ in 0..20 {
            renewed.current().await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(counter.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_no_good_is_forgotten_once() {
        let (_, renewed) = counter(HOUR);
        renewed.current().await.unwrap();
        renewed.forget(|value| *value == 1);
        assert_eq!(renewed.current().await, Ok(2));
        renewed.forget(|value| *value == 1);
        assert_eq!(renewed.current().await, Ok(2), "not the one");
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_value_is_replaced_and_is_good_until_then() {
        let (counter, renewed) = counter(HOUR);
        assert_eq!((renewed.obtained_at(), renewed.current().await), (None, Ok(1)));
        let at = renewed.obtained_at().unwrap();
        assert_eq!(renewed.obtained_after(at - Duration::from_secs(1)).await, Ok(1));
        let (newer, meanwhile) = tokio::join!(renewed.obtained_after(at), renewed.current());
        assert_eq!((newer, meanwhile), (Ok(2), Ok(1)));
        counter.down.store(true, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        assert_eq!(renewed.obtained_after(now).await, Err("down".to_owned()));
        assert_eq!(renewed.obtained_after(now).await, Err("down".to_owned()));
        assert_eq!(counter.asked.load(Ordering::SeqCst), 3, "the source is left in peace");
        assert_eq!(renewed.current().await, Ok(2), "the older one is good");
        renewed.forget_until(at);
        assert_eq!(renewed.current().await, Ok(2), "not that old");
        renewed.forget_until(now);
        assert_eq!(renewed.current().await, Err("down".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_stops_waiting_ends_nothing() {
        let (counter, renewed) = counter(HOUR);
        assert!(tokio::time::timeout(Duration::from_millis(1), renewed.current()).await.is_err());
        sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        assert_eq!(renewed.current().await, Ok(1));
        assert_eq!(Instant::now(), before);
        assert_eq!(counter.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_expires_in_seconds_is_used_for_most_of_them() {
        let (counter, renewed) = counter(Duration::from_secs(16));
        renewed.current().await.unwrap();
        sleep(Duration::from_secs(11)).await;
        assert_eq!((renewed.current().await, counter.asked.load(Ordering::SeqCst)), (Ok(1), 1));
        sleep(Duration::from_secs(4)).await;
        assert_eq!(renewed.current().await, Ok(2), "its last moments are no good");
    }
}
