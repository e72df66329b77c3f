//! A stretch of time in which uploads fail one after the other, and OPEN for writing is refused: many clients don't look at
//! the answer to CLOSE, which is the only one that tells of a small file's failure, but all of them look at OPEN's.
//!
//! Nobody asks storage whether it is well again. One OPEN goes through now and then, and what becomes of it tells. It is
//! counted by time and not by its end, so that a client which opens a file and sends nothing keeps nobody waiting.

use crate::store;
use std::time::Duration;
use tokio::time::Instant;

/// OPEN is refused for so long after the last failure, if nothing is stored.
const LASTING: Duration = Duration::from_secs(30);
/// One OPEN goes through each time that this has passed.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// An outage, from its first failure on.
#[derive(Debug)]
pub(super) struct Outage {
    /// The last failure.
    cause: store::Error,
    failed_at: Instant,
    /// When the last OPEN went through, or the outage began.
    probed_at: Instant,
}

impl Outage {
    /// An upload has failed.
    pub(super) fn begin(cause: store::Error) -> Self {
        let now = Instant::now();
        Self { cause, failed_at: now, probed_at: now }
    }

    /// Another upload has failed.
    pub(super) fn go_on(&mut self, cause: store::Error) {
        (self.cause, self.failed_at) = (cause, Instant::now());
    }

    /// True once the last failure is too old to refuse anything.
    pub(super) fn is_over(&self) -> bool {
        self.failed_at.elapsed() >= LASTING
    }

    /// The answer that [`admit`](Self::admit) would give now. It lets no OPEN through.
    ///
    /// # Errors
    /// The last failure.
    pub(super) fn check(&self) -> store::Result<()> {
        let admits = self.is_over() || self.probed_at.elapsed() >= PROBE_INTERVAL;
        if admits { Ok(()) } else { Err(self.cause.clone()) }
    }

    /// Admits an OPEN, or refuses it.
    ///
    /// # Errors
    /// The last failure.
    pub(super) fn admit(&mut self) -> store::Result<()> {
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

    fn unreachable(reason: &str) -> store::Error {
        store::Error::Unreachable(reason.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn one_open_goes_through_at_a_time_and_the_others_hear_the_last_failure() {
        let mut outage = Outage::begin(unreachable("first"));
        assert!(matches!(outage.admit(), Err(store::Error::Unreachable(reason)) if reason == "first"));
        outage.go_on(unreachable("second"));
        for _ in 0..3 {
            assert!(matches!(outage.admit(), Err(store::Error::Unreachable(reason)) if reason == "second"));
            advance(PROBE_INTERVAL).await;
            assert!(outage.admit().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_half_a_minute_after_the_last_failure() {
        let mut outage = Outage::begin(unreachable("first"));
        advance(Duration::from_secs(29)).await;
        outage.go_on(unreachable("second"));
        advance(Duration::from_millis(29_999)).await;
        assert!(!outage.is_over());
        advance(Duration::from_millis(1)).await;
        assert!(outage.is_over());
        assert!(outage.admit().is_ok() && outage.admit().is_ok());
    }
}
