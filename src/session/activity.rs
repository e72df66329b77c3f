//! Whether a connection lives: when something last moved, and whether something is still being done for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The sign of life of one connection, shared by its channels.
///
/// A connection is alive while bytes move and while a request is being served: a CLOSE may wait minutes for S3 to put
/// a large object together.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    last_millis: AtomicU64,
    serving: AtomicUsize,
}

impl Activity {
    /// A connection that was alive just now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), last_millis: AtomicU64::new(0), serving: AtomicUsize::new(0) })
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
}
