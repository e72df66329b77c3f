//! Deletes the records of days that are long over, in batches with a pause after each. Every node does it. While SQL
//! doesn't answer, nothing is deleted.
//!
//! A day counts by the clock of the node.

use crate::{clock::Clock, ledger::OldRecords, policy::UtcDay};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::info;

/// The interval between two passes.
const INTERVAL: Duration = Duration::from_hours(1);
/// The pause after a batch, in which others use the database.
const PAUSE: Duration = Duration::from_millis(250);
/// The time until a failed pass is repeated.
const RETRY: Duration = Duration::from_mins(1);

/// The task that deletes old records.
pub(super) struct RetentionKeeper {
    records: OldRecords,
    clock: Arc<dyn Clock>,
}

impl RetentionKeeper {
    pub(super) fn new(records: OldRecords, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Runs a pass every hour. Cancel-safe: each batch counts by itself.
    pub(super) async fn run(self) {
        loop {
            sleep(self.pass().await).await;
        }
    }

    /// Deletes all records whose time is over. Returns the time until the next pass.
    async fn pass(&self) -> Duration {
        let mut rows: u64 = 0;
        let pause = loop {
            match self.records.delete_batch(UtcDay::today(&*self.clock)).await {
                Ok(0) => break INTERVAL,
                Ok(deleted) => rows = rows.saturating_add(deleted),
                Err(_) => break RETRY,
            }
            sleep(PAUSE).await;
        };
        if rows > 0 {
            info!(rows, "old records deleted");
        }
        pause
    }
}
