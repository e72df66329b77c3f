//! The activity of a connection: the time of its last progress, the requests in service, and the times in which the
//! server holds the connection up.

use super::memory_waits::MemoryWaits;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// The activity of one connection, shared by its channels.
///
/// A connection is active while bytes move and while the server serves a request: a CLOSE may wait minutes for S3 to
/// assemble a large object.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    last_millis: AtomicU64,
    serving: AtomicUsize,
    /// The number of beginnings and ends of hold-ups. Odd during a hold-up. A connection has one hold-up at a time.
    holds: AtomicUsize,
    /// The time of all hold-ups that have ended, in milliseconds. Negative during a hold-up: its beginning is
    /// subtracted.
    hold_up_millis: AtomicI64,
    memory_waits: Mutex<MemoryWaits>,
}

impl Activity {
    /// Creates the activity of a connection. It counts as active now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            last_millis: AtomicU64::new(0),
            serving: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
            hold_up_millis: AtomicI64::new(0),
            memory_waits: Mutex::default(),
        })
    }

    /// Records progress.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// Returns the present time for `hold_up_millis`. It is above zero, so that a hold-up always makes that negative.
    fn hold_clock(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Returns the time of all hold-ups so far.
    pub(crate) fn hold_up_time(&self) -> Duration {
        let millis = self.hold_up_millis.load(Ordering::Relaxed);
        let millis = if millis < 0 { millis.saturating_add(self.hold_clock()) } else { millis };
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    /// Returns the time since the last progress; zero while the server serves a request.
    #[must_use]
    pub(crate) fn idle_for(&self) -> Duration {
        if self.serving.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }

    /// Marks a request as in service until the guard is dropped. Also counts as progress.
    #[must_use]
    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        self.serving.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    /// Marks the connection as held up by its uploads until the guard is dropped: the server takes no bytes from the
    /// client and sends none.
    #[must_use]
    pub(crate) fn hold(&self) -> HoldGuard<'_> {
        self.memory_waits.lock().hold_up(true);
        HoldGuard::begin(self, true)
    }

    /// The same for a connection that waits for a rate.
    #[must_use]
    pub(crate) fn hold_for_rate(&self) -> HoldGuard<'_> {
        HoldGuard::begin(self, false)
    }

    /// Returns the output of `work` of an upload without memory. Returns `None` when uploads that wait for their first
    /// memory have held up the connection for `limit`, and this one does: `waits` says so. The rest of its work has
    /// limits of its own.
    pub(crate) async fn before_long_hold_up<T>(
        &self,
        limit: Duration,
        waits: impl Fn() -> bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        // Most uploads find their memory at once.
        if let Some(output) = work.as_mut().now_or_never() {
            return Some(output);
        }
        let mut waiting = None;
        let hold_up = poll_fn(|context| {
            // `work` is polled first, and it alone begins and ends the wait.
            if !waits() {
                waiting = None;
                return Poll::Pending;
            }
            let (_, alarm) = waiting.get_or_insert_with(|| (MemoryWait::begin(self), Box::pin(sleep(Duration::ZERO))));
            loop {
                let left = self.memory_waits.lock().left(limit);
                if left.is_zero() {
                    return Poll::Ready(());
                }
                alarm.as_mut().reset(Instant::now() + left);
                ready!(alarm.as_mut().poll(context));
            }
        });
        tokio::select! {
            biased;
            output = work => Some(output),
            () = hold_up => None,
        }
    }

    /// Records that an upload got its first memory.
    pub(crate) fn record_memory(&self) {
        self.memory_waits.lock().restart();
    }

    /// Returns the output of `work`, or `None` if the client delays it for longer than `limit`. The limit starts again
    /// after each hold-up, which isn't the client's fault.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let holds = self.holds.load(Ordering::Relaxed);
            match timeout(limit, work.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if holds.is_multiple_of(2) && holds == self.holds.load(Ordering::Relaxed) => return None,
                Err(_) => {}
            }
        }
    }
}

/// A hold-up of the connection.
#[derive(Debug)]
pub(crate) struct HoldGuard<'a> {
    activity: &'a Activity,
    by_uploads: bool,
}

impl<'a> HoldGuard<'a> {
    fn begin(activity: &'a Activity, by_uploads: bool) -> Self {
        activity.holds.fetch_add(1, Ordering::Relaxed);
        activity.hold_up_millis.fetch_sub(activity.hold_clock(), Ordering::Relaxed);
        Self { activity, by_uploads }
    }
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        self.activity.holds.fetch_add(1, Ordering::Relaxed);
        self.activity.hold_up_millis.fetch_add(self.activity.hold_clock(), Ordering::Relaxed);
        if self.by_uploads {
            self.activity.memory_waits.lock().hold_up(false);
        }
    }
}

/// The wait of an upload for its first memory.
struct MemoryWait<'a>(&'a Activity);

impl<'a> MemoryWait<'a> {
    fn begin(activity: &'a Activity) -> Self {
        activity.memory_waits.lock().enter();
        Self(activity)
    }
}

impl Drop for MemoryWait<'_> {
    fn drop(&mut self) {
        self.0.memory_waits.lock().leave();
    }
}

/// A request in service.
#[derive(Debug)]
pub struct Serving(Arc<Activity>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.touch();
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idleness_counts_from_the_last_move_and_not_while_serving() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(activity.idle_for(), Duration::from_secs(5));
        activity.touch();
        assert_eq!(activity.idle_for(), Duration::ZERO);
        let serving = activity.serve();
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(activity.idle_for(), Duration::ZERO);
        drop(serving);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.idle_for(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_gets_back_the_time_of_a_hold() {
        const LIMIT: Duration = Duration::from_mins(1);
        let activity = Activity::new();
        let begun = Instant::now();
        assert_eq!(activity.within(LIMIT, std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), 60);

        let begun = Instant::now();
        let hold = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            let _guard = activity.hold();
            tokio::time::sleep(Duration::from_secs(50)).await;
        };
        let (given_up, ()) = tokio::join!(activity.within(LIMIT, std::future::pending::<()>()), hold);
        assert_eq!(given_up, None);
        assert_eq!(begun.elapsed().as_secs(), 180);
    }
    // S109: A WRITE that finds no memory for `upload_wait` (40 s by default) is told that the server is busy, and the file …
    #[tokio::test(start_paused = true)]
    async fn a_long_hold_up_ends_waits_for_memory_and_no_other_work() {
        const LIMIT: Duration = Duration::from_secs(40);
        let (activity, begun) = (Activity::new(), Instant::now());
        let elapsed = || begun.elapsed().as_secs();
        let hold = activity.hold();
        assert_eq!(activity.before_long_hold_up(LIMIT, || true, std::future::pending::<()>()).await, None);
        assert_eq!(elapsed(), 40);
        // The storage takes its time for an upload that has memory, or needs none yet.
        let storage = async || sleep(Duration::from_secs(2)).await;
        assert_eq!(activity.before_long_hold_up(LIMIT, || false, storage()).await, Some(()));
        assert_eq!(activity.before_long_hold_up(LIMIT, || true, storage()).await, None);
        assert_eq!(elapsed(), 42);
        let waits_after = || elapsed() >= 44;
        let work = async || {
            storage().await;
            sleep(Duration::from_secs(10)).await;
        };
        assert_eq!(activity.before_long_hold_up(LIMIT, waits_after, work()).await, None);
        assert_eq!(elapsed(), 44);
        drop(hold);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_hold_ups_is_known_before_their_end() {
        const SECOND: Duration = Duration::from_secs(1);
        let activity = Activity::new();
        let first = activity.hold();
        assert_eq!(activity.hold_up_time(), Duration::ZERO);
        sleep(SECOND).await;
        assert_eq!(activity.hold_up_time(), SECOND);
        drop(first);
        sleep(SECOND).await;
        let second = activity.hold_for_rate();
        sleep(SECOND).await;
        assert_eq!(activity.hold_up_time(), SECOND * 2);
        drop(second);
        sleep(SECOND).await;
        assert_eq!(activity.hold_up_time(), SECOND * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_rate_is_no_hold_up_by_uploads() {
        const LIMIT: Duration = Duration::from_secs(40);
        let activity = Activity::new();
        let hold = activity.hold_for_rate();
        let wait = activity.before_long_hold_up(LIMIT, || true, sleep(LIMIT * 2));
        assert_eq!(wait.await, Some(()));
        drop(hold);
    }
}
