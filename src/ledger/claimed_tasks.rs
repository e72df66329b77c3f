//! Tasks that are entered together with claims on the names that they change, and end with them and with the attributes
//! of these names: one question each. There are claims only in PostgreSQL: see `claims.rs`.

use super::{
    database::ConnectionPool,
    sql_journal::{SqlJournal, accessed, modified, replaced, until},
    task_row::{json, reference},
    tasks::{entering, insert},
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, MovedAttributes, Task},
    name::Key,
};
use sqlx::PgPool;
use std::time::Duration;

/// Lets the commit of its statement not wait for the disk, if the statement refers to it. If the database itself crashes
/// within a second, the change may be lost: a rename is not repaired after a crash of a node too, or attributes of a
/// version that is gone stay.
macro_rules! without_flush {
    () => {
        "without_flush AS (SELECT set_config('synchronous_commit', 'off', true))"
    };
}
/// Enters a task and claims its names, `$14`, unless a claim that another holder has lasts after `$15`. The claims
/// decide for nodes of every version. They are made in the order of the names, so that no two statements wait for each
/// other. If another statement claims a name at the same moment, claims on the others remain.
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
/// Deletes the claims of `$2` on names. It locks them in the order in which `ENTER_CLAIMED` does.
macro_rules! end_claims {
    ($names:literal) => {
        concat!(
            "DELETE FROM claims WHERE (bucket, name) IN \
             (SELECT bucket, name FROM claims WHERE bucket = $1 AND name = ANY (",
            $names,
            ") AND holder = $2 ORDER BY name COLLATE \"C\" FOR UPDATE) AND holder = $2"
        )
    };
}
/// Deletes the task `$3` of `$2`.
macro_rules! end_task {
    ($using:literal) => {
        concat!("DELETE FROM tasks ", $using, "WHERE id = $3 AND holder = $2")
    };
}
const END_CLAIMS: &str = end_claims!("$3");
const END_CLAIMED: &str = concat!(
    "WITH ",
    without_flush!(),
    ", ended_claims AS (",
    end_claims!("$4"),
    ") ",
    end_task!("USING without_flush ")
);
/// True if neither the name in `$4` and `$5` nor the one in `$6` and `$7` has attributes.
macro_rules! without_attributes {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM late_attributes WHERE bucket = $1 AND directory = $4 AND name = $5) \
          AND NOT EXISTS (SELECT 1 FROM late_attributes WHERE bucket = $1 AND directory = $6 AND name = $7)"
    };
}
const END_WITHOUT_ATTRIBUTES_IN_SQLITE: &str = concat!(end_task!(""), without_attributes!());
const END_WITHOUT_ATTRIBUTES: &str = concat!(
    "WITH ",
    without_flush!(),
    ", ended_task AS (",
    end_task!("USING without_flush "),
    without_attributes!(),
    " RETURNING 1), ended_claims AS (",
    end_claims!("$8"),
    " AND EXISTS (SELECT 1 FROM ended_task)) SELECT 1 FROM ended_task"
);
/// Deletes the attributes of the name in `$4` and `$5`.
macro_rules! forget_source {
    () => {
        "DELETE FROM late_attributes WHERE bucket = $1 AND directory = $4 AND name = $5"
    };
}
/// Deletes the attributes of the name in `$4` and `$5`, and of the one in `$6` and `$7`.
macro_rules! forget_both {
    () => {
        "DELETE FROM late_attributes WHERE bucket = $1 AND (directory, name) IN (VALUES ($4, $5), ($6, $7))"
    };
}
/// Replaces the attributes of the name in `$6` and `$7` by those in `$8` to `$12`.
macro_rules! replace_target {
    () => {
        concat!(
            "INSERT INTO late_attributes AS old (bucket, directory, name, etag, accessed, modified, mode, set_at) \
             VALUES ($1, $6, $7, $8, $9, $10, $11, $12)",
            replaced!()
        )
    };
}
/// The statements that end the rename of a file. SQLite carries out several, one after the other: each step is of use
/// without the next one.
const END_AND_FORGET_IN_SQLITE: &str = concat!(forget_both!(), "; ", end_task!(""));
const END_AND_MOVE_IN_SQLITE: &str = concat!(replace_target!(), "; ", forget_source!(), "; ", end_task!(""));
const END_AND_FORGET: &str = concat!(
    "WITH ",
    without_flush!(),
    ", ended_claims AS (",
    end_claims!("$8"),
    "), ended_task AS (",
    end_task!("USING without_flush "),
    ") ",
    forget_both!()
);
/// Its commit waits for the disk: a client may have set the attributes.
const END_AND_MOVE: &str = concat!(
    "WITH ended_claims AS (",
    end_claims!("$13"),
    "), ended_task AS (",
    end_task!(""),
    "), forgotten AS (",
    forget_source!(),
    ") ",
    replace_target!()
);

/// A statement that ends a task, with the bucket, the holder and the task bound to it.
macro_rules! ending {
    ($statement:expr, $task:expr, $lease:expr) => {
        sqlx::query($statement).bind($task.bucket.as_str()).bind($lease.holder.as_str()).bind($task.id.as_str())
    };
}

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
            let ending = sqlx::query(END_CLAIMS).bind(task.bucket.as_str()).bind(lease.holder.as_str());
            ending.bind(&names).execute(pool).await.map(|_| false)
        })
        .await
    }

    /// Deletes the row of a task and its claims.
    pub(super) async fn end_with_claims(&self, pool: &PgPool, task: &Task, lease: &Lease) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            let ending = ending!(END_CLAIMED, task, lease).bind(changed_names(task));
            ending.execute(pool).await.map(drop)
        })
        .await
    }

    /// Deletes the row of a task and its claims, if none of its names has attributes.
    pub(super) async fn end_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        let names = task.payload.changed_names();
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(false) };
        macro_rules! with_names {
            ($statement:expr) => {{
                let (first, last) = (first.directory_and_name(), last.directory_and_name());
                ending!($statement, task, lease).bind(first.0).bind(first.1).bind(last.0).bind(last.1)
            }};
        }
        self.ask(&self.writes, async {
            let ended = match &self.database.writes {
                ConnectionPool::Sqlite(pool) => {
                    with_names!(END_WITHOUT_ATTRIBUTES_IN_SQLITE).execute(pool).await?.rows_affected()
                }
                ConnectionPool::Postgres(pool) => {
                    let ending = with_names!(END_WITHOUT_ATTRIBUTES).bind(changed_names(task));
                    ending.execute(pool).await?.rows_affected()
                }
            };
            Ok(ended == 1)
        })
        .await
    }

    /// Deletes the row of a file's rename and its claims, and moves the attributes.
    pub(super) async fn end_and_move(
        &self,
        task: &Task,
        lease: &Lease,
        moved: MovedAttributes<'_>,
    ) -> Result<(), JournalDown> {
        macro_rules! with_names {
            ($statement:expr) => {{
                let (old, new) = (moved.source.directory_and_name(), moved.target.directory_and_name());
                ending!($statement, task, lease).bind(old.0).bind(old.1).bind(new.0).bind(new.1)
            }};
        }
        macro_rules! with_entry {
            ($statement:expr, $entry:expr) => {{
                with_names!($statement)
                    .bind($entry.etag.0.as_str())
                    .bind(accessed($entry))
                    .bind(modified($entry))
                    .bind($entry.attributes.mode.map(i64::from))
                    .bind($entry.set_at)
            }};
        }
        self.ask(&self.writes, async {
            match (&self.database.writes, moved.entry) {
                (ConnectionPool::Sqlite(pool), None) => {
                    with_names!(END_AND_FORGET_IN_SQLITE).execute(pool).await.map(drop)
                }
                (ConnectionPool::Sqlite(pool), Some(entry)) => {
                    with_entry!(END_AND_MOVE_IN_SQLITE, entry).execute(pool).await.map(drop)
                }
                (ConnectionPool::Postgres(pool), None) => {
                    with_names!(END_AND_FORGET).bind(changed_names(task)).execute(pool).await.map(drop)
                }
                (ConnectionPool::Postgres(pool), Some(entry)) => {
                    with_entry!(END_AND_MOVE, entry).bind(changed_names(task)).execute(pool).await.map(drop)
                }
            }
        })
        .await
    }
}

fn changed_names(task: &Task) -> Vec<&str> {
    task.payload.changed_names().into_iter().map(Key::as_str).collect()
}
