//! Claims on names in SQL: one row for each operation in progress, only in PostgreSQL. A SQLite file belongs to one
//! node, and within a node no row is needed.
//!
//! If two nodes hold the same claim because their clocks differ, S3's conditional deletion lets only one succeed.

use super::{
    database::ConnectionPool,
    leases::{drop_ended, end},
    sql_journal::{SqlJournal, until},
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{ClaimJournal, JournalDown, Lease},
    name::{BucketId, Key},
};
use async_trait::async_trait;
use std::time::Duration;

/// Takes over a row whose lease has ended.
const CLAIM: &str = "INSERT INTO claims (bucket, name, holder, held_until) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (bucket, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until \
                     WHERE claims.held_until <= $5";
const HOLD: &str = "UPDATE claims SET held_until = $4 WHERE bucket = $1 AND name = $2 AND holder = $3";
const END: &str = end!("claims");
const DROP_ENDED: &str = drop_ended!("claims");

#[async_trait]
impl ClaimJournal for SqlJournal {
    fn is_shared(&self) -> bool {
        matches!(self.database.writes, ConnectionPool::Postgres(_))
    }

    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.change_lease(CLAIM, (bucket, name, lease), &[until(lease.term), SystemClock.unix_seconds()]).await
    }

    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.change_lease(HOLD, (bucket, name, lease), &[until(lease.term)]).await
    }

    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown> {
        self.change_lease(END, (bucket, name, lease), &[]).await.map(drop)
    }

    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.drop_ended_leases(DROP_ENDED, ended_for).await
    }
}
