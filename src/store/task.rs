//! A task that ends with its owner.

use super::{Error, Result};
use tokio::task::JoinHandle;

/// A spawned task. Dropping this aborts it, so that no task outlives the client that it works for.
#[derive(Debug)]
pub(crate) struct OwnedTask<T>(JoinHandle<T>);

impl<T: Send + 'static> OwnedTask<T> {
    /// Starts `future` on the current runtime.
    pub(crate) fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// True if the task has a result.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T, E: From<Error>> OwnedTask<Result<T, E>> {
    /// Waits for the task's result. Dropping this future leaves the task running, and a later call waits again.
    pub(crate) async fn answer(&mut self) -> Result<T, E> {
        // Only the owner can abort the task, so this is a panic in it, or a runtime that shuts down.
        (&mut self.0).await.unwrap_or_else(|stopped| Err(Error::Broken(stopped.to_string()).into()))
    }
}

impl<T> Drop for OwnedTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
