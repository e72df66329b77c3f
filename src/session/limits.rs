//! The limits of one tree.

use crate::policy::{Rate, Rates};

/// The failed requests that get a log line of their own. A client can make thousands of them in a second at no cost.
const FAILURES: Rate = Rate::new(100, 1);
/// The failed requests beyond these that are recorded. One tenant must not fill the ledger.
const RECORDS: Rate = Rate::new(1_000, 10);

/// The limits of one tree, and the requests that were over them.
#[derive(Debug)]
pub(super) struct SessionLimits {
    failures: Rates<()>,
    records: Rates<()>,
}

impl SessionLimits {
    pub(super) fn new() -> Self {
        Self { failures: Rates::new(FAILURES), records: Rates::new(RECORDS) }
    }

    /// Takes the token for the log line of a failure. Returns `false` and counts the failure if there is none.
    pub(super) fn take_failure(&self) -> bool {
        self.failures.take(&())
    }

    /// Takes the token for the record of a failure without a log line. Returns `false` and counts the failure if there is
    /// none.
    pub(super) fn take_record(&self) -> bool {
        self.records.take(&())
    }

    /// Returns the number of failures without a record.
    pub(super) fn unrecorded_failures(&self) -> u64 {
        self.records.refused(&())
    }

    /// Returns the number of failures without a log line.
    pub(super) fn suppressed_failures(&self) -> u64 {
        self.failures.refused(&())
    }
}
