//! The time for which uploads that wait for their first memory have held up their connection.
//!
//! Such uploads wait one after the other: the bytes of the next ones are behind theirs. Without this limit of the
//! connection, the bytes that a client left behind would hold up its end for the wait of each upload, and the memory of
//! its other uploads with it.

use std::time::Duration;
use tokio::time::Instant;

/// Hold-ups with shorter pauses count as one. For this time after one that took too long, uploads don't wait.
const PAUSE: Duration = Duration::from_secs(5);

/// The waits of one connection.
#[derive(Debug, Default)]
pub(super) struct MemoryWaits {
    /// The uploads that wait for their first memory.
    waiting: usize,
    is_stopped: bool,
    /// The beginning of the hold-ups by waiting uploads, and the end of the last of them.
    began: Option<Instant>,
    ended: Option<Instant>,
}

impl MemoryWaits {
    pub(super) fn hold_up(&mut self, is_stopped: bool) {
        self.change(|waits| waits.is_stopped = is_stopped);
    }

    pub(super) fn enter(&mut self) {
        self.change(|waits| waits.waiting += 1);
    }

    pub(super) fn leave(&mut self) {
        self.change(|waits| waits.waiting = waits.waiting.saturating_sub(1));
    }

    /// Starts the time again: an upload got memory.
    pub(super) fn restart(&mut self) {
        self.began = self.is_on().then(Instant::now);
        self.ended = None;
    }

    /// The time that an upload may wait yet, of at most `limit`.
    pub(super) fn left(&mut self, limit: Duration) -> Duration {
        match self.began {
            Some(began) if self.is_recent() && began.elapsed() < limit + PAUSE => limit.saturating_sub(began.elapsed()),
            _ => {
                self.restart();
                limit
            }
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let was_on = self.is_on();
        change(self);
        match (was_on, self.is_on()) {
            (false, true) if self.began.is_some() && self.is_recent() => self.ended = None,
            (false, true) => self.restart(),
            (true, false) => self.ended = Some(Instant::now()),
            _ => {}
        }
    }

    /// True while waiting uploads hold up the connection.
    fn is_on(&self) -> bool {
        self.is_stopped && self.waiting > 0
    }

    fn is_recent(&self) -> bool {
        self.ended.is_none_or(|ended| ended.elapsed() < PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const LIMIT: Duration = Duration::from_secs(40);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn only_hold_ups_by_waiting_uploads_count_and_short_pauses_with_them() {
        let mut waits = MemoryWaits::default();
        waits.hold_up(true);
        advance(LIMIT).await;
        assert_eq!(waits.left(LIMIT), LIMIT, "no upload waits");
        waits.enter();
        advance(SECOND * 10).await;
        waits.hold_up(false);
        advance(SECOND * 4).await;
        waits.hold_up(true);
        assert_eq!(waits.left(LIMIT), SECOND * 26);
        waits.leave();
        advance(SECOND * 5).await;
        waits.enter();
        assert_eq!(waits.left(LIMIT), LIMIT, "the pause was long");
        advance(SECOND * 39).await;
        waits.restart();
        assert_eq!(waits.left(LIMIT), LIMIT, "an upload got memory");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_hold_up_no_upload_waits_for_a_while() {
        let mut waits = MemoryWaits::default();
        waits.enter();
        waits.hold_up(true);
        advance(LIMIT).await;
        for _ in 0..5 {
            assert_eq!(waits.left(LIMIT), Duration::ZERO);
            waits.leave();
            waits.hold_up(false);
            advance(SECOND).await;
            waits.enter();
            waits.hold_up(true);
        }
        assert_eq!(waits.left(LIMIT), LIMIT);
    }
}
