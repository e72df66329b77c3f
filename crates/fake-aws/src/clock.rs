//! The wall clock. No other module asks the system for the time of day; `clippy.toml` of the workspace enforces it.
//!
//! [`ServerClock`] is the clock that clients notice. A test can set it wrong.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};
use time::{Date, Duration, Month, OffsetDateTime};

/// The greatest difference between the time of a signature and the server's clock.
const MAX_SKEW: Duration = Duration::minutes(15);

/// Returns the current time.
#[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock of the services: that of the system, and an offset.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    offset_seconds: AtomicI64,
}

/// A signature whose time is too far from the server's clock. It reads like STS's sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Skew {
    #[error(
        "Signature expired: {} is now earlier than {} ({} - 15 min.)",
        stamp(*.signed), stamp(.now.saturating_sub(MAX_SKEW)), stamp(*.now)
    )]
    Expired { signed: OffsetDateTime, now: OffsetDateTime },
    #[error(
        "Signature not yet current: {} is still later than {} ({} + 15 min.)",
        stamp(*.signed), stamp(.now.saturating_add(MAX_SKEW)), stamp(*.now)
    )]
    NotYetCurrent { signed: OffsetDateTime, now: OffsetDateTime },
}

impl ServerClock {
    pub(crate) fn now(&self) -> SystemTime {
        self.time().into()
    }

    fn time(&self) -> OffsetDateTime {
        let offset = Duration::seconds(self.offset_seconds.load(Ordering::Relaxed));
        OffsetDateTime::from(now()).saturating_add(offset)
    }

    /// Sets the clock forward, or back if `seconds` is negative.
    pub(crate) fn set_offset(&self, seconds: i64) {
        self.offset_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Checks the time of a signature, such as `20261202T210000Z`. s3s checks its form. A presigned request expires later
    /// than others, and says when.
    pub(crate) fn check(&self, signed: &str, expires: Option<Duration>) -> Result<(), Skew> {
        let (Some(signed), now) = (parse(signed), self.time()) else { return Ok(()) };
        if now.saturating_sub(expires.unwrap_or(MAX_SKEW)) > signed {
            Err(Skew::Expired { signed, now })
        } else if now.saturating_add(MAX_SKEW) < signed {
            Err(Skew::NotYetCurrent { signed, now })
        } else {
            Ok(())
        }
    }
}

/// Parses `YYYYMMDDTHHMMSSZ`.
fn parse(text: &str) -> Option<OffsetDateTime> {
    let digits = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
    let date =
        Date::from_calendar_date(text.get(..4)?.parse().ok()?, Month::try_from(digits(4..6)?).ok()?, digits(6..8)?);
    Some(date.ok()?.with_hms(digits(9..11)?, digits(11..13)?, digits(13..15)?).ok()?.assume_utc())
}

/// Writes a time as signatures do.
fn stamp(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_fifteen_minutes() {
        let clock = ServerClock::default();
        let signed = stamp(OffsetDateTime::from(now()));
        for (offset, expected) in [(-960, Some("not yet current")), (-840, None), (840, None), (960, Some("expired"))] {
            clock.set_offset(offset);
            let skew = clock.check(&signed, None).err().map(|skew| skew.to_string());
            assert_eq!(skew.is_some(), expected.is_some(), "{offset}: {skew:?}");
            assert!(skew.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
        assert_eq!(clock.check(&signed, Some(Duration::hours(1))), Ok(()));
        clock.set_offset(i64::MAX);
        assert!(clock.check(&signed, None).is_err());
    }

    #[test]
    fn the_sentence_is_that_of_aws() {
        let signed = parse("20261202T210000Z").unwrap();
        let now = parse("20261202T220001Z").unwrap();
        assert_eq!(
            Skew::Expired { signed, now }.to_string(),
            "Signature expired: 20261202T210000Z is now earlier than 20261202T214501Z (20261202T220001Z - 15 min.)"
        );
        assert_eq!(
            Skew::NotYetCurrent { signed: now, now: signed }.to_string(),
            "Signature not yet current: 20261202T220001Z is still later than 20261202T211500Z (20261202T210000Z + 15 min.)"
        );
    }
}
