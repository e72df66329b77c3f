//! An outage: uploads to a bucket fail one after the other, and OPEN for writing is refused. Many clients ignore
//! the answer to CLOSE, which is the only one that reports the failure of a small file. All clients look at the answer
//! to OPEN.
//!
//! The server sends no probes of its own. It admits one OPEN per interval, and the upload's result ends or prolongs the
//! outage. The interval is counted in time, not from the end of the last probe. So a client that opens a file and sends
//! nothing delays no other client.

use super::Error;
use std::time::Duration;
use tokio::time::Instant;

/// An outage ends this long after its last failure, even if nothing is stored.
const LASTING: Duration = Duration::from_secs(30);
/// The outage admits one OPEN per interval.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// An outage, from its first failure on.
#[derive(Debug)]
pub(crate) struct Outage {
    /// The last failure.
    cause: Error,
    failed_at: Instant,
    /// The time of the last admitted OPEN, or of the outage's begin.
    probed_at: Instant,
}

impl Outage {
    /// Begins with the first failed upload.
    pub(crate) fn begin(cause: Error) -> Self {
        let now = Instant::now();
        Self { cause, failed_at: now, probed_at: now }
    }

    /// Records a further failed upload.
    pub(crate) fn prolong(&mut self, cause: Error) {
        (self.cause, self.failed_at) = (cause, Instant::now());
    }

    /// True if the last failure is older than `LASTING`.
    pub(crate) fn is_over(&self) -> bool {
        self.failed_at.elapsed() >= LASTING
    }

    /// Returns what [`admit`](Self::admit) would return now. It uses up no probe.
    ///
    /// # Errors
    /// The last failure.
    pub(crate) fn check(&self) -> super::Result<()> {
        let admits = self.is_over() || self.probed_at.elapsed() >= PROBE_INTERVAL;
        if admits { Ok(()) } else { Err(self.cause.clone()) }
    }

    /// Admits an OPEN, or refuses it.
    ///
    /// # Errors
    /// The last failure.
    pub(crate) fn admit(&mut self) -> super::Result<()> {
        self.check()?;
        if !self.is_over() {
            self.probed_at = Instant::now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn unreachable(reason: &str) -> Error {
        Error::Unreachable(reason.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn one_open_goes_through_at_a_time_and_the_others_hear_the_last_failure() {
        let mut outage = Outage::begin(unreachable("first"));
        assert!(matches!(outage.admit(), Err(Error::Unreachable(reason)) if reason == "first"));
        outage.prolong(unreachable("second"));
        for _ in 0..3 {
            assert!(matches!(outage.admit(), Err(Error::Unreachable(reason)) if reason == "second"));
            advance(PROBE_INTERVAL).await;
            assert!(outage.admit().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_half_a_minute_after_the_last_failure() {
        let mut outage = Outage::begin(unreachable("first"));
        advance(Duration::from_secs(29)).await;
        outage.prolong(unreachable("second"));
        advance(Duration::from_millis(29_999)).await;
        assert!(!outage.is_over());
        advance(Duration::from_millis(1)).await;
        assert!(outage.is_over());
        assert!(outage.admit().is_ok() && outage.admit().is_ok());
    }
}
