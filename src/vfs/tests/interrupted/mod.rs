//! Interrupted uploads: which sessions see and resume them, and what ends them.

mod holders;
mod misunderstandings;
mod retained;

use super::*;
use crate::{
    journal::{Lease, TaskJournal as _, TaskKind},
    testing::bucket::Moment,
};

/// Three parts, and a rest that is too short to be stored before CLOSE.
const LENGTH: usize = 26 * MIB;
/// The bytes that S3 has when the upload is interrupted.
const STORED: usize = 24 * MIB;
const ALL: [(&str, &str, Permissions); 1] = [("/", "acme/", Permissions::ALL)];
/// The flags that resume an upload.
const RESUME: WriteOptions = WriteOptions { create: false, ..KEEP };

/// Bytes that differ from block to block: their period is a prime number.
fn content(len: usize) -> Bytes {
    let period: Vec<u8> = (0..65_521u32).map(|at| u8::try_from((at / 251 * 7 % 256) ^ (at % 251)).unwrap()).collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes.into()
}

async fn write(handle: &mut WriteHandle, content: &Bytes, from: usize) -> Result<()> {
    for start in (from..content.len()).step_by(MIB) {
        handle.write(start as u64, content.slice(start..content.len().min(start + MIB))).await?;
    }
    Ok(())
}

/// A session that began `/a` and lost its connection.
async fn interrupted() -> UserTree {
    let session = UserTree::start();
    interrupt_in(&session).await;
    session
}

async fn interrupt_in(session: &UserTree) {
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
}

async fn size(session: &UserTree) -> Option<u64> {
    match session.stat(&path("/a")).await {
        Ok(metadata) => Some(metadata.size),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

fn assert_stored(session: &UserTree, content: &Bytes) {
    // Not assert_eq, which would print megabytes.
    assert!(session.bucket.bytes("acme/a").unwrap() == content, "it differs");
    assert_eq!(session.bucket.open_uploads(), 0);
    assert!(session.journal.uploads().is_empty());
}

/// True if an upload is left that the janitor must abort.
async fn take_abandoned(session: &UserTree) -> bool {
    let lease = Lease::new().unwrap();
    session.journal.take_next_task(TaskKind::Upload, &lease, Duration::ZERO).await.unwrap().is_some()
}

// S116: Of an upload in parts that is cut off, S3 keeps what is stored from its first byte on without a gap, for …
// S118: OPEN without TRUNC resumes it, on any node, and the whole file appears at its CLOSE, if nothing else has …
#[tokio::test]
async fn an_interrupted_upload_is_resumed_in_another_session() {
    let session = interrupted().await;
    assert!(session.bucket.keys().is_empty());
    assert_eq!(session.bucket.count(Verb::AbortUpload), 0);
    let another = session.another();
    assert_eq!(size(&another).await, Some(STORED as u64));
    another.requested();
    let mut handle = another.open("/a", RESUME).await.unwrap();
    assert_eq!(handle.metadata().size, STORED as u64);
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    assert_eq!(size(&another).await, Some(LENGTH as u64), "the session sees how far its upload is");
    assert_eq!(handle.close().await.unwrap().size, LENGTH as u64);
    // One HEAD and LIST for the file, one for the stored parts, then the rest and the completion.
    assert_eq!(another.requested(), [Verb::Head, Verb::List, Verb::ListParts, Verb::UploadPart, Verb::CompleteUpload]);
    assert_stored(&another, &content(LENGTH));
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_not_asked_for_uploads_of_a_tenant_that_has_none() {
    let session = UserTree::start();
    let asked_for_uploads = || {
        let asked = session.journal.asked().into_iter();
        asked.filter(|question| ["find_task", "has_uploads_of", "abandon_tasks"].contains(question)).collect::<Vec<_>>()
    };
    session.upload("/b", "x").await;
    assert_eq!(asked_for_uploads(), ["has_uploads_of"]);
    for _ in 0..20 {
        session.upload("/b", "x").await;
        assert_eq!(size(&session).await, None);
        session.remove(&path("/b")).await.unwrap();
    }
    assert_eq!(asked_for_uploads(), [""; 0]);
    // Its own upload is found at once, in every session of the node.
    let other = session.of(User { name: "bob".parse().unwrap(), ..user("alice", &ALL) }, acme());
    interrupt_in(&session).await;
    session.journal.asked();
    assert_eq!(size(&session).await, Some(STORED as u64));
    assert_eq!(size(&other).await, None);
    assert_eq!(asked_for_uploads(), ["has_uploads_of", "find_task", "find_task"]);
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    asked_for_uploads();
    session.upload("/b", "x").await;
    session.upload("/b", "x").await;
    assert_eq!(asked_for_uploads(), ["has_uploads_of"]);
}

#[tokio::test]
async fn it_can_be_interrupted_again_and_again() {
    let session = interrupted().await;
    let content = content(3 * LENGTH);
    let mut start = STORED;
    // The MiB that were sent before each interruption, and those that were stored.
    for (sent, stored) in [(33, 32), (37, 32), (39, 38), (60, 54), (60, 54)] {
        let mut handle = session.open("/a", RESUME).await.unwrap();
        write(&mut handle, &content.slice(..sent * MIB), start).await.unwrap();
        handle.leave().await;
        start = usize::try_from(size(&session).await.unwrap()).unwrap();
        assert!((stored * MIB..sent * MIB).contains(&start), "{start} of {sent} MiB");
        session.another().open("/a", RESUME).await.unwrap().close().await.unwrap();
    }
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content, start).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content);
}

// S117: Its user sees it with STAT as a file of that size, if no file or directory has the name; no listing shows …
#[tokio::test]
async fn its_user_alone_sees_it_and_no_listing_shows_it() {
    let session = interrupted().await;
    assert!(session.names("/").await.is_empty());
    let whole_bucket = session.beside(&[("/", "", Permissions::ALL)]);
    assert!(matches!(whole_bucket.stat(&path("/acme/a")).await, Err(Error::NotFound)), "another mount");
    let bob = session.of(user("bob", &ALL), acme());
    assert_eq!(size(&bob).await, None);
    assert!(matches!(bob.open("/a", RESUME).await, Err(Error::NotFound)));
    bob.upload("/a", "bob's").await;
    assert_eq!(size(&session).await, Some(5), "what is there counts more than what was to be");
    bob.remove(&path("/a")).await.unwrap();
    assert_eq!(size(&session).await, Some(STORED as u64));
    session.bucket.insert("acme/a/b", "");
    assert_eq!(session.stat(&path("/a")).await.unwrap().kind, Kind::Directory);
}

#[tokio::test]
async fn it_never_replaces_what_came_meanwhile() {
    let session = interrupted().await;
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    session.bucket.insert("acme/a", "another's");
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
    assert_stored(&session, &Bytes::from_static(b"another's"));
}

#[tokio::test]
async fn it_has_the_attributes_of_its_first_open() {
    let session = UserTree::start();
    let attributes = NewAttributes { mode: Some(0o600), ..NewAttributes::default() };
    let mut handle = session.open_write(&path("/a"), CREATE, attributes).await.unwrap().admit(PATIENCE).await.unwrap();
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
    let another = session.another();
    assert_eq!(another.stat(&path("/a")).await.unwrap().mode & 0o777, 0o600);
    let mut handle = another.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(another.stat(&path("/a")).await.unwrap().mode & 0o777, 0o600);
    assert_stored(&another, &content(LENGTH));
}
