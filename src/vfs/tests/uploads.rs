//! OPEN for writing: which flags it allows, and the behaviour of the handle.

use super::*;

const EXCLUSIVE: WriteOptions = WriteOptions { exclusive: true, ..CREATE };
const NO_CREATE: WriteOptions = WriteOptions { create: false, truncate: false, ..CREATE };

/// The answer to an OPEN, in a word.
async fn opened(session: &UserTree, at: &str, options: WriteOptions) -> &'static str {
    match session.open(at, options).await {
        Ok(_) => "open",
        Err(Error::NotFound) => "not found",
        Err(Error::AlreadyExists) => "exists",
        Err(Error::IsDirectory) => "directory",
        Err(Error::Unsupported(Unsupported::SecondWriter)) => "second writer",
        Err(error) => panic!("{error}"),
    }
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
#[tokio::test]
async fn every_combination_of_flags_means_something() {
    let session = UserTree::start();
    session.bucket.insert("acme/full", "x");
    session.bucket.insert("acme/empty", "");
    session.bucket.insert("acme/dir/x", "");
    let truncate_only = WriteOptions { truncate: true, ..NO_CREATE };
    let exclusive_only = WriteOptions { exclusive: true, ..NO_CREATE };
    for (options, missing, empty, full, directory) in [
        (NO_CREATE, "not found", "open", "open", "directory"),
        (truncate_only, "not found", "open", "open", "directory"),
        (KEEP, "open", "open", "open", "directory"),
        (EXCLUSIVE, "open", "exists", "exists", "directory"),
        (WriteOptions { truncate: false, ..EXCLUSIVE }, "open", "exists", "exists", "directory"),
        (exclusive_only, "not found", "open", "open", "directory"),
    ] {
        for read in [false, true] {
            for append in [false, true] {
                let options = WriteOptions { read, append, ..options };
                let answers = [
                    opened(&session, "/missing", options).await,
                    opened(&session, "/empty", options).await,
                    opened(&session, "/full", options).await,
                    opened(&session, "/dir", options).await,
                ];
                assert_eq!(answers, [missing, empty, full, directory], "{options:?}");
            }
        }
    }
}

// S27: An upload onto a name that is a directory is refused, also by a session that hasn't seen it: at OPEN where the …
#[tokio::test]
async fn an_upload_onto_a_name_that_the_node_knows_as_a_directory_fails_at_open() {
    let session = UserTree::start();
    for key in ["acme/listed/x", "acme/seen/x"] {
        session.bucket.insert(key, "");
    }
    session.mkdir(&path("/made"), NewAttributes::default()).await.unwrap();
    session.upload("/filled/x", "x").await;
    session.stat(&path("/seen")).await.unwrap();
    session.names("/").await;
    for at in ["/made", "/filled", "/seen", "/listed"] {
        assert_eq!(opened(&session, at, CREATE).await, "directory", "{at}");
    }
    session.rmdir(&path("/made")).await.unwrap();
    assert_eq!(opened(&session, "/made", CREATE).await, "open");
    session.bucket.delete("acme/seen/x");
    assert_eq!(opened(&session, "/seen", CREATE).await, "open", "another program removed it");
}

// S60: A file appears whole, when CLOSE answers OK, or not at all.
#[tokio::test]
async fn a_file_appears_whole_at_its_close_and_not_before() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(3, Bytes::from_static(b"def")).await.unwrap();
    handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
    assert!(session.bucket.keys().is_empty());
    assert_eq!(session.another().stat(&path("/a")).await.map(|metadata| metadata.size).ok(), None);
    assert_eq!(handle.close().await.unwrap().size, 6);
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "abcdef");
}

#[tokio::test]
async fn a_close_returns_the_object_if_it_published_one() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
    let published = handle.close().await.unwrap().published.unwrap();
    assert_eq!((published.key.as_str(), published.size), ("acme/a", 3));
    assert!(published.checksum.is_some() && published.request_id.is_some());

    let unchanged = WriteOptions { write: true, ..WriteOptions::default() };
    let closed = session.open("/a", unchanged).await.unwrap().close().await.unwrap();
    assert_eq!((closed.size, closed.published), (3, None));

    let handle = session.create("/removed").await;
    session.remove(&path("/removed")).await.unwrap();
    assert_eq!(handle.close().await.unwrap().published, None);
}

#[tokio::test]
async fn a_handle_that_is_dropped_or_discarded_publishes_nothing() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    handle.discard().await;
    drop(session.create("/b").await);
    assert!(session.bucket.keys().is_empty());
    assert_eq!(session.bucket.open_uploads(), 0);
    assert!(matches!(session.stat(&path("/a")).await, Err(Error::NotFound)));
}

// S61: After a failed WRITE the CLOSE fails too, and nothing is stored.
#[tokio::test]
async fn a_failed_write_fails_the_close_and_publishes_nothing() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
    assert!(matches!(
        handle.write(1 << 40, Bytes::from_static(b"x")).await,
        Err(Error::HoleTooLarge { .. } | Error::TooLarge { .. })
    ));
    assert!(handle.write(3, Bytes::from_static(b"def")).await.is_err());
    assert!(handle.close().await.is_err());
    assert!(session.bucket.keys().is_empty());
}

// S64: Until its CLOSE only its own session sees a new file, from its OPEN on: STAT shows its size so far. The …
// S65: Of two uploads to one path the newest is shown, and the last to be closed stays.
#[tokio::test]
async fn the_session_sees_how_far_its_uploads_are() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "an older file");
    let mut first = session.create("/a").await;
    first.write(0, Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(first.metadata().size, 3);
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 3);
    let second = session.create("/a").await;
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 0, "the newest");
    second.discard().await;
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 3);
    first.close().await.unwrap();
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 3);
}

// S65: Of two uploads to one path the newest is shown, and the last to be closed stays.
#[tokio::test]
async fn of_two_uploads_to_one_path_the_last_to_be_closed_stays() {
    let session = UserTree::start();
    let (mut first, mut second) = (session.create("/a").await, session.create("/a").await);
    first.write(0, Bytes::from_static(b"first")).await.unwrap();
    second.write(0, Bytes::from_static(b"second")).await.unwrap();
    second.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "second");
    first.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "first");
}

// S66: A second handle can't add to an upload: without TRUNC it is refused, unless the CLOSE of that upload comes …
#[tokio::test]
async fn a_second_handle_on_an_upload_can_start_over_but_not_add_to_it() {
    let session = UserTree::start();
    let _first = session.create("/a").await;
    assert_eq!(opened(&session, "/a", NO_CREATE).await, "second writer");
    assert_eq!(opened(&session, "/a", KEEP).await, "second writer");
    assert_eq!(opened(&session, "/a", EXCLUSIVE).await, "exists");
    assert_eq!(opened(&session, "/a", CREATE).await, "open");
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
#[tokio::test]
async fn exclusive_holds_until_the_close() {
    let session = UserTree::start();
    let handle = session.open("/a", EXCLUSIVE).await.unwrap();
    session.bucket.insert("acme/a", "theirs");
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "theirs");
}

// S69: READ of bytes that have left the server's memory, and WRITE to them, are refused; the latter ends the upload.
#[tokio::test]
async fn a_handle_opened_for_both_reads_bytes_in_memory() {
    let session = UserTree::start();
    let mut handle = session.open("/a", WriteOptions { read: true, ..CREATE }).await.unwrap();
    assert!(handle.read(0, 10).await.unwrap().is_empty());
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    assert_eq!(handle.read(20 * MIB as u64 - 2, 10).await.unwrap().concat(), [7, 7]);
    assert!(handle.read(20 * MIB as u64, 10).await.unwrap().is_empty());
    assert!(matches!(handle.read(0, 10).await, Err(Error::NotReadableYet)));
    let mut writer = session.create("/b").await;
    assert!(matches!(writer.read(0, 10).await, Err(Error::NotOpenForReading)));
}

// S69: READ of bytes that have left the server's memory, and WRITE to them, are refused; the latter ends the upload.
#[tokio::test]
async fn bytes_that_have_left_cannot_be_written_again() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    assert!(matches!(handle.write(0, Bytes::from_static(b"x")).await, Err(Error::Shipped)));
    assert!(handle.close().await.is_err());
    assert!(session.bucket.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_memory_an_upload_waits_its_time_and_is_told() {
    let bucket = Arc::new(MemoryBucket::new());
    let session = UserTree::on(bucket, MIN_PART_BYTES * 16 / 15);
    let (mut first, mut second) = (session.create("/a").await, session.create("/b").await);
    first.write(0, vec![7; MIB].into()).await.unwrap();
    second.write(0, Bytes::from_static(b"a small file needs no memory of others")).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(matches!(second.write(0, vec![7; MIB].into()).await, Err(Error::Busy)));
    assert_eq!(started.elapsed(), PATIENCE);
    assert!(second.close().await.is_err());
    first.close().await.unwrap();
    let mut third = session.create("/c").await;
    third.write(0, vec![7; MIB].into()).await.unwrap();
}

// S66: A second handle can't add to an upload: without TRUNC it is refused, unless the CLOSE of that upload comes …
#[tokio::test]
async fn of_two_uploads_without_trunc_one_is_refused_however_fast_they_come() {
    let session = UserTree::start();
    let first = session.open_write(&path("/a"), KEEP, NewAttributes::default()).await.unwrap();
    assert_eq!(opened(&session, "/a", KEEP).await, "second writer", "while the first waits for memory");
    drop(first);
    assert_eq!(opened(&session, "/a", KEEP).await, "open");

    let hold = session.bucket.hold(Verb::List, Moment::Request);
    let at = path("/b");
    let (first, second, ()) = tokio::join!(
        session.open_write(&at, KEEP, NewAttributes::default()),
        session.open_write(&at, KEEP, NewAttributes::default()),
        async {
            session.bucket.arrived(Verb::List, 2).await;
            drop(hold);
        },
    );
    let refused = [&first, &second].map(|opened| matches!(opened, Err(Error::Unsupported(Unsupported::SecondWriter))));
    assert_eq!(refused.into_iter().filter(|refused| *refused).count(), 1);
}
