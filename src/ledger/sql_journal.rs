//! The journal in SQL: one row per object, found by its primary key.
//!
//! A page of a listing is one range of the key. A row in the range whose object is not on the page belongs to an object
//! that another program removed, such as a vendor's own job. Such rows are dropped at this moment, so no other task has
//! to search for them.

use super::{
    Error, Location,
    breaker::Breaker,
    database::{ConnectionPool, Database, with},
    page::{self, PageRow},
    unreadable_rows::UnreadableRows,
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{AttributeNote, Journal, JournalDown, ObjectAttributes, ObjectTimes, TimesAndMode},
    name::{BucketId, Key, Prefix},
    store::ETag,
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{OnceCell, Semaphore};

macro_rules! insert {
    () => {
        "INSERT INTO late_attributes AS old (bucket, directory, name, etag, accessed, modified, mode, set_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    };
}

macro_rules! replaced {
    () => {
        " ON CONFLICT (bucket, directory, name) DO UPDATE SET etag = excluded.etag, accessed = excluded.accessed, \
         modified = excluded.modified, mode = excluded.mode, set_at = excluded.set_at"
    };
}
pub(super) use replaced;

/// True for a row of the same version. A row that was set before `$9` belongs to an older version with the same bytes.
macro_rules! counts {
    () => {
        "old.etag = excluded.etag AND old.set_at >= $9"
    };
}

/// True for a row with the same ETag as the new attributes.
macro_rules! same {
    () => {
        "old.etag = told.column4"
    };
}

macro_rules! rows_of_a_directory {
    () => {
        "SELECT name, etag, accessed, modified, mode, set_at FROM late_attributes WHERE bucket = $1 AND directory = $2"
    };
}

const FIND: &str = concat!(rows_of_a_directory!(), " AND name = $3");
const REPLACE: &str = concat!(insert!(), replaced!());
/// Adds to a row of the same version as [`ObjectAttributes::on_top_of`] does. The set time of such a row never
/// decreases. Replaces a row of another version, unless it was set at the same time or later, and after `$10`: then its
/// version is younger.
const ADD: &str = concat!(
    insert!(),
    " ON CONFLICT (bucket, directory, name) DO UPDATE SET etag = excluded.etag, \
     set_at = CASE WHEN old.etag = excluded.etag AND old.set_at > excluded.set_at \
     THEN old.set_at ELSE excluded.set_at END, \
     accessed = COALESCE(excluded.accessed, CASE WHEN ",
    counts!(),
    " THEN old.accessed END), \
     modified = CASE WHEN excluded.accessed IS NOT NULL THEN excluded.modified \
     ELSE COALESCE(CASE WHEN ",
    counts!(),
    " THEN old.modified END, excluded.modified) END, \
     mode = COALESCE(excluded.mode, CASE WHEN ",
    counts!(),
    " THEN old.mode END) \
     WHERE old.etag = excluded.etag OR old.set_at < excluded.set_at OR old.set_at <= $10 \
     RETURNING name, etag, accessed, modified, mode, set_at"
);
/// Ends a statement that writes several rows: they replace existing ones, except those of younger versions. This allows
/// for clocks that differ.
const ALL_REPLACED: &str =
    concat!(replaced!(), " WHERE old.etag = excluded.etag OR old.set_at <= excluded.set_at + 60");
/// Begins a statement that adds to existing rows as [`AttributeNote::beside`] does. The new attributes have the columns
/// of a row, then the time from which on attributes of the version count, and the time from which on those that were
/// set stay.
const ADD_TOLD: &str = concat!(
    "UPDATE late_attributes AS old SET etag = told.column4, \
     set_at = CASE WHEN ",
    same!(),
    " AND old.set_at > told.column8 THEN old.set_at ELSE told.column8 END, \
     accessed = CASE WHEN ",
    same!(),
    " AND old.set_at >= told.column10 THEN COALESCE(old.accessed, told.column5) WHEN ",
    same!(),
    " AND old.set_at >= told.column9 THEN COALESCE(told.column5, old.accessed) ELSE told.column5 END, \
     modified = CASE WHEN ",
    same!(),
    " AND old.set_at >= told.column10 AND old.accessed IS NOT NULL THEN old.modified \
     WHEN told.column5 IS NOT NULL THEN told.column6 WHEN ",
    same!(),
    " AND old.set_at >= told.column9 THEN COALESCE(old.modified, told.column6) ELSE told.column6 END, \
     mode = CASE WHEN ",
    same!(),
    " AND old.set_at >= told.column10 THEN COALESCE(old.mode, told.column7) WHEN ",
    same!(),
    " AND old.set_at >= told.column9 THEN COALESCE(told.column7, old.mode) ELSE told.column7 END FROM ("
);
/// Ends it. If two versions were set in the same second, the one that is written last counts as the younger.
const TOLD: &str = concat!(
    ") AS told WHERE old.bucket = told.column1 AND old.directory = told.column2 AND old.name = told.column3 AND (",
    same!(),
    " OR old.set_at <= told.column8)"
);
/// Ends a statement that writes several rows: existing ones stay as they are.
const NONE_REPLACED: &str = " ON CONFLICT (bucket, directory, name) DO NOTHING";
const FORGET: &str = "DELETE FROM late_attributes WHERE bucket = $1 AND directory = $2 AND name = $3 AND set_at <= $4";

/// A younger row may belong to an object that appeared after the listing was requested.
const GARBAGE_AGE_SECONDS: i64 = 3_600;

/// A statement with the columns of a row bound to it.
macro_rules! writing {
    ($query:path, $statement:expr, $bucket:expr, $key:expr, $entry:expr) => {{
        let (directory, name) = $key.directory_and_name();
        $query($statement)
            .bind($bucket.as_str())
            .bind(directory)
            .bind(name)
            .bind($entry.etag.0.as_str())
            .bind(accessed(&$entry))
            .bind(modified(&$entry))
            .bind($entry.attributes.mode.map(i64::from))
            .bind($entry.set_at)
    }};
}

/// Writes the rows of several objects at once. `$written` decides what happens to existing rows.
macro_rules! write_rows {
    ($database:ty, $pool:expr, $entries:expr, $written:expr) => {{
        let columns = "INSERT INTO late_attributes AS old \
                       (bucket, directory, name, etag, accessed, modified, mode, set_at) ";
        let mut query = sqlx::QueryBuilder::<$database>::new(columns);
        query.push_values($entries, |mut row, (bucket, key, entry)| {
            let (directory, name) = key.directory_and_name();
            row.push_bind(bucket.as_str())
                .push_bind(directory)
                .push_bind(name)
                .push_bind(entry.etag.0.as_str())
                .push_bind(accessed(entry))
                .push_bind(modified(entry))
                .push_bind(entry.attributes.mode.map(i64::from))
                .push_bind(entry.set_at);
        });
        query.push($written);
        query.build().execute($pool).await.map(drop)
    }};
}

/// Adds to the rows of several objects at once, and creates missing ones.
macro_rules! add_rows {
    ($database:ty, $pool:expr, $notes:expr) => {{
        let mut query = sqlx::QueryBuilder::<$database>::new(ADD_TOLD);
        query.push_values($notes, |mut row, note| {
            let (directory, name) = note.key.directory_and_name();
            row.push_bind(note.bucket.as_str())
                .push_bind(directory)
                .push_bind(name)
                .push_bind(note.entry.etag.0.as_str())
                .push_bind(accessed(&note.entry))
                .push_bind(modified(&note.entry))
                .push_bind(note.entry.attributes.mode.map(i64::from))
                .push_bind(note.entry.set_at)
                .push_bind(ObjectAttributes::earliest(note.modified))
                .push_bind(note.stays_from());
        });
        query.push(TOLD);
        query.build().execute($pool).await?;
        let rows = $notes.iter().map(|note| (&note.bucket, &note.key, &note.entry));
        write_rows!($database, $pool, rows, NONE_REPLACED)
    }};
}

/// Deletes the rows of several objects at once.
macro_rules! forget_rows {
    ($database:ty, $pool:expr, $bucket:expr, $keys:expr) => {{
        let mut query = sqlx::QueryBuilder::<$database>::new("DELETE FROM late_attributes WHERE bucket = ");
        query.push_bind($bucket.as_str()).push(" AND (directory, name) IN (");
        query.push_values($keys, |mut row, key| {
            let (directory, name) = key.directory_and_name();
            row.push_bind(directory).push_bind(name);
        });
        query.push(")");
        query.build().execute($pool).await.map(drop)
    }};
}

/// The columns of a row, in the order of the statements.
type AttributesRow = (String, String, Option<i64>, Option<i64>, Option<i64>, i64);

impl PageRow for AttributesRow {
    const IN_RANGE: &'static str =
        concat!(rows_of_a_directory!(), " AND name BETWEEN $3 AND $4 ORDER BY name LIMIT $5");
    const OF_NAMES: &'static str = concat!(rows_of_a_directory!(), " AND name IN ");

    fn name(&self) -> &str {
        &self.0
    }
}

/// The journal in a database.
#[derive(Debug)]
pub(super) struct SqlJournal {
    pub(super) database: Arc<Database>,
    /// Set when the tables are up to date. True if there were tables before.
    ready: OnceCell<bool>,
    pub(super) reads: Breaker,
    pub(super) writes: Arc<Breaker>,
    /// Held while garbage is dropped: one page at a time.
    pub(super) sweeping: Arc<Semaphore>,
    pub(super) unreadable: UnreadableRows,
}

impl SqlJournal {
    pub(super) fn new(location: &Location) -> Self {
        let ledger = location.to_string();
        Self {
            database: Arc::new(Database::new(location)),
            ready: OnceCell::new(),
            reads: Breaker::new("reads", ledger.clone()),
            writes: Arc::new(Breaker::new("writes", ledger)),
            sweeping: Arc::new(Semaphore::new(1)),
            unreadable: UnreadableRows::default(),
        }
    }

    /// Brings the tables up to date, unless they are. Returns true if there were tables before the first time.
    pub(super) async fn make_ready(&self) -> Result<bool, Error> {
        self.ready.get_or_try_init(|| self.database.migrate()).await.copied()
    }

    pub(super) fn location(&self) -> &Location {
        self.database.location()
    }

    pub(super) async fn close(&self) {
        self.sweeping.close();
        self.database.close().await;
    }

    /// Asks a question, after the tables are up to date.
    pub(super) async fn ask<T>(
        &self,
        breaker: &Breaker,
        question: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, JournalDown> {
        let prepared = async {
            self.make_ready().await?;
            Ok(question.await?)
        };
        breaker.ask(prepared).await
    }

    /// Drops rows whose objects the page lacks, in the background. Drops nothing if the store doesn't list in byte
    /// order: the object may be on another page then.
    fn sweep(&self, bucket: &BucketId, directory: &Prefix, rows: &[AttributesRow], page: &[&str]) {
        let before = SystemClock.unix_seconds() - GARBAGE_AGE_SECONDS;
        let is_garbage =
            |(name, .., set_at): &&AttributesRow| *set_at <= before && page.binary_search(&name.as_str()).is_err();
        let garbage: Vec<String> = rows.iter().filter(is_garbage).map(|(name, ..)| name.clone()).collect();
        if garbage.is_empty() || !page.is_sorted() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.sweeping).try_acquire_owned() else { return };
        let (database, writes) = (Arc::clone(&self.database), Arc::clone(&self.writes));
        let (bucket, directory) = (bucket.clone(), directory.clone());
        tokio::spawn(async move {
            for name in garbage {
                let row = (bucket.as_str(), directory.as_str(), name.as_str());
                let forgotten = writes.ask(async { Ok(forget(&database, row, before).await?) }).await;
                if forgotten.is_err() {
                    break;
                }
            }
            drop(turn);
        });
    }
}

#[async_trait]
impl Journal for SqlJournal {
    async fn attributes(&self, bucket: &BucketId, key: &Key) -> Result<Option<ObjectAttributes>, JournalDown> {
        let (directory, name) = key.directory_and_name();
        let row: Option<AttributesRow> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    sqlx::query_as(FIND).bind(bucket.as_str()).bind(directory).bind(name).fetch_optional(pool).await
                })
            })
            .await?;
        Ok(row.map(attributes_of))
    }

    async fn attributes_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, ObjectAttributes>, JournalDown> {
        if page.is_empty() {
            return Ok(HashMap::new());
        }
        let found = page::find(&self.database.reads, bucket, directory.as_str(), page);
        let rows: Vec<AttributesRow> = self.ask(&self.reads, found).await?;
        self.sweep(bucket, directory, &rows, page);
        Ok(rows.into_iter().map(|row| (row.0.clone(), attributes_of(row))).collect())
    }

    async fn add_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: &ObjectAttributes,
        modified: i64,
    ) -> Result<ObjectAttributes, JournalDown> {
        let rows: Vec<AttributesRow> = self
            .ask(&self.writes, async {
                with!(&self.database.writes, pool => {
                    let adding = writing!(sqlx::query_as, ADD, bucket, key, entry);
                    let (earliest, latest) =
                        (ObjectAttributes::earliest(modified), ObjectAttributes::latest(modified));
                    adding.bind(earliest).bind(latest).fetch_all(pool).await
                })
            })
            .await?;
        Ok(rows.into_iter().next().map_or_else(|| entry.clone(), attributes_of))
    }

    async fn replace_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: Option<&ObjectAttributes>,
    ) -> Result<(), JournalDown> {
        let (directory, name) = key.directory_and_name();
        self.ask(&self.writes, async {
            match entry {
                None => forget(&self.database, (bucket.as_str(), directory, name), i64::MAX).await,
                Some(entry) => with!(&self.database.writes, pool => {
                    writing!(sqlx::query, REPLACE, bucket, key, entry).execute(pool).await.map(drop)
                }),
            }
        })
        .await
    }

    async fn add_attribute_notes(&self, notes: &[AttributeNote]) -> Result<(), JournalDown> {
        if notes.is_empty() {
            return Ok(());
        }
        self.ask(&self.writes, async {
            match &self.database.writes {
                ConnectionPool::Sqlite(pool) => add_rows!(sqlx::Sqlite, pool, notes),
                ConnectionPool::Postgres(pool) => add_rows!(sqlx::Postgres, pool, notes),
            }
        })
        .await
    }

    async fn replace_attribute_batch(&self, entries: &[(BucketId, Key, ObjectAttributes)]) -> Result<(), JournalDown> {
        if entries.is_empty() {
            return Ok(());
        }
        self.ask(&self.writes, async {
            match &self.database.writes {
                ConnectionPool::Sqlite(pool) => write_rows!(sqlx::Sqlite, pool, entries, ALL_REPLACED),
                ConnectionPool::Postgres(pool) => write_rows!(sqlx::Postgres, pool, entries, ALL_REPLACED),
            }
        })
        .await
    }

    async fn forget_attribute_batch(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        if keys.is_empty() {
            return Ok(());
        }
        self.ask(&self.writes, async {
            match &self.database.writes {
                ConnectionPool::Sqlite(pool) => forget_rows!(sqlx::Sqlite, pool, bucket, keys),
                ConnectionPool::Postgres(pool) => forget_rows!(sqlx::Postgres, pool, bucket, keys),
            }
        })
        .await
    }
}

/// Deletes the row of an object, unless it was written after `before`.
async fn forget(database: &Database, row: (&str, &str, &str), before: i64) -> sqlx::Result<()> {
    let (bucket, directory, name) = row;
    with!(&database.writes, pool => {
        sqlx::query(FORGET).bind(bucket).bind(directory).bind(name).bind(before).execute(pool).await.map(drop)
    })
}

fn attributes_of((_, etag, accessed, modified, mode, set_at): AttributesRow) -> ObjectAttributes {
    let number = |column: Option<i64>| column.and_then(|value| u32::try_from(value).ok());
    let times = number(modified).map(|modified| match number(accessed) {
        Some(accessed) => ObjectTimes::Set { accessed, modified },
        None => ObjectTimes::Appeared(modified),
    });
    ObjectAttributes { etag: ETag(etag), attributes: TimesAndMode { times, mode: number(mode) }, set_at }
}

/// The column `accessed`. It is empty if no client set the times.
pub(super) fn accessed(entry: &ObjectAttributes) -> Option<i64> {
    match entry.attributes.times {
        Some(ObjectTimes::Set { accessed, .. }) => Some(accessed.into()),
        Some(ObjectTimes::Appeared(_)) | None => None,
    }
}

/// The column `modified`.
pub(super) fn modified(entry: &ObjectAttributes) -> Option<i64> {
    match entry.attributes.times {
        Some(ObjectTimes::Set { modified, .. } | ObjectTimes::Appeared(modified)) => Some(modified.into()),
        None => None,
    }
}

/// The end of a term that begins now, in seconds since 1970.
pub(super) fn until(term: Duration) -> i64 {
    SystemClock.unix_seconds().saturating_add(i64::try_from(term.as_secs()).unwrap_or(i64::MAX))
}

/// The beginning of a term that ends now, in seconds since 1970.
pub(super) fn ago(term: Duration) -> i64 {
    SystemClock.unix_seconds().saturating_sub(i64::try_from(term.as_secs()).unwrap_or(i64::MAX))
}
