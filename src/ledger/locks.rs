//! Locks on names in SQL: one row for each file that is being created with EXCL, in PostgreSQL alone, as with claims.
//!
//! Leases end by the clocks of the nodes. Where two sessions have one name nevertheless, S3's `If-None-Match: *` lets the
//! first of them publish.

use super::{
    database::with,
    late::{SqlJournal, ago, now, until},
};
use crate::store::{BucketId, JournalDown, Key, Lease, LockJournal, Locked};
use async_trait::async_trait;
use std::time::Duration;

/// A row of a holder whose lease has ended is taken over.
const LOCK: &str = "INSERT INTO locks (bucket, name, holder, held_until, is_open) VALUES ($1, $2, $3, $4, 0) \
                    ON CONFLICT (bucket, name) DO UPDATE SET holder = excluded.holder, \
                    held_until = excluded.held_until, is_open = 0 \
                    WHERE locks.held_until <= $5 OR locks.holder = excluded.holder";
const FIND: &str = "SELECT is_open FROM locks WHERE bucket = $1 AND name = $2";
const HAS: &str = "SELECT 1 FROM locks WHERE bucket = $1 AND name = $2 AND holder = $3";
const HOLD: &str = "UPDATE locks SET held_until = $1, is_open = 1 WHERE bucket = $2 AND name = $3 AND holder = $4";
const END: &str = "DELETE FROM locks WHERE bucket = $1 AND name = $2 AND holder = $3";
const BREAK: &str = "DELETE FROM locks WHERE bucket = $1 AND name = $2 AND held_until > $3 AND is_open = 1";

/// A row that was taken meanwhile stays.
const DROP_ENDED: &str = "DELETE FROM locks WHERE held_until <= $1 AND (bucket, name) IN \
                          (SELECT bucket, name FROM locks WHERE held_until <= $1 ORDER BY held_until LIMIT 1000)";

#[async_trait]
impl LockJournal for SqlJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<Locked, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let locked = sqlx::query(LOCK)
                    .bind(bucket.as_str())
                    .bind(name.as_str())
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(now())
                    .execute(pool)
                    .await?;
                if locked.rows_affected() == 1 {
                    return Ok(Locked::Ours);
                }
                let is_open: Option<i64> =
                    sqlx::query_scalar(FIND).bind(bucket.as_str()).bind(name.as_str()).fetch_optional(pool).await?;
                // One that has just ended is like one of which nobody knows yet how it ends.
                Ok(if is_open == Some(1) { Locked::Theirs } else { Locked::Opening })
            })
        })
        .await
    }

    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let held = sqlx::query(HOLD)
                    .bind(until(lease.term))
                    .bind(bucket.as_str())
                    .bind(name.as_str())
                    .bind(lease.holder.as_str())
                    .execute(pool)
                    .await?;
                Ok(held.rows_affected() == 1)
            })
        })
        .await
    }

    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.reads, async {
            with!(&self.database.reads, pool => {
                let found = sqlx::query(HAS).bind(bucket.as_str()).bind(name.as_str()).bind(lease.holder.as_str());
                Ok(found.fetch_optional(pool).await?.is_some())
            })
        })
        .await
    }

    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let ended = sqlx::query(END).bind(bucket.as_str()).bind(name.as_str()).bind(lease.holder.as_str());
                Ok(ended.execute(pool).await?.rows_affected() == 1)
            })
        })
        .await
    }

    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let broken = sqlx::query(BREAK).bind(bucket.as_str()).bind(name.as_str()).bind(now());
                Ok(broken.execute(pool).await?.rows_affected() == 1)
            })
        })
        .await
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                Ok(sqlx::query(DROP_ENDED).bind(ago(ended_for)).execute(pool).await?.rows_affected())
            })
        })
        .await
    }
}
