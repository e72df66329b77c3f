//! The wall clock. All code that needs the time of day asks a [`Clock`]. Code that measures durations uses tokio's
//! `Instant`, which tests can pause.
//!
//! Invariant: no other module calls `SystemTime::now`, `SystemTime::elapsed` or `OffsetDateTime::now_utc`.
//! `clippy.toml` enforces it.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A source of the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> SystemTime;

    /// Returns the seconds since 1970, or 0 if the clock is set to a time before.
    fn unix_seconds(&self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug)]
    struct FixedClock(SystemTime);

    impl Clock for FixedClock {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    #[test]
    fn seconds_count_from_1970_and_never_back() {
        let second = Duration::from_secs(1);
        for (now, seconds) in [(UNIX_EPOCH, 0), (UNIX_EPOCH + second * 3 / 2, 1), (UNIX_EPOCH - second, 0)] {
            assert_eq!(FixedClock(now).unix_seconds(), seconds, "{now:?}");
        }
    }
}
