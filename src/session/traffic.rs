//! Protocol bytes that went in and out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts of bytes, which also count in those of the session as a whole.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    whole: Option<Arc<Self>>,
}

impl Traffic {
    /// Counts that are part of `whole`.
    pub(super) fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    /// Counts bytes that came from the client.
    pub fn count_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_received(bytes);
        }
    }

    /// Counts bytes that were handed to the client's connection.
    pub fn count_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_sent(bytes);
        }
    }

    /// The bytes that came from the client.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The bytes that were handed to the client's connection.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
