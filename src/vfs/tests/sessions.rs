//! Sessions of one node see each other's completed changes at once, whatever they remembered before.

use super::{
    attributes::{TIMES, listed, shown},
    *,
};

const SET_TIMES: SetAttributes = SetAttributes { times: Some(TIMES), size: None, mode: None, owner: None };

fn size(bytes: u64) -> SetAttributes {
    SetAttributes { size: Some(bytes), ..SetAttributes::default() }
}

async fn content(session: &UserTree, at: &str) -> Option<Vec<u8>> {
    match session.open_read(&path(at)).await {
        Ok(handle) => Some(handle.read(0, 100).await.unwrap().concat()),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Two sessions. The first looked at `/a` just before the second replaced it.
async fn overtaken(new: &'static str) -> (UserTree, UserTree) {
    let first = UserTree::start();
    let second = first.another();
    second.upload("/a", "old").await;
    first.stat(&path("/a")).await.unwrap();
    second.upload("/a", new).await;
    (first, second)
}

// S147: A request that begins after another session of the node was told OK sees that session's changes, of …
#[tokio::test(start_paused = true)]
async fn a_file_that_another_session_replaced_is_used_as_it_is_now() {
    let (first, _) = overtaken("newer").await;
    assert_eq!(content(&first, "/a").await.unwrap(), b"newer");
    let (first, second) = overtaken("newer").await;
    first.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    assert_eq!((content(&second, "/b").await.unwrap(), content(&second, "/a").await), (b"newer".to_vec(), None));
    let (first, second) = overtaken("newer").await;
    let mut handle = first.open("/a", KEEP).await.unwrap();
    handle.write(5, Bytes::from_static(b"!")).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(content(&second, "/a").await.unwrap(), b"newer!");
    let (first, second) = overtaken("newer").await;
    first.remove(&path("/a")).await.unwrap();
    assert!(matches!(second.stat(&path("/a")).await, Err(Error::NotFound)));
    let (first, _) = overtaken("newer").await;
    assert_eq!(first.stat(&path("/a")).await.unwrap().size, 5);
}

// S148: A request that acts uses a version that was seen before only where S3 confirms it in the same request, or …
#[tokio::test(start_paused = true)]
async fn times_and_sizes_are_set_on_the_file_that_is_there() {
    let (first, second) = overtaken("newer").await;
    first.set_attributes(&path("/a"), SET_TIMES).await.unwrap();
    for session in [&first, &second, &first.another(), &first.elsewhere()] {
        assert_eq!((shown(session, "/a").await.0, listed(session, "/a").await.0), (TIMES, TIMES));
    }
    let (first, second) = overtaken("0123456789").await;
    first.set_attributes(&path("/a"), size(3)).await.unwrap();
    assert_eq!(content(&second, "/a").await.unwrap(), b"012");
    for wanted in [SET_TIMES, size(3)] {
        let (first, second) = overtaken("old").await;
        second.remove(&path("/a")).await.unwrap();
        assert!(matches!(first.set_attributes(&path("/a"), wanted).await, Err(Error::NotFound)));
    }
}

// S148: A request that acts uses a version that was seen before only where S3 confirms it in the same request, or …
#[tokio::test(start_paused = true)]
async fn a_file_that_another_node_or_program_replaced_is_used_as_it_is_now() {
    let session = UserTree::start();
    let replaced = async |new: &'static str| {
        session.upload("/a", "old").await;
        session.stat(&path("/a")).await.unwrap();
        session.bucket.insert("acme/a", new);
        session.requested();
    };
    replaced("newer").await;
    assert_eq!(content(&session, "/a").await.unwrap(), b"newer");
    assert_eq!(session.requested(), [Verb::Read, Verb::Read]);
    replaced("").await;
    assert_eq!(content(&session, "/a").await.unwrap(), b"");
    replaced("newer").await;
    session.set_attributes(&path("/a"), SET_TIMES).await.unwrap();
    assert_eq!(shown(&session, "/a").await.0, TIMES);
    replaced("newer").await;
    session.set_attributes(&path("/a"), size(3)).await.unwrap();
    assert_eq!(content(&session, "/a").await.unwrap(), b"new");
}

// S44: STAT of a directory that a listing of the node showed within two seconds is answered from it, unless a session …
#[tokio::test(start_paused = true)]
async fn a_directory_that_another_session_removed_or_renamed_is_gone() {
    let first = UserTree::start();
    let second = first.another();
    for name in ["/x", "/y", "/y/full"] {
        first.mkdir(&path(name), NewAttributes::default()).await.unwrap();
    }
    first.names("/").await;
    first.names("/y").await;
    second.rmdir(&path("/x")).await.unwrap();
    second.rename(&path("/y"), &path("/z"), Replace::No).await.unwrap();
    first.requested();
    for gone in ["/x", "/y", "/y/full"] {
        assert!(matches!(first.stat(&path(gone)).await, Err(Error::NotFound)), "{gone}");
    }
    first.mkdir(&path("/x"), NewAttributes::default()).await.unwrap();
    first.names("/").await;
    first.requested();
    assert_eq!(second.stat(&path("/z")).await.unwrap().kind, Kind::Directory);
    assert_eq!(second.requested(), [], "one session's listing serves the others of its user");
}

// S46: A node remembers the last 4,096 names for a tenant, and answers no session from what other credentials saw: …
#[tokio::test(start_paused = true)]
async fn no_session_is_answered_from_what_other_credentials_saw() {
    let alice = UserTree::start();
    alice.bucket.insert("acme/dir/x", "x");
    alice.names("/").await;
    alice.requested();
    let few = Permissions::NONE.with(Permission::Read);
    for other in [
        alice.of(user("bob", ALL), acme()),
        alice.beside(&[("/", "acme/", few)]),
        alice.of(user("alice", ALL), Tenant { name: "globex".parse().unwrap(), ..acme() }),
    ] {
        assert_eq!(other.stat(&path("/dir")).await.unwrap().kind, Kind::Directory);
        assert_eq!(other.requested(), [Verb::Head, Verb::List]);
    }
    // A change of one session updates the cached entries of all sessions.
    let bob = alice.of(user("bob", ALL), acme());
    bob.remove(&path("/dir/x")).await.unwrap();
    bob.rmdir(&path("/dir")).await.unwrap();
    assert!(matches!(alice.stat(&path("/dir")).await, Err(Error::NotFound)));
}

// S97: The node shows times and modes that its own sessions set at once; those that another node set on the same …
#[tokio::test(start_paused = true)]
async fn times_that_another_session_sets_on_a_new_version_are_shown_at_once() {
    let first = UserTree::start();
    let second = first.another();
    first.upload("/a", "one").await;
    first.set_attributes(&path("/a"), SET_TIMES).await.unwrap();
    second.upload("/a", "two").await;
    let times = Times { accessed: 7, modified: 8 };
    second.set_attributes(&path("/a"), SetAttributes { times: Some(times), ..SET_TIMES }).await.unwrap();
    assert_eq!((shown(&first, "/a").await.0, listed(&first, "/a").await.0), (times, times));
}

// S147: A request that begins after another session of the node was told OK sees that session's changes, of …
#[tokio::test(start_paused = true)]
async fn an_answer_that_another_sessions_change_overtook_is_not_remembered() {
    let first = UserTree::start();
    first.bucket.insert("acme/a", "old");
    let hold = first.bucket.hold(Verb::Head, Moment::Answer);
    let looking = tokio::spawn({
        let first = first.another();
        async move { first.stat(&path("/a")).await.unwrap().size }
    });
    first.bucket.arrived(Verb::Head, 1).await;
    first.another().upload("/a", "newer").await;
    drop(hold);
    assert_eq!(looking.await.unwrap(), 3, "it began before");
    let handle = first.open_read(&path("/a")).await.unwrap();
    first.requested();
    assert_eq!(handle.read(0, 100).await.unwrap().concat(), b"newer");
    assert_eq!(first.requested(), [], "not asked for twice");
}

// S129: For a minute after an upload failed STAT doesn't show its session a file of the very size that it had: it is …
#[tokio::test(start_paused = true)]
async fn a_failed_upload_is_forgotten_when_any_session_stores_or_removes_the_file() {
    let (first, a) = (UserTree::start(), path("/a"));
    let second = first.another();
    first.upload("/a", "xyz").await;
    let fail = || first.note_failed_upload(&a, 3);
    fail().await;
    assert!(first.looks_like_failed_upload(&a, 3).await && !first.looks_like_failed_upload(&a, 4).await);
    assert!(!second.looks_like_failed_upload(&a, 3).await, "it is no failure of its own");
    second.upload("/a", "new").await;
    assert!(!first.looks_like_failed_upload(&a, 3).await);
    fail().await;
    second.remove(&a).await.unwrap();
    assert!(!first.looks_like_failed_upload(&a, 3).await);
    fail().await;
    second.upload("/b", "new").await;
    second.rename(&path("/b"), &a, Replace::No).await.unwrap();
    assert!(!first.looks_like_failed_upload(&a, 3).await);
    second.upload("/c", "new").await;
    fail().await;
    first.bucket.fail(Verb::Put, Moment::Request, store::Error::Forbidden { request: "no".into() });
    assert!(second.create("/a").await.close().await.is_err());
    assert!(second.rename(&path("/c"), &a, Replace::No).await.is_err());
    assert!(first.looks_like_failed_upload(&a, 3).await, "nothing was stored");
    first.forget_failed_upload(&a).await;
    assert!(!first.looks_like_failed_upload(&a, 3).await, "it is uploaded again");
    fail().await;
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(!first.looks_like_failed_upload(&a, 3).await);
}
