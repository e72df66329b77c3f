//! A ledger in a file: its mode, its durability, its locks, and the errors for files that can't be a ledger.

use super::{NOW, bucket, directory_renames, find, key, lease, open, open_at_once, times, uploads};
use sqlx::{Connection as _, SqliteConnection};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use wharfinger::{
    journal::{Journal, JournalDown, Task, TaskKind},
    ledger::{Error, History, Ledger, Location},
    name::Prefix,
};

/// SQL that makes rows more than an hour old.
const LONG_AGO: &str = "UPDATE late_attributes SET set_at = set_at - 4000";

fn location(directory: &TempDir) -> Location {
    Location::Sqlite(directory.path().join("ledger.db"))
}

/// Opens the file from another program.
async fn stranger(directory: &TempDir) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", directory.path().join("ledger.db").display())).await.unwrap()
}

async fn refusal(file: &Path) -> String {
    let error = Ledger::open(&Location::Sqlite(file.to_owned())).await.unwrap_err();
    format!("{:#}", anyhow::Error::from(error))
}

#[tokio::test]
async fn it_lasts_and_only_its_owner_can_read_it() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    ledger.journal().add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    // Not closed, as after a kill.
    let again = open(&location(&directory)).await;
    assert_eq!(find(&again.journal(), "a").await, Some(times("1", 5)));
    again.close().await;
    ledger.close().await;
    assert_eq!(find(&open(&location(&directory)).await.journal(), "a").await, Some(times("1", 5)));
}

/// Enters a task that no node holds.
async fn enter(journal: &Arc<dyn Journal>, task: &Task, keep: Duration) {
    assert!(journal.enter_task(task, &lease("gone", 0), keep).await.unwrap());
}

async fn next(journal: &Arc<dyn Journal>, kind: TaskKind) -> Option<Task> {
    journal.take_next_task(kind, &lease("me", 60), Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn rows_of_an_earlier_version_have_no_permissions() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    let journal = ledger.journal();
    let (upload, rename) = (uploads::upload("1", "file"), directory_renames::rename("2", "old", "new"));
    enter(&journal, &upload, Duration::from_hours(1)).await;
    enter(&journal, &rename, Duration::ZERO).await;
    let mut stranger = stranger(&directory).await;
    sqlx::query("UPDATE tasks SET permissions = NULL").execute(&mut stranger).await.unwrap();
    let upload = Task { permissions: None, ..upload };
    let found = journal.find_task(TaskKind::Upload, &upload.subject()).await.unwrap();
    assert_eq!(found, Some((upload, false)));
    assert_eq!(next(&journal, TaskKind::DirectoryRename).await, Some(Task { permissions: None, ..rename }));
}

/// The journal reads no name that lies outside the task's mount, whatever the row contains.
#[tokio::test]
async fn rows_with_names_that_can_not_be_are_skipped_and_stay() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    let journal = ledger.journal();
    let mut stranger = stranger(&directory).await;
    let (upload, rename) = (uploads::upload("1", "file"), directory_renames::rename("2", "old", "new"));
    let changes = [
        (&upload, "UPDATE tasks SET subject = $1"),
        (&rename, "UPDATE tasks SET subject = $1"),
        (&rename, "UPDATE tasks SET reference = $1"),
    ];
    for name in ["", "../globex", "a//b", "/a", "a\u{1}"] {
        for (task, change) in changes {
            enter(&journal, task, Duration::ZERO).await;
            sqlx::query(change).bind(name).execute(&mut stranger).await.unwrap();
            for kind in [TaskKind::Upload, TaskKind::DirectoryRename] {
                assert_eq!(next(&journal, kind).await, None, "{name:?}, {change}");
            }
            let ended = sqlx::query("DELETE FROM tasks").execute(&mut stranger).await.unwrap();
            assert_eq!(ended.rows_affected(), 1, "{name:?}: it stays until this server's version can read it");
        }
    }
}

/// This version can't read such a row.
#[tokio::test]
async fn an_unreadable_row_hides_no_other_one() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    let journal = ledger.journal();
    let mut stranger = stranger(&directory).await;
    for number in 1..=5_i64 {
        let upload = uploads::upload(&format!("upload {number}"), &number.to_string());
        let rename =
            directory_renames::rename(&format!("rename {number}"), &format!("old-{number}"), &format!("new-{number}"));
        for task in [&upload, &rename] {
            enter(&journal, task, Duration::ZERO).await;
        }
        let change = "UPDATE tasks SET held_until = $1 WHERE id IN ($2, $3)";
        let change = sqlx::query(change).bind(number).bind(upload.id).bind(rename.id);
        change.execute(&mut stranger).await.unwrap();
    }
    for (payload, number) in [("later", 1), (r#"{"later":1}"#, 2)] {
        let change = sqlx::query("UPDATE tasks SET payload = $1 WHERE id LIKE '%' || $2").bind(payload).bind(number);
        assert_eq!(change.execute(&mut stranger).await.unwrap().rows_affected(), 2);
    }
    let later = sqlx::query("UPDATE tasks SET kind = 'later' WHERE id LIKE '%3'").execute(&mut stranger).await.unwrap();
    assert_eq!(later.rows_affected(), 2);
    for number in [4, 5] {
        for (kind, id) in [(TaskKind::Upload, "upload"), (TaskKind::DirectoryRename, "rename")] {
            let taken = next(&journal, kind).await;
            assert_eq!(taken.map(|task| task.id), Some(format!("{id} {number}")));
        }
    }
    assert_eq!(next(&journal, TaskKind::Upload).await, None);
    assert_eq!(next(&journal, TaskKind::DirectoryRename).await, None);
}

#[tokio::test]
async fn nodes_that_start_at_once_share_it() {
    let directory = TempDir::new().unwrap();
    open_at_once(&location(&directory)).await;
}

#[tokio::test]
async fn while_another_program_has_it_locked_reads_succeed_and_writes_fail() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    let journal = ledger.journal();
    journal.add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
    let mut stranger = stranger(&directory).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut stranger).await.unwrap();
    for _ in 0..3 {
        assert_eq!(journal.replace_attributes(&bucket(), &key("a"), None).await, Err(JournalDown));
        assert_eq!(find(&journal, "a").await, Some(times("1", 5)));
    }
    let another = open(&location(&directory)).await;
    assert_eq!(
        another.journal().attributes(&bucket(), &key("b")).await,
        Err(JournalDown),
        "its tables can't be looked after"
    );
    another.close().await;
    sqlx::query("ROLLBACK").execute(&mut stranger).await.unwrap();
    let another = open(&location(&directory)).await;
    another.journal().add_attributes(&bucket(), &key("a"), &times("1", 6), *NOW).await.unwrap();
    assert_eq!(find(&journal, "a").await, Some(times("1", 6)));
}

#[tokio::test]
async fn a_listing_drops_attributes_of_objects_that_are_long_gone() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&location(&directory)).await;
    let journal = ledger.journal();
    for name in ["a", "dir/a", "dir/b", "dir/c", "dir/d", "dir/e"] {
        journal.add_attributes(&bucket(), &key(name), &times(name, 1), *NOW).await.unwrap();
    }
    let mut stranger = stranger(&directory).await;
    sqlx::query(LONG_AGO).execute(&mut stranger).await.unwrap();
    journal.add_attributes(&bucket(), &key("dir/new"), &times("new", 1), *NOW).await.unwrap();
    // The page ends at `z`: `b` and `e` are gone, `new` is too young to count as gone.
    let prefix = Prefix::parse("dir/").unwrap();
    let page = ["a", "c", "d", "z"];
    assert_eq!(journal.attributes_in(&bucket(), &prefix, &page).await.unwrap().len(), 6);
    let names = "SELECT directory || name FROM late_attributes ORDER BY 1";
    let dropped = async {
        while sqlx::query_scalar::<_, String>(names).fetch_all(&mut stranger).await.unwrap()
            != ["a", "dir/a", "dir/c", "dir/d", "dir/new"]
        {}
    };
    tokio::time::timeout(Duration::from_mins(1), dropped).await.expect("the others are dropped, and only they");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let directory = TempDir::new().unwrap();
    open(&location(&directory)).await.close().await;
    let step = "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations \
         WHERE version = 1";
    sqlx::query(step).execute(&mut stranger(&directory).await).await.unwrap();
    let error = Ledger::open(&location(&directory)).await.unwrap_err();
    assert!(matches!(error, Error::Newer { step: 9000, .. }), "{error:?}");
    assert!(error.to_string().contains("was used by a newer version of the server"), "{error}");
}

/// Issue 15.4: `check` reports the same problems of a ledger as the server, and changes nothing.
#[tokio::test]
async fn it_can_be_looked_at_without_being_opened() {
    let directory = TempDir::new().unwrap();
    let location = location(&directory);
    let names = || fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(Ledger::inspect(&location).await.unwrap(), History::New);
    assert_eq!((Ledger::examine(&location).unwrap(), names()), (Vec::new(), 0));
    let ledger = open(&location).await;
    assert!(!ledger.was_used());
    ledger.close().await;
    assert_eq!(Ledger::inspect(&location).await.unwrap(), History::Used);
    assert_eq!((Ledger::examine(&location).unwrap(), names()), (Vec::new(), 1));
    let ledger = open(&location).await;
    assert!(ledger.was_used());
    ledger.close().await;

    let step = "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations \
         WHERE version = 1";
    let mut stranger = stranger(&directory).await;
    sqlx::query(step).execute(&mut stranger).await.unwrap();
    stranger.close().await.unwrap();
    let error = Ledger::inspect(&location).await.unwrap_err();
    assert_eq!(error.to_string(), Ledger::open(&location).await.unwrap_err().to_string());
    let text = directory.path().join("text");
    fs::write(&text, "This is no database, and long enough to be seen as none.\n".repeat(40)).unwrap();
    let error = Ledger::inspect(&Location::Sqlite(text.clone())).await.unwrap_err();
    assert_eq!(error.to_string(), refusal(&text).await);
}

/// A file of unknown history doesn't count as one that a server used.
#[tokio::test]
async fn a_damaged_or_foreign_file_has_no_known_history() {
    let directory = TempDir::new().unwrap();
    let of = async |name: &str| Ledger::inspect(&Location::Sqlite(directory.path().join(name))).await.unwrap();
    let path = directory.path().join("foreign.db");
    let mut foreign = SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    sqlx::query("CREATE TABLE another (programs INTEGER)").execute(&mut foreign).await.unwrap();
    foreign.close().await.unwrap();
    assert_eq!(of("foreign.db").await, History::Unknown);

    open(&location(&directory)).await.close().await;
    assert_eq!(of("ledger.db").await, History::Used);
    let mut bytes = fs::read(directory.path().join("ledger.db")).unwrap();
    bytes[100..].fill(0xff);
    fs::write(directory.path().join("damaged.db"), bytes).unwrap();
    assert_eq!(of("damaged.db").await, History::Unknown);
    // A killed server left its tables in the write-ahead log.
    fs::write(directory.path().join("damaged.db-wal"), "x").unwrap();
    assert_eq!(of("damaged.db").await, History::Used);
    symlink("damaged.db", directory.path().join("link.db")).unwrap();
    assert_eq!(of("link.db").await, History::Used);
}

/// Issue 15.4: a user who may write the ledger can make the server rename and delete objects.
#[tokio::test]
async fn a_file_that_everyone_may_write_is_refused() {
    let directory = TempDir::new().unwrap();
    let location = location(&directory);
    open(&location).await.close().await;
    let file = directory.path().join("ledger.db");
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let said = || Ledger::examine(&location).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    chmod(&file, 0o666);
    let refused = refusal(&file).await;
    assert_eq!(refused, Ledger::examine(&location).unwrap_err().to_string());
    let file = file.display();
    assert!(
        refused.contains(&format!("{file} can be written by others (mode 0666): run `chmod go-w {file}`")),
        "{refused}"
    );
    chmod(&directory.path().join("ledger.db"), 0o664);
    assert!(said()[0].starts_with("can be written by its group (mode 0664): run `chmod g-w"), "{:?}", said());
    open(&location).await.close().await;
    chmod(&directory.path().join("ledger.db"), 0o600);
    chmod(directory.path(), 0o777);
    assert!(
        said()[0].starts_with("can be written by others (mode 0777), so that files can be put there"),
        "{:?}",
        said()
    );
    open(&location).await.close().await;
}

/// SQLite follows the link, and keeps its other files beside the target.
#[tokio::test]
async fn a_link_leads_to_the_file_and_to_those_beside_it() {
    let (links, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    open(&location(&directory)).await.close().await;
    let link = links.path().join("link.db");
    symlink(directory.path().join("ledger.db"), &link).unwrap();
    let linked = open(&Location::Sqlite(link.clone())).await;
    linked.journal().add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
    assert_eq!(fs::read_dir(links.path()).unwrap().count(), 1, "nothing is made beside the link");
    let log = directory.path().join("ledger.db-wal");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = refusal(&link).await;
    assert!(refused.contains(&format!("{} can be written by others (mode 0666)", log.display())), "{refused}");
    linked.close().await;

    let dangling = links.path().join("dangling.db");
    symlink("nowhere.db", &dangling).unwrap();
    let refused = refusal(&dangling).await;
    assert!(refused.contains("dangling.db can't be opened") && refused.contains("No such file"), "{refused}");
    assert!(!links.path().join("nowhere.db").exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_one_is_refused_with_a_way_out() {
    let directory = TempDir::new().unwrap();
    let missing = refusal(&directory.path().join("none/ledger.db")).await;
    assert!(missing.contains("none/ledger.db doesn't exist: make it"), "{missing}");
    let itself = refusal(directory.path()).await;
    assert!(itself.contains("the server's user must be able to write to it"), "{itself}");
    let text = directory.path().join("text");
    fs::write(&text, "This is no database, and long enough to be seen as none.\n".repeat(40)).unwrap();
    let other = refusal(&text).await;
    assert!(
        other.contains("text can't be used: error returned from database: (code: 26) file is not a database"),
        "{other}"
    );
}
