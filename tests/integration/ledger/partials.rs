//! The journal's contract for resumable uploads.

use super::{bucket, lease, open};
use crate::support::postgres::Postgres;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use wharfinger::{
    account::{Permission, Permissions},
    journal::{Journal, Owner, PartialFile, PartialUpload, Standing, Whole},
    ledger::Location,
    name::{BucketId, MountedKey, Prefix},
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
    let entered = PartialUpload {
        object: NewObject { metadata: BTreeMap::from(metadata), ..NewObject::default() },
        whole,
        ..partial("1", "a b/ü")
    };
    let before = open(location).await;
    before.journal().enter_partial(&entered, &lease("me", 60), DAY).await.unwrap();
    before.close().await;
    let after = open(location).await;
    let journal = after.journal();
    assert_eq!(journal.find_partial(&entered.file).await.unwrap(), Some((entered.clone(), true)));
    assert_eq!(journal.hold_partial("1", whole, &lease("me", 0), DAY).await.unwrap(), Standing::Kept);
    assert_eq!(journal.find_partial(&entered.file).await.unwrap(), Some((entered, false)));
    after.close().await;
}

async fn an_upload_belongs_to_one_until_its_lease_ends(journal: &Arc<dyn Journal>) {
    let (mine, over, theirs) = (lease("me", 60), lease("me", 0), lease("they", 60));
    let entered = partial("1", "a%_ü\\'/b");
    journal.enter_partial(&entered, &mine, DAY).await.unwrap();
    assert_eq!(find(journal, &entered.file).await, Some((entered.clone(), true)));
    assert!(!journal.take_partial("1", &theirs).await.unwrap());
    let whole = Whole { parts: 3, bytes: 24 << 20, etags: 7 };
    assert_eq!(journal.hold_partial("1", whole, &theirs, DAY).await.unwrap(), Standing::Lost);
    assert_eq!(find(journal, &entered.file).await, Some((entered.clone(), true)), "nothing was noted");
    assert_eq!(journal.hold_partial("1", whole, &over, DAY).await.unwrap(), Standing::Kept);
    let entered = PartialUpload { whole, ..entered };
    assert_eq!(find(journal, &entered.file).await, Some((entered.clone(), false)));
    let [first, second] = [lease("first", 60), lease("second", 60)];
    let taken = tokio::join!(journal.take_partial("1", &first), journal.take_partial("1", &second));
    let (first_has_it, second_has_it) = (taken.0.unwrap(), taken.1.unwrap());
    assert!(first_has_it != second_has_it, "one of two takes it");
    assert_eq!(journal.hold_partial("1", whole, &mine, DAY).await.unwrap(), Standing::Lost, "it isn't mine any more");
    assert_eq!(find(journal, &entered.file).await, Some((entered.clone(), true)));
    for _ in 0..2 {
        journal.end_partial("1").await.unwrap();
        assert_eq!(find(journal, &entered.file).await, None);
    }
    assert!(!journal.take_partial("1", &theirs).await.unwrap());
}

async fn the_newest_wins_and_the_older_one_stays_with_its_uploader(journal: &Arc<dyn Journal>) {
    let (older, newer) = (partial("z older", "file"), partial("a newer", "file"));
    journal.enter_partial(&older, &lease("one", 60), DAY).await.unwrap();
    journal.enter_partial(&newer, &lease("two", 60), DAY).await.unwrap();
    assert_eq!(find(journal, &older.file).await, Some((newer.clone(), true)));
    assert_eq!(
        journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(),
        None,
        "its uploader holds it"
    );
    for _ in 0..2 {
        let kept = journal.hold_partial(&older.id, Whole::default(), &lease("one", 60), DAY).await.unwrap();
        assert_eq!(kept, Standing::GivenUp, "and it stays so");
    }
    assert_eq!(
        journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(),
        None,
        "its uploader holds it still"
    );
    journal.end_partial(&newer.id).await.unwrap();
    assert_eq!(find(journal, &older.file).await, None);
    assert_eq!(
        journal.hold_partial(&older.id, Whole::default(), &lease("one", 0), DAY).await.unwrap(),
        Standing::GivenUp
    );
    assert!(!journal.take_partial(&older.id, &lease("two", 60)).await.unwrap());
    assert_eq!(journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(), Some(older.clone()));
    journal.end_partial(&older.id).await.unwrap();
}

async fn of_uploads_that_are_entered_at_once_one_remains(journal: &Arc<dyn Journal>) {
    let partials: Vec<_> = (0..8).map(|number| partial(&number.to_string(), "at once")).collect();
    let none = lease("nobody", 0);
    let entered = partials.iter().map(|partial| journal.enter_partial(partial, &none, DAY));
    assert!(futures_util::future::join_all(entered).await.into_iter().all(|entered| entered.is_ok()));
    let (kept, _) = find(journal, &partials[0].file).await.unwrap();
    for _ in 0..7 {
        let stale = journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap().unwrap();
        assert_ne!(stale.id, kept.id);
        journal.end_partial(&stale.id).await.unwrap();
    }
    assert_eq!(find(journal, &kept.file).await, Some((kept.clone(), false)));
    journal.end_partial(&kept.id).await.unwrap();
}

async fn an_abandoned_upload_is_found_no_more_and_aborted(journal: &Arc<dyn Journal>) {
    let entered = partial("1", "file");
    journal.enter_partial(&entered, &lease("me", 0), DAY).await.unwrap();
    journal.give_up_partials(&entered.file).await.unwrap();
    assert_eq!(find(journal, &entered.file).await, None);
    assert!(!journal.take_partial("1", &lease("they", 60)).await.unwrap());
    assert!(journal.knows_upload(&bucket(), &entered.upload).await.unwrap());
    assert_eq!(
        journal.take_stale_partial(&lease("janitor", 0), DAY).await.unwrap(),
        None,
        "it was free for no day yet"
    );
    assert_eq!(journal.take_stale_partial(&lease("janitor", 0), NO_TIME).await.unwrap(), Some(entered.clone()));
    assert_eq!(
        journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(),
        Some(entered.clone()),
        "again"
    );
    assert_eq!(journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(), None);
    journal.end_partial("1").await.unwrap();
    assert!(!journal.knows_upload(&bucket(), &entered.upload).await.unwrap());
}

async fn what_is_entered_again_stays_as_it_is(journal: &Arc<dyn Journal>) {
    let whole = Whole { parts: 2, bytes: 16 << 20, etags: 3 };
    let (entered, further) = (partial("1", "file"), PartialUpload { whole, ..partial("1", "file") });
    journal.enter_partial(&entered, &lease("me", 60), DAY).await.unwrap();
    journal.hold_partial("1", whole, &lease("me", 60), DAY).await.unwrap();
    journal.enter_partial(&entered, &lease("they", 0), NO_TIME).await.unwrap();
    assert_eq!(find(journal, &entered.file).await, Some((further, true)));
    journal.give_up_partials(&entered.file).await.unwrap();
    journal.enter_partial(&entered, &lease("me", 60), DAY).await.unwrap();
    assert_eq!(journal.hold_partial("1", whole, &lease("me", 60), DAY).await.unwrap(), Standing::GivenUp);
    journal.end_partial("1").await.unwrap();
}

async fn what_was_free_first_is_aborted_first(journal: &Arc<dyn Journal>) {
    let (late, early) = (partial("late", "late"), partial("early", "early"));
    for partial in [&late, &early] {
        journal.enter_partial(partial, &lease("me", 60), NO_TIME).await.unwrap();
    }
    journal.hold_partial("early", Whole::default(), &lease("me", 0), NO_TIME).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    journal.hold_partial("late", Whole::default(), &lease("me", 0), NO_TIME).await.unwrap();
    for expected in [early, late] {
        let taken = journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap();
        assert_eq!(taken.map(|partial| partial.id), Some(expected.id.clone()));
        journal.end_partial(&expected.id).await.unwrap();
    }
}

async fn an_upload_that_was_free_long_enough_is_aborted(journal: &Arc<dyn Journal>) {
    let entered = partial("1", "file");
    journal.enter_partial(&entered, &lease("me", 60), NO_TIME).await.unwrap();
    assert_eq!(find(journal, &entered.file).await, None);
    assert_eq!(journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(), None, "it is held");
    assert_eq!(
        journal.hold_partial("1", Whole::default(), &lease("me", 0), DAY).await.unwrap(),
        Standing::Kept,
        "its time begins anew"
    );
    assert_eq!(find(journal, &entered.file).await, Some((entered.clone(), false)));
    assert_eq!(journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(), None, "it is kept");
    assert_eq!(journal.hold_partial("1", Whole::default(), &lease("me", 0), NO_TIME).await.unwrap(), Standing::Kept);
    assert_eq!(journal.take_stale_partial(&lease("janitor", 60), NO_TIME).await.unwrap(), Some(entered));
    assert_eq!(
        journal.hold_partial("1", Whole::default(), &lease("me", 60), DAY).await.unwrap(),
        Standing::Lost,
        "it is the janitor's"
    );
    journal.end_partial("1").await.unwrap();
}

async fn files_are_told_apart_by_their_bytes_and_their_owners(journal: &Arc<dyn Journal>) {
    let file = |name: &str| partial("", name).file;
    let names = ["A", "a", "a ", "a%", "a_", "a/b", "Ä", "ä", "a\u{308}", "\u{1f600}"];
    let mut files: Vec<_> = names.into_iter().map(file).collect();
    let elsewhere = BucketId::new("files", Some("http://127.0.0.1:8333"));
    let owner = |tenant: &str, user: &str| Owner { tenant: tenant.parse().unwrap(), user: user.parse().unwrap() };
    files.extend([
        PartialFile { bucket: elsewhere.clone(), ..file("a") },
        PartialFile { owner: owner("acme", "bob"), ..file("a") },
        PartialFile { owner: owner("globex", "alice"), ..file("a") },
        PartialFile { place: place("tenants/acme/a/", "b"), ..file("a") },
        PartialFile { place: place("", "tenants/acme/a"), ..file("a") },
    ]);
    let partials: Vec<_> = (0..).zip(&files).map(|(number, file)| of(&format!("{number}"), file.clone())).collect();
    for partial in &partials {
        journal.enter_partial(partial, &lease("me", 0), DAY).await.unwrap();
    }
    for partial in &partials {
        assert_eq!(find(journal, &partial.file).await, Some((partial.clone(), false)));
    }
    assert!(journal.knows_upload(&elsewhere, &partials[names.len()].upload).await.unwrap());
    assert!(!journal.knows_upload(&elsewhere, &partials[0].upload).await.unwrap());
    journal.give_up_partials(&partials[1].file).await.unwrap();
    for (number, partial) in partials.iter().enumerate() {
        assert_eq!(find(journal, &partial.file).await.is_some(), number != 1, "{:?}", partial.file);
        journal.end_partial(&partial.id).await.unwrap();
    }
}

async fn what_is_stale_goes_to_one_at_a_time(journal: &Arc<dyn Journal>) {
    for id in ["1", "2"] {
        journal.enter_partial(&partial(id, id), &lease("me", 0), NO_TIME).await.unwrap();
    }
    let janitors = ["a", "b", "c"].map(|holder| lease(holder, 60));
    let taken = janitors.each_ref().map(|lease| journal.take_stale_partial(lease, NO_TIME));
    let mut taken: Vec<_> =
        futures_util::future::join_all(taken).await.into_iter().filter_map(Result::unwrap).collect();
    // Two concurrent janitors may choose the same upload. Then one of them gets none this time.
    taken.extend(journal.take_stale_partial(&janitors[0], NO_TIME).await.unwrap());
    let mut ids: Vec<_> = taken.iter().map(|partial| partial.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2"]);
    for id in ids {
        journal.end_partial(id).await.unwrap();
    }
}

async fn find(journal: &Arc<dyn Journal>, file: &PartialFile) -> Option<(PartialUpload, bool)> {
    journal.find_partial(file).await.unwrap()
}

pub fn partial(id: &str, name: &str) -> PartialUpload {
    let file = PartialFile {
        bucket: bucket(),
        owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
        place: place("tenants/acme/", name),
    };
    of(id, file)
}

fn place(mount: &str, name: &str) -> MountedKey {
    MountedKey::new(Prefix::parse(mount).unwrap(), name).unwrap()
}

fn of(id: &str, file: PartialFile) -> PartialUpload {
    let object = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), ..NewObject::default() };
    let permissions = Some(Permissions::NONE.with(Permission::Write).with(Permission::List));
    let (upload, whole) = (UploadId(format!("upload {id}")), Whole::default());
    PartialUpload { id: id.to_owned(), file, permissions, upload, object, whole }
}
