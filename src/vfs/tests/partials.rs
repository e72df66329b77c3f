//! Uploads that were cut off: who sees them, who goes on with them, and what ends them.

use super::*;
use crate::store::{Lease, PartialJournal as _, memory::Moment};

/// Three parts, and more than one that is too short to be stored before the end.
const LENGTH: usize = 26 * MIB;
/// What S3 has of it when it was cut off.
const STORED: usize = 24 * MIB;
const ALL: [(&str, &str, Permissions); 1] = [("/", "acme/", Permissions::ALL)];
/// To go on with what is there.
const GO_ON: WriteOptions = WriteOptions { create: false, ..KEEP };

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
async fn cut_off() -> Session {
    let session = Session::start();
    cut_off_in(&session).await;
    session
}

async fn cut_off_in(session: &Session) {
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
}

async fn size(session: &Session) -> Option<u64> {
    match session.stat(&path("/a")).await {
        Ok(metadata) => Some(metadata.size),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

fn assert_stored(session: &Session, content: &Bytes) {
    // Not assert_eq: nobody reads megabytes of difference.
    assert!(session.bucket.bytes("acme/a").unwrap() == content, "it differs");
    assert_eq!(session.bucket.open_uploads(), 0);
    assert!(session.journal.partials().is_empty());
}

/// What is left to be aborted, as the janitor finds it.
async fn given_up(session: &Session) -> bool {
    session.journal.take_stale_partial(&Lease::new().unwrap(), Duration::ZERO).await.unwrap().is_some()
}

// S116: Of an upload in parts that is cut off, S3 keeps what is stored from its first byte on without a gap, for …
// S118: OPEN without TRUNC goes on with it, on whatever node, and the whole file appears at its CLOSE, if nothing else …
#[tokio::test]
async fn an_upload_that_was_cut_off_goes_on_in_another_session() {
    let session = cut_off().await;
    assert!(session.bucket.keys().is_empty());
    assert_eq!(session.bucket.count(Verb::AbortUpload), 0);
    let another = session.another();
    assert_eq!(size(&another).await, Some(STORED as u64));
    another.requested();
    let mut handle = another.open("/a", GO_ON).await.unwrap();
    assert_eq!(handle.metadata().size, STORED as u64);
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    assert_eq!(size(&another).await, Some(LENGTH as u64), "the session sees how far its upload is");
    assert_eq!(handle.close().await.unwrap(), LENGTH as u64);
    // Whether there is a file now, then how much S3 has, the rest, and the end.
    assert_eq!(another.requested(), [Verb::Head, Verb::List, Verb::ListParts, Verb::UploadPart, Verb::CompleteUpload]);
    assert_stored(&another, &content(LENGTH));
}

#[tokio::test]
async fn it_can_be_cut_off_again_and_again() {
    let session = cut_off().await;
    let content = content(3 * LENGTH);
    let mut start = STORED;
    // So much of it, in MiB, was there to be sent when it was cut off, and so much was stored.
    for (sent, stored) in [(33, 32), (37, 32), (39, 38), (60, 54), (60, 54)] {
        let mut handle = session.open("/a", GO_ON).await.unwrap();
        write(&mut handle, &content.slice(..sent * MIB), start).await.unwrap();
        handle.leave().await;
        start = usize::try_from(size(&session).await.unwrap()).unwrap();
        assert!((stored * MIB..sent * MIB).contains(&start), "{start} of {sent} MiB");
        session.another().open("/a", GO_ON).await.unwrap().close().await.unwrap();
    }
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content, start).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content);
}

// S117: Its user sees it with STAT as a file of that size, where no file or directory is; no listing shows it, and …
#[tokio::test]
async fn it_is_seen_by_its_user_alone_and_in_no_listing() {
    let session = cut_off().await;
    assert!(session.names("/").await.is_empty());
    let whole_bucket = session.beside(&[("/", "", Permissions::ALL)]);
    assert!(matches!(whole_bucket.stat(&path("/acme/a")).await, Err(Error::NotFound)), "another mount");
    let bob = session.of(user("bob", &ALL), acme());
    assert_eq!(size(&bob).await, None);
    assert!(matches!(bob.open("/a", GO_ON).await, Err(Error::NotFound)));
    bob.upload("/a", "bob's").await;
    assert_eq!(size(&session).await, Some(5), "what is there counts more than what was to be");
    bob.remove(&path("/a")).await.unwrap();
    assert_eq!(size(&session).await, Some(STORED as u64));
    session.bucket.insert("acme/a/b", "");
    assert_eq!(session.stat(&path("/a")).await.unwrap().kind, Kind::Directory);
}

// S119: One session at a time uploads it; another's OPEN without TRUNC is refused, for at most 30 seconds after the …
#[tokio::test(start_paused = true)]
async fn one_session_at_a_time_goes_on_with_it() {
    let session = cut_off().await;
    let (first, second) = (session.another(), session.another());
    let mut handle = first.open("/a", GO_ON).await.unwrap();
    assert!(matches!(second.open("/a", GO_ON).await, Err(Error::BeingUploaded)));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(matches!(second.open("/a", GO_ON).await, Err(Error::BeingUploaded)), "the lease is renewed");
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&second, &content(LENGTH));
}

/// As `kill -9` does: nothing is sent any more, and the lease ends by itself.
// S119: One session at a time uploads it; another's OPEN without TRUNC is refused, for at most 30 seconds after the …
#[tokio::test(start_paused = true)]
async fn what_a_killed_server_noted_goes_on_when_its_lease_is_over() {
    let session = Session::start();
    let killed = tokio::spawn({
        let session = session.another();
        async move {
            let mut handle = session.create("/a").await;
            write(&mut handle, &content(LENGTH), 0).await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The journal goes down with it: what the tasks of this runtime do when they are dropped, a kill does not.
    let whole = session.journal.partials()[0].whole;
    assert_eq!((whole.parts, whole.bytes), (3, STORED as u64));
    session.journal.set_down(true);
    session.bucket.fail(Verb::AbortUpload, Moment::Request, store::Error::Unreachable("killed".into()));
    killed.abort();
    let _ = killed.await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    session.journal.set_down(false);
    assert!(matches!(session.open("/a", GO_ON).await, Err(Error::BeingUploaded)));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

/// A session that was kept from the journal for longer than its lease, and another that went on with its upload.
async fn two_of_one(session: &Session) -> (WriteHandle, WriteHandle) {
    let first = session.another();
    let mut mine = first.create("/a").await;
    write(&mut mine, &content(LENGTH), 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    session.journal.set_down(true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    session.journal.set_down(false);
    let theirs = session.open("/a", GO_ON).await.unwrap();
    (mine, theirs)
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_an_upload_leaves_it_to_who_goes_on() {
    let session = Session::start();
    for by_close in [false, true] {
        let (mut mine, mut theirs) = two_of_one(&session).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        if by_close {
            assert!(matches!(mine.close().await, Err(Error::BeingUploaded)));
        } else {
            let content = content(2 * LENGTH);
            assert!(matches!(write(&mut mine, &content, LENGTH).await, Err(Error::BeingUploaded)));
            mine.leave().await;
        }
        write(&mut theirs, &content(LENGTH), STORED).await.unwrap();
        theirs.close().await.unwrap();
        assert_stored(&session, &content(LENGTH));
        assert_eq!(session.bucket.count(Verb::AbortUpload), 0);
        session.remove(&path("/a")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_published_is_not_taken_for_ones_own_success() {
    let session = Session::start();
    let (mine, mut theirs) = two_of_one(&session).await;
    write(&mut theirs, &content(2 * LENGTH), STORED).await.unwrap();
    // It had all bytes, and hasn't heard yet that it lost the upload.
    mine.close().await.unwrap();
    assert!(theirs.close().await.is_err(), "the file carries the same token, and isn't what was sent here");
    assert_stored(&session, &content(LENGTH));
}

// S120: TRUNC, EXCL and REMOVE give it up, and of two uploads that were cut off the newest stays.
#[tokio::test]
async fn who_begins_anew_or_removes_it_gives_it_up() {
    const EXCLUSIVE: WriteOptions = WriteOptions { exclusive: true, ..KEEP };
    for options in [CREATE, EXCLUSIVE, WriteOptions { create: false, ..CREATE }] {
        let session = cut_off().await;
        assert_eq!(session.open("/a", options).await.unwrap().close().await.unwrap(), 0);
        assert_eq!(size(&session).await, Some(0));
        session.bucket.delete("acme/a");
        assert_eq!(size(&session).await, None, "{options:?}");
        assert!(given_up(&session).await);
    }
    let session = cut_off().await;
    session.remove(&path("/a")).await.unwrap();
    assert_eq!(size(&session).await, None);
    assert!(matches!(session.remove(&path("/a")).await, Err(Error::NotFound)));
    assert!(given_up(&session).await);

    let session = cut_off().await;
    cut_off_in(&session.another()).await;
    assert_eq!(session.journal.partials().len(), 2);
    assert!(given_up(&session).await);
    assert!(!given_up(&session).await, "one of them stays");
    assert_eq!(size(&session).await, Some(STORED as u64));
}

/// A second upload that begins anew while the first goes on: either may be the last to be closed.
#[tokio::test]
async fn who_was_given_up_meanwhile_can_still_be_closed() {
    let session = cut_off().await;
    let (old, new) = (session.another(), session.another());
    let mut going_on = old.open("/a", GO_ON).await.unwrap();
    let anew = new.create("/a").await;
    write(&mut going_on, &content(LENGTH), STORED).await.unwrap();
    going_on.close().await.unwrap();
    assert_stored(&old, &content(LENGTH));
    anew.close().await.unwrap();
    assert_stored(&new, &Bytes::new());
}

#[tokio::test]
async fn it_never_replaces_what_came_meanwhile() {
    let session = cut_off().await;
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    session.bucket.insert("acme/a", "another's");
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
    assert_stored(&session, &Bytes::from_static(b"another's"));
}

// S121: A first WRITE at offset 0 begins the file anew, and so does the size 0. Behind what is stored no hole is left, …
#[tokio::test]
async fn a_first_write_at_the_beginning_begins_anew() {
    let session = cut_off().await;
    let mut handle = session.open("/a", KEEP).await.unwrap();
    handle.write(0, Bytes::from_static(b"short")).await.unwrap();
    assert_eq!(handle.metadata().size, 5);
    handle.close().await.unwrap();
    assert_stored(&session, &Bytes::from_static(b"short"));

    let session = cut_off().await;
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(2 * LENGTH), 0).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(2 * LENGTH));
}

// S121: A first WRITE at offset 0 begins the file anew, and so does the size 0. Behind what is stored no hole is left, …
#[tokio::test]
async fn no_hole_is_left_behind_what_is_stored() {
    let session = cut_off().await;
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    handle.write(STORED as u64 + 1, Bytes::from_static(b"x")).await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::Gap)));
    assert_eq!((session.bucket.open_uploads(), session.bucket.keys().len(), size(&session).await), (0, 0, None));

    let session = cut_off().await;
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    assert!(matches!(write(&mut handle, &content(2 * LENGTH), STORED + MIB).await, Err(Error::Gap)));
    handle.leave().await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None), "it leads to nothing");
}

// S123: With APPEND only a session that was shown it goes on with it; another begins a new file.
#[tokio::test]
async fn who_appends_goes_on_at_the_end_that_it_was_shown() {
    const APPEND: WriteOptions = WriteOptions { append: true, ..KEEP };
    for from_zero in [false, true] {
        let session = cut_off().await;
        assert_eq!(size(&session).await, Some(STORED as u64));
        let mut handle = session.open("/a", APPEND).await.unwrap();
        let content = content(LENGTH);
        for start in (STORED..LENGTH).step_by(MIB) {
            let offset = if from_zero { start - STORED } else { start };
            handle.write(offset as u64, content.slice(start..start + MIB)).await.unwrap();
        }
        handle.close().await.unwrap();
        assert_stored(&session, &content);
    }
    let session = cut_off().await;
    let mut handle = session.open("/a", APPEND).await.unwrap();
    handle.write(0, Bytes::from_static(b"a line")).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "a line");
}

/// A session that is about to go on with the upload of another, which stores more of it meanwhile.
#[tokio::test(start_paused = true)]
async fn who_was_shown_less_than_is_stored_does_not_go_on() {
    let session = Session::start();
    let mut handle = session.another().create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(size(&session).await, Some(STORED as u64));
    let unaware = session.another();
    write(&mut handle, &content(2 * LENGTH), LENGTH).await.unwrap();
    handle.leave().await;
    for options in [KEEP, WriteOptions { append: true, ..GO_ON }] {
        assert!(matches!(session.open("/a", options).await, Err(Error::PartialGrown)));
    }
    // One that asked through another connection is found out by its first WRITE.
    let mut late = unaware.open("/a", GO_ON).await.unwrap();
    assert!(matches!(write(&mut late, &content(2 * LENGTH), STORED).await, Err(Error::PartialGrown)));
    assert!(late.close().await.is_err());
    let stored = usize::try_from(size(&session).await.unwrap()).unwrap();
    assert!(stored > STORED, "it is still there");
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(2 * LENGTH), stored).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(2 * LENGTH));
}

#[tokio::test]
async fn a_write_that_failed_fails_the_close_of_what_goes_on_too() {
    let session = cut_off().await;
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    assert!(handle.write(1 << 30, Bytes::from_static(b"x")).await.is_err());
    assert!(handle.close().await.is_err());
    assert!(session.bucket.keys().is_empty());
}

/// As scp copies an empty file: it opens it without TRUNC, and cuts it at its end.
#[tokio::test]
async fn the_size_0_begins_anew() {
    for written in [0, MIB] {
        let session = cut_off().await;
        let attributes = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
        let mut handle = session.open("/a", KEEP).await.unwrap();
        handle.set_attributes(SetAttributes { size: Some(0), ..attributes }).unwrap();
        assert_eq!(handle.metadata().size, 0);
        write(&mut handle, &content(written), 0).await.unwrap();
        handle.close().await.unwrap();
        assert_stored(&session, &content(written));
        assert_eq!(session.another().stat(&path("/a")).await.unwrap().mode & 0o777, 0o600);
    }
}

/// The first bytes may have been uploaded before, as far as the server knows.
#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_a_new_file_without_trunc_gets_no_hole() {
    let session = Session::start();
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

// S120: TRUNC, EXCL and REMOVE give it up, and of two uploads that were cut off the newest stays.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_given_up_at_open_is_at_close() {
    let session = cut_off().await;
    session.journal.set_down(true);
    let handle = session.create("/a").await;
    assert!(matches!(session.remove(&path("/a")).await, Err(Error::PartialNotFound(_))));
    session.journal.set_down(false);
    handle.close().await.unwrap();
    session.bucket.delete("acme/a");
    assert_eq!(size(&session).await, None);
    assert!(given_up(&session).await);
}

/// Many small holes are taken for zeros, so that they need not all be remembered.
#[tokio::test]
async fn zeros_that_nobody_wrote_are_not_gone_on_behind() {
    let session = Session::start();
    let mut handle = session.create("/a").await;
    for page in 0..10 * MIB / 4096 {
        handle.write((page * 8192) as u64, Bytes::from_static(&[7; 4096])).await.unwrap();
    }
    handle.leave().await;
    assert_eq!((size(&session).await, session.bucket.open_uploads()), (None, 0));
}

// S122: A session that was shown it can't open it without TRUNC when it is gone, until STAT has told it so: no file of …
#[tokio::test]
async fn who_was_shown_it_is_told_that_it_is_gone() {
    for by_s3 in [false, true] {
        let session = cut_off().await;
        assert_eq!(size(&session).await, Some(STORED as u64));
        if by_s3 {
            let partial = session.journal.partials().remove(0);
            session.bucket.abort_upload(&partial.file.key().unwrap(), &partial.upload).await.unwrap();
        } else {
            session.another().remove(&path("/a")).await.unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(session.open("/a", KEEP).await, Err(Error::PartialLost)), "{by_s3}");
        }
        assert_eq!(size(&session).await, None, "{by_s3}");
        assert_eq!(session.open("/a", KEEP).await.unwrap().close().await.unwrap(), 0, "{by_s3}");
    }
}

#[tokio::test]
async fn what_s3_has_must_be_what_was_noted() {
    let session = cut_off().await;
    let partial = session.journal.partials().remove(0);
    let (key, payload) = (partial.file.key().unwrap(), store::Payload::new(vec![content(6 * MIB)]));
    session.bucket.upload_part(&key, &partial.upload, 2, payload).await.unwrap();
    assert!(matches!(session.open("/a", GO_ON).await, Err(Error::PartialLost)));
    assert_eq!(size(&session).await, None);
    assert!(given_up(&session).await);
}

// S116: Of an upload in parts that is cut off, S3 keeps what is stored from its first byte on without a gap, for …
// S124: A CLOSE without a WRITE leaves it as it was.
#[tokio::test]
async fn a_close_that_brings_nothing_leaves_it_as_it_was() {
    let session = cut_off().await;
    assert_eq!(session.open("/a", GO_ON).await.unwrap().close().await.unwrap(), STORED as u64);
    assert_eq!(size(&session).await, Some(STORED as u64));
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    let denied = store::Error::Refused { code: "InternalError".into(), message: "no".into(), request: "1".into() };
    session.bucket.fail(Verb::CompleteUpload, Moment::Request, denied);
    assert!(handle.close().await.is_err());
    assert_eq!(size(&session).await, Some(STORED as u64), "the last part isn't whole for who goes on");
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

#[tokio::test]
async fn a_hole_or_a_part_that_failed_ends_what_is_whole() {
    let session = Session::start();
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(9 * MIB), 0).await.unwrap();
    // Zeros, as far as the server knows, and perhaps not as the client means it.
    write(&mut handle, &content(40 * MIB), 12 * MIB).await.unwrap();
    handle.leave().await;
    assert_eq!(size(&session).await, Some(8 * MIB as u64));

    let session = Session::start();
    session.bucket.fail(Verb::UploadPart, Moment::Request, store::Error::Unreachable("lost".into()));
    let mut handle = session.create("/a").await;
    let _ = write(&mut handle, &content(LENGTH), 0).await;
    handle.leave().await;
    assert_eq!((size(&session).await, session.bucket.open_uploads()), (None, 0), "the first part is missing");
}

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
#[tokio::test]
async fn what_is_small_or_changes_a_file_leaves_nothing() {
    let session = Session::start();
    session.bucket.insert("acme/a", "old");
    let mut handle = session.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
    let mut handle = session.create("/b").await;
    write(&mut handle, &content(MIB), 0).await.unwrap();
    handle.leave().await;
    assert_eq!(session.bucket.open_uploads(), 0);
    assert_eq!(session.bucket.keys(), ["acme/a"]);
    assert_eq!(size(&session).await, Some(3));
    assert!(session.journal.partials().is_empty());
}

#[tokio::test]
async fn a_client_that_meant_to_change_what_is_stored_leaves_nothing() {
    let session = Session::start();
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    assert!(matches!(handle.write(0, Bytes::from_static(b"header")).await, Err(Error::Shipped)));
    handle.leave().await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None));
}

// S125: Where a tenant has `partial_uploads = "discard"`, an upload that is cut off leaves nothing.
#[tokio::test]
async fn a_tenant_that_wants_nothing_kept_has_nothing_kept() {
    let session = Session::start();
    let discarding = session.of(user("alice", &ALL), Tenant { partial_uploads_kept_for: None, ..acme() });
    cut_off_in(&discarding).await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None));
    assert!(session.journal.partials().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_uploads_go_through_and_nothing_is_kept() {
    let session = Session::start();
    session.journal.set_down(true);
    cut_off_in(&session).await;
    assert_eq!(session.bucket.open_uploads(), 0, "nobody could find it");
    session.upload("/b", content(LENGTH)).await;
    assert_eq!((session.bucket.open_uploads(), session.bucket.keys()), (0, vec!["acme/b".to_owned()]));
    assert_eq!(size(&session).await, None);

    session.journal.set_down(false);
    cut_off_in(&session).await;
    session.journal.set_down(true);
    assert_eq!(size(&session).await, None);
    session.journal.set_down(false);
    assert_eq!(size(&session).await, Some(STORED as u64));
}

#[tokio::test]
async fn it_is_born_with_what_was_said_when_it_began() {
    let session = Session::start();
    let attributes = NewAttributes { mode: Some(0o600), ..NewAttributes::default() };
    let mut handle = session.open_write(&path("/a"), CREATE, attributes).await.unwrap().admit(PATIENCE).await.unwrap();
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
    let another = session.another();
    assert_eq!(another.stat(&path("/a")).await.unwrap().mode & 0o777, 0o600);
    let mut handle = another.open("/a", GO_ON).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(another.stat(&path("/a")).await.unwrap().mode & 0o777, 0o600);
    assert_stored(&another, &content(LENGTH));
}
