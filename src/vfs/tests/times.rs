//! The time that a file shows if no client set one: when it appeared, also after renames.

use super::{
    attributes::{TIMES, listed, shown, times_and_mode},
    *,
};
use crate::{journal::Journal as _, name::Prefix, testing::bucket::Moment};
use std::collections::BTreeMap;

/// Some hours ago.
const AGE_SECONDS: i64 = 10_000;
const IN_A_MOMENT: Duration = Duration::from_millis(150);

/// The time of modification that both STAT and READDIR show.
async fn modified(session: &UserTree, at: &str) -> i64 {
    let (times, in_listing) = (shown(session, at).await.0, listed(session, at).await.0);
    assert_eq!(times, in_listing, "{at}");
    times.modified.into()
}

async fn is_of_now(session: &UserTree, at: &str) -> bool {
    modified(session, at).await.abs_diff(now()) < 60
}

/// A session on a bucket whose clock is hours behind, so that S3's time is the upload's begin; another node; and that
/// time.
fn hours_ago() -> (UserTree, UserTree, i64) {
    let session = UserTree::start();
    let then = now() - AGE_SECONDS;
    session.bucket.set_time(then);
    let elsewhere = session.elsewhere();
    (session, elsewhere, then)
}

/// Uploads a file in parts for the time `took`.
async fn upload_for(session: &UserTree, at: &str, took: Duration) {
    let mut handle = session.create(at).await;
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    tokio::time::advance(took).await;
    handle.close().await.unwrap();
}

// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
#[tokio::test(start_paused = true)]
async fn a_file_in_parts_is_as_old_as_its_close() {
    let (session, elsewhere, then) = hours_ago();
    session.upload("/first", "x").await;
    session.requested();
    session.journal.asked();
    upload_for(&session, "/a", Duration::from_secs(3)).await;
    let requests = session.requested();
    assert_eq!(requests.len(), requests.iter().filter(|verb| **verb == Verb::UploadPart).count() + 2, "{requests:?}");
    assert!(!session.journal.asked().contains(&"replace_attributes"), "CLOSE doesn't wait for SQL");
    for here in [&session, &session.another()] {
        assert!(is_of_now(here, "/a").await, "at once");
        assert!(here.open_read(&path("/a")).await.unwrap().metadata().times.modified > u32::try_from(then).unwrap());
    }
    assert_eq!(modified(&elsewhere, "/a").await, then, "S3's time");
    session.journal.asked();
    tokio::time::sleep(IN_A_MOMENT).await;
    assert_eq!(session.journal.asked(), ["add_attribute_notes"]);
    assert!(is_of_now(&elsewhere, "/a").await);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(is_of_now(&session, "/a").await);
}

// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
#[tokio::test(start_paused = true)]
async fn the_journal_gets_no_time_of_a_file_whose_upload_began_a_moment_ago() {
    let (session, _, then) = hours_ago();
    upload_for(&session, "/a", Duration::from_secs(2)).await;
    session.upload("/small", "x").await;
    session.journal.asked();
    tokio::time::sleep(IN_A_MOMENT).await;
    assert_eq!(session.journal.asked(), [""; 0]);
    assert_eq!((modified(&session, "/a").await, modified(&session, "/small").await), (then, then), "S3's clock");
}

// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
#[tokio::test(start_paused = true)]
async fn a_resumed_upload_and_a_change_are_as_old_as_their_close() {
    let (session, elsewhere, _) = hours_ago();
    let mut handle = session.create("/a").await;
    for start in (0..26 * MIB).step_by(MIB) {
        handle.write(start as u64, vec![7; MIB].into()).await.unwrap();
    }
    handle.leave().await;
    let again = session.another();
    let stored = usize::try_from(again.stat(&path("/a")).await.unwrap().size).unwrap();
    let mut handle = again.open("/a", WriteOptions { create: false, ..KEEP }).await.unwrap();
    handle.write(stored as u64, vec![7; MIB].into()).await.unwrap();
    handle.close().await.unwrap();
    assert!(is_of_now(&again, "/a").await);
    tokio::time::sleep(IN_A_MOMENT).await;
    assert!(is_of_now(&elsewhere, "/a").await);

    session.bucket.insert("acme/b", vec![7; 30 * MIB]);
    let mut handle = session.open("/b", KEEP).await.unwrap();
    handle.write(30 * MIB as u64, vec![8; 20 * MIB].into()).await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    handle.close().await.unwrap();
    assert!(is_of_now(&session, "/b").await);
    tokio::time::sleep(IN_A_MOMENT).await;
    assert!(is_of_now(&elsewhere, "/b").await);
}

// S165: Such a time counts less than one that a client sets, before or since, and less than one in an object's …
#[tokio::test(start_paused = true)]
async fn a_time_that_a_client_sets_counts_more() {
    let (session, elsewhere, _) = hours_ago();
    let set = SetAttributes { times: Some(TIMES), ..SetAttributes::default() };
    for (name, by) in [("/here", &session), ("/there", &elsewhere)] {
        upload_for(&session, name, Duration::from_secs(3)).await;
        by.set_attributes(&path(name), set).await.unwrap();
    }
    let mut handle = session.create("/before").await;
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    handle.set_attributes(set).unwrap();
    handle.close().await.unwrap();
    session.upload("/renamed", "x").await;
    session.rename(&path("/renamed"), &path("/renamed-2"), Replace::No).await.unwrap();
    session.set_attributes(&path("/renamed-2"), set).await.unwrap();
    session.upload("/renamed-3", "x").await;
    session.rename(&path("/renamed-3"), &path("/renamed-4"), Replace::No).await.unwrap();
    elsewhere.set_attributes(&path("/renamed-4"), set).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for name in ["/here", "/there", "/before", "/renamed-2", "/renamed-4"] {
        for by in [&session, &elsewhere] {
            assert_eq!(modified(by, name).await, i64::from(TIMES.modified), "{name}");
        }
    }
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_at_once_has_its_own_time() {
    let (session, elsewhere, then) = hours_ago();
    upload_for(&session, "/a", Duration::from_secs(3)).await;
    session.upload("/a", "small").await;
    upload_for(&session, "/b", Duration::from_secs(3)).await;
    session.remove(&path("/b")).await.unwrap();
    session.bucket.insert("acme/c", "c");
    session.bucket.set_time(then + 100);
    session.rename(&path("/c"), &path("/d"), Replace::No).await.unwrap();
    session.upload("/d", "other").await;
    tokio::time::sleep(IN_A_MOMENT).await;
    for by in [&session, &elsewhere] {
        assert_eq!((modified(by, "/a").await, modified(by, "/d").await), (then, then + 100));
    }
    let id = session.bucket.id();
    let key = Prefix::parse("acme/").unwrap().key("b").unwrap();
    assert_eq!(session.journal.attributes(id, &key).await.unwrap(), None);
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn a_renamed_file_keeps_the_time_that_it_showed() {
    let (session, elsewhere, then) = hours_ago();
    session.bucket.insert("acme/a", "x");
    session.bucket.set_time(now());
    session.requested();
    session.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    assert_eq!(session.requested(), [Verb::Head, Verb::List, Verb::Copy, Verb::Remove]);
    let expected = ["enter_claimed_task", "end_task_without_attributes"];
    assert_eq!(session.journal.asked(), expected, "as where there is nothing to keep");
    assert_eq!(modified(&session.another(), "/b").await, then, "at once");
    tokio::time::sleep(Duration::from_millis(1)).await;
    session.journal.asked();
    tokio::time::sleep(IN_A_MOMENT).await;
    assert_eq!(session.journal.asked(), ["add_attribute_notes"]);
    assert_eq!(modified(&elsewhere, "/b").await, then);
    // Renames it several times in a row, by either node, without a pause.
    elsewhere.rename(&path("/b"), &path("/c"), Replace::No).await.unwrap();
    session.rename(&path("/c"), &path("/d"), Replace::No).await.unwrap();
    session.rename(&path("/d"), &path("/e"), Replace::No).await.unwrap();
    tokio::time::sleep(IN_A_MOMENT).await;
    for by in [&session, &elsewhere, &session.elsewhere()] {
        assert_eq!(modified(by, "/e").await, then);
    }
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn renames_that_follow_one_another_at_once_keep_it() {
    let (session, elsewhere, then) = hours_ago();
    session.bucket.insert("acme/a", "x");
    session.bucket.set_time(now());
    session.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    session.rename(&path("/b"), &path("/c"), Replace::No).await.unwrap();
    session.upload("/over", "y").await;
    session.rename(&path("/c"), &path("/over"), Replace::Yes).await.unwrap();
    session.bucket.insert("acme/fresh", "z");
    session.rename(&path("/fresh"), &path("/fresh-2"), Replace::No).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    session.journal.asked();
    tokio::time::sleep(IN_A_MOMENT).await;
    assert_eq!(
        session.journal.asked(),
        [""; 0],
        "it was told at the second RENAME, and of what is new there is nothing"
    );
    assert_eq!((modified(&session, "/over").await, modified(&elsewhere, "/over").await), (then, then));
    assert!(is_of_now(&elsewhere, "/fresh-2").await);
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn renames_of_other_days_keep_it_too() {
    let (session, elsewhere, then) = hours_ago();
    session.bucket.insert("acme/small-0", "x");
    upload_for(&session, "/large-0", Duration::from_secs(3)).await;
    tokio::time::sleep(IN_A_MOMENT).await;
    let closed = modified(&elsewhere, "/large-0").await;
    for number in 0..3 {
        session.bucket.set_time(then + 1_000 * (number + 1));
        for name in ["small", "large"] {
            let (source, target) = (format!("/{name}-{number}"), format!("/{name}-{}", number + 1));
            session.rename(&path(&source), &path(&target), Replace::No).await.unwrap();
        }
        tokio::time::sleep(IN_A_MOMENT).await;
    }
    for by in [&session, &elsewhere] {
        assert_eq!([modified(by, "/small-3").await, modified(by, "/large-3").await], [then, closed]);
    }
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn a_time_of_a_moment_ago_becomes_that_of_the_rename() {
    let session = UserTree::start();
    for (name, age, is_stored) in [("1", 0, false), ("2", 1_000, true)] {
        session.bucket.set_time(now() - age);
        session.bucket.insert(&format!("acme/{name}"), name);
        session.bucket.set_time(now());
        session.rename(&path(&format!("/{name}")), &path(&format!("/{name}-renamed")), Replace::No).await.unwrap();
        session.journal.asked();
        tokio::time::sleep(IN_A_MOMENT).await;
        assert_eq!(session.journal.asked().contains(&"add_attribute_notes"), is_stored, "{age}");
    }
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn a_time_and_that_of_the_rename_are_both_of_the_buckets_clock() {
    for (clock, source_age, is_stored) in [(-600, 0, false), (600, 0, false), (-600, 600, true), (600, 600, true)] {
        let session = UserTree::start();
        let copied_at = now() + clock;
        session.bucket.set_time(copied_at - source_age);
        session.bucket.insert("acme/file", "x");
        session.bucket.insert("acme/old/file", "x");
        session.bucket.set_time(copied_at);
        session.rename(&path("/file"), &path("/file-2"), Replace::No).await.unwrap();
        session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
        session.journal.asked();
        tokio::time::sleep(IN_A_MOMENT).await;
        for name in ["file-2", "new/file"] {
            let key = Prefix::parse("acme/").unwrap().key(name).unwrap();
            let row = session.journal.attributes(session.bucket.id(), &key).await.unwrap();
            assert_eq!(row.is_some(), is_stored, "{name}, {clock}, {source_age}");
            for by in [&session, &session.elsewhere()] {
                assert_eq!(modified(by, &format!("/{name}")).await, copied_at - source_age);
            }
        }
    }
}

/// A directory of files that are hours old, and of one file whose own metadata has another time.
fn directory(files: usize) -> (UserTree, UserTree, i64) {
    let (session, elsewhere, then) = hours_ago();
    for number in 0..files {
        session.bucket.insert(&format!("acme/old/{number:05}"), "x");
    }
    let metadata = BTreeMap::from([("mtime".to_owned(), TIMES.modified.to_string())]);
    session.bucket.insert_with("acme/old/with-metadata", "x", metadata);
    session.bucket.set_time(now());
    session.bucket.insert("acme/old/fresh", "x");
    (session, elsewhere, then)
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
// S165: Such a time counts less than one that a client sets, before or since, and less than one in an object's …
#[tokio::test(start_paused = true)]
async fn every_file_of_a_renamed_directory_keeps_the_time_that_it_showed() {
    let (session, elsewhere, then) = directory(2_300);
    session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
    for by in [&session, &elsewhere] {
        let entries = by.entries("/new").await;
        let shown = entries.iter().filter(|entry| i64::from(entry.metadata.times.modified) == then).count();
        assert_eq!(shown, 2_301, "the file with metadata too: no listing shows that");
        assert_eq!(modified(by, "/new/01000").await, then);
        assert_eq!(by.stat(&path("/new/with-metadata")).await.unwrap().times.modified, TIMES.modified, "STAT does");
        assert!(is_of_now(by, "/new/fresh").await);
    }
    let asked = session.journal.asked();
    assert_eq!(
        asked.iter().filter(|asked| **asked == "add_attribute_notes").count(),
        3,
        "a thousand at once: {asked:?}"
    );
    assert!(!asked.iter().any(|asked| ["add_attributes", "replace_attributes"].contains(asked)), "{asked:?}");

    session.rename(&path("/new"), &path("/again"), Replace::No).await.unwrap();
    let asked = session.journal.asked();
    assert!(!asked.iter().any(|asked| ["add_attributes", "replace_attributes"].contains(asked)), "{asked:?}");
    assert_eq!(
        asked.iter().filter(|asked| **asked == "replace_attribute_batch").count(),
        3,
        "a thousand at once: {asked:?}"
    );
    session.rename(&path("/again"), &path("/third"), Replace::No).await.unwrap();
    for by in [&session, &elsewhere] {
        assert_eq!(modified(by, "/third/02299").await, then);
        assert_eq!(by.stat(&path("/third/with-metadata")).await.unwrap().times.modified, TIMES.modified);
    }
}

// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_renamed_right_after_a_close_takes_its_time_along() {
    let (session, elsewhere, then) = hours_ago();
    session.mkdir(&path("/old"), NewAttributes::default()).await.unwrap();
    upload_for(&session, "/old/a", Duration::from_secs(3)).await;
    session.upload("/b", "x").await;
    session.bucket.set_time(then + 5_000);
    session.rename(&path("/b"), &path("/old/b"), Replace::No).await.unwrap();
    session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
    tokio::time::sleep(IN_A_MOMENT).await;
    for by in [&session, &elsewhere] {
        assert!(is_of_now(by, "/new/a").await);
        assert_eq!(modified(by, "/new/b").await, then);
    }
}

// S92: The same bytes that another program puts there have the same ETag and may show times and modes in the journal …
#[tokio::test]
async fn the_same_bytes_that_come_a_minute_later_have_their_own_time() {
    let session = UserTree::start();
    session.upload("/set", "x").await;
    session.set_attributes(&path("/set"), times_and_mode()).await.unwrap();
    session.bucket.insert("acme/renamed-0", "y");
    session.rename(&path("/renamed-0"), &path("/renamed"), Replace::No).await.unwrap();
    tokio::time::sleep(IN_A_MOMENT).await;
    session.bucket.set_time(now() + 62);
    session.bucket.insert("acme/set", "x");
    session.bucket.insert("acme/renamed", "y");
    for by in [&session, &session.elsewhere()] {
        for name in ["/set", "/renamed"] {
            assert!(modified(by, name).await > now() + 50, "{name}");
        }
        assert_eq!((shown(by, "/set").await.1, listed(by, "/set").await.1), (0o100_644, 0o100_644));
    }
    // A new attribute doesn't restore those that were set before the file was replaced.
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    session.elsewhere().set_attributes(&path("/set"), mode).await.unwrap();
    assert_eq!(shown(&session.elsewhere(), "/set").await.1, 0o100_600);
    assert!(modified(&session.elsewhere(), "/set").await > now() + 50);
}

// S166: While the journal is down nothing fails: the node on which it was closed or renamed shows a file's time, for …
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_a_node_shows_the_times_of_its_own_changes() {
    let (session, elsewhere, then) = hours_ago();
    session.bucket.insert("acme/a", "x");
    session.journal.set_down(true);
    session.bucket.set_time(then + 100);
    session.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    upload_for(&session, "/large", Duration::from_secs(3)).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(modified(&session, "/b").await, then);
    assert!(is_of_now(&session, "/large").await);
    assert_eq!((modified(&elsewhere, "/b").await, modified(&elsewhere, "/large").await), (then + 100, then + 100));
    session.journal.set_down(false);
    assert_eq!(modified(&session, "/b").await, then);
}

// S93: Times and modes in the journal follow a RENAME, and end with REMOVE.
// S169: RENAME takes the time of a directory along, and those of the directories below it; so does another node that …
#[tokio::test(start_paused = true)]
async fn the_rename_of_a_directory_asks_the_journal_once_for_a_thousand_times_that_were_just_set() {
    const DIRECTORIES: usize = 1_200;
    let session = UserTree::start();
    let names: Vec<String> = (0..DIRECTORIES).map(|number| format!("{number:04}")).collect();
    for name in &names {
        session.bucket.insert(&format!("acme/old/{name}/file"), "x");
    }
    let set = SetAttributes { times: Some(TIMES), ..SetAttributes::default() };
    // The journal has one half of these times. The node has yet to write the other half.
    for (number, name) in names.iter().enumerate() {
        session.journal.set_down(number % 2 == 0);
        session.set_attributes(&path(&format!("/old/{name}/file")), set).await.unwrap();
        session.set_attributes_of_directory(&path(&format!("/old/{name}")), set).await.unwrap();
    }
    session.journal.set_down(false);
    session.journal.asked();
    session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
    let asked = session.journal.asked();
    let count = |method: &str| asked.iter().filter(|asked| **asked == method).count();
    assert_eq!(
        [count("add_attributes"), count("replace_attributes"), count("set_directory_times")],
        [0; 3],
        "{asked:?}"
    );
    assert!(count("add_attribute_notes") <= 3 && count("tell_directory_times") <= 3, "before and after: {asked:?}");
    let elsewhere = session.elsewhere();
    for name in [&names[0], &names[1], &names[DIRECTORIES - 1]] {
        for by in [&session, &elsewhere] {
            assert_eq!(listed(by, &format!("/new/{name}")).await.0, TIMES);
            assert_eq!(listed(by, &format!("/new/{name}/file")).await.0, TIMES);
        }
    }
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn the_answer_of_a_rename_waits_for_no_time_and_a_later_stat_does() {
    let (session, _, then) = directory(10);
    let hold = session.journal.hold_batches();
    session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
    let here = session.another();
    assert_eq!(here.stat(&path("/")).await.unwrap().kind, Kind::Directory);
    let asking = tokio::spawn(async move { modified(&here, "/new/00001").await });
    tokio::time::sleep(IN_A_MOMENT).await;
    assert!(!asking.is_finished());
    drop(hold);
    assert_eq!(asking.await.unwrap(), then);
}

// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn the_journal_has_the_times_of_a_renamed_directory_before_its_old_names_are_deleted() {
    let (session, _, then) = directory(10);
    let hold = session.bucket.hold(Verb::RemoveMany, Moment::Request);
    let renaming = session.another();
    let renaming = tokio::spawn(async move { renaming.rename(&path("/old"), &path("/new"), Replace::No).await });
    session.bucket.arrived(Verb::RemoveMany, 1).await;
    tokio::time::sleep(IN_A_MOMENT).await;
    assert_eq!(modified(&session.elsewhere(), "/new/00001").await, then);
    drop(hold);
    renaming.await.unwrap().unwrap();
}

// S163: A file shows the time at which it appeared, which is that of its CLOSE, where no client set another. S3's own …
// S164: A renamed file keeps the time that it showed, and so does every file in a renamed directory, also where no …
#[tokio::test(start_paused = true)]
async fn a_node_that_is_stopped_tells_the_journal_first() {
    let (session, elsewhere, then) = directory(2_300);
    upload_for(&session, "/a", Duration::from_secs(3)).await;
    session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
    let stopping = tokio::time::Instant::now();
    session.node.flush().await;
    assert!(stopping.elapsed() < IN_A_MOMENT);
    session.journal.set_down(true);
    tokio::time::sleep(Duration::from_mins(2)).await;
    session.journal.set_down(false);
    assert!(is_of_now(&elsewhere, "/a").await);
    assert_eq!(modified(&elsewhere, "/new/02299").await, then);
}

// S166: While the journal is down nothing fails: the node on which it was closed or renamed shows a file's time, for …
#[tokio::test(start_paused = true)]
async fn the_times_of_a_renamed_directory_are_told_again_when_the_journal_is_back() {
    for (away, is_told) in [(Duration::from_secs(50), true), (Duration::from_mins(2), false)] {
        let (session, elsewhere, then) = directory(10);
        let hold = session.journal.hold_batches();
        session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
        session.journal.set_down(true);
        drop(hold);
        tokio::time::sleep(away).await;
        session.journal.set_down(false);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(modified(&elsewhere, "/new/00001").await == then, is_told, "{away:?}");
    }
}
