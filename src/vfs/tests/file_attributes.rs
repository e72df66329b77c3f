//! Attributes beside objects, as two sessions on one bucket and one journal see them.

use super::{
    attributes::{TIMES, listed, shown, times_and_mode},
    *,
};
use crate::{
    journal::{self, Journal as _, TimesAndMode, Version},
    name::Prefix,
};

/// Within this time a node writes into the journal what was set while it was down.
const TOLD: Duration = Duration::from_secs(15);
const SET: (Times, u32) = (TIMES, 0o100_640);

/// A session that stored `/a` and then set its times, and another one.
async fn two_sessions() -> (UserTree, UserTree) {
    let session = UserTree::start();
    session.upload("/a", "x").await;
    session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    let another = session.another();
    assert_eq!((shown(&another, "/a").await, listed(&another, "/a").await), (SET, SET));
    session.journal.asked();
    (session, another)
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
#[tokio::test]
async fn a_file_that_is_replaced_loses_them() {
    let (session, another) = two_sessions().await;
    another.upload("/a", "y").await;
    for session in [&session, &another, &session.another()] {
        assert_ne!(shown(session, "/a").await, SET);
        assert_ne!(listed(session, "/a").await, SET);
    }
    let (session, _) = two_sessions().await;
    session.bucket.insert("acme/a", "replaced by another program");
    assert_ne!(shown(&session.another(), "/a").await, SET);
    assert_ne!(listed(&session.another(), "/a").await, SET);
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
#[tokio::test]
async fn equal_bytes_uploaded_by_another_session_inherit_nothing() {
    let (session, another) = two_sessions().await;
    another.upload("/a", "x").await;
    assert_ne!(shown(&session.another(), "/a").await, SET, "S3 gives both versions the same ETag");
    assert_ne!(listed(&session.another(), "/a").await, SET);
}

// S92: The same bytes that another program puts there have the same ETag and may show times and modes in the journal …
#[tokio::test]
async fn the_same_bytes_put_there_by_another_program_keep_them() {
    let (session, _) = two_sessions().await;
    session.bucket.insert("acme/a", "x");
    assert_eq!((shown(&session.another(), "/a").await, listed(&session.another(), "/a").await), (SET, SET));
}

// S93: Times and modes in the journal follow a RENAME, and end with REMOVE.
#[tokio::test]
async fn they_follow_a_rename_by_any_session() {
    let (session, another) = two_sessions().await;
    session.upload("/b", "to be replaced").await;
    session.set_attributes(&path("/b"), SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).await.unwrap();
    another.rename(&path("/a"), &path("/b"), Replace::Yes).await.unwrap();
    assert_eq!((shown(&session.another(), "/b").await, listed(&session.another(), "/b").await), (SET, SET));
    session.upload("/a", "x").await;
    session.bucket.insert("acme/c", "x");
    another.rename(&path("/c"), &path("/b"), Replace::Yes).await.unwrap();
    for at in ["/a", "/b"] {
        assert_ne!(shown(&session.another(), at).await, SET, "{at}");
    }
}

// S93: Times and modes in the journal follow a RENAME, and end with REMOVE.
#[tokio::test]
async fn a_file_that_was_uploaded_in_parts_has_another_etag_after_a_rename_and_keeps_them() {
    let session = UserTree::start();
    session.upload("/a", vec![7; 20 * MIB]).await;
    session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    session.another().rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    assert_eq!((shown(&session.another(), "/b").await, listed(&session.another(), "/b").await), (SET, SET));
}

// S93: Times and modes in the journal follow a RENAME, and end with REMOVE.
#[tokio::test]
async fn a_file_that_is_removed_takes_them_along() {
    let (session, another) = two_sessions().await;
    another.remove(&path("/a")).await.unwrap();
    session.bucket.insert("acme/a", "x");
    assert_ne!(shown(&session.another(), "/a").await, SET);
    assert_ne!(listed(&session.another(), "/a").await, SET);
}

#[tokio::test]
async fn two_sessions_add_to_each_others_attributes() {
    let (session, another) = two_sessions().await;
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    another.set_attributes(&path("/a"), mode).await.unwrap();
    assert_eq!(shown(&another, "/a").await, (TIMES, 0o100_600));
    assert_eq!(shown(&session.another(), "/a").await, (TIMES, 0o100_600));
}

// S97: The node shows times and modes that its own sessions set at once; those that another node set on the same …
#[tokio::test(start_paused = true)]
async fn attributes_that_another_session_sets_are_shown() {
    let (session, another) = two_sessions().await;
    let (first, times) = (Times { accessed: 5, modified: 6 }, Times { accessed: 7, modified: 8 });
    another.set_attributes(&path("/a"), SetAttributes { times: Some(first), ..Default::default() }).await.unwrap();
    assert_eq!((shown(&session, "/a").await.0, listed(&session, "/a").await.0), (first, first));
    let elsewhere = session.elsewhere();
    elsewhere.set_attributes(&path("/a"), SetAttributes { times: Some(times), ..Default::default() }).await.unwrap();
    assert_eq!(shown(&elsewhere, "/a").await.0, times);
    assert_eq!(shown(&session, "/a").await.0, first, "what the node set itself is answered at once, for two seconds");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(shown(&session, "/a").await.0, times);
    assert_eq!(listed(&session, "/a").await.0, times);
    // Attributes that the node set long ago don't overwrite a newer mode.
    session.set_attributes(&path("/a"), SetAttributes { mode: Some(0o600), ..Default::default() }).await.unwrap();
    assert_eq!(shown(&session.elsewhere(), "/a").await, (times, 0o100_600));
}

// S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming an …
// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_nothing_fails_and_a_node_has_its_own() {
    let (session, _) = two_sessions().await;
    let another = session.elsewhere();
    session.journal.set_down(true);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!((shown(&session, "/a").await, listed(&session, "/a").await), (SET, SET), "set before");
    assert_ne!(shown(&another, "/a").await, SET, "what S3 says");
    assert_ne!(listed(&another, "/a").await, SET);

    another.upload("/b", "x").await;
    another.set_attributes(&path("/b"), times_and_mode()).await.unwrap();
    another.rename(&path("/b"), &path("/c"), Replace::No).await.unwrap();
    assert_eq!((shown(&another, "/c").await, listed(&another, "/c").await), (SET, SET));
    let handle = another.open_read(&path("/c")).await.unwrap();
    assert_eq!(handle.metadata().times, TIMES);
    session.remove(&path("/a")).await.unwrap();

    session.journal.set_down(false);
    tokio::time::sleep(TOLD).await;
    for node in [&another, &session, &session.elsewhere()] {
        assert_eq!((shown(node, "/c").await, listed(node, "/c").await), (SET, SET), "the journal was told");
    }
    let times = Times { accessed: 7, modified: 8 };
    session.set_attributes(&path("/c"), SetAttributes { times: Some(times), ..Default::default() }).await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!((shown(&another, "/c").await.0, listed(&another, "/c").await.0), (times, times));
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn later_changes_of_another_node_stay_when_the_journal_answers_again() {
    let (session, elsewhere) = two_nodes_of_which_one_set_mode_and_time_alone().await;
    let key = Prefix::parse("acme/").unwrap().key("a").unwrap();
    let id = session.bucket.id();
    let there = session.journal.attributes(id, &key).await.unwrap();
    assert_eq!(there, None);
    // A third node sets a mode, some seconds later.
    let version = Version::of(&session.bucket.head(&key).await.unwrap());
    let mode = TimesAndMode { times: None, mode: Some(0o600) };
    let later = journal::ObjectAttributes { set_at: now() + 5, ..journal::ObjectAttributes::new(&version, mode) };
    session.journal.add_attributes(id, &key, &later, version.modified).await.unwrap();
    assert_eq!(shown(&session, "/a").await, SET, "until then the node shows its own");
    tokio::time::sleep(TOLD).await;
    for node in [&session, &elsewhere] {
        assert_eq!((shown(node, "/a").await, listed(node, "/a").await), ((TIMES, 0o100_600), (TIMES, 0o100_600)));
    }
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn of_a_file_that_another_node_replaced_the_journal_is_told_nothing() {
    let (session, elsewhere) = two_nodes_of_which_one_set_mode_and_time_alone().await;
    elsewhere.upload("/a", "other").await;
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    elsewhere.set_attributes(&path("/a"), mode).await.unwrap();
    let key = Prefix::parse("acme/").unwrap().key("a").unwrap();
    let there = session.journal.attributes(session.bucket.id(), &key).await.unwrap().unwrap();
    // The row is some seconds younger.
    let later = journal::ObjectAttributes { set_at: there.set_at + 5, ..there };
    session.journal.replace_attributes(session.bucket.id(), &key, Some(&later)).await.unwrap();
    tokio::time::sleep(TOLD).await;
    for node in [&session, &elsewhere] {
        assert_eq!((shown(node, "/a").await.1, listed(node, "/a").await.1), (0o100_600, 0o100_600));
    }
    session.remove(&path("/a")).await.unwrap();
    tokio::time::sleep(TOLD).await;
    assert_eq!(session.journal.attributes(session.bucket.id(), &key).await.unwrap(), None);
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn the_row_of_an_older_version_gives_way_when_the_journal_is_told() {
    let (session, _) = two_sessions().await;
    session.journal.set_down(true);
    session.upload("/a", "other").await;
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    session.set_attributes(&path("/a"), mode).await.unwrap();
    session.journal.set_down(false);
    tokio::time::sleep(TOLD).await;
    assert_eq!(shown(&session.elsewhere(), "/a").await.1, 0o100_600);
    assert_ne!(shown(&session.elsewhere(), "/a").await.0, TIMES);
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn attributes_from_before_an_outage_join_those_from_it() {
    let session = UserTree::start();
    session.bucket.set_time(now() - 100_000);
    session.upload("/a", "x").await;
    let key = Prefix::parse("acme/").unwrap().key("a").unwrap();
    let version = Version::of(&session.bucket.head(&key).await.unwrap());
    // A row that was set some hours ago: longer after the version appeared than clocks may differ.
    let mode = TimesAndMode { times: None, mode: Some(0o640) };
    let before = journal::ObjectAttributes { set_at: now() - 10_000, ..journal::ObjectAttributes::new(&version, mode) };
    session.journal.replace_attributes(session.bucket.id(), &key, Some(&before)).await.unwrap();
    session.journal.set_down(true);
    let elsewhere = session.elsewhere();
    elsewhere.set_attributes(&path("/a"), SetAttributes { times: Some(TIMES), ..Default::default() }).await.unwrap();
    session.journal.set_down(false);
    tokio::time::sleep(TOLD).await;
    for node in [&session, &elsewhere] {
        assert_eq!((shown(node, "/a").await, listed(node, "/a").await), (SET, SET));
    }
}

/// A node that set a time and a mode while the journal was down, and another node. The journal answers again, but the
/// first node has not written into it yet.
async fn two_nodes_of_which_one_set_mode_and_time_alone() -> (UserTree, UserTree) {
    let session = UserTree::start();
    session.upload("/a", "x").await;
    session.journal.set_down(true);
    session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    session.journal.set_down(false);
    let elsewhere = session.elsewhere();
    assert_ne!(shown(&elsewhere, "/a").await, SET);
    (session, elsewhere)
}

#[tokio::test(start_paused = true)]
async fn a_verb_asks_the_journal_once() {
    let (session, _) = two_sessions().await;
    let another = session.elsewhere();
    session.bucket.insert("acme/dir/x", "x");
    another.stat(&path("/a")).await.unwrap();
    assert_eq!(session.journal.asked(), ["attributes"], "STAT of a file");
    another.stat(&path("/dir")).await.unwrap();
    assert_eq!(session.journal.asked(), ["directory_times"], "STAT of a directory");
    assert!(another.stat(&path("/nothing")).await.is_err());
    assert_eq!(session.journal.asked(), ["has_uploads_of", "keeps_directory_times"], "STAT of nothing, both at once");
    another.open_read(&path("/a")).await.unwrap();
    assert_eq!(session.journal.asked(), ["attributes"], "OPEN for reading");
    another.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    assert_eq!(session.journal.asked(), ["add_attributes"], "SETSTAT");
    another.stat(&path("/a")).await.unwrap();
    assert_eq!(session.journal.asked(), [""; 0], "STAT of what the session has just set");
    another.upload("/b", "x").await;
    assert_eq!(session.journal.asked(), ["attributes"], "CLOSE of an upload");
    another.set_attributes(&path("/b"), times_and_mode()).await.unwrap();
    session.journal.asked();
    another.upload("/b", "x").await;
    let asked = session.journal.asked();
    assert_eq!(asked, ["attributes", "replace_attributes"], "the same, where there is something to forget");
    another.remove(&path("/b")).await.unwrap();
    assert_eq!(session.journal.asked(), ["replace_attributes"], "REMOVE");
    tokio::time::advance(Duration::from_secs(2)).await;
    another.rename(&path("/a"), &path("/c"), Replace::No).await.unwrap();
    let asked = session.journal.asked();
    assert_eq!(asked, ["enter_claimed_task", "attributes", "end_claimed_task"], "RENAME, for its task and attributes");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(session.journal.asked(), [""; 0], "nothing when it is done");
    session.elsewhere().rename(&path("/c"), &path("/d"), Replace::No).await.unwrap();
    let expected = ["enter_claimed_task", "end_task_without_attributes", "attributes", "end_claimed_task"];
    assert_eq!(session.journal.asked(), expected, "RENAME of what another node has set");
}

#[tokio::test]
async fn a_listing_asks_the_journal_once_a_page() {
    let session = UserTree::start();
    for number in 0..2_500 {
        session.bucket.insert(&format!("acme/many/{number:04}"), "x");
    }
    session.set_attributes(&path("/many/2400"), times_and_mode()).await.unwrap();
    session.journal.asked();
    assert_eq!(listed(&session.another(), "/many/2400").await, SET);
    assert_eq!(session.journal.asked(), ["attributes_in"; 3]);
    assert_eq!(session.names("/").await, ["many"]);
    assert_eq!(session.journal.asked(), ["directory_times_in"], "no file, no question about files");
}
