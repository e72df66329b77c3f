//! A question about a few names costs the same however many rows the bucket has. SQLite counts the steps of its virtual
//! machine: they are exact, and a statement that reads a whole bucket needs some for each row.

use super::{database::ConnectionPool, location::Location, sql_journal::SqlJournal};
use crate::{
    account::Permissions,
    journal::{
        AttributeNote, DirectoryJournal as _, DirectoryNote, DirectoryRename, DirectoryTimes, FileRename, Journal as _,
        Lease, ListedDirectories, MovedAttributes, ObjectAttributes, ObjectTimes, Owner, RenamePhase, RenamedNames,
        ResumableUpload, Task, TaskJournal as _, TaskKind, TaskPayload, TimesAndMode, Whole,
    },
    name::{BucketId, Key, MountedKey, Prefix},
    store::{ETag, NewObject, UploadId},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A row of each kind for each number, ten in a directory.
const FILLING: [&str; 4] = [
    "INSERT INTO late_attributes SELECT 'files', 'many/' || (n / 10) || '/', n, 'e', 1, 1, 1, 1 FROM numbers",
    "INSERT INTO directory_times SELECT 'files', 'many/' || (n / 10) || '/', n, 1, 1, 1 FROM numbers",
    "INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder, \
     held_until, keep_until) SELECT 'u' || n, 'upload', 'files', 'acme', 'alice', '', 'many/' || n, n, NULL, \
     '{\"metadata\":{},\"parts\":0,\"bytes\":0,\"etags\":0}', 'they', 9000000000, 9000000000 FROM numbers",
    "INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder, \
     held_until, keep_until) SELECT 'r' || n, 'file_rename', 'files', 'acme', 'alice', '', 'old/' || n, 'new/' || n, \
     NULL, '{}', 'they', 9000000000, 0 FROM numbers",
];

/// A ledger whose statements are counted.
struct CountedLedger {
    journal: SqlJournal,
    steps: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
}

impl CountedLedger {
    async fn with_rows(rows: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("ledger.db"));
        let (journal, steps) = (SqlJournal::new(&location), Arc::new(AtomicU64::new(0)));
        journal.make_ready().await.unwrap();
        let (ConnectionPool::Sqlite(reads), ConnectionPool::Sqlite(writes)) =
            (&journal.database.reads, &journal.database.writes)
        else {
            panic!("it is SQLite");
        };
        let numbers = "CREATE TEMP TABLE numbers AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 \
                       FROM numbers WHERE n < $1) SELECT n FROM numbers";
        sqlx::query(numbers).bind(rows).execute(writes).await.unwrap();
        for statement in FILLING {
            sqlx::query(statement).execute(writes).await.unwrap();
        }
        for (pool, connections) in [(reads, super::sqlite::READERS), (writes, 1)] {
            let mut opened = Vec::new();
            for _ in 0..connections {
                let (mut used, steps) = (pool.acquire().await.unwrap(), Arc::clone(&steps));
                used.connection().unwrap().lock_handle().await.unwrap().set_progress_handler(1, move || {
                    steps.fetch_add(1, Ordering::Relaxed);
                    true
                });
                opened.push(used);
            }
        }
        Self { journal, steps, _directory: directory }
    }

    /// The steps of each question.
    async fn questions(&self) -> BTreeMap<String, u64> {
        let mut counted = BTreeMap::new();
        let (bucket, lease) = (bucket(), Lease { holder: "me".to_owned(), term: Duration::from_mins(1) });
        let (keys, entry) = ([key("many/1/10"), key("many/2/20")], entry());
        let directories = [directory("many/1/10/"), directory("many/2/20/")];
        let subject = std::cell::Cell::new("");
        macro_rules! count {
            ($question:ident($($argument:expr),*)) => {{
                let before = self.steps.load(Ordering::Relaxed);
                let answer = self.journal.$question($($argument),*).await.unwrap();
                let question = format!("{} {}", stringify!($question), subject.get());
                counted.insert(question, self.steps.load(Ordering::Relaxed) - before);
                answer
            }};
        }
        count!(attributes(&bucket, &keys[0]));
        count!(attributes_in(&bucket, &directory("many/1/"), &["10", "11"]));
        count!(add_attributes(&bucket, &keys[0], &entry, 1));
        count!(replace_attributes(&bucket, &keys[0], Some(&entry)));
        let notes = keys.clone().map(|key| AttributeNote::born(bucket.clone(), key, entry.clone()));
        count!(add_attribute_notes(&notes));
        count!(replace_attribute_batch(&keys.clone().map(|key| (bucket.clone(), key, entry.clone()))));
        count!(forget_attribute_batch(&bucket, &[&keys[0], &keys[1]]));
        count!(directory_times(&bucket, &directories[0]));
        count!(directory_times_of(&bucket, &[&directories[0], &directories[1]]));
        count!(keeps_directory_times(&bucket, &directories[0]));
        let parent = directory("many/1/");
        let page = ListedDirectories { parent: &parent, names: &["10", "11"], asked_ago: Duration::ZERO };
        count!(directory_times_in(&bucket, page));
        count!(set_directory_times(&bucket, &directories[0], DirectoryTimes { accessed: 1, modified: 1 }));
        let notes = [Some(DirectoryTimes { accessed: 1, modified: 1 }), None].into_iter().zip(&directories);
        let notes: Vec<_> = notes
            .map(|(times, directory)| DirectoryNote {
                bucket: bucket.clone(),
                directory: directory.clone(),
                times,
                set_ago: Duration::ZERO,
            })
            .collect();
        count!(tell_directory_times(&notes));
        count!(move_directory_times(&bucket, &directories[0], &directories[1]));
        count!(forget_directory_times(&bucket, &directories[1], None));
        for payload in [upload(), file_rename(), directory_rename()] {
            let task = task(payload);
            subject.set(task.payload.kind().word());
            if task.payload.kind() == TaskKind::FileRename {
                count!(enter_claimed_task(&task, &lease));
                let moved = MovedAttributes { source: &keys[0], target: &keys[1], entry: Some(&entry) };
                count!(end_claimed_task(&task, &lease, Some(moved)));
            } else {
                count!(enter_task(&task, &lease, Duration::from_mins(1)));
                count!(hold_task(&task.id, &task.payload, &lease, Duration::from_mins(1)));
                count!(find_task(task.payload.kind(), &task.subject()));
                count!(take_task(&task.id, &lease));
                count!(abandon_tasks(task.payload.kind(), &task.subject()));
                count!(end_task(&task.id, None));
            }
        }
        let moved = MovedAttributes { source: &keys[0], target: &keys[1], entry: None };
        count!(end_claimed_task(&task(file_rename()), &lease, Some(moved)));
        let rename = task(file_rename());
        count!(enter_claimed_task(&rename, &lease));
        assert!(count!(end_task_without_attributes(&rename, &lease)));
        count!(take_next_task(TaskKind::Upload, &lease, Duration::ZERO));
        count!(take_next_task(TaskKind::DirectoryRename, &lease, Duration::ZERO));
        count!(has_upload(&bucket, &UploadId("7".to_owned())));
        for tenant in ["acme", "globex"] {
            subject.set(tenant);
            count!(has_uploads_of(&bucket, &tenant.parse().unwrap()));
        }
        counted
    }
}

fn bucket() -> BucketId {
    BucketId::recorded("files")
}

fn key(raw: &str) -> Key {
    Prefix::parse("").unwrap().key(raw).unwrap()
}

fn directory(raw: &str) -> Prefix {
    Prefix::parse(raw).unwrap()
}

fn entry() -> ObjectAttributes {
    let times = Some(ObjectTimes::Set { accessed: 1, modified: 1 });
    ObjectAttributes { etag: ETag("e".to_owned()), attributes: TimesAndMode { times, mode: None }, set_at: 2 }
}

fn task(payload: TaskPayload) -> Task {
    let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
    let id = payload.kind().word().to_owned();
    Task { id, bucket: bucket(), owner, permissions: Some(Permissions::ALL), payload }
}

fn upload() -> TaskPayload {
    let place = MountedKey::new(directory(""), "many/1").unwrap();
    let whole = Whole { parts: 0, bytes: 0, etags: 0 };
    ResumableUpload { place, upload: UploadId("new".to_owned()), object: NewObject::default(), whole }.into()
}

fn file_rename() -> TaskPayload {
    FileRename { names: RenamedNames::new(directory(""), "old/1", "new/1").unwrap() }.into()
}

fn directory_rename() -> TaskPayload {
    let names = RenamedNames::new(directory(""), "old", "new").unwrap();
    DirectoryRename { names, phase: RenamePhase::Entered }.into()
}

#[tokio::test]
async fn a_question_about_a_few_names_reads_no_more_in_a_large_bucket() {
    let (few, many) = (CountedLedger::with_rows(100).await, CountedLedger::with_rows(10_000).await);
    let (few, many) = (few.questions().await, many.questions().await);
    let worse: Vec<_> =
        many.iter().filter(|(question, steps)| **steps > 2 * few.get(*question).copied().unwrap_or_default()).collect();
    assert!(worse.is_empty(), "{worse:?} of {few:?}");
    assert!(few.values().all(|steps| *steps > 0), "{few:?}");
}
