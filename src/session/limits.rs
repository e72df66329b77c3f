//! The limits of one tree.

use crate::policy::{Rate, Rates};

/// The failed requests that get a log line of their own. A client can make thousands of them in a second at no cost.
const FAILURES: Rate = Rate::new(100, 1);

/// The limits of one tree, and the requests that were over them.
#[derive(Debug)]
pub(super) struct SessionLimits {
    failures: Rates<()>,
}

impl SessionLimits {
    pub(super) fn new() -> Self {
        Self { failures: Rates::new(FAILURES) }
    }

    /// Takes the token for the log line of a failure. Returns `false` and counts the failure if there is none.
    pub(super) fn take_failure(&self) -> bool {
        self.failures.take(&())
    }

    /// Returns the number of failures without a log line.
    pub(super) fn suppressed_failures(&self) -> u64 {
        self.failures.refused(&())
    }
}
