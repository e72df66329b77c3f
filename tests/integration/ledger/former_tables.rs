//! An upgrade of one node after the other: nodes of the version before work on the tables `partial_uploads` and
//! `tree_renames`, and the nodes of this version on `tasks`. They find each other's tasks, and each task has one holder.

use super::{directory_renames, lease, open, uploads};
use crate::support::postgres::Postgres;
use futures_util::future::join_all;
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use wharfinger::{
    clock::{Clock as _, SystemClock},
    journal::{Journal, RenamePhase, Standing, Task, TaskKind, Whole},
    ledger::{Ledger, Location},
};

const DAY: Duration = Duration::from_hours(24);
const NO_TIME: Duration = Duration::ZERO;

/// The statements of the version before, word for word.
mod statements {
    pub const ENTER_UPLOAD: &str = "INSERT INTO partial_uploads (bucket, tenant, user_name, mount, name, \
         id, upload_id, object, parts, bytes, etags, holder, held_until, keep_until, \
         permissions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING";
    pub const ABANDON_OLDER: &str = "UPDATE partial_uploads SET keep_until = 0 WHERE bucket = $1 AND tenant = $2 AND \
         user_name = $3 AND mount = $4 AND name = $5 AND keep_until <> 0 AND turn < \
         (SELECT MAX(turn) FROM partial_uploads WHERE bucket = $1 AND tenant = $2 AND \
         user_name = $3 AND mount = $4 AND name = $5)";
    pub const HOLD_UPLOAD: &str = "UPDATE partial_uploads SET parts = $1, bytes = $2, etags = $3, held_until = $4, \
         keep_until = CASE WHEN keep_until = 0 THEN keep_until ELSE $5 END \
         WHERE id = $6 AND holder = $7 RETURNING keep_until";
    pub const FIND_UPLOAD: &str = "SELECT bucket, tenant, user_name, mount, name, id, upload_id, object, parts, bytes, etags, held_until, \
         permissions FROM partial_uploads WHERE bucket = $1 AND tenant = $2 AND user_name = $3 AND mount = $4 AND \
         name = $5 AND keep_until > $6 ORDER BY turn DESC LIMIT 1";
    pub const TAKE_UPLOAD: &str = "UPDATE partial_uploads SET holder = $1, held_until = $2 \
         WHERE id = $3 AND keep_until > $4 AND held_until <= $4";
    pub const ABANDON: &str = "UPDATE partial_uploads SET keep_until = 0 WHERE bucket = $1 AND tenant = $2 AND \
         user_name = $3 AND mount = $4 AND name = $5 AND keep_until <> 0";
    pub const TAKE_STALE_UPLOAD: &str = "UPDATE partial_uploads SET holder = $1, held_until = $2 \
         WHERE keep_until <= $3 AND held_until <= $4 AND id = \
         (SELECT id FROM partial_uploads WHERE keep_until <= $3 AND held_until <= $4 \
         ORDER BY held_until LIMIT 1) \
         RETURNING bucket, tenant, user_name, mount, name, id, upload_id, object, parts, bytes, etags, held_until, \
         permissions";
    pub const END_UPLOAD: &str = "DELETE FROM partial_uploads WHERE id = $1";
    pub const COUNT: &str = "SELECT id FROM partial_uploads WHERE bucket = $1 AND upload_id = $2";
    pub const ENTER_RENAME: &str = "INSERT INTO tree_renames \
         (id, bucket, tenant, user_name, mount, source, target, phase, holder, held_until, permissions) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE NOT EXISTS (\
         SELECT 1 FROM tree_renames WHERE bucket = $2 AND (\
         substr(source, 1, length($6)) = $6 OR substr($6, 1, length(source)) = source OR \
         substr(target, 1, length($6)) = $6 OR substr($6, 1, length(target)) = target OR \
         substr(source, 1, length($7)) = $7 OR substr($7, 1, length(source)) = source OR \
         substr(target, 1, length($7)) = $7 OR substr($7, 1, length(target)) = target))";
    pub const ONE_AT_A_TIME: &str = "LOCK TABLE tree_renames IN SHARE ROW EXCLUSIVE MODE";
    pub const HOLD_RENAME: &str = "UPDATE tree_renames SET phase = $1, held_until = $2 WHERE id = $3 AND holder = $4";
    pub const TAKE_RENAME: &str = "UPDATE tree_renames SET holder = $1, held_until = $2 WHERE held_until <= $3 AND id = \
         (SELECT id FROM tree_renames WHERE held_until <= $3 ORDER BY held_until LIMIT 1) \
         RETURNING id, bucket, tenant, user_name, mount, source, target, phase, permissions";
    pub const END_RENAME: &str = "DELETE FROM tree_renames WHERE id = $1 AND holder = $2";
}

#[tokio::test]
async fn nodes_of_two_versions_share_a_ledger_in_sqlite() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("ledger.db");
    let ledger = open(&Location::Sqlite(file.clone())).await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.push(FormerNode::Sqlite(SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap()));
    }
    share(&ledger, nodes).await;
}

#[tokio::test]
async fn nodes_of_two_versions_share_a_ledger_in_postgresql() {
    let postgres = Postgres::start();
    let ledger = open(&Location::parse(&postgres.url()).unwrap()).await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.push(FormerNode::Postgres(PgConnection::connect(&postgres.url()).await.unwrap()));
    }
    share(&ledger, nodes).await;
}

async fn share(ledger: &Ledger, mut former: Vec<FormerNode>) {
    let (journal, node) = (ledger.journal(), &mut former[0]);
    an_upload_of_the_version_before_is_found_and_finished(&journal, node).await;
    an_upload_of_this_version_is_found_and_finished_there(&journal, node).await;
    the_newest_upload_wins_whatever_version_entered_it(&journal, node).await;
    a_rename_of_the_version_before_is_repaired_here(&journal, node).await;
    a_rename_of_this_version_is_repaired_there(&journal, node).await;
    renames_of_two_versions_do_not_meet(&journal, node).await;
    each_task_has_one_holder(&journal, &mut former).await;
    renames_entered_by_two_versions_at_once_do_not_meet(&journal, &mut former).await;
    ledger.close().await;
}

async fn an_upload_of_the_version_before_is_found_and_finished(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let task = uploads::upload("old", "file/ü'\"");
    node.enter_upload(&task, "they", 60).await;
    assert_eq!(find(journal, &task).await, Some((task.clone(), true)));
    let whole = Whole { parts: 3, bytes: 24 << 20, etags: u64::MAX };
    assert_eq!(node.hold_upload("old", "they", 0, whole).await, 1);
    let task = uploads::grown(&task, whole);
    assert_eq!(find(journal, &task).await, Some((task.clone(), false)));
    assert!(journal.take_task("old", &lease("me", 60)).await.unwrap());
    assert_eq!(node.take_upload("old", "they").await, 0, "it is mine");
    assert_eq!(node.hold_upload("old", "they", 60, whole).await, 0);
    assert!(journal.has_upload(&task.bucket, &uploads::upload_of(&task).upload).await.unwrap());
    assert_eq!(journal.hold_task("old", &task.payload, &lease("me", 0), DAY).await, Ok(Standing::Resumable));
    assert_eq!(node.take_upload("old", "they").await, 1);
    assert_eq!(node.execute(statements::ABANDON, &of_file(&task)).await, 1);
    assert_eq!(find(journal, &task).await, None);
    assert_eq!(node.hold_upload("old", "they", 0, whole).await, 1);
    let janitor = lease("janitor", 60);
    assert_eq!(journal.take_next_task(TaskKind::Upload, &janitor, NO_TIME).await, Ok(Some(task.clone())));
    assert_eq!(node.take_stale_upload("they").await, None);
    journal.end_task("old", None).await.unwrap();
    assert_eq!(node.count(&task).await, 0);
}

async fn an_upload_of_this_version_is_found_and_finished_there(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let whole = Whole { parts: 3, bytes: 24 << 20, etags: u64::MAX };
    let task = uploads::grown(&uploads::upload("new", "file/ü'\""), whole);
    assert!(journal.enter_task(&task, &lease("me", 60), DAY).await.unwrap());
    assert_eq!(node.find_upload(&task).await, Some(("new".to_owned(), [3, 24 << 20, -1])));
    assert_eq!((node.take_upload("new", "they").await, node.count(&task).await), (0, 1));
    let whole = Whole { parts: 4, ..whole };
    let task = uploads::grown(&task, whole);
    assert_eq!(journal.hold_task("new", &task.payload, &lease("me", 0), DAY).await, Ok(Standing::Resumable));
    assert_eq!(node.find_upload(&task).await, Some(("new".to_owned(), [4, 24 << 20, -1])));
    assert_eq!(node.take_upload("new", "they").await, 1);
    assert!(!journal.take_task("new", &lease("me", 60)).await.unwrap());
    assert_eq!(journal.hold_task("new", &task.payload, &lease("me", 60), DAY).await, Ok(Standing::Lost));
    assert_eq!(node.hold_upload("new", "they", 0, whole).await, 1);
    journal.abandon_tasks(TaskKind::Upload, &task.subject()).await.unwrap();
    assert_eq!(node.find_upload(&task).await, None);
    assert_eq!(node.take_stale_upload("they").await.as_deref(), Some("new"));
    assert_eq!(journal.take_next_task(TaskKind::Upload, &lease("me", 60), NO_TIME).await, Ok(None));
    assert_eq!(node.execute(statements::END_UPLOAD, &[Text("new")]).await, 1);
    assert!(!journal.has_upload(&task.bucket, &uploads::upload_of(&task).upload).await.unwrap());
}

async fn the_newest_upload_wins_whatever_version_entered_it(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let [first, second, third] = ["first", "second", "third"].map(|id| uploads::upload(id, "file"));
    node.enter_upload(&first, "they", 60).await;
    assert!(journal.enter_task(&second, &lease("me", 60), DAY).await.unwrap());
    assert_eq!(node.find_upload(&first).await.map(|(id, _)| id).as_deref(), Some("second"));
    node.enter_upload(&third, "they", 60).await;
    assert_eq!(find(journal, &first).await, Some((third.clone(), true)));
    for id in ["first", "second", "third"] {
        journal.end_task(id, None).await.unwrap();
    }
}

async fn a_rename_of_the_version_before_is_repaired_here(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let task = directory_renames::rename("old", "a/ü", "b");
    assert!(node.enter_rename(&task, "they", 60).await);
    assert_eq!(next_rename(journal, "me").await, None);
    assert_eq!(node.hold_rename("old", "they", RenamePhase::Copying, 0).await, 1);
    let task = directory_renames::in_phase(&task, RenamePhase::Copying);
    assert_eq!(next_rename(journal, "me").await, Some(task.clone()));
    assert_eq!(node.hold_rename("old", "they", RenamePhase::Deleting, 60).await, 0, "it is mine");
    assert_eq!(node.take_rename("they").await, None);
    journal.end_task("old", Some(&lease("me", 60))).await.unwrap();
    assert_eq!(node.hold_rename("old", "me", RenamePhase::Copying, 0).await, 0, "its row is gone");
}

async fn a_rename_of_this_version_is_repaired_there(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let task = directory_renames::rename("new", "a/ü", "b");
    assert!(journal.enter_task(&task, &lease("me", 60), NO_TIME).await.unwrap());
    assert_eq!(node.take_rename("they").await, None);
    let task = directory_renames::in_phase(&task, RenamePhase::Deleting);
    let standing = journal.hold_task("new", &task.payload, &lease("me", 0), NO_TIME).await.unwrap();
    assert_ne!(standing, Standing::Lost);
    let (source, target) = ("tenants/acme/a/ü/".to_owned(), "tenants/acme/b/".to_owned());
    assert_eq!(node.take_rename("they").await, Some(("new".to_owned(), source, target, 2)));
    assert_eq!(journal.hold_task("new", &task.payload, &lease("me", 60), NO_TIME).await, Ok(Standing::Lost));
    assert_eq!(next_rename(journal, "me").await, None);
    assert_eq!(node.execute(statements::END_RENAME, &[Text("new"), Text("they")]).await, 1);
    assert!(journal.enter_task(&task, &lease("me", 60), NO_TIME).await.unwrap(), "its row is gone");
    journal.end_task("new", None).await.unwrap();
}

async fn renames_of_two_versions_do_not_meet(journal: &Arc<dyn Journal>, node: &mut FormerNode) {
    let (old, new) = (directory_renames::rename("old", "a", "b"), directory_renames::rename("new", "b/c", "d"));
    assert!(node.enter_rename(&old, "they", 60).await);
    assert!(!journal.enter_task(&new, &lease("me", 60), NO_TIME).await.unwrap());
    assert_eq!(node.execute(statements::END_RENAME, &[Text("old"), Text("they")]).await, 1);
    assert!(journal.enter_task(&new, &lease("me", 60), NO_TIME).await.unwrap());
    assert!(!node.enter_rename(&old, "they", 60).await);
    journal.end_task("new", None).await.unwrap();
}

/// Two nodes of either version try to take each task over. PostgreSQL may end a statement to break a deadlock: that node
/// doesn't have the task.
async fn each_task_has_one_holder(journal: &Arc<dyn Journal>, former: &mut [FormerNode]) {
    for round in 0..8 {
        let task = uploads::upload("1", "file");
        assert!(journal.enter_task(&task, &lease("me", 0), DAY).await.unwrap());
        let leases = ["new 1", "new 2"].map(|holder| lease(holder, 60));
        let there = former.iter_mut().zip(["old 1", "old 2"]);
        let there = join_all(there.map(|(node, holder)| async move { node.try_take_upload("1", holder).await }));
        let here = join_all(leases.iter().map(|lease| journal.take_task("1", lease)));
        let (there, here) = tokio::join!(there, here);
        let winners = there.into_iter().filter(|taken| *taken).count()
            + here.into_iter().filter(|taken| *taken == Ok(true)).count();
        assert_eq!(winners, 1, "round {round}");
        // A node that lost to a deadlock doesn't ask the ledger for a moment.
        while journal.end_task("1", None).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

async fn renames_entered_by_two_versions_at_once_do_not_meet(journal: &Arc<dyn Journal>, former: &mut [FormerNode]) {
    for round in 0..8 {
        let [there, here] = ["there", "here"].map(|id| directory_renames::rename(id, "a", "b"));
        let held = lease("me", 60);
        let entered =
            tokio::join!(former[0].enter_rename(&there, "they", 60), journal.enter_task(&here, &held, NO_TIME));
        assert!(entered.0 != entered.1.unwrap(), "round {round}: {entered:?}");
        for id in ["there", "here"] {
            journal.end_task(id, None).await.unwrap();
        }
    }
}

async fn find(journal: &Arc<dyn Journal>, task: &Task) -> Option<(Task, bool)> {
    journal.find_task(TaskKind::Upload, &task.subject()).await.unwrap()
}

async fn next_rename(journal: &Arc<dyn Journal>, holder: &str) -> Option<Task> {
    journal.take_next_task(TaskKind::DirectoryRename, &lease(holder, 60), NO_TIME).await.unwrap()
}

/// A value of a statement.
#[derive(Clone, Copy)]
enum SqlValue<'a> {
    Text(&'a str),
    Number(i64),
}
use SqlValue::{Number, Text};

/// A connection of a node of the version before.
enum FormerNode {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs `$action` with a statement to which the values are bound.
macro_rules! bound {
    ($node:expr, $statement:expr, $values:expr, |$query:ident, $connection:ident| $action:expr) => {
        match $node {
            FormerNode::Sqlite($connection) => {
                let $query = bind!($statement, $values);
                $action
            }
            FormerNode::Postgres($connection) => {
                let $query = bind!($statement, $values);
                $action
            }
        }
    };
}

macro_rules! bind {
    ($statement:expr, $values:expr) => {
        $values.iter().fold(sqlx::query($statement), |query, value| match value {
            Text(text) => query.bind(text.to_string()),
            Number(number) => query.bind(*number),
        })
    };
}

impl FormerNode {
    /// Returns the number of changed rows.
    async fn execute(&mut self, statement: &'static str, values: &[SqlValue<'_>]) -> usize {
        self.try_execute(statement, values).await.unwrap()
    }

    async fn try_execute(&mut self, statement: &'static str, values: &[SqlValue<'_>]) -> sqlx::Result<usize> {
        let changed = bound!(self, statement, values, |query, connection| {
            query.execute(connection).await.map(|done| done.rows_affected())
        });
        changed.map(|changed| usize::try_from(changed).unwrap())
    }

    async fn enter_upload(&mut self, task: &Task, holder: &str, seconds: i64) {
        let upload = uploads::upload_of(task);
        let [parts, bytes, etags] = numbers(upload.whole);
        let object = serde_json::to_string(&upload.object.metadata).unwrap();
        let permissions = task.permissions.unwrap().to_string();
        let mut values = of_file(task).to_vec();
        values.extend([Text(&task.id), Text(&upload.upload.0), Text(&object), parts, bytes, etags]);
        values.extend([Text(holder), until(seconds), until(86_400), Text(&permissions)]);
        assert_eq!(self.execute(statements::ENTER_UPLOAD, &values).await, 1);
        self.execute(statements::ABANDON_OLDER, &of_file(task)).await;
    }

    async fn hold_upload(&mut self, id: &str, holder: &str, seconds: i64, whole: Whole) -> usize {
        let [parts, bytes, etags] = numbers(whole);
        let values = [parts, bytes, etags, until(seconds), until(86_400), Text(id), Text(holder)];
        bound!(self, statements::HOLD_UPLOAD, values, |query, connection| {
            query.fetch_all(connection).await.unwrap().len()
        })
    }

    async fn take_upload(&mut self, id: &str, holder: &str) -> usize {
        self.execute(statements::TAKE_UPLOAD, &[Text(holder), until(60), Text(id), until(0)]).await
    }

    async fn try_take_upload(&mut self, id: &str, holder: &str) -> bool {
        let values = [Text(holder), until(60), Text(id), until(0)];
        self.try_execute(statements::TAKE_UPLOAD, &values).await.is_ok_and(|changed| changed == 1)
    }

    async fn find_upload(&mut self, task: &Task) -> Option<(String, [i64; 3])> {
        let mut values = of_file(task).to_vec();
        values.push(until(0));
        bound!(self, statements::FIND_UPLOAD, values, |query, connection| {
            let row = query.fetch_optional(connection).await.unwrap();
            row.map(|row| (row.get("id"), ["parts", "bytes", "etags"].map(|column| row.get(column))))
        })
    }

    async fn take_stale_upload(&mut self, holder: &str) -> Option<String> {
        let values = [Text(holder), until(60), until(0), until(0)];
        bound!(self, statements::TAKE_STALE_UPLOAD, values, |query, connection| {
            query.fetch_all(connection).await.unwrap().first().map(|row| row.get("id"))
        })
    }

    async fn count(&mut self, task: &Task) -> usize {
        let upload = uploads::upload_of(task).upload;
        let values = [Text("files"), Text(&upload.0)];
        bound!(self, statements::COUNT, values, |query, connection| query.fetch_all(connection).await.unwrap().len())
    }

    async fn enter_rename(&mut self, task: &Task, holder: &str, seconds: i64) -> bool {
        let names = task.clone().directory_rename().unwrap().payload.names;
        let [source, target] = [names.source(), names.target()];
        let permissions = task.permissions.unwrap().to_string();
        let values = [
            Text(&task.id),
            Text("files"),
            Text("acme"),
            Text("alice"),
            Text("tenants/acme/"),
            Text(source.as_str()),
            Text(target.as_str()),
            Number(0),
            Text(holder),
            until(seconds),
            Text(&permissions),
        ];
        let takes_turns = matches!(self, Self::Postgres(_));
        if takes_turns {
            self.execute("BEGIN", &[]).await;
            self.execute(statements::ONE_AT_A_TIME, &[]).await;
        }
        let entered = self.execute(statements::ENTER_RENAME, &values).await == 1;
        if takes_turns {
            self.execute("COMMIT", &[]).await;
        }
        entered
    }

    async fn hold_rename(&mut self, id: &str, holder: &str, phase: RenamePhase, seconds: i64) -> usize {
        let values = [Number(phase as i64), until(seconds), Text(id), Text(holder)];
        self.execute(statements::HOLD_RENAME, &values).await
    }

    async fn take_rename(&mut self, holder: &str) -> Option<(String, String, String, i64)> {
        let values = [Text(holder), until(60), until(0)];
        bound!(self, statements::TAKE_RENAME, values, |query, connection| {
            let rows = query.fetch_all(connection).await.unwrap();
            rows.first().map(|row| (row.get("id"), row.get("source"), row.get("target"), row.get("phase")))
        })
    }
}

fn of_file(task: &Task) -> [SqlValue<'_>; 5] {
    let name = uploads::name_of(task);
    [Text("files"), Text("acme"), Text("alice"), Text("tenants/acme/"), Text(name)]
}

fn numbers(whole: Whole) -> [SqlValue<'static>; 3] {
    [whole.parts.into(), i64::try_from(whole.bytes).unwrap(), whole.etags.cast_signed()].map(Number)
}

fn until(seconds: i64) -> SqlValue<'static> {
    Number(SystemClock.unix_seconds() + seconds)
}
