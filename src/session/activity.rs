//! Whether a connection lives: when something last moved, whether something is still being done for it, and whether it is
//! we who hold it up.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The sign of life of one connection, shared by its channels.
///
/// A connection is alive while bytes move and while a request is being served: a CLOSE may wait minutes for S3 to put
/// a large object together.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    last_millis: AtomicU64,
    serving: AtomicUsize,
    /// Beginnings and ends of hold-ups: odd during one. A connection has one at a time.
    holds: AtomicUsize,
}

impl Activity {
    /// A connection that was alive just now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            last_millis: AtomicU64::new(0),
            serving: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
        })
    }

    /// Something moved.
    pub fn touch(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// How long nothing has moved; zero while a request is being served.
    #[must_use]
    pub fn idle_for(&self) -> Duration {
        if self.serving.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }

    /// Marks a request as being served until the guard is dropped, which is a sign of life too.
    #[must_use]
    pub fn serve(self: &Arc<Self>) -> Serving {
        self.serving.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    /// Marks that nothing is taken from the client nor sent to it, until the guard is dropped.
    #[must_use]
    pub fn hold(&self) -> Held<'_> {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// What `work` comes to; `None` if the client lets it wait longer than `limit`. That we held the connection up
    /// meanwhile is not the client's fault: it gets the time again.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
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

/// A connection that is held up.
#[derive(Debug)]
pub struct Held<'a>(&'a Activity);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.holds.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request that is being served.
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
    async fn a_client_that_is_held_up_gets_its_time_again() {
        const LIMIT: Duration = Duration::from_mins(1);
        let activity = Activity::new();
        let begun = Instant::now();
        assert_eq!(activity.within(LIMIT, std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), 60);

        let begun = Instant::now();
        let hold = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            let _held = activity.hold();
            tokio::time::sleep(Duration::from_secs(50)).await;
        };
        let (given_up, ()) = tokio::join!(activity.within(LIMIT, std::future::pending::<()>()), hold);
        assert_eq!(given_up, None);
        assert_eq!(begun.elapsed().as_secs(), 180);
    }
}
