//! How far ahead of a client it pays to be. Numbers only.
//!
//! The window doubles with each file that was fetched and then opened. Guesses cost credit and hits earn it: a client
//! that opens other files than were guessed is soon guessed for no more. A slow client gets no more ahead than it will
//! open while that is fresh.

use crate::store::EarlyReader;
use std::time::Duration;
use tokio::time::Instant;

/// So many files are fetched ahead at most.
const MAX_WINDOW: usize = 16;
/// So many guesses may be wrong before the first is right.
const FIRST_CREDIT: usize = 4;

/// The client's pace, and how well it was guessed.
#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    credit: usize,
    last_open: Option<Instant>,
    /// Between two OPENs, lately.
    interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: 0, credit: FIRST_CREDIT, last_open: None, interval: Duration::ZERO }
    }
}

impl Pace {
    /// A file is being opened.
    pub(super) fn opened(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last_open.replace(now) {
            // A pause counts once, and not for long.
            let interval = (now - last).min(EarlyReader::MAX_AGE);
            self.interval = (self.interval * 3 + interval) / 4;
        }
    }

    /// The file was the next of its listing.
    pub(super) fn in_order(&mut self) {
        self.window = self.window.max(1);
    }

    /// The file was in its listing, but others would have come first.
    pub(super) fn out_of_order(&mut self) {
        self.window = 0;
    }

    /// The file had been fetched.
    pub(super) fn hit(&mut self) {
        self.window = (2 * self.window).clamp(1, MAX_WINDOW);
        self.credit = (self.credit + 1).min(MAX_WINDOW);
    }

    /// So many files had been fetched in vain.
    pub(super) fn wasted(&mut self, count: usize) {
        self.credit = self.credit.saturating_sub(count);
        if count > 0 {
            self.window /= 2;
        }
    }

    /// How many files may be there or on their way.
    pub(super) fn window(&self) -> usize {
        let fresh_for = EarlyReader::MAX_AGE.as_micros() * 3 / 4;
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
