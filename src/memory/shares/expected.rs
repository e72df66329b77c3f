//! The bytes that a tenant's open files are expected to need. They are free for other tenants, and the tenant's other
//! transfers leave them.

use super::{Share, room_beside};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Counts a file that waits to open.
struct OpeningFile<'a>(&'a Share);

impl<'a> OpeningFile<'a> {
    fn new(share: &'a Share) -> Self {
        share.bytes.opening.fetch_add(1, Ordering::SeqCst);
        share.opening.fetch_add(1, Ordering::Relaxed);
        Self(share)
    }
}

impl Drop for OpeningFile<'_> {
    fn drop(&mut self) {
        self.0.bytes.opening.fetch_sub(1, Ordering::SeqCst);
        self.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Share {
    /// Waits until the tenant can get `bytes` for one more open file, at most for `patience`, and notes that the file
    /// is expected to need them. It charges nothing.
    pub(super) async fn expect(self: &Arc<Self>, bytes: u64, patience: Duration) -> ExpectedBytes {
        let room = async {
            if self.expects(bytes) {
                return;
            }
            let _opening = OpeningFile::new(self);
            // Each change of memory wakes one file of the tenant, not thousands.
            let _turn = self.opening_turn.acquire().await;
            loop {
                let changed = self.bytes.changed.notified();
                tokio::pin!(changed);
                // Before the look, so that no change between the look and the wait is missed.
                changed.as_mut().enable();
                if self.expects(bytes) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(patience, room).await.is_err() {
            let _state = self.state();
            self.expected_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        ExpectedBytes { share: Arc::clone(self), bytes }
    }

    /// Notes that a file is expected to need `bytes`, if the tenant can get them.
    fn expects(&self, bytes: u64) -> bool {
        let (state, total_bytes) = (self.state(), self.bytes.total_bytes);
        let (free_bytes, has_bytes) = (total_bytes.saturating_sub(state.used_bytes), self.used());
        let before_bytes = self.expected_bytes.load(Ordering::Relaxed);
        let expected_bytes = before_bytes.saturating_add(bytes);
        let is_first = has_bytes == 0 && before_bytes == 0;
        let room_bytes = if is_first { free_bytes } else { room_beside(has_bytes, free_bytes, total_bytes) };
        let fits = expected_bytes <= room_bytes && !state.is_behind(self);
        if fits {
            self.expected_bytes.store(expected_bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// The bytes that an open file is expected to need, until this is dropped.
#[derive(Debug)]
pub(crate) struct ExpectedBytes {
    share: Arc<Share>,
    bytes: u64,
}

impl Drop for ExpectedBytes {
    fn drop(&mut self) {
        let share = &self.share;
        let state = share.state();
        share.expected_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        drop(state);
        share.notify_opening();
    }
}
