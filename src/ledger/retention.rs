//! Deletes the records of days that are long over, a few rows at a time.

use super::{
    breaker::Breaker,
    database::{ConnectionPool, Database},
    records::RecordTable,
    sql_journal::SqlJournal,
};
use crate::{journal::JournalDown, policy::UtcDay};
use std::{num::NonZeroU32, sync::Arc};

/// The most rows that a statement deletes. In SQLite other changes wait for it, and the database has two seconds for it.
pub(crate) const BATCH_ROWS: u32 = 1_000;

const DAY_MS: i64 = 86_400_000;

/// The time for which records of a kind stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionPeriod {
    /// This number of whole UTC days after their own.
    Days(NonZeroU32),
    /// Records stay as long as the database.
    Unlimited,
}

/// The time for which the records of each kind stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRetention {
    /// The time for transfers.
    pub transfers: RetentionPeriod,
    /// The time for logins and sessions.
    pub sessions: RetentionPeriod,
    /// The time for changes of the tree.
    pub changes: RetentionPeriod,
    /// The time for refused connections and requests.
    pub refusals: RetentionPeriod,
    /// The time for work of the server itself.
    pub operations: RetentionPeriod,
}

/// The records in SQL whose time may be over. Several nodes may delete them at once.
#[derive(Debug)]
pub(crate) struct OldRecords {
    journal: Arc<SqlJournal>,
    /// Not that of other questions: a slow deletion stops no session's.
    breaker: Breaker,
    retention: RecordRetention,
}

impl RetentionPeriod {
    /// Returns the period of `days` days, which aren't zero.
    const fn days(days: u32) -> Self {
        match NonZeroU32::new(days) {
            Some(days) => Self::Days(days),
            None => Self::Unlimited,
        }
    }

    /// Returns the first day whose records stay. `None` if all stay.
    fn first_day(self, today: UtcDay) -> Option<UtcDay> {
        match self {
            Self::Days(days) => Some(UtcDay(today.0.saturating_sub(i64::from(days.get())))),
            Self::Unlimited => None,
        }
    }
}

impl Default for RecordRetention {
    fn default() -> Self {
        Self {
            transfers: RetentionPeriod::days(400),
            sessions: RetentionPeriod::days(90),
            changes: RetentionPeriod::days(400),
            refusals: RetentionPeriod::days(30),
            operations: RetentionPeriod::days(400),
        }
    }
}

impl RecordRetention {
    const fn of(&self, table: RecordTable) -> RetentionPeriod {
        match table {
            RecordTable::Logins | RecordTable::Sessions => self.sessions,
            RecordTable::Transfers => self.transfers,
            RecordTable::Changes => self.changes,
            RecordTable::Refusals => self.refusals,
            RecordTable::Operations => self.operations,
        }
    }
}

impl OldRecords {
    pub(super) fn new(journal: Arc<SqlJournal>, retention: RecordRetention) -> Self {
        let breaker = Breaker::new("retention", journal.location().to_string());
        Self { journal, breaker, retention }
    }

    /// Deletes up to [`BATCH_ROWS`] records of one kind whose time is over `today`. Returns their number: 0 if there are
    /// none of any kind.
    ///
    /// # Errors
    /// The database doesn't answer.
    pub(crate) async fn delete_batch(&self, today: UtcDay) -> Result<u64, JournalDown> {
        for table in RecordTable::ALL {
            let Some(UtcDay(first_day)) = self.retention.of(table).first_day(today) else { continue };
            let deleting = delete(&self.journal.database, table, first_day.saturating_mul(DAY_MS));
            let deleted = self.journal.ask(&self.breaker, deleting).await?;
            if deleted > 0 {
                return Ok(deleted);
            }
        }
        Ok(0)
    }
}

macro_rules! delete_rows {
    ($database:ty, $pool:expr, $table:expr, $before_ms:expr, $locking:literal) => {{
        let name = $table.name();
        let mut query = sqlx::QueryBuilder::<$database>::new("DELETE FROM ");
        query.push(name).push(" WHERE id IN (SELECT id FROM ").push(name).push(" WHERE at_ms < ");
        query.push_bind($before_ms).push(" ORDER BY at_ms LIMIT ").push_bind(i64::from(BATCH_ROWS));
        query.push($locking).push(")");
        query.build().execute($pool).await.map(|done| done.rows_affected())
    }};
}

async fn delete(database: &Database, table: RecordTable, before_ms: i64) -> sqlx::Result<u64> {
    match &database.writes {
        ConnectionPool::Sqlite(pool) => delete_rows!(sqlx::Sqlite, pool, table, before_ms, ""),
        // Another node may be deleting the same rows: this one takes the next.
        ConnectionPool::Postgres(pool) => {
            delete_rows!(sqlx::Postgres, pool, table, before_ms, " FOR UPDATE SKIP LOCKED")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Location;

    async fn days(journal: &SqlJournal, table: RecordTable) -> Vec<i64> {
        let ConnectionPool::Sqlite(reads) = &journal.database.reads else { panic!("it is SQLite") };
        let select = format!("SELECT at_ms / {DAY_MS} FROM {} GROUP BY 1 ORDER BY 1", table.name());
        sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(reads).await.unwrap()
    }

    /// Adds `rows` records of each kind at the end of each of these days.
    async fn fill(journal: &SqlJournal, days: std::ops::Range<i64>, rows: u32) {
        journal.make_ready().await.unwrap();
        let ConnectionPool::Sqlite(writes) = &journal.database.writes else { panic!("it is SQLite") };
        for table in RecordTable::ALL {
            // The columns that are never empty.
            let own = match table {
                RecordTable::Logins => "result",
                RecordTable::Sessions | RecordTable::Operations => "event",
                RecordTable::Transfers => "direction, path, result",
                RecordTable::Changes => "change, path, result",
                RecordTable::Refusals => "kind, result",
            };
            let values = own.split(", ").map(|_| "'x'").collect::<Vec<_>>().join(", ");
            let insert = format!(
                "WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < $3), \
                 days (d) AS (SELECT $1 UNION ALL SELECT d + 1 FROM days WHERE d + 1 < $2) \
                 INSERT INTO {} (id, at_ms, node, process, number, {own}) \
                 SELECT d || '-' || n, d * {DAY_MS} + {DAY_MS} - 1, 'n', 'p', n, {values} FROM days, counted",
                table.name()
            );
            let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(days.start).bind(days.end).bind(rows);
            insert.execute(writes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn records_stay_for_the_whole_days_of_their_kind() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Arc::new(SqlJournal::new(&Location::Sqlite(directory.path().join("ledger.db"))));
        let retention = RecordRetention {
            transfers: RetentionPeriod::days(3),
            sessions: RetentionPeriod::days(2),
            changes: RetentionPeriod::days(1),
            refusals: RetentionPeriod::Unlimited,
            ..RecordRetention::default()
        };
        let old = OldRecords::new(Arc::clone(&journal), retention);
        fill(&journal, 20_000..20_005, 700).await;
        let today = UtcDay(20_004);
        let mut batches = Vec::new();
        loop {
            let deleted = old.delete_batch(today).await.unwrap();
            if deleted == 0 {
                break;
            }
            batches.push(deleted);
        }
        assert!(batches.iter().all(|rows| *rows <= u64::from(BATCH_ROWS)), "{batches:?}");
        assert_eq!(batches.iter().sum::<u64>(), 700 * (1 + 2 * 2 + 3));
        let left = [
            (RecordTable::Transfers, 20_001),
            (RecordTable::Logins, 20_002),
            (RecordTable::Sessions, 20_002),
            (RecordTable::Changes, 20_003),
            (RecordTable::Refusals, 20_000),
            (RecordTable::Operations, 20_000),
        ];
        for (table, first) in left {
            assert_eq!(days(&journal, table).await, (first..20_005).collect::<Vec<_>>(), "{table:?}");
        }
    }
}
