//! Times of directories in SQL: one row per directory, found by its primary key.
//!
//! The directories below another one have a `parent` that begins with its prefix. They are one range of the key: from
//! the prefix, which ends in `/`, up to the same with the next character instead of the `/`. A statement selects a
//! directory's own row and this range as two parts, because for an `OR` of both SQLite would scan the whole bucket.

use super::{
    database::{ConnectionPool, Database, with},
    page::{self, PageRow},
    sql_journal::{SqlJournal, ago},
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{CLOCK_MARGIN, DirectoryJournal, DirectoryNote, DirectoryTimes, JournalDown, ListedDirectories},
    name::{BucketId, Prefix},
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};

macro_rules! rows_of_a_parent {
    () => {
        "SELECT name, accessed, modified FROM directory_times WHERE bucket = $1 AND parent = $2"
    };
}

const FIND: &str = concat!(rows_of_a_parent!(), " AND name = $3");
const KEEPS: &str = "SELECT EXISTS (SELECT 1 FROM directory_times WHERE bucket = $1 AND parent = $2 AND name = $3) \
                     OR EXISTS (SELECT 1 FROM directory_times WHERE bucket = $1 AND parent >= $4 AND parent < $5)";
const SET: &str = "INSERT INTO directory_times (bucket, parent, name, accessed, modified, set_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (bucket, parent, name) DO UPDATE SET \
                   accessed = excluded.accessed, modified = excluded.modified, set_at = excluded.set_at";
const FORGET: &str = "DELETE FROM directory_times WHERE bucket = $1 AND parent = $2 AND name = $3 AND set_at <= $4";
const FORGET_BELOW: &str =
    "DELETE FROM directory_times WHERE bucket = $1 AND parent >= $2 AND parent < $3 AND set_at <= $4";
const COPY: &str = "INSERT INTO directory_times (bucket, parent, name, accessed, modified, set_at) \
                    SELECT bucket, $7, $8, accessed, modified, $6 FROM directory_times \
                    WHERE bucket = $1 AND parent = $2 AND name = $3 \
                    UNION ALL \
                    SELECT bucket, $9 || substr(parent, length($4) + 1), name, accessed, modified, $6 \
                    FROM directory_times WHERE bucket = $1 AND parent >= $4 AND parent < $5 \
                    ON CONFLICT (bucket, parent, name) DO NOTHING";

const SET_BEFORE: &str = " ON CONFLICT (bucket, parent, name) DO UPDATE SET accessed = excluded.accessed, \
                          modified = excluded.modified, set_at = excluded.set_at \
                          WHERE directory_times.set_at <= excluded.set_at";
/// Ends a statement that begins with a list of directories and the times at which they were made.
const FORGET_OLDER: &str = ") AS made JOIN directory_times AS old ON old.bucket = made.column1 \
                            AND old.parent = made.column2 AND old.name = made.column3 AND old.set_at < made.column4)";
const FORGET_OLDER_BELOW: &str = ") AS made JOIN directory_times AS old ON old.bucket = made.column1 \
     AND old.parent >= made.column2 AND old.parent < made.column3 AND old.set_at < made.column4)";

/// Sets the times of several directories at once, unless newer times are set.
macro_rules! set_rows {
    ($database:ty, $pool:expr, $set:expr) => {{
        let columns = "INSERT INTO directory_times (bucket, parent, name, accessed, modified, set_at) ";
        let mut query = sqlx::QueryBuilder::<$database>::new(columns);
        query.push_values($set, |mut row, (note, times)| {
            let (parent, name) = note.directory.parent_and_name();
            row.push_bind(note.bucket.as_str())
                .push_bind(parent)
                .push_bind(name)
                .push_bind(i64::from(times.accessed))
                .push_bind(i64::from(times.modified))
                .push_bind(ago(note.set_ago));
        });
        query.push(SET_BEFORE);
        query.build().execute($pool).await?;
    }};
}

/// Deletes the rows of several directories that were made, and of those below them, if they are older.
macro_rules! forget_older_rows {
    ($database:ty, $pool:expr, $made:expr) => {{
        let older = "DELETE FROM directory_times WHERE (bucket, parent, name) IN \
                     (SELECT old.bucket, old.parent, old.name FROM (";
        let mut own = sqlx::QueryBuilder::<$database>::new(older);
        own.push_values($made, |mut row, note| {
            let (parent, name) = note.directory.parent_and_name();
            row.push_bind(note.bucket.as_str()).push_bind(parent).push_bind(name).push_bind(ago(note.set_ago));
        });
        own.push(FORGET_OLDER);
        own.build().execute($pool).await?;
        let mut below = sqlx::QueryBuilder::<$database>::new(older);
        below.push_values($made, |mut row, note| {
            row.push_bind(note.bucket.as_str())
                .push_bind(note.directory.as_str())
                .push_bind(end_of(&note.directory))
                .push_bind(ago(note.set_ago));
        });
        below.push(FORGET_OLDER_BELOW);
        below.build().execute($pool).await?;
    }};
}

/// Selects the rows of several directories at once.
macro_rules! find_rows {
    ($database:ty, $pool:expr, $bucket:expr, $directories:expr) => {{
        let columns = "SELECT parent, name, accessed, modified FROM directory_times WHERE bucket = ";
        let mut query = sqlx::QueryBuilder::<$database>::new(columns);
        query.push_bind($bucket.as_str()).push(" AND (parent, name) IN (");
        query.push_values($directories, |mut row, directory| {
            let (parent, name) = directory.parent_and_name();
            row.push_bind(parent).push_bind(name);
        });
        query.push(")");
        query.build_query_as().fetch_all($pool).await
    }};
}

/// The columns of a row, in the order of the statements.
type DirectoryRow = (String, i64, i64);

impl PageRow for DirectoryRow {
    const IN_RANGE: &'static str = concat!(rows_of_a_parent!(), " AND name BETWEEN $3 AND $4 ORDER BY name LIMIT $5");
    const OF_NAMES: &'static str = concat!(rows_of_a_parent!(), " AND name IN ");

    fn name(&self) -> &str {
        &self.0
    }
}

impl SqlJournal {
    /// Drops rows whose directories the page lacks. Runs in the background, for one page at a time.
    fn sweep_directories(&self, bucket: &BucketId, page: ListedDirectories<'_>, rows: &[DirectoryRow]) {
        let before = ago(page.asked_ago.saturating_add(CLOCK_MARGIN));
        let lacking = page.lacking(rows.iter().map(|(name, ..)| name.as_str()));
        let gone: Vec<Prefix> =
            lacking.into_iter().filter_map(|name| Some(page.parent.key(name).ok()?.as_directory())).collect();
        if gone.is_empty() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.sweeping).try_acquire_owned() else { return };
        let (database, writes, bucket) = (Arc::clone(&self.database), Arc::clone(&self.writes), bucket.clone());
        tokio::spawn(async move {
            for directory in gone {
                let forgotten = writes.ask(async { Ok(forget(&database, &bucket, &directory, before).await?) }).await;
                if forgotten.is_err() {
                    break;
                }
            }
            drop(turn);
        });
    }
}

#[async_trait]
impl DirectoryJournal for SqlJournal {
    async fn directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
    ) -> Result<Option<DirectoryTimes>, JournalDown> {
        let (parent, name) = directory.parent_and_name();
        let row: Option<DirectoryRow> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    sqlx::query_as(FIND).bind(bucket.as_str()).bind(parent).bind(name).fetch_optional(pool).await
                })
            })
            .await?;
        Ok(row.map(times))
    }

    async fn directory_times_of(
        &self,
        bucket: &BucketId,
        directories: &[&Prefix],
    ) -> Result<Vec<Option<DirectoryTimes>>, JournalDown> {
        if directories.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<(String, String, i64, i64)> = self
            .ask(&self.reads, async {
                match &self.database.reads {
                    ConnectionPool::Sqlite(pool) => find_rows!(sqlx::Sqlite, pool, bucket, directories),
                    ConnectionPool::Postgres(pool) => find_rows!(sqlx::Postgres, pool, bucket, directories),
                }
            })
            .await?;
        let kept = rows.into_iter().map(|(parent, name, accessed, modified)| {
            let path = format!("{parent}{name}");
            (path, times((name, accessed, modified)))
        });
        let kept: HashMap<String, DirectoryTimes> = kept.collect();
        let path = |directory: &&Prefix| directory.as_str().strip_suffix('/').unwrap_or_default().to_owned();
        Ok(directories.iter().map(|directory| kept.get(&path(directory)).copied()).collect())
    }

    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown> {
        let (parent, name) = directory.parent_and_name();
        self.ask(&self.reads, async {
            with!(&self.database.reads, pool => {
                sqlx::query_scalar(KEEPS)
                    .bind(bucket.as_str())
                    .bind(parent)
                    .bind(name)
                    .bind(directory.as_str())
                    .bind(end_of(directory))
                    .fetch_one(pool)
                    .await
            })
        })
        .await
    }

    async fn directory_times_in(
        &self,
        bucket: &BucketId,
        page: ListedDirectories<'_>,
    ) -> Result<HashMap<String, DirectoryTimes>, JournalDown> {
        if page.names.is_empty() {
            return Ok(HashMap::new());
        }
        let found = page::find(&self.database.reads, bucket, page.parent.as_str(), page.names);
        let rows: Vec<DirectoryRow> = self.ask(&self.reads, found).await?;
        self.sweep_directories(bucket, page, &rows);
        Ok(rows.into_iter().map(|row| (row.0.clone(), times(row))).collect())
    }

    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown> {
        let (parent, name) = directory.parent_and_name();
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                sqlx::query(SET)
                    .bind(bucket.as_str())
                    .bind(parent)
                    .bind(name)
                    .bind(i64::from(times.accessed))
                    .bind(i64::from(times.modified))
                    .bind(SystemClock.unix_seconds())
                    .execute(pool)
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown> {
        let set: Vec<_> = notes.iter().filter_map(|note| Some((note, note.times?))).collect();
        let made: Vec<_> = notes.iter().filter(|note| note.times.is_none()).collect();
        self.ask(&self.writes, async {
            if !made.is_empty() {
                match &self.database.writes {
                    ConnectionPool::Sqlite(pool) => forget_older_rows!(sqlx::Sqlite, pool, made.iter()),
                    ConnectionPool::Postgres(pool) => forget_older_rows!(sqlx::Postgres, pool, made.iter()),
                }
            }
            if !set.is_empty() {
                match &self.database.writes {
                    ConnectionPool::Sqlite(pool) => set_rows!(sqlx::Sqlite, pool, set.iter()),
                    ConnectionPool::Postgres(pool) => set_rows!(sqlx::Postgres, pool, set.iter()),
                }
            }
            Ok(())
        })
        .await
    }

    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown> {
        let before = asked_ago.map_or(i64::MAX, |asked_ago| ago(asked_ago.saturating_add(CLOCK_MARGIN)));
        self.ask(&self.writes, forget(&self.database, bucket, directory, before)).await
    }

    async fn move_directory_times(
        &self,
        bucket: &BucketId,
        source: &Prefix,
        target: &Prefix,
    ) -> Result<(), JournalDown> {
        let ((parent, name), (new_parent, new_name)) = (source.parent_and_name(), target.parent_and_name());
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                sqlx::query(COPY)
                    .bind(bucket.as_str())
                    .bind(parent)
                    .bind(name)
                    .bind(source.as_str())
                    .bind(end_of(source))
                    .bind(SystemClock.unix_seconds())
                    .bind(new_parent)
                    .bind(new_name)
                    .bind(target.as_str())
                    .execute(pool)
                    .await?;
            });
            // If this fails, rows of the old directory remain.
            forget(&self.database, bucket, source, i64::MAX).await
        })
        .await
    }
}

/// Deletes the rows of a directory and of those below it, unless they were written after `before`.
async fn forget(database: &Database, bucket: &BucketId, directory: &Prefix, before: i64) -> sqlx::Result<()> {
    let (parent, name) = directory.parent_and_name();
    with!(&database.writes, pool => {
        let own = sqlx::query(FORGET).bind(bucket.as_str()).bind(parent).bind(name).bind(before);
        own.execute(pool).await?;
        let below = sqlx::query(FORGET_BELOW)
            .bind(bucket.as_str())
            .bind(directory.as_str())
            .bind(end_of(directory))
            .bind(before);
        below.execute(pool).await.map(drop)
    })
}

/// The first string behind all strings that begin with the prefix. `0` follows `/`.
fn end_of(directory: &Prefix) -> String {
    directory.as_str().strip_suffix('/').map_or_else(|| char::MAX.to_string(), |name| format!("{name}0"))
}

fn times((_, accessed, modified): DirectoryRow) -> DirectoryTimes {
    let seconds = |column: i64| u32::try_from(column.max(0)).unwrap_or(u32::MAX);
    DirectoryTimes { accessed: seconds(accessed), modified: seconds(modified) }
}
