//! The session that may resume an upload, and sessions that have lost it: leases, kills, and a journal that is down.

use super::*;

// S119: One session at a time uploads it; another's OPEN without TRUNC is refused, for at most 30 seconds after the …
#[tokio::test(start_paused = true)]
async fn one_session_at_a_time_resumes_it() {
    let session = interrupted().await;
    let (first, second) = (session.another(), session.another());
    let mut handle = first.open("/a", RESUME).await.unwrap();
    assert!(matches!(second.open("/a", RESUME).await, Err(Error::BeingUploaded)));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(matches!(second.open("/a", RESUME).await, Err(Error::BeingUploaded)), "the lease is renewed");
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&second, &content(LENGTH));
}

/// Like `kill -9`: the process sends nothing any more, and its lease runs out.
// S119: One session at a time uploads it; another's OPEN without TRUNC is refused, for at most 30 seconds after the …
#[tokio::test(start_paused = true)]
async fn an_upload_of_a_killed_server_is_resumed_when_its_lease_ends() {
    let session = UserTree::start();
    let killed = tokio::spawn({
        let session = session.another();
        async move {
            let mut handle = session.create("/a").await;
            write(&mut handle, &content(LENGTH), 0).await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The journal goes down too: the tasks of this runtime act when they are dropped, those of a killed process don't.
    let whole = session.journal.uploads()[0].payload.whole;
    assert_eq!((whole.parts, whole.bytes), (3, STORED as u64));
    session.journal.set_down(true);
    session.bucket.fail(Verb::AbortUpload, Moment::Request, store::Error::Unreachable("killed".into()));
    killed.abort();
    let _ = killed.await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    session.journal.set_down(false);
    assert!(matches!(session.open("/a", RESUME).await, Err(Error::BeingUploaded)));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

/// A session that did not reach the journal for longer than its lease, and another that resumed its upload.
async fn two_of_one(session: &UserTree) -> (WriteHandle, WriteHandle) {
    let first = session.another();
    let mut loser = first.create("/a").await;
    write(&mut loser, &content(LENGTH), 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    session.journal.set_down(true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    session.journal.set_down(false);
    let resumer = session.open("/a", RESUME).await.unwrap();
    (loser, resumer)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lost_an_upload_leaves_it_to_the_one_that_resumed_it() {
    let session = UserTree::start();
    for by_close in [false, true] {
        let (mut loser, mut resumer) = two_of_one(&session).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        if by_close {
            assert!(matches!(loser.close().await, Err(Error::BeingUploaded)));
        } else {
            let content = content(2 * LENGTH);
            assert!(matches!(write(&mut loser, &content, LENGTH).await, Err(Error::BeingUploaded)));
            loser.leave().await;
        }
        write(&mut resumer, &content(LENGTH), STORED).await.unwrap();
        resumer.close().await.unwrap();
        assert_stored(&session, &content(LENGTH));
        assert_eq!(session.bucket.count(Verb::AbortUpload), 0);
        session.remove(&path("/a")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_session_published_is_not_reported_as_success() {
    let session = UserTree::start();
    let (loser, mut resumer) = two_of_one(&session).await;
    write(&mut resumer, &content(2 * LENGTH), STORED).await.unwrap();
    // The first session sent all bytes, and doesn't know yet that it lost the upload.
    loser.close().await.unwrap();
    assert!(resumer.close().await.is_err(), "the file carries the same token, and isn't what was sent here");
    assert_stored(&session, &content(LENGTH));
}

// S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming an …
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_uploads_succeed_and_none_can_be_resumed() {
    let session = UserTree::start();
    session.journal.set_down(true);
    interrupt_in(&session).await;
    assert_eq!(session.bucket.open_uploads(), 0, "no session could find it");
    session.upload("/b", content(LENGTH)).await;
    assert_eq!((session.bucket.open_uploads(), session.bucket.keys()), (0, vec!["acme/b".to_owned()]));
    assert_eq!(size(&session).await, None);

    session.journal.set_down(false);
    interrupt_in(&session).await;
    session.journal.set_down(true);
    assert_eq!(size(&session).await, None);
    session.journal.set_down(false);
    assert_eq!(size(&session).await, Some(STORED as u64));
}

/// As far as the server knows, an earlier upload may have stored the first bytes.
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_a_new_file_without_trunc_gets_no_hole() {
    let session = UserTree::start();
    session.journal.set_down(true);
    for (start, length) in [(1, 2), (20 * MIB, LENGTH)] {
        let mut handle = session.open("/a", KEEP).await.unwrap();
        let written = write(&mut handle, &content(length), start).await;
        let closed = handle.close().await;
        assert!(matches!((written, closed), (Ok(()), Err(Error::Gap)) | (Err(Error::Gap), Err(_))));
    }
    assert!(session.bucket.keys().is_empty());
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.close().await.unwrap();
    assert!(session.bucket.bytes("acme/a").unwrap() == content(LENGTH));
}

// S120: TRUNC, EXCL and REMOVE abandon it, and of two uploads that were cut off the newest stays.
#[tokio::test(start_paused = true)]
async fn an_upload_that_could_not_be_abandoned_at_open_is_abandoned_at_the_end() {
    for (written, ends_by_close) in [(0, true), (MIB, true), (LENGTH, true), (0, false), (MIB, false), (LENGTH, false)]
    {
        let session = interrupted().await;
        session.journal.set_down(true);
        let mut handle = session.create("/a").await;
        assert!(matches!(session.remove(&path("/a")).await, Err(Error::PartialNotFound(_))));
        session.journal.set_down(false);
        write(&mut handle, &content(written), 0).await.unwrap();
        if ends_by_close {
            handle.close().await.unwrap();
            session.bucket.delete("acme/a");
            assert_eq!(size(&session).await, None, "{written}");
        } else {
            handle.leave().await;
            let own = (written == LENGTH).then_some(STORED as u64);
            assert_eq!(size(&session).await, own, "{written}: the part of this interruption, if any");
        }
        assert!(take_abandoned(&session).await, "{written}");
    }
}
