//! Renames of directories in SQL: one row for each that is in progress or was interrupted. There are only few.
//!
//! Leases end by the clocks of the nodes. If these differ by more than a term, two nodes may work on one rename. Then
//! the phase, which only the lease's holder can change, prevents that one deletes objects that the other needs.

use super::{
    database::{ConnectionPool, with},
    sql_journal::{SqlJournal, until},
    unreadable_rows::MAX_SKIPPED,
};
use crate::{
    account::Permissions,
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, Owner, RenameJournal, RenamePhase, RenamedNames, TreeRename},
    name::{BucketId, Prefix},
};
use async_trait::async_trait;

/// Enters a rename, unless another one concerns the same names.
const ENTER: &str = "INSERT INTO tree_renames \
                     (id, bucket, tenant, user_name, mount, source, target, phase, holder, held_until, permissions) \
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE NOT EXISTS (\
                     SELECT 1 FROM tree_renames WHERE bucket = $2 AND (\
                     substr(source, 1, length($6)) = $6 OR substr($6, 1, length(source)) = source OR \
                     substr(target, 1, length($6)) = $6 OR substr($6, 1, length(target)) = target OR \
                     substr(source, 1, length($7)) = $7 OR substr($7, 1, length(source)) = source OR \
                     substr(target, 1, length($7)) = $7 OR substr($7, 1, length(target)) = target))";
/// If two nodes enter renames at once, the second looks after the first has committed. SQLite has one writer at a time
/// anyway.
const ONE_AT_A_TIME: &str = "LOCK TABLE tree_renames IN SHARE ROW EXCLUSIVE MODE";
const HOLD: &str = "UPDATE tree_renames SET phase = $1, held_until = $2 WHERE id = $3 AND holder = $4";
const TAKE: &str = "UPDATE tree_renames SET holder = $1, held_until = $2 WHERE held_until <= $3 AND id = \
                    (SELECT id FROM tree_renames WHERE held_until <= $3 ORDER BY held_until LIMIT 1) \
                    RETURNING id, bucket, tenant, user_name, mount, source, target, phase, permissions";
const END: &str = "DELETE FROM tree_renames WHERE id = $1 AND holder = $2";

/// The columns of a row, in the order of [`TAKE`].
type RenameRow = (String, String, String, String, String, String, String, i64, Option<String>);

#[async_trait]
impl RenameJournal for SqlJournal {
    async fn enter_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown> {
        let names = &rename.names;
        macro_rules! entering {
            () => {
                sqlx::query(ENTER)
                    .bind(rename.id.as_str())
                    .bind(rename.bucket.as_str())
                    .bind(rename.owner.tenant.as_str())
                    .bind(rename.owner.user.as_str())
                    .bind(names.mount().as_str())
                    .bind(names.source().as_str())
                    .bind(names.target().as_str())
                    .bind(rename.phase.number())
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(rename.permissions.map(|permissions| permissions.to_string()))
            };
        }
        // Boxed, because a transaction is large.
        let entering = Box::pin(async {
            let entered = match &self.database.writes {
                ConnectionPool::Sqlite(pool) => entering!().execute(pool).await?.rows_affected(),
                ConnectionPool::Postgres(pool) => {
                    let mut transaction = pool.begin().await?;
                    sqlx::query(ONE_AT_A_TIME).execute(&mut *transaction).await?;
                    let entered = entering!().execute(&mut *transaction).await?.rows_affected();
                    transaction.commit().await?;
                    entered
                }
            };
            Ok(entered == 1)
        });
        self.ask(&self.writes, entering).await
    }

    async fn hold_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let held = sqlx::query(HOLD)
                    .bind(rename.phase.number())
                    .bind(until(lease.term))
                    .bind(rename.id.as_str())
                    .bind(lease.holder.as_str())
                    .execute(pool)
                    .await?;
                Ok(held.rows_affected() == 1)
            })
        })
        .await
    }

    async fn take_rename(&self, lease: &Lease) -> Result<Option<TreeRename>, JournalDown> {
        for _ in 0..=MAX_SKIPPED {
            // All rows are read, because SQLite undoes a statement that isn't read to its end.
            let rows: Vec<RenameRow> = self
                .ask(&self.writes, async {
                    with!(&self.database.writes, pool => {
                        sqlx::query_as(TAKE)
                            .bind(lease.holder.as_str())
                            .bind(until(lease.term))
                            .bind(SystemClock.unix_seconds())
                            .fetch_all(pool)
                            .await
                    })
                })
                .await?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            let id = row.0.clone();
            if let Some(rename) = self.unreadable.check("tree_renames", &id, rename(row)) {
                return Ok(Some(rename));
            }
        }
        Ok(None)
    }

    async fn end_rename(&self, rename: &TreeRename, lease: &Lease) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let ended = sqlx::query(END).bind(rename.id.as_str()).bind(lease.holder.as_str());
                ended.execute(pool).await.map(drop)
            })
        })
        .await
    }
}

/// The rename of a row. Source and target are complete prefixes there, which can be compared with those of other mounts
/// of the bucket. `None` for a row that this version can't read.
fn rename((id, bucket, tenant, user, mount, source, target, phase, permissions): RenameRow) -> Option<TreeRename> {
    let name = |place: String| Some(place.strip_prefix(mount.as_str())?.strip_suffix('/')?.to_owned());
    let names = RenamedNames::new(Prefix::parse(&mount).ok()?, &name(source)?, &name(target)?).ok()?;
    Some(TreeRename {
        id,
        bucket: BucketId::recorded(&bucket),
        owner: Owner { tenant: tenant.parse().ok()?, user: user.parse().ok()? },
        permissions: permissions.as_deref().map(Permissions::of_known_words),
        names,
        phase: RenamePhase::of_number(phase)?,
    })
}
