//! Takes the lines of the spool to SQL: in batches, one statement for each table, again until SQL has them.

use super::{
    reader::{RowBatch, SpoolReader},
    row::RecordRow,
    spool::Spool,
    table::{ColumnType, RecordTable},
};
use crate::ledger::{
    breaker::Breaker,
    database::{ConnectionPool, Database},
    error::refuses_values,
    sql_journal::SqlJournal,
};
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// The most rows of a statement. A slow database must manage them in two seconds.
const STATEMENT_ROWS: usize = 100;
/// Lines gather for this long before they go to SQL together.
const GATHERING: Duration = Duration::from_millis(100);
/// The time until lines that SQL didn't take are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The time for the last lines.
const END_LIMIT: Duration = Duration::from_secs(10);
/// The interval at which the files are synced.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The log repeats this often that records are being lost.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The task that takes the lines of this process, and of those that have ended, to SQL.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    spool: Arc<Spool>,
    journal: Arc<SqlJournal>,
    breaker: Breaker,
    /// The last one is this process's own.
    readers: Vec<SpoolReader>,
}

/// The result of a pass over all readers, or of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// SQL has all lines.
    Idle,
    /// SQL took the lines up to this position, and there may be more.
    Progress((u64, u64)),
    /// SQL, or the spool's disk, doesn't answer.
    Failed,
}

impl RecordWriter {
    pub(super) fn new(spool: Arc<Spool>, journal: Arc<SqlJournal>, readers: Vec<SpoolReader>) -> Self {
        let breaker = Breaker::new("records", journal.location().to_string());
        Self { spool, journal, breaker, readers }
    }

    /// Runs until `end` is cancelled, after the last record. Then it takes all lines to SQL, if SQL answers within ten
    /// seconds.
    pub(crate) async fn run_until(mut self, end: CancellationToken) {
        end.run_until_cancelled(Box::pin(self.run())).await;
        self.finish().await;
    }

    async fn run(&mut self) {
        let spool = Arc::clone(&self.spool);
        let taking = async {
            loop {
                match self.pass().await {
                    Pass::Progress(_) => {}
                    Pass::Failed => sleep(RETRY).await,
                    Pass::Idle => {
                        self.replace_segment().await;
                        // A line may have come since the pass: then this returns at once.
                        let _ = timeout(SYNC_INTERVAL, spool.appended.notified()).await;
                        sleep(GATHERING).await;
                    }
                }
            }
        };
        tokio::select! {
            () = taking => {}
            () = keep_synced(&spool) => {}
        }
    }

    /// Takes all lines to SQL. Removes the spool of this process if nothing is left in it.
    async fn finish(mut self) {
        let _ = timeout(END_LIMIT, self.take_all()).await;
        let spool = Arc::clone(&self.spool);
        let position = self.readers.last().map(|own| own.position);
        let ended = spawn_blocking(move || {
            spool.sync()?;
            if position.is_some_and(|position| spool.is_finished(position)) {
                spool.directory().remove()
            } else {
                Ok(())
            }
        });
        if let Ok(Err(error)) = ended.await {
            warn!(%error, "the spool of the ledger could not be ended: the next start takes its records over");
        }
    }

    /// Takes all lines to SQL. Returns false if SQL, or the spool's disk, doesn't answer.
    pub(super) async fn take_all(&mut self) -> bool {
        loop {
            match self.pass().await {
                Pass::Idle => return true,
                Pass::Progress(_) => {}
                Pass::Failed => return false,
            }
        }
    }

    /// Begins another segment, if SQL has all lines, so that the old one can be deleted.
    async fn replace_segment(&self) {
        let Some(position) = self.readers.last().map(|own| own.position) else { return };
        let spool = Arc::clone(&self.spool);
        if let Err(error) = blocking(move || spool.replace_segment(position)).await {
            warn!(%error, "the ledger's spool can't begin a file");
        }
    }

    /// Takes one batch of each process to SQL. Cancel-safe: the next pass takes an interrupted batch again.
    async fn pass(&mut self) -> Pass {
        let mut pass = Pass::Idle;
        for reader in self.readers.clone() {
            match self.take_batch(&reader).await {
                Pass::Idle if !reader.is_of(self.spool.directory()) => {
                    let directory = Arc::clone(&reader.directory);
                    if let Ok(bytes) = blocking(move || directory.note_consumed()).await {
                        self.spool.note_deleted(bytes);
                    }
                    self.readers.retain(|other| !other.is_of(&reader.directory));
                }
                Pass::Idle => {}
                Pass::Progress(end) => {
                    for same in self.readers.iter_mut().filter(|other| other.is_of(&reader.directory)) {
                        same.position = end;
                    }
                    pass = if pass == Pass::Failed { pass } else { Pass::Progress(end) };
                }
                Pass::Failed => pass = Pass::Failed,
            }
        }
        pass
    }

    async fn take_batch(&self, reader: &SpoolReader) -> Pass {
        let reading = reader.clone();
        let RowBatch { rows, end, unreadable } = match blocking(move || reading.next()).await {
            Ok(batch) => batch,
            Err(error) => {
                warn!(%error, "the spool of the ledger can't be read");
                return Pass::Failed;
            }
        };
        if end == reader.position {
            return Pass::Idle;
        }
        if !rows.is_empty() && !self.write(&rows).await {
            return Pass::Failed;
        }
        if unreadable > 0 {
            warn!(lines = unreadable, "lines of the ledger's spool can't be read: their records are lost");
            self.spool.note_lost(unreadable);
        }
        let (spool, reading) = (Arc::clone(&self.spool), reader.clone());
        match blocking(move || reading.delete_before(end, &spool)).await {
            Ok(()) => Pass::Progress(end),
            Err(error) => {
                warn!(%error, "a file of the ledger's spool can't be deleted");
                Pass::Failed
            }
        }
    }

    /// Returns true if SQL has the rows.
    async fn write(&self, rows: &[RecordRow]) -> bool {
        let mut tables: BTreeMap<RecordTable, Vec<&RecordRow>> = BTreeMap::new();
        for row in rows {
            tables.entry(row.table).or_default().push(row);
        }
        for (table, rows) in tables {
            for rows in rows.chunks(STATEMENT_ROWS) {
                if !self.write_to(table, rows).await {
                    return false;
                }
            }
        }
        true
    }

    async fn write_to(&self, table: RecordTable, rows: &[&RecordRow]) -> bool {
        let writing = async {
            match insert(&self.journal.database, table, rows).await {
                Err(refusal) if refuses_values(&refusal) => self.write_singly(table, rows).await,
                written => written,
            }
        };
        self.journal.ask(&self.breaker, writing).await.is_ok()
    }

    /// Writes the rows one by one, because SQL refused one of them. A row that it refuses again is lost, and the others
    /// aren't.
    async fn write_singly(&self, table: RecordTable, rows: &[&RecordRow]) -> sqlx::Result<()> {
        for row in rows {
            match insert(&self.journal.database, table, &[row]).await {
                Err(refusal) if refuses_values(&refusal) => {
                    let id = row.text("id").unwrap_or_default();
                    error!(table = table.name(), id, error = %refusal, "the ledger refuses a record: it is lost");
                    self.spool.note_lost(1);
                }
                written => written?,
            }
        }
        Ok(())
    }
}

/// Syncs the files each second, begins another segment when SQL has the old one, and reports losses.
async fn keep_synced(spool: &Arc<Spool>) {
    let (mut reported, mut lost) = (Instant::now(), 0);
    loop {
        sleep(SYNC_INTERVAL).await;
        let syncing = Arc::clone(spool);
        if let Err(error) = blocking(move || syncing.sync()).await {
            warn!(%error, "the ledger's spool can't be synced: a power cut may lose records");
        }
        let status = spool.status();
        if status.lost > lost && reported.elapsed() >= REPORT_INTERVAL {
            error!(
                records = status.lost - lost,
                since_start = status.lost,
                spool_bytes = status.bytes,
                "records lost: the ledger's spool is full, or its disk takes nothing"
            );
            (reported, lost) = (Instant::now(), status.lost);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
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
