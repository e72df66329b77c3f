//! Decides how many files to prefetch for a client. No IO.
//!
//! The window doubles with each file that was fetched and then opened. Guesses cost credit and hits earn it, so
//! prefetching soon stops for a client that opens other files. A slow client gets only as many files prefetched as it
//! will open while they are fresh.

use crate::download::FilePrefetch;
use std::time::Duration;
use tokio::time::Instant;

/// The most files that are prefetched at a time.
const MAX_WINDOW: usize = 16;
/// The number of guesses that may be wrong before the first right one.
const FIRST_CREDIT: usize = 4;

/// The client's pace, and the success of the guesses.
#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    credit: usize,
    last_open: Option<Instant>,
    /// The recent average time between two OPENs.
    interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: 0, credit: FIRST_CREDIT, last_open: None, interval: Duration::ZERO }
    }
}

impl Pace {
    /// Records an OPEN.
    pub(super) fn opened(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last_open.replace(now) {
            // A pause counts once, and its weight is limited.
            let interval = (now - last).min(FilePrefetch::MAX_AGE);
            self.interval = (self.interval * 3 + interval) / 4;
        }
    }

    /// Records that the opened file was the next one of its listing.
    pub(super) fn in_order(&mut self) {
        self.window = self.window.max(1);
    }

    /// Records that the opened file was in its listing, but not the next one.
    pub(super) fn out_of_order(&mut self) {
        self.window = 0;
    }

    /// Records that a prefetched file was opened.
    pub(super) fn hit(&mut self) {
        self.window = (2 * self.window).clamp(1, MAX_WINDOW);
        self.credit = (self.credit + 1).min(MAX_WINDOW);
    }

    /// Records that `count` prefetched files were not used.
    pub(super) fn wasted(&mut self, count: usize) {
        self.credit = self.credit.saturating_sub(count);
        if count > 0 {
            self.window /= 2;
        }
    }

    /// The number of files that may be fetched or in flight.
    pub(super) fn window(&self) -> usize {
        let fresh_for = FilePrefetch::MAX_AGE.as_micros() * 3 / 4;
        let in_time = fresh_for.checked_div(self.interval.as_micros()).unwrap_or(u128::MAX);
        self.window.min(self.credit).min(usize::try_from(in_time).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_window_doubles_with_hits_and_wrong_guesses_use_it_up() {
        let mut pace = Pace::default();
        assert_eq!(pace.window(), 0);
        pace.in_order();
        let windows: Vec<_> = (0..16)
            .map(|_| {
                pace.opened();
                pace.hit();
                pace.window()
            })
            .collect();
        assert_eq!((windows[0], windows[1], windows[2], windows[15]), (2, 4, 7, 16));
        pace.out_of_order();
        assert_eq!(pace.window(), 0);
        pace.in_order();
        assert_eq!(pace.window(), 1);
        pace.wasted(16);
        pace.in_order();
        assert_eq!(pace.window(), 0, "guessing has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_no_more_than_it_opens_in_time() {
        let mut pace = Pace::default();
        for _ in 0..32 {
            tokio::time::advance(Duration::from_millis(200)).await;
            pace.opened();
            pace.hit();
        }
        assert_eq!(pace.window(), 3);
        tokio::time::advance(Duration::from_hours(1)).await;
        pace.opened();
        assert_eq!(pace.window(), 1, "a pause is no pace");
        for _ in 0..32 {
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.opened();
        }
        assert_eq!(pace.window(), 0);
    }
}
