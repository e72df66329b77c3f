//! Uploads that fail, and the OPENs that follow them.

use super::*;
use crate::testing::bucket::Moment::Request;
use tokio::time::{Instant, advance, sleep};

const SET_SIZE: SetAttributes = SetAttributes { times: None, size: Some(1), mode: None, owner: None };

fn unreachable() -> store::Error {
    store::Error::Unreachable("timed out, request 4711".into())
}

fn forbidden() -> store::Error {
    store::Error::Forbidden { request: "AccessDenied, HTTP 403, request 4711".into() }
}

fn full() -> store::Error {
    store::Error::Full { request: "QuotaExceeded, HTTP 403, request 4711".into() }
}

/// Uploads a small file whose CLOSE fails with `error`.
async fn fail(session: &UserTree, at: &str, error: store::Error) {
    let mut handle = session.create(at).await;
    handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
    session.bucket.fail(Verb::Put, Request, error);
    assert!(handle.close().await.is_err());
}

/// Lets background tasks run.
async fn run_background_tasks() {
    sleep(Duration::from_millis(1)).await;
}

fn is_refused<T>(opened: &Result<T>) -> bool {
    matches!(opened, Err(Error::StorageFails(_) | Error::UploadsDenied(_)))
}

async fn refuses(session: &UserTree) -> bool {
    is_refused(&session.open("/next", CREATE).await)
}

// S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
// S187: A refused OPEN asks nothing of S3, but for one with CREAT alone, which opens a file that is there. Each node …
#[tokio::test(start_paused = true)]
async fn after_an_upload_failed_for_its_buckets_sake_every_open_for_writing_is_refused_with_the_reason() {
    for (cause, sentence) in [
        (unreachable(), "the storage did not take the last upload: the storage did not answer, try again later"),
        (
            store::Error::Throttled { request: "SlowDown, HTTP 503, request 4711".into() },
            "the storage did not take the last upload: the storage is overloaded, try again later",
        ),
        (full(), "the storage did not take the last upload: the storage is full"),
    ] {
        let session = UserTree::start();
        session.bucket.insert("acme/there", "x");
        fail(&session, "/a", cause.clone()).await;
        session.requested();
        let update = WriteOptions { read: true, create: false, ..KEEP };
        let exclusive = WriteOptions { exclusive: true, ..CREATE };
        for (at, options) in [("/a", CREATE), ("/b", KEEP), ("/b", exclusive), ("/there", update), ("/there", CREATE)] {
            let refused = session.open_update(&path(at), options, NewAttributes::default()).await.unwrap_err();
            assert_eq!(refused.to_string(), sentence, "{at}, {options:?}");
            let source = std::error::Error::source(&refused).unwrap();
            assert_eq!(source.to_string(), cause.to_string(), "for the operator");
        }
        assert!(is_refused(&session.open_create(&path("/b"), true, NewAttributes::default()).await));
        assert_eq!(session.requested(), []);
        assert!(is_refused(&session.open_create(&path("/b"), false, NewAttributes::default()).await));
        let requested = session.requested();
        assert!(requested.iter().all(|verb| matches!(verb, Verb::Read | Verb::Head | Verb::List)), "{requested:?}");
        assert!(is_refused(&session.another().open("/b", CREATE).await), "another session of the user");
        assert!(!refuses(&session.elsewhere()).await, "another node");
        assert_eq!(session.bucket.keys(), ["acme/there"]);
    }
}

// S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
#[tokio::test(start_paused = true)]
async fn a_failure_counts_wherever_the_upload_meets_it() {
    for verb in [Verb::CreateUpload, Verb::UploadPart, Verb::CompleteUpload] {
        let session = UserTree::start();
        session.bucket.fail(verb, Request, unreachable());
        let mut handle = session.create("/a").await;
        handle.write(0, vec![7; 9 * MIB].into()).await.unwrap();
        run_background_tasks().await;
        match verb {
            Verb::CompleteUpload => drop(handle.close().await.unwrap_err()),
            _ => assert!(refuses(&session).await, "{verb:?}: in the background"),
        }
        assert!(refuses(&session).await, "{verb:?}");
    }
    // The client disconnects after its upload failed in the background.
    let session = UserTree::start();
    session.bucket.fail(Verb::CreateUpload, Request, unreachable());
    let mut handle = session.create("/a").await;
    handle.write(0, vec![7; 9 * MIB].into()).await.unwrap();
    run_background_tasks().await;
    handle.leave().await;
    assert!(refuses(&session).await);
    // S3 is unreachable when the name is asked for.
    let session = UserTree::start();
    session.bucket.fail(Verb::List, Request, unreachable());
    let handle = session.create("/directory/a").await;
    handle.close().await.unwrap_err();
    assert!(refuses(&session).await);
    // S3 is unreachable when a changed file is read back.
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    let mut handle = session.open("/a", KEEP).await.unwrap();
    handle.write(0, Bytes::from_static(b"new")).await.unwrap();
    session.bucket.fail(Verb::Read, Request, store::Error::Throttled { request: "SlowDown".into() });
    handle.close().await.unwrap_err();
    assert!(refuses(&session).await);
}

// S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
#[tokio::test(start_paused = true)]
async fn other_users_and_mounts_are_not_refused() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::ALL), ("/other", "other/", Permissions::ALL)]);
    fail(&session, "/a", unreachable()).await;
    assert!(refuses(&session).await);
    assert!(session.open("/other/a", CREATE).await.is_ok(), "another mount");
    assert!(!refuses(&session.of(user("bob", ALL), acme())).await, "another user");
    let few = [("/", "acme/", Permissions::ALL.without(Permission::Delete))];
    assert!(!refuses(&session.beside(&few)).await, "other permissions, and so other credentials");
    let globex = Tenant { name: "globex".parse().unwrap(), ..acme() };
    assert!(!refuses(&session.of(user("alice", ALL), globex)).await, "another tenant");
}

// S182: After S3 denied (403) a session the uploads of two different names in a row, with nothing stored between, OPEN …
#[tokio::test(start_paused = true)]
async fn two_denied_names_in_a_row_refuse_their_session_alone() {
    let session = UserTree::start();
    let (another, bob) = (session.another(), session.of(user("bob", ALL), acme()));
    for _ in 0..3 {
        fail(&session, "/a", forbidden()).await;
    }
    session.upload("/stored", "x").await;
    fail(&session, "/b", forbidden()).await;
    assert!(!refuses(&session).await, "one name in a row, however often");
    fail(&session, "/c", forbidden()).await;
    session.requested();
    let refused = session.open("/d", CREATE).await.unwrap_err();
    assert_eq!(refused.to_string(), "the storage did not take the last uploads: it denied the server access to them");
    assert_eq!(session.requested(), []);
    for other in [&another, &bob] {
        other.upload("/d", "x").await;
    }
}

// S182: After S3 denied (403) a session the uploads of two different names in a row, with nothing stored between, OPEN …
#[tokio::test(start_paused = true)]
async fn a_session_that_is_denied_in_a_loop_hurts_none_of_the_others() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::ALL), ("/other", "other/", Permissions::ALL)]);
    let (another, bob) = (session.another(), session.of(user("bob", ALL), acme()));
    let (mut denied, mut refused) = (0, 0);
    for round in 0..200 {
        match session.open(&format!("/denied-{round}"), CREATE).await {
            Ok(handle) => {
                session.bucket.fail(Verb::Put, Request, forbidden());
                handle.close().await.unwrap_err();
                denied += 1;
            }
            Err(_) => refused += 1,
        }
        for (other, at) in [(&another, "/a"), (&bob, "/b"), (&session, "/other/c")] {
            other.upload(at, "x").await;
        }
        advance(Duration::from_millis(100)).await;
    }
    assert!(denied >= 9 && refused > 150, "{denied} were denied, and {refused} refused");
}

// S183: No other failure counts: what else S3 refuses (4xx), a condition that doesn't hold, and what the client did wrong.
#[tokio::test(start_paused = true)]
async fn no_other_failure_counts() {
    let conflict = store::Error::Conflict { request: "PreconditionFailed, HTTP 412".into() };
    let session = UserTree::start();
    for (number, error) in [
        store::Error::Refused { code: "InvalidRequest".into(), message: String::new(), request: "HTTP 400".into() },
        store::Error::Refused { code: "NoSuchBucket".into(), message: String::new(), request: "HTTP 404".into() },
        store::Error::Credentials("ExpiredToken, HTTP 400".into()),
        store::Error::Broken("half an answer".into()),
        store::Error::NotFound,
        conflict,
    ]
    .into_iter()
    .enumerate()
    {
        for at in [format!("/{number}"), format!("/{number}-again")] {
            fail(&session, &at, error.clone()).await;
        }
        assert!(!refuses(&session).await, "{error:?}");
    }
    for _ in 0..2 {
        let mut handle = session.create("/a").await;
        handle.write(1 << 40, Bytes::from_static(b"x")).await.unwrap_err();
        handle.close().await.unwrap_err();
        let handle = session.open("/b", WriteOptions { exclusive: true, ..CREATE }).await.unwrap();
        session.bucket.insert("acme/b", "x");
        assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
        session.bucket.delete("acme/b");
        let handle = session.create("/c").await;
        session.bucket.insert("acme/c/x", "x");
        assert!(!refuses(&session).await);
        drop(handle);
    }
}

// S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_no_failure() {
    let session = UserTree::start();
    session.bucket.fail(Verb::Put, Moment::Answer, unreachable());
    session.upload("/a", "x").await;
    assert!(!refuses(&session).await);
}

// S184: One OPEN goes through every two seconds, whatever becomes of it, so that the first that comes two seconds after …
#[tokio::test(start_paused = true)]
async fn a_silent_open_delays_no_other_client() {
    let session = UserTree::start();
    fail(&session, "/a", full()).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        advance(Duration::from_millis(1999)).await;
        assert!(refuses(&session).await);
        advance(Duration::from_millis(1)).await;
        silent.push(session.create("/silent").await);
        assert!(refuses(&session.another()).await);
    }
    advance(Duration::from_secs(2)).await;
    session.upload("/b", "x").await;
    assert!(!refuses(&session).await);
}

// S184: One OPEN goes through every two seconds, whatever becomes of it, so that the first that comes two seconds after …
#[tokio::test(start_paused = true)]
async fn an_open_that_an_outage_refuses_uses_up_no_turn_of_a_session_that_was_denied() {
    let session = UserTree::start();
    let another = session.another();
    let other_upload = another.create("/other_upload").await;
    for at in ["/a", "/b"] {
        fail(&session, at, forbidden()).await;
    }
    advance(Duration::from_secs(1)).await;
    session.bucket.fail(Verb::Put, Request, unreachable());
    other_upload.close().await.unwrap_err();
    advance(Duration::from_millis(1500)).await;
    assert!(matches!(session.open("/c", CREATE).await, Err(Error::StorageFails(_))));
    advance(Duration::from_millis(500)).await;
    session.upload("/c", "x").await;
    assert!(!refuses(&session).await);
}

// S184: One OPEN goes through every two seconds, whatever becomes of it, so that the first that comes two seconds after …
#[tokio::test(start_paused = true)]
async fn after_an_outage_a_client_that_tries_again_is_admitted_within_two_seconds() {
    for outage in [0, 700, 5_000, 29_000] {
        let session = UserTree::start();
        let began = Instant::now();
        fail(&session, "/a", unreachable()).await;
        while began.elapsed() < Duration::from_millis(outage) {
            if let Ok(handle) = session.open("/a", CREATE).await {
                session.bucket.fail(Verb::Put, Request, unreachable());
                handle.close().await.unwrap_err();
            }
            advance(Duration::from_millis(300)).await;
        }
        let ended = Instant::now();
        let handle = loop {
            match session.open("/a", CREATE).await {
                Ok(handle) => break handle,
                Err(_) => advance(Duration::from_millis(100)).await,
            }
        };
        assert!(ended.elapsed() <= Duration::from_secs(2), "{:?}", ended.elapsed());
        handle.close().await.unwrap();
        for at in ["/b", "/c"] {
            session.upload(at, "x").await;
        }
    }
}

// S185: It ends when a part or an object is stored: for S181 by any session of the node with that user's credentials for …
#[tokio::test(start_paused = true)]
async fn whatever_is_stored_ends_it() {
    for denied in [false, true] {
        let start = async || {
            let session = UserTree::start();
            session.upload("/old", "x").await;
            for at in ["/a", "/b"].iter().skip(usize::from(!denied)) {
                fail(&session, at, if denied { forbidden() } else { unreachable() }).await;
            }
            assert!(refuses(&session).await);
            session
        };
        let session = start().await;
        advance(Duration::from_secs(2)).await;
        let mut handle = session.create("/large").await;
        assert!(refuses(&session).await);
        handle.write(0, vec![7; 9 * MIB].into()).await.unwrap();
        run_background_tasks().await;
        assert!(!refuses(&session).await, "a part, before the CLOSE");
        drop(handle);

        let session = start().await;
        session.mkdir(&path("/directory"), NewAttributes::default()).await.unwrap();
        assert!(!refuses(&session).await, "a directory's marker");

        let session = start().await;
        session.rename(&path("/old"), &path("/new"), Replace::No).await.unwrap();
        assert!(!refuses(&session).await, "a copy");
    }
    // Neither later parts of the failed upload end the outage, nor uploads of a session that was not denied.
    let session = UserTree::start();
    let mut handle = session.create("/large").await;
    let hold = session.bucket.hold(Verb::UploadPart, Request);
    session.bucket.fail(Verb::UploadPart, Request, unreachable());
    handle.write(0, vec![7; 18 * MIB].into()).await.unwrap();
    run_background_tasks().await;
    drop(hold);
    run_background_tasks().await;
    assert_eq!(session.bucket.count(Verb::UploadPart), 2);
    assert!(refuses(&session).await);
    let session = UserTree::start();
    for at in ["/a", "/b"] {
        fail(&session, at, forbidden()).await;
    }
    session.another().upload("/c", "x").await;
    assert!(refuses(&session).await);
}

// S185: It ends when a part or an object is stored: for S181 by any session of the node with that user's credentials for …
#[tokio::test(start_paused = true)]
async fn it_ends_by_itself_half_a_minute_after_the_last_failure() {
    for error in [unreachable(), forbidden()] {
        let session = UserTree::start();
        for at in ["/a", "/b"] {
            let handle = session.create(at).await;
            session.bucket.fail(Verb::Put, Request, error.clone());
            handle.close().await.unwrap_err();
            advance(Duration::from_secs(2)).await;
        }
        advance(Duration::from_secs(27)).await;
        let probe = session.create("/probe").await;
        assert!(refuses(&session).await);
        advance(Duration::from_secs(1)).await;
        assert!(!refuses(&session).await && !refuses(&session).await);
        drop(probe);
    }
}

// S186: Nothing else is refused: neither OPEN for reading, STAT, listings, SETSTAT, REMOVE, RENAME, MKDIR and RMDIR, nor …
#[tokio::test(start_paused = true)]
async fn nothing_but_open_for_writing_is_refused() {
    let session = UserTree::start();
    for key in ["acme/a", "acme/b", "acme/directory/x"] {
        session.bucket.insert(key, "bytes");
    }
    let mut open = session.create("/open").await;
    fail(&session, "/failed", unreachable()).await;
    assert!(refuses(&session).await);
    session.stat(&path("/a")).await.unwrap();
    session.open_read(&path("/a")).await.unwrap();
    assert!(matches!(
        session.open_create(&path("/a"), false, NewAttributes::default()).await.unwrap(),
        CreateOutcome::Found(_)
    ));
    assert_eq!(session.names("/directory").await, ["x"]);
    session.remove(&path("/b")).await.unwrap();
    assert!(refuses(&session).await);
    session.set_attributes(&path("/a"), SET_SIZE).await.unwrap();
    fail(&session, "/failed", unreachable()).await;
    session.mkdir(&path("/made"), NewAttributes::default()).await.unwrap();
    fail(&session, "/failed", unreachable()).await;
    session.rmdir(&path("/made")).await.unwrap();
    session.rename(&path("/a"), &path("/c"), Replace::No).await.unwrap();
    fail(&session, "/failed", unreachable()).await;
    open.write(0, Bytes::from_static(b"x")).await.unwrap();
    open.close().await.unwrap();
}
