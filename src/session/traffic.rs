//! Counts the protocol bytes in both directions.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts bytes of a channel, and adds them to the counts of its whole session.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    whole: Option<Arc<Self>>,
}

impl Traffic {
    /// Creates counters that also add to `whole`.
    pub(super) fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    /// Counts bytes from the client.
    pub fn count_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_received(bytes);
        }
    }

    /// Counts bytes that the server passed to the client's connection.
    pub fn count_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_sent(bytes);
        }
    }

    /// Returns the number of bytes from the client.
    #[must_use]
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that the server passed to the client's connection.
    #[must_use]
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
