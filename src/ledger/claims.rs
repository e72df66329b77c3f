//! Claims on names in SQL: one row for each operation that is under way, in PostgreSQL alone. A file of SQLite is one
//! node's, and within a node no row is needed.
//!
//! Leases end by the clocks of the nodes, as those of renames do. Where two nodes take one name nevertheless, S3's
//! conditional deletion tells them apart.

use super::{
    database::{Pool, with},
    late::{SqlJournal, ago, now, until},
};
use crate::store::{BucketId, ClaimJournal, JournalDown, Key, Lease};
use async_trait::async_trait;
use std::time::Duration;

/// A row of a holder whose lease has ended is taken over.
const CLAIM: &str = "INSERT INTO claims (bucket, name, holder, held_until) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (bucket, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until \
                     WHERE claims.held_until <= $5";
const HOLD: &str = "UPDATE claims SET held_until = $1 WHERE bucket = $2 AND name = $3 AND holder = $4";
const END: &str = "DELETE FROM claims WHERE bucket = $1 AND name = $2 AND holder = $3";

/// A row that was taken meanwhile stays.
const DROP_ENDED: &str = "DELETE FROM claims WHERE held_until <= $1 AND (bucket, name) IN \
                          (SELECT bucket, name FROM claims WHERE held_until <= $1 ORDER BY held_until LIMIT 1000)";

#[async_trait]
impl ClaimJournal for SqlJournal {
    fn is_shared(&self) -> bool {
        matches!(self.database.writes, Pool::Postgres(_))
    }

    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let claimed = sqlx::query(CLAIM)
                    .bind(bucket.as_str())
                    .bind(name.as_str())
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(now())
                    .execute(pool)
                    .await?;
                Ok(claimed.rows_affected() == 1)
            })
        })
        .await
    }

    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
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

    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let ended = sqlx::query(END).bind(bucket.as_str()).bind(name.as_str()).bind(lease.holder.as_str());
                ended.execute(pool).await.map(drop)
            })
        })
        .await
    }

    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                Ok(sqlx::query(DROP_ENDED).bind(ago(ended_for)).execute(pool).await?.rows_affected())
            })
        })
        .await
    }
}
