//! Writes rows of records to SQL.

use super::{
    row::RecordRow,
    table::{ColumnType, RecordTable},
};
use crate::{
    journal::JournalDown,
    ledger::{
        breaker::Breaker,
        database::{ConnectionPool, Database},
        error::refuses_values,
        sql_journal::SqlJournal,
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The most rows of a statement.
const STATEMENT_ROWS: usize = 100;

/// Writes rows to the tables of a ledger.
#[derive(Debug)]
pub(super) struct RowInserter {
    journal: Arc<SqlJournal>,
    breaker: Breaker,
    /// The most rows of the next statement. A slow database gets shorter ones, because each has two seconds.
    statement_rows: AtomicUsize,
}

/// A row that SQL refuses, and the reason.
#[derive(Debug)]
pub(super) struct RefusedRow {
    pub(super) table: RecordTable,
    pub(super) id: String,
    pub(super) error: String,
}

impl RowInserter {
    pub(super) fn new(journal: Arc<SqlJournal>) -> Self {
        let breaker = Breaker::new("records", journal.location().to_string());
        Self { journal, breaker, statement_rows: AtomicUsize::new(STATEMENT_ROWS) }
    }

    /// Writes rows. One that SQL has already counts once. Returns those that SQL refuses.
    ///
    /// # Errors
    /// [`JournalDown`]: SQL may have some of the rows.
    pub(super) async fn insert(&self, rows: &[RecordRow]) -> Result<Vec<RefusedRow>, JournalDown> {
        let mut tables: BTreeMap<RecordTable, Vec<&RecordRow>> = BTreeMap::new();
        for row in rows {
            tables.entry(row.table).or_default().push(row);
        }
        let mut refused = Vec::new();
        for (table, mut rows) in tables {
            while !rows.is_empty() {
                let most = self.statement_rows.load(Ordering::Relaxed);
                let later = rows.split_off(most.min(rows.len()));
                refused.extend(self.insert_into(table, &rows).await?);
                rows = later;
            }
        }
        Ok(refused)
    }

    /// Writes the rows with one statement, or one by one if SQL refuses some of them.
    async fn insert_into(&self, table: RecordTable, rows: &[&RecordRow]) -> Result<Vec<RefusedRow>, JournalDown> {
        let Some(error) = self.ask(table, rows).await? else { return Ok(Vec::new()) };
        if let [row] = rows {
            let id = row.text("id").unwrap_or_default().to_owned();
            return Ok(vec![RefusedRow { table, id, error }]);
        }
        let mut refused = Vec::new();
        for row in rows {
            if let Some(error) = self.ask(table, &[row]).await? {
                let id = row.text("id").unwrap_or_default().to_owned();
                refused.push(RefusedRow { table, id, error });
            }
        }
        Ok(refused)
    }

    /// Sends one statement. Returns the error if SQL refuses a value of it.
    async fn ask(&self, table: RecordTable, rows: &[&RecordRow]) -> Result<Option<String>, JournalDown> {
        let statement = async {
            match insert(&self.journal.database, table, rows).await {
                Err(refusal) if refuses_values(&refusal) => Ok(Some(refusal.to_string())),
                inserted => inserted.map(|()| None),
            }
        };
        let answer = self.journal.ask(&self.breaker, statement).await;
        let next = match &answer {
            Ok(_) => STATEMENT_ROWS,
            Err(JournalDown) => (rows.len() / 2).max(1),
        };
        self.statement_rows.store(next, Ordering::Relaxed);
        answer
    }
}

macro_rules! insert_rows {
    ($database:ty, $pool:expr, $table:expr, $rows:expr) => {{
        let mut query = sqlx::QueryBuilder::<$database>::new("INSERT INTO ");
        query.push($table.name()).push(" (");
        let mut names = query.separated(", ");
        for column in $table.columns() {
            names.push(column.name);
        }
        query.push(") ");
        query.push_values($rows.iter(), |mut values, row| {
            for column in $table.columns() {
                match column.kind {
                    ColumnType::Text => values.push_bind(row.text(column.name)),
                    ColumnType::Integer => values.push_bind(row.integer(column.name)),
                };
            }
        });
        query.push(" ON CONFLICT DO NOTHING");
        // Statements differ by the number of their rows: caching them would fill the cache.
        query.build().persistent(false).execute($pool).await.map(drop)
    }};
}

async fn insert(database: &Database, table: RecordTable, rows: &[&RecordRow]) -> sqlx::Result<()> {
    match &database.writes {
        ConnectionPool::Sqlite(pool) => insert_rows!(sqlx::Sqlite, pool, table, rows),
        ConnectionPool::Postgres(pool) => insert_rows!(sqlx::Postgres, pool, table, rows),
    }
}
