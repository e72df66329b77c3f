//! The activity of a connection: the time of its last progress, the requests in service, and the times in which the
//! server holds the connection up.

use super::memory_waits::MemoryWaits;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
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
            memory_waits: Mutex::default(),
        })
    }

    /// Records progress.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.fetch_max(millis, Ordering::Relaxed);
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

    /// Marks the connection as held up until the guard is dropped: the server takes no bytes from the client and sends
    /// none.
    #[must_use]
    pub(crate) fn hold(&self) -> HoldGuard<'_> {
        self.holds.fetch_add(1, Ordering::Relaxed);
        self.memory_waits.lock().hold_up(true);
        HoldGuard(self)
    }

    /// Returns the output of `work`, which is that of an upload without memory. Returns `None` when uploads that wait
    /// for their first memory have held up the connection for `limit`.
    pub(crate) async fn before_long_hold_up<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        // Most uploads find their memory at once.
        if let Some(output) = work.as_mut().now_or_never() {
            return Some(output);
        }
        let _wait = MemoryWait::begin(self);
        let hold_up = async {
            loop {
                let left = self.memory_waits.lock().left(limit);
                if left.is_zero() {
                    return;
                }
                sleep(left).await;
            }
        };
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
pub(crate) struct HoldGuard<'a>(&'a Activity);

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        self.0.holds.fetch_add(1, Ordering::Relaxed);
        self.0.memory_waits.lock().hold_up(false);
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
}
