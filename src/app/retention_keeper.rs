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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SystemClock,
        events::{Event, Events, Who},
        ledger::{Ledger, Location, RecordRetention, SpoolSettings},
        testing::StoppedClock,
    };
    use tokio_util::sync::CancellationToken;

    const DAY: u64 = 86_400;

    /// A ledger with one record of the server, of today.
    async fn ledger(directory: &tempfile::TempDir) -> Ledger {
        let ledger = Ledger::open(&Location::Sqlite(directory.path().join("ledger.db"))).await.unwrap();
        let records = ledger.records(&SpoolSettings::beside(&directory.path().join("ledger.db"))).unwrap().unwrap();
        let events = Events::new("node");
        events.spool_to(records.spool as Arc<_>);
        events.record_unlogged(Who::Server {}, Event::ReloadRefused { problems: Vec::new() });
        let end = CancellationToken::new();
        end.cancel();
        records.writer.run_until(end).await;
        ledger
    }

    fn keeper(ledger: &Ledger, clock: &Arc<StoppedClock>) -> RetentionKeeper {
        let records = ledger.old_records(RecordRetention::default()).unwrap();
        RetentionKeeper::new(records, Arc::clone(clock) as Arc<_>)
    }

    #[tokio::test]
    async fn a_pass_deletes_what_is_old_and_the_next_comes_in_an_hour() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(&directory).await;
        let later = |days: u64| Arc::new(StoppedClock::at(SystemClock.unix_seconds().cast_unsigned() + days * DAY));
        let is_there = async || {
            let records = ledger.old_records(RecordRetention::default()).unwrap();
            records.delete_batch(UtcDay::today(&*later(500))).await.unwrap() == 1
        };
        assert_eq!(keeper(&ledger, &later(399)).pass().await, INTERVAL);
        assert!(is_there().await, "its last day isn't over");
        let directory = tempfile::tempdir().unwrap();
        let ledger = self::ledger(&directory).await;
        assert_eq!(keeper(&ledger, &later(402)).pass().await, INTERVAL);
        let records = ledger.old_records(RecordRetention::default()).unwrap();
        assert_eq!(records.delete_batch(UtcDay::today(&*later(500))).await, Ok(0));
    }

    #[tokio::test]
    async fn without_the_database_a_pass_deletes_nothing_and_the_next_comes_in_a_minute() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(&directory).await;
        ledger.close().await;
        assert_eq!(keeper(&ledger, &Arc::new(StoppedClock::at(0))).pass().await, RETRY);
    }
}
