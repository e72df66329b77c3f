//! Leases on names in SQL, for claims and locks. A table has one row per name, with the lease's holder and its end in
//! seconds since 1970.
//!
//! Leases end by the clocks of the nodes, as those of renames do.

use super::{
    database::with,
    sql_journal::{SqlJournal, ago},
};
use crate::{
    journal::{JournalDown, Lease},
    name::{BucketId, Key},
};
use std::time::Duration;

/// Deletes the row of the name `$2` in the bucket `$1`, if `$3` is its holder.
macro_rules! end {
    ($table:literal) => {
        concat!("DELETE FROM ", $table, " WHERE bucket = $1 AND name = $2 AND holder = $3")
    };
}

/// Deletes rows whose leases ended at `$1` or before. A row that was taken over meanwhile stays.
macro_rules! drop_ended {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE held_until <= $1 AND (bucket, name) IN (SELECT bucket, name FROM ",
            $table,
            " WHERE held_until <= $1 ORDER BY held_until LIMIT 1000)"
        )
    };
}
pub(super) use {drop_ended, end};

/// The name of a row, and the lease of the session that asks.
pub(super) type Leased<'a> = (&'a BucketId, &'a Key, &'a Lease);

impl SqlJournal {
    /// Executes a statement on one row: `$1` is its bucket, `$2` its name, `$3` the lease's holder, followed by
    /// `times`. Returns `false` if no row matched.
    pub(super) async fn change_lease(
        &self,
        statement: &'static str,
        (bucket, name, lease): Leased<'_>,
        times: &[i64],
    ) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let query = sqlx::query(statement).bind(bucket.as_str()).bind(name.as_str()).bind(lease.holder.as_str());
                let query = times.iter().fold(query, |query, time| query.bind(*time));
                Ok(query.execute(pool).await?.rows_affected() == 1)
            })
        })
        .await
    }

    /// Deletes rows whose leases ended at least `ended_for` ago. Returns their number.
    pub(super) async fn drop_ended_leases(
        &self,
        statement: &'static str,
        ended_for: Duration,
    ) -> Result<u64, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                Ok(sqlx::query(statement).bind(ago(ended_for)).execute(pool).await?.rows_affected())
            })
        })
        .await
    }
}
