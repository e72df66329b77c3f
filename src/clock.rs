//! The wall clock. Everything that reads the time of day asks a [`Clock`]; durations are measured with tokio's `Instant`,
//! which tests pause.
//!
//! Invariant: no other module calls `SystemTime::now`, `SystemTime::elapsed` or `OffsetDateTime::now_utc`. `clippy.toml`
//! says so.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A source of the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time.
    fn now(&self) -> SystemTime;

    /// Seconds since 1970. 0 if the clock is set to a time before.
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
    struct Stopped(SystemTime);

    impl Clock for Stopped {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    #[test]
    fn seconds_count_from_1970_and_never_back() {
        let second = Duration::from_secs(1);
        for (now, seconds) in [(UNIX_EPOCH, 0), (UNIX_EPOCH + second * 3 / 2, 1), (UNIX_EPOCH - second, 0)] {
            assert_eq!(Stopped(now).unix_seconds(), seconds, "{now:?}");
        }
    }
}
