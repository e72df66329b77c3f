//! The journal's contract for tasks, as uploads use it.

use super::{bucket, directory_renames, lease, open};
use crate::support::postgres::Postgres;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use wharfinger::{
    account::{Permission, Permissions},
    journal::{Journal, Lease, Owner, ResumableUpload, Standing, Task, TaskKind, TaskPayload, TaskSubject, Whole},
    ledger::Location,
    name::{BucketId, MountedKey, Prefix, TenantName},
    store::{NewObject, UploadId},
};

const DAY: Duration = Duration::from_hours(24);
/// Ends at once.
const NO_TIME: Duration = Duration::ZERO;

pub async fn hold(journal: &Arc<dyn Journal>) {
    an_upload_belongs_to_one_until_its_lease_ends(journal).await;
    the_newest_wins_and_the_older_one_stays_with_its_uploader(journal).await;
    of_uploads_that_are_entered_at_once_one_remains(journal).await;
    an_abandoned_upload_is_found_no_more_and_aborted(journal).await;
    a_tenant_has_uploads_in_a_bucket_until_the_last_task_has_ended(journal).await;
    what_is_entered_again_stays_as_it_is(journal).await;
    what_was_free_first_is_aborted_first(journal).await;
    an_upload_that_was_free_long_enough_is_aborted(journal).await;
    files_are_told_apart_by_their_bytes_and_their_owners(journal).await;
    what_is_stale_goes_to_one_at_a_time(journal).await;
}

#[tokio::test]
async fn an_upload_outlives_a_restart_on_sqlite() {
    let directory = TempDir::new().unwrap();
    outlives_a_restart(&Location::Sqlite(directory.path().join("ledger.db"))).await;
}

#[tokio::test]
async fn an_upload_outlives_a_restart_on_postgresql() {
    let postgres = Postgres::start();
    outlives_a_restart(&Location::parse(&postgres.url()).unwrap()).await;
}

async fn outlives_a_restart(location: &Location) {
    let metadata = [("mtime", "1700000000"), ("wharfinger-upload", "0f\"\\\u{1}ü\u{1f600}")];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let whole = Whole { parts: 10_000, bytes: 5 << 40, etags: u64::MAX };
    let object = NewObject { metadata: BTreeMap::from(metadata), ..NewObject::default() };
    let entered = upload("1", "a b/ü");
    let payload = ResumableUpload { object, whole, ..upload_of(&entered) };
    let entered = Task { payload: payload.into(), ..entered };
    let before = open(location).await;
    enter(&before.journal(), &entered, &lease("me", 60), DAY).await;
    before.close().await;
    let after = open(location).await;
    let journal = &after.journal();
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), true)));
    assert_eq!(hold_task(journal, &entered, whole, &lease("me", 0), DAY).await, Standing::Resumable);
    assert_eq!(find(journal, &entered).await, Some((entered, false)));
    after.close().await;
}

async fn an_upload_belongs_to_one_until_its_lease_ends(journal: &Arc<dyn Journal>) {
    let (mine, over, theirs) = (lease("me", 60), lease("me", 0), lease("they", 60));
    let entered = upload("1", "a%_ü\\'/b");
    enter(journal, &entered, &mine, DAY).await;
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), true)));
    assert!(!journal.take_task("1", &theirs).await.unwrap());
    let whole = Whole { parts: 3, bytes: 24 << 20, etags: 7 };
    assert_eq!(hold_task(journal, &entered, whole, &theirs, DAY).await, Standing::Lost);
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), true)), "nothing was noted");
    assert_eq!(hold_task(journal, &entered, whole, &over, DAY).await, Standing::Resumable);
    let entered = grown(&entered, whole);
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), false)));
    let [first, second] = [lease("first", 60), lease("second", 60)];
    let taken = tokio::join!(journal.take_task("1", &first), journal.take_task("1", &second));
    let (first_has_it, second_has_it) = (taken.0.unwrap(), taken.1.unwrap());
    assert!(first_has_it != second_has_it, "one of two takes it");
    assert_eq!(hold_task(journal, &entered, whole, &mine, DAY).await, Standing::Lost, "it isn't mine any more");
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), true)));
    for _ in 0..2 {
        journal.end_task("1", None).await.unwrap();
        assert_eq!(find(journal, &entered).await, None);
    }
    assert!(!journal.take_task("1", &theirs).await.unwrap());
}

async fn the_newest_wins_and_the_older_one_stays_with_its_uploader(journal: &Arc<dyn Journal>) {
    let (older, newer) = (upload("z older", "file"), upload("a newer", "file"));
    enter(journal, &older, &lease("one", 60), DAY).await;
    enter(journal, &newer, &lease("two", 60), DAY).await;
    assert_eq!(find(journal, &older).await, Some((newer.clone(), true)));
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, None, "its uploader holds it");
    for _ in 0..2 {
        let kept = hold_task(journal, &older, Whole::default(), &lease("one", 60), DAY).await;
        assert_eq!(kept, Standing::Abandoned, "and it stays so");
    }
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, None, "its uploader holds it still");
    journal.end_task(&newer.id, None).await.unwrap();
    assert_eq!(find(journal, &older).await, None);
    assert_eq!(hold_task(journal, &older, Whole::default(), &lease("one", 0), DAY).await, Standing::Abandoned);
    assert!(!journal.take_task(&older.id, &lease("two", 60)).await.unwrap());
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, Some(older.clone()));
    journal.end_task(&older.id, None).await.unwrap();
}

async fn of_uploads_that_are_entered_at_once_one_remains(journal: &Arc<dyn Journal>) {
    let uploads: Vec<_> = (0..8).map(|number| upload(&number.to_string(), "at once")).collect();
    let none = lease("nobody", 0);
    let entered = uploads.iter().map(|upload| enter(journal, upload, &none, DAY));
    futures_util::future::join_all(entered).await;
    let (kept, _) = find(journal, &uploads[0]).await.unwrap();
    for _ in 0..7 {
        let stale = next(journal, &lease("janitor", 60), NO_TIME).await.unwrap();
        assert_ne!(stale.id, kept.id);
        journal.end_task(&stale.id, None).await.unwrap();
    }
    assert_eq!(find(journal, &kept).await, Some((kept.clone(), false)));
    journal.end_task(&kept.id, None).await.unwrap();
}

async fn an_abandoned_upload_is_found_no_more_and_aborted(journal: &Arc<dyn Journal>) {
    let entered = upload("1", "file");
    enter(journal, &entered, &lease("me", 0), DAY).await;
    abandon(journal, &entered).await;
    assert_eq!(find(journal, &entered).await, None);
    assert!(!journal.take_task("1", &lease("they", 60)).await.unwrap());
    assert!(journal.has_upload(&bucket(), &upload_of(&entered).upload).await.unwrap());
    assert_eq!(next(journal, &lease("janitor", 0), DAY).await, None, "it was free for no day yet");
    assert_eq!(next(journal, &lease("janitor", 0), NO_TIME).await, Some(entered.clone()));
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, Some(entered.clone()), "again");
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, None);
    journal.end_task("1", None).await.unwrap();
    assert!(!journal.has_upload(&bucket(), &upload_of(&entered).upload).await.unwrap());
}

async fn a_tenant_has_uploads_in_a_bucket_until_the_last_task_has_ended(journal: &Arc<dyn Journal>) {
    let tenants = ["acme", "globex"].map(|name| name.parse::<TenantName>().unwrap());
    let buckets = [bucket(), BucketId::new("files", Some("http://127.0.0.1:8333"))];
    let found = async || {
        let mut found = Vec::new();
        for (bucket, tenant) in buckets.iter().flat_map(|bucket| tenants.iter().map(move |tenant| (bucket, tenant))) {
            found.push(journal.has_uploads_of(bucket, tenant).await.unwrap());
        }
        found
    };
    assert_eq!(found().await, [false; 4]);
    let rename = directory_renames::rename("r", "old", "new");
    assert!(journal.enter_task(&rename, &lease("me", 60), DAY).await.unwrap());
    assert_eq!(found().await, [false; 4], "a rename is none");
    let [one, two] = ["1", "2"].map(|id| upload(id, id));
    enter(journal, &one, &lease("me", 60), NO_TIME).await;
    enter(journal, &two, &lease("me", 0), DAY).await;
    abandon(journal, &two).await;
    assert_eq!(found().await, [true, false, false, false]);
    for (id, has_uploads) in [("r", true), ("1", true), ("2", false)] {
        journal.end_task(id, None).await.unwrap();
        assert_eq!(found().await, [has_uploads, false, false, false], "after {id}");
    }
}

async fn what_is_entered_again_stays_as_it_is(journal: &Arc<dyn Journal>) {
    let whole = Whole { parts: 2, bytes: 16 << 20, etags: 3 };
    let (entered, further) = (upload("1", "file"), grown(&upload("1", "file"), whole));
    enter(journal, &entered, &lease("me", 60), DAY).await;
    hold_task(journal, &entered, whole, &lease("me", 60), DAY).await;
    enter(journal, &entered, &lease("they", 0), NO_TIME).await;
    assert_eq!(find(journal, &entered).await, Some((further, true)));
    abandon(journal, &entered).await;
    enter(journal, &entered, &lease("me", 60), DAY).await;
    assert_eq!(hold_task(journal, &entered, whole, &lease("me", 60), DAY).await, Standing::Abandoned);
    journal.end_task("1", None).await.unwrap();
}

async fn what_was_free_first_is_aborted_first(journal: &Arc<dyn Journal>) {
    let (late, early) = (upload("late", "late"), upload("early", "early"));
    for upload in [&late, &early] {
        enter(journal, upload, &lease("me", 60), NO_TIME).await;
    }
    hold_task(journal, &early, Whole::default(), &lease("me", 0), NO_TIME).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    hold_task(journal, &late, Whole::default(), &lease("me", 0), NO_TIME).await;
    for expected in [early, late] {
        let taken = next(journal, &lease("janitor", 60), NO_TIME).await;
        assert_eq!(taken.map(|upload| upload.id), Some(expected.id.clone()));
        journal.end_task(&expected.id, None).await.unwrap();
    }
}

async fn an_upload_that_was_free_long_enough_is_aborted(journal: &Arc<dyn Journal>) {
    let entered = upload("1", "file");
    enter(journal, &entered, &lease("me", 60), NO_TIME).await;
    assert_eq!(find(journal, &entered).await, None);
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, None, "it is held");
    assert_eq!(
        hold_task(journal, &entered, Whole::default(), &lease("me", 0), DAY).await,
        Standing::Resumable,
        "its time begins anew"
    );
    assert_eq!(find(journal, &entered).await, Some((entered.clone(), false)));
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, None, "it is kept");
    assert_eq!(hold_task(journal, &entered, Whole::default(), &lease("me", 0), NO_TIME).await, Standing::Resumable);
    assert_eq!(next(journal, &lease("janitor", 60), NO_TIME).await, Some(entered.clone()));
    assert_eq!(
        hold_task(journal, &entered, Whole::default(), &lease("me", 60), DAY).await,
        Standing::Lost,
        "it is the janitor's"
    );
    journal.end_task("1", None).await.unwrap();
}

async fn files_are_told_apart_by_their_bytes_and_their_owners(journal: &Arc<dyn Journal>) {
    let names = ["A", "a", "a ", "a%", "a_", "a/b", "Ä", "ä", "a\u{308}", "\u{1f600}"];
    let mut files: Vec<_> = names.into_iter().map(file).collect();
    let elsewhere = BucketId::new("files", Some("http://127.0.0.1:8333"));
    let owner = |tenant: &str, user: &str| Owner { tenant: tenant.parse().unwrap(), user: user.parse().unwrap() };
    files.extend([
        TaskSubject { bucket: elsewhere.clone(), ..file("a") },
        TaskSubject { owner: owner("acme", "bob"), ..file("a") },
        TaskSubject { owner: owner("globex", "alice"), ..file("a") },
        TaskSubject { place: place("tenants/acme/a/", "b"), ..file("a") },
        TaskSubject { place: place("", "tenants/acme/a"), ..file("a") },
    ]);
    let uploads: Vec<_> = (0..).zip(&files).map(|(number, file)| of(&format!("{number}"), file.clone())).collect();
    for upload in &uploads {
        enter(journal, upload, &lease("me", 0), DAY).await;
    }
    for upload in &uploads {
        assert_eq!(find(journal, upload).await, Some((upload.clone(), false)));
    }
    assert!(journal.has_upload(&elsewhere, &upload_of(&uploads[names.len()]).upload).await.unwrap());
    assert!(!journal.has_upload(&elsewhere, &upload_of(&uploads[0]).upload).await.unwrap());
    abandon(journal, &uploads[1]).await;
    for (number, upload) in uploads.iter().enumerate() {
        assert_eq!(find(journal, upload).await.is_some(), number != 1, "{upload:?}");
        journal.end_task(&upload.id, None).await.unwrap();
    }
}

async fn what_is_stale_goes_to_one_at_a_time(journal: &Arc<dyn Journal>) {
    for id in ["1", "2"] {
        enter(journal, &upload(id, id), &lease("me", 0), NO_TIME).await;
    }
    let janitors = ["a", "b", "c"].map(|holder| lease(holder, 60));
    let taken = janitors.each_ref().map(|lease| next(journal, lease, NO_TIME));
    let mut taken: Vec<_> = futures_util::future::join_all(taken).await.into_iter().flatten().collect();
    // Two concurrent janitors may choose the same upload. Then one of them gets none this time.
    taken.extend(next(journal, &janitors[0], NO_TIME).await);
    let mut ids: Vec<_> = taken.iter().map(|upload| upload.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2"]);
    for id in ids {
        journal.end_task(id, None).await.unwrap();
    }
}

async fn enter(journal: &Arc<dyn Journal>, task: &Task, lease: &Lease, keep: Duration) {
    assert!(journal.enter_task(task, lease, keep).await.unwrap());
}

/// Notes that this beginning of an upload is stored.
async fn hold_task(journal: &Arc<dyn Journal>, task: &Task, whole: Whole, lease: &Lease, keep: Duration) -> Standing {
    journal.hold_task(&task.id, &grown(task, whole).payload, lease, keep).await.unwrap()
}

async fn find(journal: &Arc<dyn Journal>, task: &Task) -> Option<(Task, bool)> {
    journal.find_task(TaskKind::Upload, &task.subject()).await.unwrap()
}

async fn next(journal: &Arc<dyn Journal>, lease: &Lease, free_for: Duration) -> Option<Task> {
    journal.take_next_task(TaskKind::Upload, lease, free_for).await.unwrap()
}

async fn abandon(journal: &Arc<dyn Journal>, task: &Task) {
    journal.abandon_tasks(TaskKind::Upload, &task.subject()).await.unwrap();
}

pub fn upload(id: &str, name: &str) -> Task {
    of(id, file(name))
}

fn file(name: &str) -> TaskSubject {
    let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
    TaskSubject { bucket: bucket(), owner, place: place("tenants/acme/", name) }
}

fn place(mount: &str, name: &str) -> MountedKey {
    MountedKey::new(Prefix::parse(mount).unwrap(), name).unwrap()
}

fn of(id: &str, TaskSubject { bucket, owner, place }: TaskSubject) -> Task {
    let object = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), ..NewObject::default() };
    let permissions = Some(Permissions::NONE.with(Permission::Write).with(Permission::List));
    let (upload, whole) = (UploadId(format!("upload {id}")), Whole::default());
    let payload = ResumableUpload { place, upload, object, whole };
    Task { id: id.to_owned(), bucket, owner, permissions, payload: payload.into() }
}

/// Returns the upload with this beginning stored.
pub fn grown(task: &Task, whole: Whole) -> Task {
    Task { payload: ResumableUpload { whole, ..upload_of(task) }.into(), ..task.clone() }
}

pub fn upload_of(task: &Task) -> ResumableUpload {
    task.clone().upload().unwrap().payload
}

/// Returns the name of the file below the mount.
pub fn name_of(task: &Task) -> &str {
    let TaskPayload::Upload(upload) = &task.payload else { panic!("{task:?}") };
    upload.place.key().as_str().strip_prefix("tenants/acme/").unwrap()
}
