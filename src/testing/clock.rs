//! A clock that stands still until a test sets it.

use crate::clock::Clock;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A clock at a number of seconds since 1970.
#[derive(Debug)]
pub struct StoppedClock(AtomicU64);

impl StoppedClock {
    /// A clock that shows `seconds` since 1970.
    #[must_use]
    pub const fn at(seconds: u64) -> Self {
        Self(AtomicU64::new(seconds))
    }

    /// From now on it shows `seconds` since 1970.
    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}
