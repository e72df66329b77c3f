//! The journal's contract. It holds in memory, in SQLite and in PostgreSQL, and in the journal that fails as planned
//! while nothing is planned.

use super::{
    NOW, bucket, directories, directory_renames, etag, file_renames, find, key, lease, of, open, role_verdicts, times,
    uploads, usage, with_mode,
};
use crate::support::postgres::Postgres;
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use wharfinger::{
    journal::{AttributeNote, Journal, JournalDown, LockOutcome, ObjectAttributes, ObjectTimes, TimesAndMode},
    ledger::{Ledger, Location},
    name::{BucketId, Key, Prefix},
    testing::FaultyJournal,
};

#[tokio::test]
async fn in_memory() {
    hold(&Ledger::in_memory().journal()).await;
}

#[tokio::test]
async fn in_memory_with_planned_failures() {
    let journal: Arc<dyn Journal> = Arc::new(FaultyJournal::default());
    hold(&journal).await;
}

#[tokio::test]
async fn in_sqlite() {
    let directory = TempDir::new().unwrap();
    let ledger = open(&Location::Sqlite(directory.path().join("ledger.db"))).await;
    hold(&ledger.journal()).await;
    ledger.close().await;
}

#[tokio::test]
async fn in_postgresql() {
    let postgres = Postgres::start();
    let ledger = open(&Location::parse(&postgres.url()).unwrap()).await;
    hold(&ledger.journal()).await;
    ledger.close().await;
}

async fn hold(journal: &Arc<dyn Journal>) {
    an_object_has_one_entry(journal).await;
    several_objects_are_replaced_and_forgotten_at_once(journal).await;
    added_attributes_join_those_of_the_same_version(journal).await;
    the_time_at_which_a_file_appeared_takes_the_place_of_no_other(journal).await;
    what_was_set_before_a_version_came_to_be_joins_nothing(journal).await;
    attributes_of_an_old_version_replace_none_of_a_younger_one(journal).await;
    what_was_set_since_a_version_came_to_be_stays(journal).await;
    what_a_client_set_a_while_ago_joins_what_was_set_before_and_leaves_what_was_set_since(journal).await;
    names_are_told_apart_by_their_bytes(journal).await;
    a_page_is_of_one_directory_of_one_bucket(journal).await;
    attributes_of_missing_objects_hide_nothing_of_a_page(journal).await;
    a_name_is_claimed_by_one_until_its_lease_ends(journal).await;
    a_name_is_locked_by_one_until_that_ends_or_is_ended(journal).await;
    rows_whose_leases_ended_long_ago_are_dropped(journal).await;
    uploads::hold(journal).await;
    directory_renames::hold(journal).await;
    file_renames::hold(journal).await;
    directories::hold(journal).await;
    usage::hold(journal).await;
    role_verdicts::hold(journal).await;
}

// S142: A claim of another node lasts until its operation ends, or for at most 30 seconds after that node was killed.
async fn a_name_is_claimed_by_one_until_its_lease_ends(journal: &Arc<dyn Journal>) {
    let (bucket, name) = (bucket(), key("claimed/a%_ü\\'"));
    let (mine, over, theirs) = (lease("me", 60), lease("me", 0), lease("they", 60));
    assert!(journal.claim(&bucket, &name, &mine).await.unwrap());
    assert!(!journal.claim(&bucket, &name, &theirs).await.unwrap());
    assert!(!journal.hold_claim(&bucket, &name, &theirs).await.unwrap());
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    for (bucket, name) in [(&bucket, key("claimed/A")), (&bucket, key("claimed")), (&other, name.clone())] {
        assert!(journal.claim(bucket, &name, &theirs).await.unwrap(), "{name:?}");
        journal.end_claim(bucket, &name, &theirs).await.unwrap();
    }
    assert!(journal.hold_claim(&bucket, &name, &over).await.unwrap());
    assert!(journal.claim(&bucket, &name, &theirs).await.unwrap(), "the lease has ended");
    assert!(!journal.hold_claim(&bucket, &name, &mine).await.unwrap());
    journal.end_claim(&bucket, &name, &mine).await.unwrap();
    assert!(!journal.claim(&bucket, &name, &mine).await.unwrap(), "it is theirs");
    journal.end_claim(&bucket, &name, &theirs).await.unwrap();
    let leases: Vec<_> = (0..8).map(|number| lease(&number.to_string(), 60)).collect();
    let claimed = join_all(leases.iter().map(|lease| journal.claim(&bucket, &name, lease))).await;
    assert_eq!(claimed.into_iter().filter(|claimed| *claimed == Ok(true)).count(), 1);
    for lease in &leases {
        journal.end_claim(&bucket, &name, lease).await.unwrap();
    }
    assert!(journal.claim(&bucket, &name, &mine).await.unwrap(), "it has ended");
    journal.end_claim(&bucket, &name, &mine).await.unwrap();
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
// S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
async fn a_name_is_locked_by_one_until_that_ends_or_is_ended(journal: &Arc<dyn Journal>) {
    let (bucket, name) = (bucket(), key("locked/a%_ü\\'"));
    let (mine, over, theirs) = (lease("me", 60), lease("me", 0), lease("they", 60));
    let lock = async |lease| journal.lock(&bucket, &name, lease).await.unwrap();
    let hold = async |lease| journal.hold_lock(&bucket, &name, lease).await.unwrap();
    let end = async |lease| journal.end_lock(&bucket, &name, lease).await.unwrap();
    let has = async |lease| journal.has_lock(&bucket, &name, lease).await.unwrap();
    let break_lock = async || journal.break_lock(&bucket, &name).await.unwrap();
    assert!(!break_lock().await && !end(&mine).await && !hold(&mine).await && !has(&mine).await);
    assert_eq!([lock(&mine).await, lock(&theirs).await], [LockOutcome::Ours, LockOutcome::Opening]);
    assert!(has(&mine).await && !has(&theirs).await);
    assert_eq!(lock(&theirs).await, LockOutcome::Opening, "to ask changes nothing");
    assert!(!break_lock().await, "its OPEN isn't answered");
    assert!(!hold(&theirs).await && hold(&mine).await);
    assert_eq!(lock(&theirs).await, LockOutcome::Theirs);
    assert_eq!(lock(&mine).await, LockOutcome::Ours, "it is mine already");
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    for (bucket, name) in [(&bucket, key("locked/A")), (&bucket, key("locked")), (&other, name.clone())] {
        assert_eq!(journal.lock(bucket, &name, &theirs).await, Ok(LockOutcome::Ours), "{name:?}");
        assert_eq!(journal.end_lock(bucket, &name, &theirs).await, Ok(true));
    }
    assert!(hold(&over).await && !break_lock().await, "its lease is over");
    assert!(has(&mine).await, "and no other holder has it");
    assert_eq!(lock(&theirs).await, LockOutcome::Ours);
    assert!(!hold(&mine).await && !has(&mine).await && !end(&mine).await, "it is theirs");
    assert!(hold(&theirs).await && break_lock().await);
    assert!(!hold(&theirs).await && !has(&theirs).await && !end(&theirs).await, "it was ended");
    let leases: Vec<_> = (0..8).map(|number| lease(&number.to_string(), 60)).collect();
    let locked = join_all(leases.iter().map(|lease| journal.lock(&bucket, &name, lease))).await;
    assert_eq!(locked.into_iter().filter(|locked| *locked == Ok(LockOutcome::Ours)).count(), 1);
    let ended = join_all(leases.iter().map(|lease| journal.end_lock(&bucket, &name, lease))).await;
    assert_eq!(ended.into_iter().filter(|ended| *ended == Ok(true)).count(), 1);
}

async fn rows_whose_leases_ended_long_ago_are_dropped(journal: &Arc<dyn Journal>) {
    let (bucket, names) = (bucket(), ["ended", "held", "ended/taken"].map(key));
    let (mine, over) = (lease("me", 60), lease("me", 0));
    for (name, lease) in names.iter().zip([&over, &mine, &over]) {
        assert!(journal.claim(&bucket, name, lease).await.unwrap());
        assert_eq!(journal.lock(&bucket, name, lease).await, Ok(LockOutcome::Ours));
    }
    assert!(journal.claim(&bucket, &names[2], &mine).await.unwrap());
    assert_eq!(journal.lock(&bucket, &names[2], &mine).await, Ok(LockOutcome::Ours));
    let hour = Duration::from_hours(1);
    assert_eq!((journal.drop_ended_claims(hour).await, journal.drop_ended_locks(hour).await), (Ok(0), Ok(0)));
    let now = Duration::ZERO;
    assert_eq!((journal.drop_ended_claims(now).await, journal.drop_ended_locks(now).await), (Ok(1), Ok(1)));
    for (name, is_left) in names.iter().zip([false, true, true]) {
        assert_eq!(journal.hold_claim(&bucket, name, &mine).await, Ok(is_left), "{name:?}");
        assert_eq!(journal.has_lock(&bucket, name, &mine).await, Ok(is_left), "{name:?}");
        journal.end_claim(&bucket, name, &mine).await.unwrap();
        assert_eq!(journal.end_lock(&bucket, name, &mine).await, Ok(is_left));
    }
    // At most a thousand rows are dropped at a time.
    let many: Vec<_> = (0..1_001).map(|number| key(&format!("many/{number}"))).collect();
    for name in &many {
        assert!(journal.claim(&bucket, name, &over).await.unwrap());
    }
    assert_eq!([journal.drop_ended_claims(now).await, journal.drop_ended_claims(now).await], [Ok(1_000), Ok(1)]);
}

/// Writes notes about versions that appeared, as the server does.
async fn add_attribute_notes(
    journal: &Arc<dyn Journal>,
    rows: &[(BucketId, Key, ObjectAttributes)],
) -> Result<(), JournalDown> {
    let born = |(bucket, key, entry): &(BucketId, Key, ObjectAttributes)| {
        AttributeNote::born(bucket.clone(), key.clone(), entry.clone())
    };
    journal.add_attribute_notes(&rows.iter().map(born).collect::<Vec<_>>()).await
}

async fn an_object_has_one_entry(journal: &Arc<dyn Journal>) {
    assert_eq!(find(journal, "one").await, None);
    for kept in [times("1", 5), times("2", 6), with_mode(times("2", u32::MAX - 1))] {
        journal.replace_attributes(&bucket(), &key("one"), Some(&kept)).await.unwrap();
        assert_eq!(find(journal, "one").await, Some(kept));
    }
    journal.replace_attributes(&bucket(), &key("one"), None).await.unwrap();
    let many = ["one", "two", "three/three"].map(|name| (bucket(), key(name), times("4", 7)));
    add_attribute_notes(journal, &many).await.unwrap();
    for (_, key, kept) in many {
        assert_eq!(journal.attributes(&bucket(), &key).await.unwrap(), Some(kept));
    }
    add_attribute_notes(journal, &[]).await.unwrap();
    add_attribute_notes(journal, &[(bucket(), key("two"), of("4", None, Some(0o600)))]).await.unwrap();
    assert_eq!(find(journal, "two").await, Some(with_mode(times("4", 7))), "nothing set is lost");
    let stale = ObjectAttributes { set_at: *NOW - 1, ..of("3", None, Some(0o600)) };
    add_attribute_notes(journal, &[(bucket(), key("one"), stale)]).await.unwrap();
    assert_eq!(find(journal, "one").await, Some(times("4", 7)), "another version was stored since");
    for name in ["one", "one", "two", "three/three"] {
        journal.replace_attributes(&bucket(), &key(name), None).await.unwrap();
        assert_eq!(find(journal, name).await, None);
    }
}

async fn several_objects_are_replaced_and_forgotten_at_once(journal: &Arc<dyn Journal>) {
    let names: Vec<String> = (0..1000).map(|number| format!("many/{}/a%_ü\\'{number}", number % 7)).collect();
    let rows =
        |kept: &ObjectAttributes| names.iter().map(|name| (bucket(), key(name), kept.clone())).collect::<Vec<_>>();
    add_attribute_notes(journal, &rows(&with_mode(times("1", 5)))).await.unwrap();
    journal.replace_attribute_batch(&rows(&times("2", 6))).await.unwrap();
    for name in [&names[0], &names[999]] {
        assert_eq!(find(journal, name).await, Some(times("2", 6)));
    }
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    journal.replace_attribute_batch(&[(other.clone(), key(&names[0]), times("3", 7))]).await.unwrap();
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    journal.forget_attribute_batch(&bucket(), &keys.iter().skip(1).collect::<Vec<_>>()).await.unwrap();
    assert_eq!((find(journal, &names[0]).await, find(journal, &names[1]).await), (Some(times("2", 6)), None));
    journal.forget_attribute_batch(&bucket(), &[&keys[0], &key("nothing")]).await.unwrap();
    assert_eq!(find(journal, &names[0]).await, None);
    assert_eq!(journal.attributes(&other, &keys[0]).await.unwrap(), Some(times("3", 7)));
    journal.replace_attribute_batch(&[]).await.unwrap();
    journal.forget_attribute_batch(&bucket(), &[]).await.unwrap();
}

async fn added_attributes_join_those_of_the_same_version(journal: &Arc<dyn Journal>) {
    let mode = |version: &str| of(version, None, Some(0o600));
    for (added, kept) in [
        (times("1", 5), times("1", 5)),
        (mode("1"), with_mode(times("1", 5))),
        (times("1", 7), with_mode(times("1", 7))),
        (mode("2"), mode("2")),
        (times("1", 9), times("1", 9)),
    ] {
        assert_eq!(journal.add_attributes(&bucket(), &key("dir/two"), &added, *NOW).await.unwrap(), kept);
        assert_eq!(find(journal, "dir/two").await, Some(kept));
    }
}

// S165: Such a time counts less than one that a client sets, before or since, and less than one in an object's …
async fn the_time_at_which_a_file_appeared_takes_the_place_of_no_other(journal: &Arc<dyn Journal>) {
    let appeared = |seconds| of("1", Some(ObjectTimes::Appeared(seconds)), None);
    for (number, (older, newer, kept)) in [
        (appeared(5), with_mode(appeared(6)), with_mode(appeared(5))),
        (appeared(5), times("1", 6), times("1", 6)),
        (with_mode(times("1", 6)), appeared(5), with_mode(times("1", 6))),
        (of("1", None, Some(0o600)), appeared(5), with_mode(appeared(5))),
        (appeared(5), of("1", None, Some(0o600)), with_mode(appeared(5))),
    ]
    .into_iter()
    .enumerate()
    {
        let (alone, together) = (format!("appeared/{number}"), format!("appeared/{number}/many"));
        for name in [&alone, &together] {
            journal.replace_attributes(&bucket(), &key(name), Some(&older)).await.unwrap();
        }
        assert_eq!(journal.add_attributes(&bucket(), &key(&alone), &newer, *NOW).await.unwrap(), kept);
        add_attribute_notes(journal, &[(bucket(), key(&together), newer)]).await.unwrap();
        assert_eq!(find(journal, &alone).await, Some(kept.clone()));
        assert_eq!(find(journal, &together).await, Some(kept));
    }
}

// S92: The same bytes that another program puts there have the same ETag and may show times and modes in the journal …
async fn what_was_set_before_a_version_came_to_be_joins_nothing(journal: &Arc<dyn Journal>) {
    let (older, mode) = (ObjectAttributes { set_at: *NOW - 100, ..times("1", 5) }, of("1", None, Some(0o600)));
    for (modified, kept) in [(*NOW - 40, with_mode(times("1", 5))), (*NOW - 39, mode.clone())] {
        journal.replace_attributes(&bucket(), &key("again"), Some(&older)).await.unwrap();
        assert_eq!(journal.add_attributes(&bucket(), &key("again"), &mode, modified).await.unwrap(), kept);
        assert_eq!(find(journal, "again").await, Some(kept));
    }
    for (set_at, kept) in [(*NOW - 40, with_mode(times("1", 5))), (*NOW - 39, mode.clone())] {
        journal.replace_attributes(&bucket(), &key("again"), Some(&older)).await.unwrap();
        add_attribute_notes(journal, &[(bucket(), key("again"), ObjectAttributes { set_at, ..mode.clone() })])
            .await
            .unwrap();
        assert_eq!(find(journal, "again").await, Some(ObjectAttributes { set_at, ..kept }));
    }
}

/// Returns the row after `written` meets `there`.
async fn left(
    journal: &Arc<dyn Journal>,
    there: &ObjectAttributes,
    written: &ObjectAttributes,
    how: &str,
) -> ObjectAttributes {
    journal.replace_attributes(&bucket(), &key("race"), Some(there)).await.unwrap();
    let one = [(bucket(), key("race"), written.clone())];
    match how {
        "add_attribute_notes" => add_attribute_notes(journal, &one).await.unwrap(),
        "replace_attribute_batch" => journal.replace_attribute_batch(&one).await.unwrap(),
        modified_ago => {
            let modified = *NOW - modified_ago.parse::<i64>().unwrap();
            let answer = journal.add_attributes(&bucket(), &key("race"), written, modified).await.unwrap();
            assert_eq!(answer, *written, "nothing of another version is answered");
        }
    }
    find(journal, "race").await.unwrap()
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
async fn attributes_of_an_old_version_replace_none_of_a_younger_one(journal: &Arc<dyn Journal>) {
    let (theirs, mine) = (times("1", 5), of("2", None, Some(0o600)));
    for (how, there_ago, mine_ago, is_left) in [
        ("add_attribute_notes", 1, 0, false),
        ("add_attribute_notes", 1000, 0, false),
        // The writer decides by its node's knowledge at the time of the write: of two versions of one second its own is
        // the younger.
        ("add_attribute_notes", 0, 0, false),
        ("add_attribute_notes", 0, 1, true),
        // A number is the age in seconds of the version to which `add_attributes` adds.
        ("100", 1, 0, false),
        ("100", 0, 0, true),
        ("61", 0, 0, true),
        // Clocks may differ by a minute.
        ("60", 0, 0, false),
        ("0", 0, 0, false),
        ("0", -30, 0, false),
        ("replace_attribute_batch", 0, 0, false),
        ("replace_attribute_batch", 0, 60, false),
        ("replace_attribute_batch", 0, 61, true),
    ] {
        let there = ObjectAttributes { set_at: *NOW - there_ago, ..theirs.clone() };
        let written = ObjectAttributes { set_at: *NOW - mine_ago, ..mine.clone() };
        let expected = if is_left { &there } else { &written };
        assert_eq!(left(journal, &there, &written, how).await, *expected, "{how}, {there_ago}, {mine_ago}");
    }
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
async fn what_was_set_since_a_version_came_to_be_stays(journal: &Arc<dyn Journal>) {
    let other_mode = |entry: ObjectAttributes| ObjectAttributes {
        attributes: TimesAndMode { mode: Some(0o640), ..entry.attributes },
        ..entry
    };
    let (born, mode) = (of("1", Some(ObjectTimes::Appeared(7)), Some(0o600)), other_mode(of("1", None, None)));
    let (set, appeared) = (other_mode(times("1", 5)), other_mode(of("1", Some(ObjectTimes::Appeared(7)), None)));
    for (there, ago, kept) in [(&mode, 0, &appeared), (&mode, 100, &appeared), (&set, 0, &set), (&set, 100, &set)] {
        let written = ObjectAttributes { set_at: *NOW - ago, ..born.clone() };
        assert_eq!(left(journal, there, &written, "add_attribute_notes").await, *kept, "{ago}");
    }
    let (written, there) = (times("1", 9), ObjectAttributes { set_at: *NOW - 1, ..set.clone() });
    assert_eq!(
        left(journal, &there, &written, "add_attribute_notes").await,
        other_mode(written.clone()),
        "it was set before"
    );
    let written = ObjectAttributes { set_at: *NOW - 100, ..written };
    assert_eq!(left(journal, &set, &written, "add_attribute_notes").await, set);
    assert_eq!(left(journal, &set, &other_mode(written), "replace_attribute_batch").await.set_at, *NOW - 100);
    // A client's attributes are the last that were set, and they don't make the row older.
    let asked = ObjectAttributes { set_at: *NOW - 5, ..with_mode(times("1", 9)) };
    journal.replace_attributes(&bucket(), &key("race"), Some(&set)).await.unwrap();
    let kept = ObjectAttributes { set_at: *NOW, ..asked.clone() };
    assert_eq!(journal.add_attributes(&bucket(), &key("race"), &asked, *NOW - 5).await.unwrap(), kept);
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
async fn what_a_client_set_a_while_ago_joins_what_was_set_before_and_leaves_what_was_set_since(
    journal: &Arc<dyn Journal>,
) {
    let at = |ago: i64, entry: ObjectAttributes| ObjectAttributes { set_at: *NOW - ago, ..entry };
    let mode = |version: &str| of(version, None, Some(0o600));
    let told = at(10, times("1", 5));
    let cases = [
        (None, told.clone()),
        (Some(at(1_000, mode("1"))), with_mode(told.clone())),
        (Some(at(1_000, with_mode(times("1", 9)))), with_mode(told.clone())),
        (Some(at(10, with_mode(times("1", 9)))), with_mode(told.clone())),
        (Some(at(9, with_mode(times("1", 9)))), at(9, with_mode(times("1", 9)))),
        (Some(at(9, mode("1"))), at(9, with_mode(times("1", 5)))),
        // The version appeared an hour ago, and clocks may differ by a minute.
        (Some(at(3_660, mode("1"))), with_mode(told.clone())),
        (Some(at(3_661, mode("1"))), told.clone()),
        (Some(at(11, mode("2"))), told.clone()),
        (Some(at(9, mode("2"))), at(9, mode("2"))),
    ];
    let keys: Vec<_> = (0..1_000).map(|number| key(&format!("told/{number}"))).collect();
    for (key, (there, _)) in keys.iter().zip(&cases) {
        journal.replace_attributes(&bucket(), key, there.as_ref()).await.unwrap();
    }
    let note = |key: &Key| AttributeNote {
        bucket: bucket(),
        key: key.clone(),
        entry: told.clone(),
        modified: *NOW - 3_600,
        by_client: true,
    };
    let notes: Vec<_> = keys.iter().map(note).collect();
    for _ in 0..2 {
        journal.add_attribute_notes(&notes).await.unwrap();
        for (number, (there, kept)) in cases.iter().enumerate() {
            let expected = Some(kept.clone());
            assert_eq!(journal.attributes(&bucket(), &keys[number]).await.unwrap(), expected, "{there:?}");
        }
        assert_eq!(journal.attributes(&bucket(), &keys[999]).await.unwrap(), Some(told.clone()));
    }
    for there in cases.into_iter().filter_map(|(there, _)| there) {
        let note = AttributeNote { by_client: false, ..note(&keys[0]) };
        journal.replace_attributes(&bucket(), &keys[0], Some(&there)).await.unwrap();
        journal.add_attribute_notes(std::slice::from_ref(&note)).await.unwrap();
        assert_eq!(find(journal, "told/0").await, Some(note.beside(&there)), "{there:?}");
    }
}

async fn names_are_told_apart_by_their_bytes(journal: &Arc<dyn Journal>) {
    let names = ["A", "a", "a ", "a%", "a_", "a'\"\\", "aa", "z", "Ä", "ä", "a\u{308}", "日本", "\u{1f600}"];
    for (number, name) in names.iter().enumerate() {
        let kept = times(&number.to_string(), 1);
        journal.add_attributes(&bucket(), &key(&format!("names/{name}")), &kept, *NOW).await.unwrap();
    }
    let version = |name: &str| etag(&names.iter().position(|other| *other == name).unwrap().to_string());
    let mut page = names;
    page.sort_unstable();
    // The page's first and last names are compared by bytes, so `Ä` comes after `z`.
    let reversed: Vec<_> = page.iter().rev().copied().collect();
    for page in [&page[..], &page[..3], &page[8..], &reversed] {
        let found = journal.attributes_in(&bucket(), &Prefix::parse("names/").unwrap(), page).await.unwrap();
        for name in page {
            assert_eq!(found.get(*name).map(|entry| entry.etag.clone()), Some(version(name)), "{name}");
        }
    }
}

// S90: A bucket that is reached under two names has two ids, and what is set under one isn't seen under the other.
async fn a_page_is_of_one_directory_of_one_bucket(journal: &Arc<dyn Journal>) {
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    journal.add_attributes(&other, &key("page/a"), &times("other bucket", 1), *NOW).await.unwrap();
    for raw in ["page/a", "page/b", "page/b/below", "page0", "b"] {
        journal.add_attributes(&bucket(), &key(raw), &times(raw, 1), *NOW).await.unwrap();
    }
    let (a, b) = (etag("page/a"), etag("page/b"));
    let directory = Prefix::parse("page/").unwrap();
    let found = journal.attributes_in(&bucket(), &directory, &["a", "b"]).await.unwrap();
    assert_eq!((found.len(), &found["a"].etag, &found["b"].etag), (2, &a, &b));
    let found = journal.attributes_in(&bucket(), &directory, &["b"]).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["b"]);
    let found = journal.attributes_in(&bucket(), &Prefix::parse("").unwrap(), &["b"]).await.unwrap();
    assert_eq!(found["b"].etag, etag("b"));
    assert!(journal.attributes_in(&bucket(), &directory, &[]).await.unwrap().is_empty());
}

// S89: Times and modes that come later are kept in the journal, which is SQL, by bucket, key and ETag: every session …
async fn attributes_of_missing_objects_hide_nothing_of_a_page(journal: &Arc<dyn Journal>) {
    let gone: Vec<String> = (0..2_100).map(|number| format!("m{number:04}")).collect();
    let row = |name: &str| (bucket(), key(&format!("crowd/{name}")), times(name, 1));
    for portion in gone.chunks(700) {
        add_attribute_notes(journal, &portion.iter().map(|name| row(name)).collect::<Vec<_>>()).await.unwrap();
    }
    add_attribute_notes(journal, &["a", "m2050'", "\u{1f600}"].map(row)).await.unwrap();
    let page = ["a", "m1000", "m2050", "m2050'", "n", "\u{1f600}"];
    let found = journal.attributes_in(&bucket(), &Prefix::parse("crowd/").unwrap(), &page).await.unwrap();
    for name in page {
        let expected = (name != "n").then(|| etag(name));
        assert_eq!(found.get(name).map(|entry| entry.etag.clone()), expected, "{name}");
    }
    // This page ends among the rows of missing objects.
    let found = journal.attributes_in(&bucket(), &Prefix::parse("crowd/").unwrap(), &["a", "m1998"]).await.unwrap();
    assert_eq!(found["m1998"].etag, etag("m1998"));
}
