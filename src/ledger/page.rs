//! Reads the rows of a listing's page: one range of the key, in one statement.
//!
//! The range may also contain rows of removed names, in any number, until a sweep drops them. They hide no row of the
//! page: if there are too many, a second statement asks for the names behind the last row that was read.

use super::database::{ConnectionPool, with};
use crate::name::BucketId;
use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow, sqlite::SqliteRow};
use std::fmt::Write as _;

/// The most rows of a range that are read. Twice a page, so half of them may belong to removed names.
const RANGE_ROWS: usize = 2_000;

/// A row of a table whose names are stored by bucket and directory.
pub(super) trait PageRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {
    /// Selects the first `$5` rows of the bucket `$1` and directory `$2` with names from `$3` to `$4`, ordered by name.
    const IN_RANGE: &'static str;
    /// Selects the rows of the bucket `$1` and directory `$2` whose names follow the statement in a list, from `$3` on.
    const OF_NAMES: &'static str;

    /// The name that the row belongs to.
    fn name(&self) -> &str;
}

/// Returns the rows of a page's names, of which there are at most 1,000, and possibly rows of names between them. At
/// most two statements.
pub(super) async fn find<R: PageRow>(
    pool: &ConnectionPool,
    bucket: &BucketId,
    directory: &str,
    names: &[&str],
) -> sqlx::Result<Vec<R>> {
    let (Some(first), Some(last)) = (names.iter().min(), names.iter().max()) else { return Ok(Vec::new()) };
    let limit = i64::try_from(RANGE_ROWS).unwrap_or(i64::MAX);
    let mut rows: Vec<R> = with!(pool, pool => {
        let query = sqlx::query_as(R::IN_RANGE).bind(bucket.as_str()).bind(directory).bind(*first).bind(*last);
        query.bind(limit).fetch_all(pool).await?
    });
    let Some(end) = rows.last().filter(|_| rows.len() == RANGE_ROWS) else { return Ok(rows) };
    let behind: Vec<&str> = names.iter().copied().filter(|name| *name > end.name()).collect();
    if !behind.is_empty() {
        rows.extend(find_named(pool, bucket, directory, &behind).await?);
    }
    Ok(rows)
}

async fn find_named<R: PageRow>(
    pool: &ConnectionPool,
    bucket: &BucketId,
    directory: &str,
    names: &[&str],
) -> sqlx::Result<Vec<R>> {
    let mut statement = R::OF_NAMES.to_owned();
    for (number, _) in (3..).zip(names) {
        let separator = if number == 3 { "(" } else { ", " };
        // Writing to a string can't fail.
        let _ = write!(statement, "{separator}${number}");
    }
    statement.push(')');
    // The text contains only numbers, and the same number of names is rarely asked for again.
    with!(pool, pool => {
        let query = sqlx::query_as(AssertSqlSafe(statement)).persistent(false).bind(bucket.as_str()).bind(directory);
        names.iter().fold(query, |query, name| query.bind(*name)).fetch_all(pool).await
    })
}
