//! The limit on copies: S3 makes at most 256 for this process at once, for all sessions and all uses together.
//!
//! Invariant: each `CopyObject` and `UploadPartCopy` is sent by a holder of a turn, who waits for nothing but S3's
//! answer. So turns always come free.

use tokio::sync::{Semaphore, SemaphorePermit};

const MAX_COPIES: usize = 256;

#[cfg(not(test))]
static COPIES: Semaphore = Semaphore::const_new(MAX_COPIES);

#[cfg(test)]
thread_local! {
    /// Unit tests are one process, but none may wait for another one's copies. Each runs on a thread of its own.
    static COPIES: &'static Semaphore = Box::leak(Box::new(Semaphore::new(MAX_COPIES)));
}

/// Waits until S3 may make one more copy, until the permit is dropped. Waiters are served in their order, so that a
/// directory of thousands doesn't keep a single file waiting for longer than a copy takes.
pub(crate) async fn copy_turn() -> Option<SemaphorePermit<'static>> {
    #[cfg(not(test))]
    let copies = &COPIES;
    #[cfg(test)]
    let copies = COPIES.with(|copies| *copies);
    copies.acquire().await.ok()
}
