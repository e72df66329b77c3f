//! Times of directories: the default, the sessions that see times that were set, and when these end.

use super::{
    attributes::{TIMES, listed, shown, times_and_mode},
    *,
};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, advance};

pub(super) const SET_TIMES: SetAttributes = SetAttributes { times: Some(TIMES), size: None, mode: None, owner: None };
pub(super) const OTHER: Times = Times { accessed: 1_500_000_001, modified: 1_500_000_000 };
pub(super) const SET_OTHER: SetAttributes = SetAttributes { times: Some(OTHER), ..SET_TIMES };
const DAY: u64 = 86_400;
/// A Monday at 00:00 UTC.
const MIDNIGHT: u64 = 1_795_996_800;
/// Longer than a node answers without asking the journal, and than the clocks of two nodes may differ.
pub(super) const LATER: Duration = Duration::from_secs(15);

/// A clock that follows tokio's, which tests advance.
#[derive(Debug)]
struct Uptime(Instant);

impl Clock for Uptime {
    fn now(&self) -> SystemTime {
        // A quarter to midnight.
        UNIX_EPOCH + Duration::from_secs(MIDNIGHT + DAY - 900) + self.0.elapsed()
    }
}

fn at(seconds: u64) -> Times {
    let seconds = u32::try_from(seconds).unwrap();
    Times { accessed: seconds, modified: seconds }
}

/// True if no time is set: the directory shows 00:00 UTC of a day of this century.
pub(super) fn is_a_day(times: Times) -> bool {
    times.modified > 1_700_000_000 && u64::from(times.modified).is_multiple_of(DAY) && times.accessed == times.modified
}

pub(super) async fn both(session: &UserTree, at: &str) -> [Times; 2] {
    [shown(session, at).await.0, listed(session, at).await.0]
}

pub(super) async fn mkdir(session: &UserTree, at: &str) {
    session.mkdir(&path(at), NewAttributes::default()).await.unwrap();
}

/// A session that made `/dir` and set its time, on its own node.
pub(super) async fn with_a_time() -> UserTree {
    let session = UserTree::start();
    mkdir(&session, "/dir").await;
    session.set_attributes(&path("/dir"), SET_TIMES).await.unwrap();
    session.journal.asked();
    session
}

// S102: A directory without a set time shows 00:00 UTC of the day on which it is asked for, on every node, and mode 755 …
#[tokio::test(start_paused = true)]
async fn without_a_time_it_shows_the_current_day_after_40_days_too() {
    let mounts = [("/in", "acme/in/", Permissions::ALL), ("/team/out", "acme/out/", Permissions::ALL)];
    let (bucket, journal) = (Arc::<MemoryBucket>::default(), Arc::<MemoryJournal>::default());
    let node = || {
        let buckets = Arc::new(OneBucket::new(Arc::clone(&bucket) as Arc<dyn Bucket>));
        let clock = Arc::new(Uptime(Instant::now()));
        let node =
            Node::with_clock(buckets, Budget::new(BUDGET_BYTES), Arc::clone(&journal) as Arc<dyn Journal>, clock);
        let vfs = Vfs::new(&Arc::new(user("alice", &mounts)), &Arc::new(acme()), &node);
        UserTree { vfs, node, bucket: Arc::clone(&bucket), journal: Arc::clone(&journal) }
    };
    let nodes = [node(), node()];
    mkdir(&nodes[0], "/in/made").await;
    bucket.insert("acme/in/implied/x", "x");
    for days in [0, 1, 40] {
        for node in &nodes {
            for name in ["/", "/team", "/in", "/team/out", "/in/made", "/in/implied"] {
                assert_eq!(shown(node, name).await.0, at(MIDNIGHT + days * DAY), "{name}");
                assert_eq!(node.stat_directory(&path(name)).await.unwrap().times, at(MIDNIGHT + days * DAY));
                for entry in node.entries(name).await {
                    if entry.metadata.kind == Kind::Directory {
                        assert_eq!(entry.metadata.times, at(MIDNIGHT + days * DAY), "{name}/{}", entry.name);
                    }
                }
            }
        }
        advance(Duration::from_secs(if days == 0 { 900 } else { 39 * DAY })).await;
    }
}

// S101: A time that was set on a directory is kept in the journal, by bucket and key: every session sees it, on every node …
#[tokio::test(start_paused = true)]
async fn a_time_that_one_session_set_all_see_and_a_mode_its_own_alone() {
    let session = UserTree::start();
    mkdir(&session, "/dir").await;
    session.bucket.insert("acme/implied/x", "x");
    session.set_attributes(&path("/dir"), times_and_mode()).await.unwrap();
    session.set_attributes_of_directory(&path("/implied"), times_and_mode()).await.unwrap();
    let bob = session.of(user("bob", ALL), acme());
    for another in [&session.another(), &session.elsewhere(), &bob] {
        for name in ["/dir", "/implied"] {
            assert_eq!(
                (shown(another, name).await, listed(another, name).await),
                ((TIMES, 0o40_755), (TIMES, 0o40_755))
            );
            assert_eq!(another.stat_directory(&path(name)).await.unwrap().times, TIMES);
        }
    }
    advance(Duration::from_hours(1)).await;
    assert_eq!((shown(&session, "/dir").await, listed(&session, "/dir").await), ((TIMES, 0o40_640), (TIMES, 0o40_640)));
    let reader = session.beside(&[("/", "acme/", Permissions::NONE.with(Permission::Read).with(Permission::List))]);
    assert!(matches!(reader.set_attributes(&path("/dir"), SET_OTHER).await, Err(Error::Denied(Permission::Write))));
    assert_eq!(both(&reader, "/dir").await, [TIMES, TIMES]);
}

// S101: A time that was set on a directory is kept in the journal, by bucket and key: every session sees it, on every node …
#[tokio::test(start_paused = true)]
async fn mounts_and_their_parents_have_times_too() {
    let mounts = &[("/", "acme/", Permissions::ALL), ("/in/vendor", "vendor/", Permissions::ALL)];
    let session = UserTree::with_mounts(mounts);
    for name in ["/", "/in", "/in/vendor"] {
        session.set_attributes(&path(name), SET_TIMES).await.unwrap();
    }
    assert_eq!(session.requested(), []);
    advance(LATER).await;
    let another = session.beside(mounts);
    assert_eq!(shown(&another, "/").await.0, TIMES);
    for name in ["/in", "/in/vendor"] {
        assert_eq!(both(&another, name).await, [TIMES, TIMES], "{name}");
    }
    let elsewhere = UserTree::with_mounts(&[("/in", "acme/in/", Permissions::ALL)]);
    assert!(matches!(elsewhere.set_attributes(&path("/"), SET_TIMES).await, Err(Error::OnlyLists)));
}

// S44: STAT of a directory that a listing of the node showed within two seconds is answered from it, unless a session …
// S171: A time that a session of the node set on a directory is answered at once; one that another node set may take two …
#[tokio::test(start_paused = true)]
async fn stat_shows_the_time_that_the_listing_showed() {
    let session = with_a_time().await;
    let (here, elsewhere) = (session.elsewhere(), session.elsewhere());
    assert_eq!(listed(&here, "/dir").await.0, TIMES);
    elsewhere.set_attributes(&path("/dir"), SET_OTHER).await.unwrap();
    here.requested();
    session.journal.asked();
    assert_eq!(shown(&here, "/dir").await.0, TIMES, "as it was listed");
    assert_eq!((here.requested(), session.journal.asked()), (vec![], vec![]));
    advance(Duration::from_secs(2)).await;
    assert_eq!(both(&here, "/dir").await, [OTHER, OTHER]);
    here.another().set_attributes(&path("/dir"), SET_TIMES).await.unwrap();
    assert_eq!(shown(&here, "/dir").await.0, TIMES, "what the node itself set is newer than what it listed");
}

// S168: A directory's time ends with RMDIR; one that MKDIR makes has no time but what its attributes say, whatever an older …
#[tokio::test(start_paused = true)]
async fn a_new_directory_is_not_the_old_one() {
    let session = with_a_time().await;
    let elsewhere = session.elsewhere();
    elsewhere.rmdir(&path("/dir")).await.unwrap();
    elsewhere.bucket.insert("acme/dir/x", "x");
    advance(LATER).await;
    assert!(is_a_day(shown(&session, "/dir").await.0), "the row went with RMDIR");

    let session = with_a_time().await;
    session.bucket.insert("acme/dir/sub/x", "x");
    session.set_attributes(&path("/dir/sub"), SET_TIMES).await.unwrap();
    session.bucket.delete("acme/dir/");
    session.bucket.delete("acme/dir/sub/x");
    let elsewhere = session.elsewhere();
    mkdir(&elsewhere, "/dir").await;
    mkdir(&elsewhere, "/dir/sub").await;
    for session in [&elsewhere, &session.elsewhere()] {
        assert!(both(session, "/dir").await.into_iter().all(is_a_day));
        assert!(is_a_day(shown(session, "/dir/sub").await.0));
    }
    advance(LATER).await;
    assert!(both(&session, "/dir").await.into_iter().all(is_a_day));

    let times = NewAttributes { times: Some(OTHER), mode: None };
    elsewhere.rmdir(&path("/dir/sub")).await.unwrap();
    elsewhere.mkdir(&path("/dir/sub"), times).await.unwrap();
    assert_eq!(both(&session.elsewhere(), "/dir/sub").await, [OTHER, OTHER]);
}

// S168: A directory's time ends with RMDIR; one that MKDIR makes has no time but what its attributes say, whatever an older …
#[tokio::test(start_paused = true)]
async fn parents_that_mkdir_makes_are_new_too() {
    let session = with_a_time().await;
    session.bucket.delete("acme/dir/");
    let elsewhere = session.elsewhere();
    mkdir(&elsewhere, "/dir/sub/deep").await;
    for name in ["/dir", "/dir/sub", "/dir/sub/deep"] {
        assert!(both(&session.elsewhere(), name).await.into_iter().all(is_a_day), "{name}");
    }
    // A MKDIR or RMDIR that is refused drops no times.
    session.set_attributes(&path("/dir"), SET_TIMES).await.unwrap();
    assert!(elsewhere.mkdir(&path("/dir"), NewAttributes::default()).await.is_err());
    assert!(elsewhere.rmdir(&path("/dir")).await.is_err());
    assert_eq!(both(&session.elsewhere(), "/dir").await, [TIMES, TIMES]);
}

// S169: RENAME takes the time of a directory along, and those of the directories below it; so does another node that …
#[tokio::test(start_paused = true)]
async fn a_rename_takes_times_along() {
    let session = UserTree::start();
    for name in ["/empty", "/full", "/full/sub", "/fuller"] {
        mkdir(&session, name).await;
        session.set_attributes(&path(name), SET_TIMES).await.unwrap();
    }
    session.upload("/full/sub/file", "x").await;
    // Rows that belong to directories removed long ago.
    for name in ["/to", "/to/sub"] {
        session.bucket.insert(&format!("acme{name}/"), "");
        session.set_attributes(&path(name), SET_OTHER).await.unwrap();
        session.bucket.delete(&format!("acme{name}/"));
    }
    advance(LATER).await;
    let elsewhere = session.elsewhere();
    elsewhere.rename(&path("/full"), &path("/to"), Replace::No).await.unwrap();
    elsewhere.rename(&path("/empty"), &path("/to/sub/new"), Replace::No).await.unwrap();
    for session in [&elsewhere, &session, &session.elsewhere()] {
        for name in ["/to", "/to/sub", "/to/sub/new", "/fuller"] {
            assert_eq!(both(session, name).await, [TIMES, TIMES], "{name}");
        }
    }
    session.bucket.insert("acme/full/sub/x", "x");
    session.bucket.insert("acme/empty/", "");
    for name in ["/full", "/full/sub", "/empty"] {
        assert!(is_a_day(shown(&session.elsewhere(), name).await.0), "{name}");
    }
}

// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test(start_paused = true)]
async fn a_time_goes_when_its_directory_is_not_found() {
    let session = UserTree::start();
    let elsewhere = session.elsewhere();
    for (dropped_by, is_dropped) in [("STAT", true), ("STAT/", true), ("OPENDIR", true), ("READDIR", true), ("", false)]
    {
        for name in ["/a", "/dir", "/z"] {
            session.bucket.insert(&format!("acme{name}/"), "");
            session.set_attributes(&path(name), SET_TIMES).await.unwrap();
        }
        advance(LATER).await;
        session.bucket.delete("acme/dir/");
        let dir = path("/dir");
        match dropped_by {
            "STAT" => assert!(matches!(elsewhere.stat(&dir).await, Err(Error::NotFound))),
            "STAT/" => assert!(matches!(elsewhere.stat_directory(&dir).await, Err(Error::NotFound))),
            "OPENDIR" => assert!(matches!(elsewhere.open_directory(&dir).await, Err(Error::NotFound))),
            "READDIR" => assert_eq!(elsewhere.names("/").await, ["a", "z"]),
            _ => {}
        }
        session.bucket.insert("acme/dir/", "");
        advance(LATER).await;
        for session in [&session, &elsewhere] {
            assert_eq!(both(session, "/dir").await.into_iter().all(is_a_day), is_dropped, "{dropped_by}");
            assert_eq!(both(session, "/a").await, [TIMES, TIMES], "{dropped_by}");
        }
    }
}

// S168: A directory's time ends with RMDIR; one that MKDIR makes has no time but what its attributes say, whatever an older …
// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test(start_paused = true)]
async fn times_below_a_directory_that_has_none_go_with_it() {
    for dropped_by in ["STAT", "OPENDIR", "MKDIR", "RMDIR", "RENAME"] {
        let session = UserTree::start();
        let elsewhere = session.elsewhere();
        session.bucket.insert("acme/dir/sub/x", "x");
        session.set_attributes(&path("/dir/sub"), SET_TIMES).await.unwrap();
        session.bucket.delete("acme/dir/sub/x");
        advance(LATER).await;
        let dir = path("/dir");
        match dropped_by {
            "STAT" => assert!(matches!(elsewhere.stat(&dir).await, Err(Error::NotFound))),
            "OPENDIR" => assert!(matches!(elsewhere.open_directory(&dir).await, Err(Error::NotFound))),
            "MKDIR" => mkdir(&elsewhere, "/dir").await,
            "RMDIR" => {
                session.bucket.insert("acme/dir/", "");
                elsewhere.rmdir(&dir).await.unwrap();
            }
            _ => {
                mkdir(&elsewhere, "/new").await;
                elsewhere.rename(&path("/new"), &dir, Replace::No).await.unwrap();
            }
        }
        session.bucket.insert("acme/dir/sub/x", "x");
        for session in [&session, &elsewhere] {
            assert!(both(session, "/dir/sub").await.into_iter().all(is_a_day), "{dropped_by}");
        }
    }
}

// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test(start_paused = true)]
async fn the_node_that_set_a_time_forgets_it_too_when_its_directory_is_not_found() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/sub/x", "x");
    session.journal.set_down(true);
    for name in ["/dir", "/dir/sub", "/dir-1"] {
        session.bucket.insert("acme/dir-1/x", "x");
        session.set_attributes(&path(name), SET_TIMES).await.unwrap();
    }
    session.bucket.delete("acme/dir/sub/x");
    advance(Duration::from_secs(1)).await;
    assert!(matches!(session.stat(&path("/dir")).await, Err(Error::NotFound)));
    session.bucket.insert("acme/dir/sub/x", "x");
    for name in ["/dir", "/dir/sub"] {
        assert!(both(&session, name).await.into_iter().all(is_a_day), "{name}");
    }
    assert_eq!(both(&session, "/dir-1").await, [TIMES, TIMES]);
}

// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test(start_paused = true)]
async fn a_time_that_may_be_newer_than_the_question_stays() {
    let session = with_a_time().await;
    let elsewhere = session.elsewhere();
    session.bucket.delete("acme/dir/");
    advance(Duration::from_secs(9)).await;
    // Since S3 was asked, another node may have made the directory and set its time.
    assert!(elsewhere.stat(&path("/dir")).await.is_err());
    session.bucket.insert("acme/dir/", "");
    assert_eq!(both(&elsewhere, "/dir").await, [TIMES, TIMES]);
}

// S171: A time that a session of the node set on a directory is answered at once; one that another node set may take two …
#[tokio::test(start_paused = true)]
async fn each_verb_asks_the_journal_once_of_directories() {
    let session = with_a_time().await;
    let elsewhere = session.elsewhere();
    session.upload("/file", "x").await;
    let asked = || session.journal.asked();
    asked();
    session.stat(&path("/dir")).await.unwrap();
    session
        .set_attributes(&path("/dir"), SetAttributes { mode: Some(0o700), ..SetAttributes::default() })
        .await
        .unwrap();
    assert_eq!(asked(), [""; 0], "STAT of what the node has just set, and SETSTAT of a mode");
    elsewhere.stat(&path("/dir")).await.unwrap();
    assert_eq!(asked(), ["directory_times"], "STAT");
    elsewhere.set_attributes(&path("/dir"), SET_OTHER).await.unwrap();
    assert_eq!(asked(), ["set_directory_times"], "SETSTAT");
    elsewhere.names("/").await;
    assert_eq!(asked(), ["attributes_in", "directory_times_in"], "a page of files and directories");
    elsewhere.names("/dir").await;
    assert_eq!(asked(), [""; 0], "a page of none");
    mkdir(&elsewhere, "/new").await;
    assert_eq!(asked(), ["keeps_directory_times"], "MKDIR");
    elsewhere.rmdir(&path("/new")).await.unwrap();
    assert_eq!(asked(), ["keeps_directory_times"], "RMDIR");
    elsewhere.rmdir(&path("/dir")).await.unwrap();
    assert_eq!(
        asked(),
        ["keeps_directory_times", "forget_directory_times"],
        "RMDIR where there is something to forget"
    );
}

// S101: A time that was set on a directory is kept in the journal, by bucket and key: every session sees it, on every node …
#[tokio::test(start_paused = true)]
async fn a_listing_of_mounts_asks_the_journal_once() {
    let names: Vec<_> = (0..50).map(|number| (format!("/in/{number:02}"), format!("vendor-{number}/"))).collect();
    let mounts: Vec<_> = names.iter().map(|(at, prefix)| (at.as_str(), prefix.as_str(), Permissions::ALL)).collect();
    let session = UserTree::with_mounts(&mounts);
    for (number, set) in [(7, SET_TIMES), (8, SET_OTHER)] {
        session.set_attributes(&path(&names[number].0), set).await.unwrap();
    }
    advance(LATER).await;
    session.set_attributes(&path(&names[9].0), SET_TIMES).await.unwrap();
    session.journal.asked();
    let shown = session.entries("/in").await;
    assert_eq!(session.journal.asked(), ["directory_times_of"]);
    let time = |number: usize| shown[number + 2].metadata.times;
    assert_eq!([time(7), time(8), time(9)], [TIMES, OTHER, TIMES]);
    assert!((10..50).chain(0..7).map(time).all(is_a_day));
    session.journal.set_down(true);
    let shown = session.entries("/in").await;
    assert_eq!([7, 8, 9].map(|number: usize| shown[number + 2].metadata.times), [TIMES, OTHER, TIMES]);
}

// S172: In a listing `.` and `..` show a time that a session of the node set within two seconds, else the day.
#[tokio::test(start_paused = true)]
async fn the_dots_of_a_listing_show_times_that_the_node_has_just_set() {
    let session = with_a_time().await;
    let dot = async || session.entries("/dir").await.remove(0);
    assert_eq!((dot().await.name.as_str(), dot().await.metadata.times), (".", TIMES));
    advance(LATER).await;
    assert!(is_a_day(dot().await.metadata.times));
}
