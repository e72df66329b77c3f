//! Tasks that are entered and ended together with claims on the names that they change, in one statement. Only in
//! PostgreSQL: see `claims.rs`.

use super::{
    sql_journal::{SqlJournal, until},
    task_row::{json, reference},
    tasks::{entering, insert},
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, Task},
    name::Key,
};
use sqlx::PgPool;
use std::time::Duration;

/// Lets the commit of its statement not wait for the disk, if the statement refers to it. The rows of a rename are of use
/// only after a crash of a node: they may be lost if the database itself crashes within a second.
macro_rules! without_flush {
    () => {
        "without_flush AS (SELECT set_config('synchronous_commit', 'off', true))"
    };
}
/// Enters a task and claims its names, `$14`, unless a claim that another holder has lasts after `$15`. The claims decide
/// for nodes of every version. They are made in the order of the names, so that no two statements wait for each other. If
/// another statement claims a name at the same moment, claims on the others remain.
const ENTER_CLAIMED: &str = concat!(
    "WITH ",
    without_flush!(),
    ", claimed AS (INSERT INTO claims (bucket, name, holder, held_until) \
     SELECT $3, name, $11, $12 FROM unnest($14) AS names (name), without_flush WHERE NOT EXISTS \
     (SELECT 1 FROM claims WHERE bucket = $3 AND name = ANY ($14) AND held_until > $15) ORDER BY name COLLATE \"C\" \
     ON CONFLICT (bucket, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until \
     WHERE claims.held_until <= $15 RETURNING 1) ",
    insert!(),
    "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM claimed HAVING count(*) = cardinality($14)"
);
/// Deletes the claims of `$3` on the names `$2`. It locks them in the order in which `ENTER_CLAIMED` does.
macro_rules! end_claims {
    () => {
        "DELETE FROM claims WHERE (bucket, name) IN (SELECT bucket, name FROM claims \
         WHERE bucket = $1 AND name = ANY ($2) AND holder = $3 ORDER BY name COLLATE \"C\" FOR UPDATE) AND holder = $3"
    };
}
const END_CLAIMS: &str = end_claims!();
const END_CLAIMED: &str = concat!(
    "WITH ",
    without_flush!(),
    ", ended AS (",
    end_claims!(),
    ") DELETE FROM tasks USING without_flush WHERE id = $4 AND holder = $3"
);

impl SqlJournal {
    /// Enters a task together with its claims. Returns `false`, and enters nothing, while another holder's claim lasts.
    pub(super) async fn enter_with_claims(
        &self,
        pool: &PgPool,
        task: &Task,
        lease: &Lease,
    ) -> Result<bool, JournalDown> {
        let names = changed_names(task);
        self.ask(&self.writes, async {
            let entering = entering!(ENTER_CLAIMED, task, lease, Duration::ZERO);
            let entered = entering.bind(&names).bind(SystemClock.unix_seconds()).execute(pool).await?;
            if entered.rows_affected() == 1 {
                return Ok(true);
            }
            let ending = sqlx::query(END_CLAIMS).bind(task.bucket.as_str()).bind(&names);
            ending.bind(lease.holder.as_str()).execute(pool).await.map(|_| false)
        })
        .await
    }

    /// Deletes the row of a task and its claims.
    pub(super) async fn end_with_claims(&self, pool: &PgPool, task: &Task, lease: &Lease) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            sqlx::query(END_CLAIMED)
                .bind(task.bucket.as_str())
                .bind(changed_names(task))
                .bind(lease.holder.as_str())
                .bind(task.id.as_str())
                .execute(pool)
                .await
                .map(drop)
        })
        .await
    }
}

fn changed_names(task: &Task) -> Vec<&str> {
    task.payload.changed_names().into_iter().map(Key::as_str).collect()
}
