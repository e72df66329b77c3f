//! A task that ends with its owner.

use super::{Error, Result};
use tokio::task::JoinHandle;

/// A spawned task; dropping this aborts it, so that nothing runs on for a client that has gone.
#[derive(Debug)]
pub(super) struct OwnedTask<T>(JoinHandle<T>);

impl<T: Send + 'static> OwnedTask<T> {
    /// Starts `future` on the current runtime.
    pub(super) fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl<T> OwnedTask<Result<T>> {
    /// What the task answers. Dropping this future leaves the task running, to be waited for again.
    pub(super) async fn answer(&mut self) -> Result<T> {
        // Only its owner can abort it, so this is a panic in the task, or a runtime that shuts down.
        (&mut self.0).await.unwrap_or_else(|stopped| Err(Error::Broken(stopped.to_string())))
    }
}

impl<T> Drop for OwnedTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
