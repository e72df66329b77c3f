//! Tasks in SQL: one row for each. A kind differs from the others only in the statements that enter and end it.
//!
//! The newest task of a subject is the last one that the database took, whatever the clocks of the nodes say. Leases and
//! retention times end by those clocks. Two nodes may differ by more than the rest of a lease when it is renewed, some
//! twenty seconds. Then both may work on one task. Of an upload, S3 accepts parts from both, and the completion from one
//! of them. Of a directory's rename, the phase, which only the lease's holder can change, prevents that one deletes
//! objects that the other needs.
//!
//! Triggers of the database copy each change to the tables of the version before, `partial_uploads` and `tree_renames`,
//! and back. So its nodes can share the ledger.

use super::{
    database::{ConnectionPool, with},
    sql_journal::{SqlJournal, ago, until},
    task_row::{TaskRow, json, reference, task, task_columns},
    unreadable_rows::MAX_SKIPPED,
};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, MovedAttributes, Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject},
    name::{BucketId, TenantName},
    store::UploadId,
};
use async_trait::async_trait;
use std::time::Duration;

/// Begins a statement that enters a task: the columns from `$1` to `$13`, in this order.
macro_rules! insert {
    () => {
        "INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, \
         holder, held_until, keep_until) "
    };
}

pub(super) use insert;

/// True for a task of the kind and the subject in `$1` to `$6`. Renames of files aren't in the index: no session looks
/// for one.
macro_rules! of_subject {
    () => {
        "kind <> 'file_rename' AND kind = $1 AND bucket = $2 AND tenant = $3 AND user_name = $4 AND mount = $5 \
         AND subject = $6"
    };
}

const ENTER: &str =
    concat!(insert!(), "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING");
/// Of several nodes that enter uploads at once, the last statement sees all rows. So only the newest upload is kept.
const ABANDON_OLDER: &str = concat!(
    "UPDATE tasks SET keep_until = 0 WHERE ",
    of_subject!(),
    " AND keep_until <> 0 AND turn < (SELECT MAX(turn) FROM tasks WHERE ",
    of_subject!(),
    ")"
);
/// Enters a rename, unless another one concerns the same names. `$14` and `$15` are the whole prefixes of source and
/// target, which are compared with those of every mount of the bucket.
const ENTER_DIRECTORY_RENAME: &str = concat!(
    insert!(),
    "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 WHERE NOT EXISTS (SELECT 1 FROM \
     (SELECT mount || subject || '/' AS source, mount || reference || '/' AS target FROM tasks \
     WHERE kind <> 'file_rename' AND kind = $2 AND bucket = $3) AS entered WHERE \
     substr(source, 1, length($14)) = $14 OR substr($14, 1, length(source)) = source OR \
     substr(target, 1, length($14)) = $14 OR substr($14, 1, length(target)) = target OR \
     substr(source, 1, length($15)) = $15 OR substr($15, 1, length(source)) = source OR \
     substr(target, 1, length($15)) = $15 OR substr($15, 1, length(target)) = target)"
);
/// If two nodes enter renames at once, the second looks after the first has committed. A function of the database takes
/// the lock, because nodes of the version before take it on a table of theirs. SQLite has one writer at a time anyway.
const ONE_AT_A_TIME: &str = "SELECT enter_directory_renames_in_turn()";
const HOLD: &str = "UPDATE tasks SET payload = $1, held_until = $2, \
                    keep_until = CASE WHEN keep_until = 0 THEN keep_until ELSE $3 END \
                    WHERE id = $4 AND holder = $5 RETURNING keep_until";
/// The plus sign keeps SQLite from the index by the end, in which it would read all tasks of the kind.
const FIND: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM tasks WHERE ",
    of_subject!(),
    " AND +keep_until > $7 ORDER BY turn DESC LIMIT 1"
);
const TAKE: &str =
    "UPDATE tasks SET holder = $1, held_until = $2 WHERE id = $3 AND keep_until > $4 AND held_until <= $4";
const TAKE_NEXT: &str = concat!(
    "UPDATE tasks SET holder = $1, held_until = $2 WHERE keep_until <= $3 AND held_until <= $4 AND id = \
     (SELECT id FROM tasks WHERE kind = $5 AND keep_until <= $3 AND held_until <= $4 ORDER BY held_until LIMIT 1) \
     RETURNING ",
    task_columns!()
);
const ABANDON: &str = concat!("UPDATE tasks SET keep_until = 0 WHERE ", of_subject!(), " AND keep_until <> 0");
const END: &str = "DELETE FROM tasks WHERE id = $1";
const END_OF_HOLDER: &str = "DELETE FROM tasks WHERE id = $1 AND holder = $2";
/// The first condition lets both databases use the index by subject.
const FIND_ANY_UPLOAD: &str =
    "SELECT 1 FROM tasks WHERE kind <> 'file_rename' AND kind = 'upload' AND bucket = $1 AND tenant = $2 LIMIT 1";
const COUNT_UPLOADS: &str = "SELECT COUNT(*) FROM tasks WHERE kind = 'upload' AND bucket = $1 AND reference = $2";

/// A statement that enters a task, with its columns bound to it.
macro_rules! entering {
    ($statement:expr, $task:expr, $lease:expr, $keep:expr) => {{
        let place = $task.payload.place();
        sqlx::query($statement)
            .bind($task.id.as_str())
            .bind($task.payload.kind().word())
            .bind($task.bucket.as_str())
            .bind($task.owner.tenant.as_str())
            .bind($task.owner.user.as_str())
            .bind(place.mount().as_str())
            .bind(place.name())
            .bind(reference(&$task.payload))
            .bind($task.permissions.map(|permissions| permissions.to_string()))
            .bind(json(&$task.payload))
            .bind($lease.holder.as_str())
            .bind(until($lease.term))
            .bind(until($keep))
    }};
}
pub(super) use entering;

/// A statement with the columns of a kind and a subject bound to it.
macro_rules! of_subject_bound {
    ($query:path, $statement:expr, $kind:expr, $subject:expr) => {
        $query($statement)
            .bind($kind.word())
            .bind($subject.bucket.as_str())
            .bind($subject.owner.tenant.as_str())
            .bind($subject.owner.user.as_str())
            .bind($subject.place.mount().as_str())
            .bind($subject.place.name())
    };
}

impl SqlJournal {
    async fn enter_upload(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<(), JournalDown> {
        let subject = task.subject();
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                entering!(ENTER, task, lease, keep).execute(pool).await?;
                // If this fails, the caller enters the upload again.
                of_subject_bound!(sqlx::query, ABANDON_OLDER, TaskKind::Upload, subject).execute(pool).await.map(drop)
            })
        })
        .await
    }

    async fn enter_always(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => entering!(ENTER, task, lease, keep).execute(pool).await.map(drop))
        })
        .await
    }

    async fn enter_directory_rename(
        &self,
        task: &Task,
        [source, target]: [&str; 2],
        lease: &Lease,
        keep: Duration,
    ) -> Result<bool, JournalDown> {
        macro_rules! entering_rename {
            () => {
                entering!(ENTER_DIRECTORY_RENAME, task, lease, keep).bind(source).bind(target)
            };
        }
        // Boxed, because a transaction is large.
        let entering = Box::pin(async {
            let entered = match &self.database.writes {
                ConnectionPool::Sqlite(pool) => entering_rename!().execute(pool).await?.rows_affected(),
                ConnectionPool::Postgres(pool) => {
                    let mut transaction = pool.begin().await?;
                    sqlx::query(ONE_AT_A_TIME).execute(&mut *transaction).await?;
                    let entered = entering_rename!().execute(&mut *transaction).await?.rows_affected();
                    transaction.commit().await?;
                    entered
                }
            };
            Ok(entered == 1)
        });
        self.ask(&self.writes, entering).await
    }

    /// The task of a row, and the end of its lease. `None`, with a line in the log, for an unreadable row.
    fn readable(&self, row: TaskRow) -> Option<(Task, i64)> {
        let id = row.0.clone();
        self.unreadable.check("tasks", &id, task(row))
    }
}

#[async_trait]
impl TaskJournal for SqlJournal {
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown> {
        match &task.payload {
            TaskPayload::Upload(_) => self.enter_upload(task, lease, keep).await.map(|()| true),
            TaskPayload::DirectoryRename(rename) => {
                let (source, target) = (rename.names.source(), rename.names.target());
                self.enter_directory_rename(task, [source.as_str(), target.as_str()], lease, keep).await
            }
            TaskPayload::FileRename(_) => self.enter_always(task, lease, keep).await.map(|()| true),
        }
    }

    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        let retained: Vec<i64> = self
            .ask(&self.writes, async {
                with!(&self.database.writes, pool => {
                    sqlx::query_scalar(HOLD)
                        .bind(json(payload))
                        .bind(until(lease.term))
                        .bind(until(keep))
                        .bind(id)
                        .bind(lease.holder.as_str())
                        .fetch_all(pool)
                        .await
                })
            })
            .await?;
        Ok(match retained.first() {
            None => Standing::Lost,
            Some(0) => Standing::Abandoned,
            Some(_) => Standing::Resumable,
        })
    }

    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown> {
        let now = SystemClock.unix_seconds();
        let row: Option<TaskRow> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    of_subject_bound!(sqlx::query_as, FIND, kind, subject).bind(now).fetch_optional(pool).await
                })
            })
            .await?;
        Ok(row.and_then(|row| self.readable(row)).map(|(task, leased_until)| (task, leased_until > now)))
    }

    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let taking = sqlx::query(TAKE)
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(id)
                    .bind(SystemClock.unix_seconds());
                Ok(taking.execute(pool).await?.rows_affected() == 1)
            })
        })
        .await
    }

    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown> {
        for _ in 0..=MAX_SKIPPED {
            // All rows are read, because SQLite undoes a statement that isn't read to its end.
            let rows: Vec<TaskRow> = self
                .ask(&self.writes, async {
                    with!(&self.database.writes, pool => {
                        sqlx::query_as(TAKE_NEXT)
                            .bind(lease.holder.as_str())
                            .bind(until(lease.term))
                            .bind(SystemClock.unix_seconds())
                            .bind(ago(free_for))
                            .bind(kind.word())
                            .fetch_all(pool)
                            .await
                    })
                })
                .await?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            if let Some((task, _)) = self.readable(row) {
                return Ok(Some(task));
            }
        }
        Ok(None)
    }

    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                of_subject_bound!(sqlx::query, ABANDON, kind, subject).execute(pool).await.map(drop)
            })
        })
        .await
    }

    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let ending = match holder {
                    None => sqlx::query(END).bind(id),
                    Some(lease) => sqlx::query(END_OF_HOLDER).bind(id).bind(lease.holder.as_str()),
                };
                ending.execute(pool).await.map(drop)
            })
        })
        .await
    }

    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        match &self.database.writes {
            ConnectionPool::Sqlite(_) => self.enter_always(task, lease, Duration::ZERO).await.map(|()| true),
            ConnectionPool::Postgres(pool) => self.enter_with_claims(pool, task, lease).await,
        }
    }

    async fn end_claimed_task(
        &self,
        task: &Task,
        lease: &Lease,
        moved: Option<MovedAttributes<'_>>,
    ) -> Result<(), JournalDown> {
        match (&self.database.writes, moved) {
            (_, Some(moved)) => self.end_and_move(task, lease, moved).await,
            (ConnectionPool::Sqlite(_), None) => self.end_task(&task.id, Some(lease)).await,
            (ConnectionPool::Postgres(pool), None) => self.end_with_claims(pool, task, lease).await,
        }
    }

    async fn end_task_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        self.end_without_attributes(task, lease).await
    }

    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        let tasks: i64 = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    sqlx::query_scalar(COUNT_UPLOADS).bind(bucket.as_str()).bind(upload.0.as_str()).fetch_one(pool).await
                })
            })
            .await?;
        Ok(tasks > 0)
    }

    async fn has_uploads_of(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown> {
        let found: Option<i32> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    let asking = sqlx::query_scalar(FIND_ANY_UPLOAD).bind(bucket.as_str()).bind(tenant.as_str());
                    asking.fetch_optional(pool).await
                })
            })
            .await?;
        Ok(found.is_some())
    }
}
