//! Rows that this version of the server can't read. Another version wrote them, or another program changed them. They
//! are skipped and stay.

use parking_lot::Mutex;
use std::collections::HashSet;
use tracing::warn;

/// The unreadable rows that one question skips. The next question finds the rows behind them, because each row that was
/// taken is leased.
pub(super) const MAX_SKIPPED: usize = 100;
/// The rows of which the log tells.
const MAX_REPORTED: usize = 1_000;

/// The unreadable rows that the log has told of: one line for each row while the process runs.
#[derive(Debug, Default)]
pub(super) struct UnreadableRows(Mutex<HashSet<(&'static str, String)>>);

impl UnreadableRows {
    /// Returns the parsed row, or reports that the row `id` of `table` is unreadable.
    pub(super) fn check<T>(&self, table: &'static str, id: &str, parsed: Option<T>) -> Option<T> {
        if parsed.is_none() && self.is_new(table, id) {
            warn!(table, row = id, "unreadable row skipped");
        }
        parsed
    }

    fn is_new(&self, table: &'static str, id: &str) -> bool {
        let mut reported = self.0.lock();
        reported.len() < MAX_REPORTED && reported.insert((table, id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_reported_once() {
        let rows = UnreadableRows::default();
        assert!(rows.is_new("tree_renames", "1"));
        assert!(rows.is_new("partial_uploads", "1"), "another row");
        assert!(!rows.is_new("tree_renames", "1"));
    }
}
