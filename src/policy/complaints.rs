//! How much one session may say about what it was refused.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Lines that are written at once; after that, one a second.
const BURST: u32 = 100;

/// The log lines that a session has left for its failed requests. A client can make thousands of them in a second, and
/// they cost it nothing.
#[derive(Debug)]
pub struct Complaints(Mutex<State>);

#[derive(Debug)]
struct State {
    left: u32,
    /// Up to when `left` is counted.
    counted: Instant,
    unsaid: u64,
}

impl Complaints {
    /// All of them.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(State { left: BURST, counted: Instant::now(), unsaid: 0 }))
    }

    /// Takes one line; `false` when it is one too many and must not be written.
    #[must_use]
    pub fn take(&self) -> bool {
        let mut state = self.state();
        let seconds = state.counted.elapsed().as_secs();
        if seconds > 0 {
            state.left = u32::try_from(seconds).unwrap_or(BURST).saturating_add(state.left).min(BURST);
            state.counted = Instant::now();
        }
        let any = state.left > 0;
        state.left = state.left.saturating_sub(1);
        state.unsaid += u64::from(!any);
        any
    }

    /// How many lines were not written.
    #[must_use]
    pub fn unsaid(&self) -> u64 {
        self.state().unsaid
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Complaints {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_trickle_in_the_log_and_counted() {
        let complaints = Complaints::new();
        let said = |lines| (0..lines).filter(|_| complaints.take()).count();
        assert_eq!(said(4_096), 100);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(said(4_096), 3);
        assert_eq!(complaints.unsaid(), 2 * 4_096 - 103);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(said(4_096), 100);
    }
}
