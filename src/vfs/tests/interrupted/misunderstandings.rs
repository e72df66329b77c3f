//! Clients that assume another stored size than the real one, or mean to start over.

use super::*;
use futures_util::FutureExt as _;

// S120: TRUNC, EXCL and REMOVE abandon it, and of two uploads that were cut off the newest stays.
#[tokio::test]
async fn starting_over_and_removing_it_abandon_it() {
    const EXCLUSIVE: WriteOptions = WriteOptions { exclusive: true, ..KEEP };
    for options in [CREATE, EXCLUSIVE, WriteOptions { create: false, ..CREATE }] {
        let session = interrupted().await;
        assert_eq!(session.open("/a", options).await.unwrap().close().await.unwrap().size, 0);
        assert_eq!(size(&session).await, Some(0));
        session.bucket.delete("acme/a");
        assert_eq!(size(&session).await, None, "{options:?}");
        assert!(take_abandoned(&session).await);
    }
    let session = interrupted().await;
    session.remove(&path("/a")).await.unwrap();
    assert_eq!(size(&session).await, None);
    assert!(matches!(session.remove(&path("/a")).await, Err(Error::NotFound)));
    assert!(take_abandoned(&session).await);

    let session = interrupted().await;
    interrupt_in(&session.another()).await;
    assert_eq!(session.journal.uploads().len(), 2);
    assert!(take_abandoned(&session).await);
    assert!(!take_abandoned(&session).await, "one of them stays");
    assert_eq!(size(&session).await, Some(STORED as u64));
}

/// Its client is lost while the journal is asked.
#[tokio::test]
async fn an_older_upload_is_abandoned_although_a_write_was_interrupted() {
    let session = interrupted().await;
    session.journal.set_down(true);
    let mut handle = session.create("/a").await;
    assert!(handle.write(0, Bytes::from_static(b"x")).now_or_never().is_none());
    tokio::task::yield_now().await;
    session.journal.set_down(false);
    handle.leave().await;
    assert_eq!(size(&session).await, None);
}

/// A second upload starts over while the first continues: either may be the last to be closed.
#[tokio::test]
async fn an_upload_that_was_abandoned_meanwhile_can_still_be_closed() {
    let session = interrupted().await;
    let (old, new) = (session.another(), session.another());
    let mut resumed = old.open("/a", RESUME).await.unwrap();
    let started_over = new.create("/a").await;
    write(&mut resumed, &content(LENGTH), STORED).await.unwrap();
    resumed.close().await.unwrap();
    assert_stored(&old, &content(LENGTH));
    started_over.close().await.unwrap();
    assert_stored(&new, &Bytes::new());
}

// S121: A first WRITE at offset 0 starts the file over, and so does the size 0. Behind what is stored no hole is left, …
#[tokio::test]
async fn a_first_write_at_the_beginning_starts_over() {
    let session = interrupted().await;
    let mut handle = session.open("/a", KEEP).await.unwrap();
    handle.write(0, Bytes::from_static(b"short")).await.unwrap();
    assert_eq!(handle.metadata().size, 5);
    handle.close().await.unwrap();
    assert_stored(&session, &Bytes::from_static(b"short"));

    let session = interrupted().await;
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(2 * LENGTH), 0).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(2 * LENGTH));
}

// S150: A WRITE of 0 bytes, and a copy of 0 bytes, change nothing.
#[tokio::test]
async fn a_write_of_no_bytes_does_not_start_over() {
    let session = interrupted().await;
    session.bucket.insert("acme/empty", "");
    let mut handle = session.open("/a", KEEP).await.unwrap();
    handle.write(0, Bytes::new()).await.unwrap();
    let empty = session.open_read(&path("/empty")).await.unwrap();
    let all = CopyRange { source_offset: 0, length: None, target_offset: 0 };
    assert_eq!(handle.copy(&empty, all).await.unwrap(), 0);
    assert_eq!(handle.metadata().size, STORED as u64);
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

/// scp copies an empty file this way: it opens the file without TRUNC, and sets its size at the end.
#[tokio::test]
async fn the_size_0_starts_over() {
    for written in [0, MIB] {
        let session = interrupted().await;
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

/// A program that empties a file and reserves room in it, by its handle or by its path.
#[tokio::test]
async fn a_size_after_the_size_0_starts_over_too() {
    const SIZE: u64 = STORED as u64 + 5;
    let size = |size| SetAttributes { size: Some(size), ..SetAttributes::default() };
    for by_path in [false, true] {
        let session = interrupted().await;
        let mut handle = session.open("/a", KEEP).await.unwrap();
        handle.set_attributes(size(0)).unwrap();
        if by_path {
            session.set_attributes(&path("/a"), size(SIZE)).await.unwrap();
        } else {
            handle.set_attributes(size(SIZE)).unwrap();
        }
        assert_eq!(session.stat(&path("/a")).await.unwrap().size, SIZE);
        handle.close().await.unwrap();
        assert_stored(&session, &vec![0; usize::try_from(SIZE).unwrap()].into());
    }
}

// S121: A first WRITE at offset 0 starts the file over, and so does the size 0. Behind what is stored no hole is left, …
#[tokio::test]
async fn no_hole_is_left_behind_the_stored_part() {
    let session = interrupted().await;
    let mut handle = session.open("/a", RESUME).await.unwrap();
    handle.write(STORED as u64 + 1, Bytes::from_static(b"x")).await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::Gap)));
    assert_eq!((session.bucket.open_uploads(), session.bucket.keys().len(), size(&session).await), (0, 0, None));

    let session = interrupted().await;
    let mut handle = session.open("/a", RESUME).await.unwrap();
    assert!(matches!(write(&mut handle, &content(2 * LENGTH), STORED + MIB).await, Err(Error::Gap)));
    handle.leave().await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None), "it leads to nothing");
}

const APPEND: WriteOptions = WriteOptions { append: true, ..KEEP };

// S123: With APPEND only a session that saw it resumes it; another begins a new file.
#[tokio::test]
async fn a_client_that_appends_resumes_at_the_end_that_stat_showed() {
    let session = interrupted().await;
    assert_eq!(size(&session).await, Some(STORED as u64));
    let mut handle = session.open("/a", APPEND).await.unwrap();
    let content = content(LENGTH);
    for start in (STORED..LENGTH).step_by(MIB) {
        // Only the first offset tells what the client means to resume.
        let offset = if start == STORED { start } else { 0 };
        handle.write(offset as u64, content.slice(start..start + MIB)).await.unwrap();
    }
    handle.close().await.unwrap();
    assert_stored(&session, &content);

    for offset in [0, 7] {
        let session = interrupted().await;
        let mut handle = session.open("/a", APPEND).await.unwrap();
        handle.write(offset, Bytes::from_static(b"a line")).await.unwrap();
        handle.close().await.unwrap();
        assert_eq!(session.bucket.bytes("acme/a").unwrap(), "a line");
    }
}

// S152: With APPEND a first WRITE that resumes an upload is refused unless its offset is the size that STAT showed: …
#[tokio::test]
async fn an_append_at_another_size_than_stat_showed_is_refused() {
    for offset in [0, 1, STORED as u64 - 1, STORED as u64 + 1, u64::MAX] {
        let session = interrupted().await;
        assert_eq!(size(&session).await, Some(STORED as u64));
        let mut handle = session.open("/a", APPEND).await.unwrap();
        let written = handle.write(offset, Bytes::from_static(b"a line")).await;
        assert!(matches!(written, Err(Error::PartialGrown)), "{offset}: {written:?}");
        assert!(handle.close().await.is_err());
        assert!(session.bucket.keys().is_empty());
        assert_eq!(size(&session).await, Some(STORED as u64), "it can still be resumed");
    }
}

// S154: CREAT without WRITE, APPEND and TRUNC opens a file that is there for reading, and makes no new version of …
#[tokio::test]
async fn creating_alone_abandons_no_upload() {
    let session = interrupted().await;
    let opened = session.open_create(&path("/a"), false, NewAttributes::default()).await;
    assert!(matches!(opened, Err(Error::NotReadableYet)), "{opened:?}");
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

// S122: If a session saw it and it is gone, the session's OPEN without TRUNC is refused until STAT has shown that, …
#[tokio::test]
async fn while_the_journal_is_down_a_new_file_that_is_appended_to_has_its_beginning() {
    for (offset, is_whole) in [(0, true), (STORED as u64, false)] {
        let session = interrupted().await;
        session.journal.set_down(true);
        let mut handle = session.open("/a", APPEND).await.unwrap();
        handle.write(offset, Bytes::from_static(b"a line")).await.unwrap();
        handle.write(0, Bytes::from_static(b"and another")).await.unwrap();
        let closed = handle.close().await;
        assert_eq!(closed.is_ok(), is_whole, "{closed:?}");
        assert_eq!(session.bucket.bytes("acme/a").is_some(), is_whole);
    }
}

/// A session is about to resume the upload of another session, which stores more of it meanwhile.
#[tokio::test(start_paused = true)]
async fn a_client_that_saw_a_smaller_size_does_not_resume() {
    let session = UserTree::start();
    let mut handle = session.another().create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(size(&session).await, Some(STORED as u64));
    let unaware = session.another();
    write(&mut handle, &content(2 * LENGTH), LENGTH).await.unwrap();
    handle.leave().await;
    for options in [KEEP, WriteOptions { append: true, ..RESUME }] {
        assert!(matches!(session.open("/a", options).await, Err(Error::PartialGrown)));
    }
    // A client that asked through another connection is refused at its first WRITE.
    let mut refused = unaware.open("/a", RESUME).await.unwrap();
    assert!(matches!(write(&mut refused, &content(2 * LENGTH), STORED).await, Err(Error::PartialGrown)));
    assert!(refused.close().await.is_err());
    let stored = usize::try_from(size(&session).await.unwrap()).unwrap();
    assert!(stored > STORED, "it is still there");
    let mut handle = session.open("/a", KEEP).await.unwrap();
    write(&mut handle, &content(2 * LENGTH), stored).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(2 * LENGTH));
}

// S122: If a session saw it and it is gone, the session's OPEN without TRUNC is refused until STAT has shown that, …
#[tokio::test]
async fn a_client_that_saw_it_learns_that_it_is_gone() {
    for by_s3 in [false, true] {
        let session = interrupted().await;
        assert_eq!(size(&session).await, Some(STORED as u64));
        if by_s3 {
            let upload = session.journal.uploads().remove(0).payload;
            session.bucket.abort_upload(upload.place.key(), &upload.upload).await.unwrap();
        } else {
            session.another().remove(&path("/a")).await.unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(session.open("/a", KEEP).await, Err(Error::PartialLost)), "{by_s3}");
        }
        assert_eq!(size(&session).await, None, "{by_s3}");
        assert_eq!(session.open("/a", KEEP).await.unwrap().close().await.unwrap().size, 0, "{by_s3}");
    }
}

#[tokio::test]
async fn s3_must_have_the_parts_that_the_journal_has() {
    let session = interrupted().await;
    let upload = session.journal.uploads().remove(0).payload;
    let (key, payload) = (upload.place.key(), store::Payload::new(vec![content(6 * MIB)]));
    session.bucket.upload_part(key, &upload.upload, 2, payload).await.unwrap();
    assert!(matches!(session.open("/a", RESUME).await, Err(Error::PartialLost)));
    assert_eq!(size(&session).await, None);
    assert!(take_abandoned(&session).await);
}

#[tokio::test]
async fn a_failed_write_fails_the_close_of_a_resumed_upload_too() {
    let session = interrupted().await;
    let mut handle = session.open("/a", RESUME).await.unwrap();
    assert!(handle.write(1 << 30, Bytes::from_static(b"x")).await.is_err());
    assert!(handle.close().await.is_err());
    assert!(session.bucket.keys().is_empty());
}
