//! Locks on names in SQL: one row for each file that a session is creating with EXCL, only in PostgreSQL, as with
//! claims.
//!
//! If two sessions hold the same lock because the clocks of their nodes differ, S3's `If-None-Match: *` lets only the
//! first of them publish.

use super::{
    database::with,
    leases::{drop_ended, end},
    sql_journal::{SqlJournal, until},
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, LockJournal, LockOutcome},
    name::{BucketId, Key},
};
use async_trait::async_trait;
use std::time::Duration;

/// Takes over a row whose lease has ended.
const LOCK: &str = "INSERT INTO locks (bucket, name, holder, held_until, is_open) VALUES ($1, $2, $3, $4, 0) \
                    ON CONFLICT (bucket, name) DO UPDATE SET holder = excluded.holder, \
                    held_until = excluded.held_until, is_open = 0 \
                    WHERE locks.held_until <= $5 OR locks.holder = excluded.holder";
const FIND: &str = "SELECT holder, is_open FROM locks WHERE bucket = $1 AND name = $2";
const HOLD: &str = "UPDATE locks SET held_until = $4, is_open = 1 WHERE bucket = $1 AND name = $2 AND holder = $3";
const END: &str = end!("locks");
const DROP_ENDED: &str = drop_ended!("locks");
const BREAK: &str = "DELETE FROM locks WHERE bucket = $1 AND name = $2 AND held_until > $3 AND is_open = 1";

impl SqlJournal {
    /// Returns a lock's holder, and true if its file is open. Asks the writer, so it is answered as long as locks can
    /// be written.
    async fn find_lock(&self, bucket: &BucketId, name: &Key) -> Result<Option<(String, bool)>, JournalDown> {
        let row: Option<(String, i64)> = self
            .ask(&self.writes, async {
                with!(&self.database.writes, pool => {
                    sqlx::query_as(FIND).bind(bucket.as_str()).bind(name.as_str()).fetch_optional(pool).await
                })
            })
            .await?;
        Ok(row.map(|(holder, is_open)| (holder, is_open == 1)))
    }
}

#[async_trait]
impl LockJournal for SqlJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<LockOutcome, JournalDown> {
        if self.change_lease(LOCK, (bucket, name, lease), &[until(lease.term), SystemClock.unix_seconds()]).await? {
            return Ok(LockOutcome::Ours);
        }
        let is_open = self.find_lock(bucket, name).await?.is_some_and(|(_, is_open)| is_open);
        // A lock that has just ended counts as one whose OPEN isn't answered yet.
        Ok(if is_open { LockOutcome::Theirs } else { LockOutcome::Opening })
    }

    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.change_lease(HOLD, (bucket, name, lease), &[until(lease.term)]).await
    }

    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        Ok(self.find_lock(bucket, name).await?.is_some_and(|(holder, _)| holder == lease.holder))
    }

    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.change_lease(END, (bucket, name, lease), &[]).await
    }

    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let broken = sqlx::query(BREAK).bind(bucket.as_str()).bind(name.as_str()).bind(SystemClock.unix_seconds());
                Ok(broken.execute(pool).await?.rows_affected() == 1)
            })
        })
        .await
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.drop_ended_leases(DROP_ENDED, ended_for).await
    }
}
