//! The time of day. Tests have a clock of their own.

use super::Times;
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

const DAY_SECONDS: u64 = 86_400;

/// The source of the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Seconds since 1970.
    fn now(&self) -> u64;
}

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The time of a directory that no client set times on: 00:00 UTC of the current day. It is the same on all nodes, doesn't
/// differ between two listings, and is never old.
pub(super) fn start_of_day(clock: &dyn Clock) -> Times {
    let now = clock.now();
    let seconds = u32::try_from(now - now % DAY_SECONDS).unwrap_or(u32::MAX);
    Times { accessed: seconds, modified: seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stopped(u64);

    impl Clock for Stopped {
        fn now(&self) -> u64 {
            self.0
        }
    }

    // S102: A directory without a set time shows 00:00 UTC of the day on which it is asked for, on every node, and mode 755 …
    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (now, shown) in
            [(0, 0), (86_399, 0), (86_400, 86_400), (1_795_996_800 + 86_399, 1_795_996_800), (u64::MAX, u32::MAX)]
        {
            assert_eq!(start_of_day(&Stopped(now)), Times { accessed: shown, modified: shown }, "{now}");
        }
        let today = start_of_day(&SystemClock).modified;
        assert!(SystemClock.now() - u64::from(today) < DAY_SECONDS);
    }
}
