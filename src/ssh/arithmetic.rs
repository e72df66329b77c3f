//! The threads that compute key exchanges and signatures with host keys.
//!
//! A client can ask for this work before it logs in. It never runs on a worker that moves bytes, and at most one
//! computation runs for each core.

use std::{sync::Arc, thread};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

/// One permit for each core, over all clones. The semaphore serves waiting callers in their order.
#[derive(Clone)]
pub(crate) struct Arithmetic(Arc<Semaphore>);

impl Arithmetic {
    /// Returns a limiter with one permit for each core.
    pub(crate) fn new() -> Self {
        Self::with_permits(thread::available_parallelism().map_or(1, usize::from))
    }

    fn with_permits(permits: usize) -> Self {
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Runs `work` on a blocking thread once a permit is free. A call that is cancelled before then leaves the queue.
    /// Work that has begun runs to its end and keeps its permit until then.
    ///
    /// # Errors
    /// The work panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Issue 12.1 and 12.7.
    #[tokio::test]
    async fn no_more_of_it_at_a_time_than_there_are_permits_and_none_on_the_worker() {
        let worker = thread::current().id();
        for permits in [1, 3] {
            let (arithmetic, running) = (Arithmetic::with_permits(permits), Arc::new(AtomicUsize::new(0)));
            let most = Arc::new(AtomicUsize::new(0));
            let runs = join_all((0..50).map(|_| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                arithmetic.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    thread::current().id()
                })
            }));
            for thread in runs.await {
                assert_ne!(thread.unwrap(), worker);
            }
            assert!(most.load(Ordering::SeqCst) <= permits, "{permits}");
        }
    }

    #[tokio::test]
    async fn a_panic_gives_its_permit_back() {
        let arithmetic = Arithmetic::with_permits(1);
        assert!(arithmetic.run(|| panic!("of the work")).await.is_err());
        assert_eq!(arithmetic.run(|| 7).await.unwrap(), 7);
    }
}
