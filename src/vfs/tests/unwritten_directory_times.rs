//! Times of directories that the journal doesn't have yet, because it is down.

use super::{
    attributes::{TIMES, shown},
    directory_times::{LATER, OTHER, SET_OTHER, SET_TIMES, both, is_a_day, mkdir, with_a_time},
    *,
};
use tokio::time::advance;

// S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming an …
// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_a_node_has_its_own() {
    let session = with_a_time().await;
    let elsewhere = session.elsewhere();
    session.journal.set_down(true);
    advance(Duration::from_mins(1)).await;
    assert_eq!(both(&session, "/dir").await, [TIMES, TIMES], "set before");
    assert!(both(&elsewhere, "/dir").await.into_iter().all(is_a_day));
    elsewhere.set_attributes(&path("/dir"), SET_OTHER).await.unwrap();
    elsewhere.rename(&path("/dir"), &path("/new"), Replace::No).await.unwrap();
    mkdir(&elsewhere, "/dir").await;
    mkdir(&elsewhere, "/gone").await;
    elsewhere.rmdir(&path("/gone")).await.unwrap();
    advance(Duration::from_mins(1)).await;
    assert_eq!(both(&elsewhere, "/new").await, [OTHER, OTHER]);
    assert!(both(&elsewhere, "/dir").await.into_iter().all(is_a_day), "made again");
    session.journal.set_down(false);
    tokio::time::sleep(LATER).await;
    for node in [&elsewhere, &session, &session.elsewhere()] {
        assert_eq!(both(node, "/new").await, [OTHER, OTHER], "the journal was told");
        assert!(both(node, "/dir").await.into_iter().all(is_a_day), "made again");
    }
    session.set_attributes(&path("/new"), SET_TIMES).await.unwrap();
    advance(LATER).await;
    assert_eq!(both(&elsewhere, "/new").await, [TIMES, TIMES]);
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn later_changes_of_another_node_stay_when_the_journal_answers_again() {
    let session = UserTree::start();
    let elsewhere = session.elsewhere();
    for name in ["/a", "/b", "/b/sub"] {
        mkdir(&session, name).await;
        session.set_attributes(&path(name), SET_TIMES).await.unwrap();
    }
    session.bucket.delete("acme/b/");
    session.bucket.delete("acme/b/sub/");
    advance(LATER).await;
    session.journal.set_down(true);
    elsewhere.set_attributes(&path("/a"), SET_OTHER).await.unwrap();
    mkdir(&elsewhere, "/b").await;
    advance(Duration::from_secs(3)).await;
    session.journal.set_down(false);
    // Set before the node has written its own entries into the journal.
    session.set_attributes(&path("/a"), SET_TIMES).await.unwrap();
    mkdir(&session, "/b/new").await;
    session.set_attributes(&path("/b/new"), SET_TIMES).await.unwrap();
    assert_eq!(shown(&elsewhere, "/a").await.0, OTHER, "until then the node shows its own");
    tokio::time::sleep(LATER).await;
    session.bucket.insert("acme/b/sub/x", "x");
    for node in [&elsewhere, &session, &session.elsewhere()] {
        assert_eq!(both(node, "/a").await, [TIMES, TIMES]);
        assert!(both(node, "/b").await.into_iter().all(is_a_day));
        assert!(both(node, "/b/sub").await.into_iter().all(is_a_day));
        assert_eq!(both(node, "/b/new").await, [TIMES, TIMES]);
    }
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
#[tokio::test(start_paused = true)]
async fn a_journal_that_is_down_is_asked_now_and_then_and_then_hears_of_all_at_once() {
    let session = UserTree::start();
    let names: Vec<String> = (0..2_500).map(|number| format!("/dir/{number:04}")).collect();
    for name in &names {
        session.bucket.insert(&format!("acme{name}/x"), "x");
    }
    session.journal.set_down(true);
    for name in &names {
        session.set_attributes_of_directory(&path(name), SET_TIMES).await.unwrap();
    }
    session.journal.asked();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!((9..=11).contains(&session.journal.asked().len()), "every six seconds");
    session.journal.set_down(false);
    tokio::time::sleep(LATER).await;
    assert_eq!(session.journal.asked(), ["tell_directory_times"; 3]);
    tokio::time::sleep(LATER).await;
    assert_eq!(session.journal.asked(), [""; 0], "nothing is left to tell");
    let shown = session.elsewhere().entries("/dir").await;
    assert!(shown.iter().skip(2).all(|entry| entry.metadata.times == TIMES));
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
// S169: RENAME takes the time of a directory along, and those of the directories below it; so does another node that …
#[tokio::test(start_paused = true)]
async fn a_rename_takes_along_times_that_are_not_written_yet() {
    let session = with_a_time().await;
    session.upload("/full/sub/file", "x").await;
    session.bucket.insert("acme/new/sub/x", "x");
    session.set_attributes(&path("/new/sub"), SET_TIMES).await.unwrap();
    advance(Duration::from_secs(1)).await;
    session.journal.set_down(true);
    session.set_attributes(&path("/dir"), SET_OTHER).await.unwrap();
    session.set_attributes(&path("/full/sub"), SET_OTHER).await.unwrap();
    session.bucket.delete("acme/new/sub/x");
    mkdir(&session, "/new").await;
    session.journal.set_down(false);
    session.rename(&path("/dir"), &path("/dir-2"), Replace::No).await.unwrap();
    session.rename(&path("/full"), &path("/full-2"), Replace::No).await.unwrap();
    session.rename(&path("/new"), &path("/new-2"), Replace::No).await.unwrap();
    session.bucket.insert("acme/new-2/sub/x", "x");
    let elsewhere = session.elsewhere();
    for (name, times) in [("/dir-2", Some(OTHER)), ("/full-2/sub", Some(OTHER)), ("/new-2", None), ("/new-2/sub", None)]
    {
        for node in [&session, &elsewhere] {
            let is_right = |shown: Times| times.map_or_else(|| is_a_day(shown), |times| shown == times);
            assert!(both(node, name).await.into_iter().all(is_right), "{name}");
        }
    }
}
