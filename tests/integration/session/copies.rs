//! COPY-DATA: the copied bytes, the cost, and that a failed copy stores nothing.

use super::{
    harness::{SftpClient, Wharf},
    *,
};
use bytes::Bytes;
use wharfinger::{
    sftp::wire::{Handle, OpenFlags, StatusCode},
    testing::bucket::{
        Moment::Request,
        Verb::{self, CompleteUpload, CopyPart, CreateUpload, Head, Put, Read},
    },
};

const LARGE: usize = 64 * MIB;
const CHANGED: &str = "the file that is copied was changed by another writer in the meantime";
const POISONED: &str = "an earlier write failed, so nothing was stored: upload the file again";

/// Starts a server with `content` in `/a`, and a client that has asked for its size, as OpenSSH does, and opened it.
async fn with_source(content: impl Into<Bytes>) -> (Wharf, SftpClient, Handle) {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", content);
    let mut client = wharf.connect().await;
    // From here on the node knows that the directory exists.
    client.put("/first", &Bytes::new()).await.unwrap();
    wharf.requested();
    client.stat("/a").await.unwrap();
    let source = client.open("/a", OpenFlags::READ).await.unwrap();
    (wharf, client, source)
}

fn sent_bytes(wharf: &Wharf) -> u64 {
    wharf.bucket.requests().iter().map(|request| request.sent_bytes).sum()
}

fn failure(sentence: &str) -> SftpResult<()> {
    Err(StatusError { code: StatusCode::Failure, sentence: sentence.into() })
}

/// Checks that the target of a failed copy isn't stored.
async fn assert_abandoned(wharf: &Wharf, mut client: SftpClient, target: &Handle) {
    assert_eq!(client.close(target).await, failure(POISONED));
    assert_eq!(wharf.bucket.bytes("acme/b"), None);
    client.vanish();
    wharf.assert_nothing_left().await;
}

// S110: COPY-DATA copies from a file that is open for reading alone to one that is open for writing, which appears at …
// S112: Within a mount S3 itself copies more than a part (8 MiB at first), if it goes to the end of an upload of …
#[tokio::test(start_paused = true)]
async fn a_copy_of_64_mib_is_made_by_s3_and_neither_fetches_nor_sends_a_byte() {
    let content = content(1, LARGE);
    let (wharf, mut client, source) = with_source(content.clone()).await;
    assert_eq!(wharf.requested(), [Head, Head]);
    let target = client.create("/b").await;
    client.order(request::copy((&source, 0), 0, (&target, 0))).await.unwrap();
    assert_eq!(client.fstat(&target).await.unwrap().size, Some(LARGE as u64));
    assert_eq!(wharf.bucket.bytes("acme/b"), None, "it appears at its CLOSE");
    client.close(&source).await.unwrap();
    client.close(&target).await.unwrap();
    assert_eq!(sent_bytes(&wharf), 0);
    assert_eq!(wharf.requested(), [CreateUpload, CopyPart, CompleteUpload]);
    wharf.assert_stored("/b", &content);
    client.vanish();
    wharf.assert_nothing_left().await;
}

// S112: Within a mount S3 itself copies more than a part (8 MiB at first), if it goes to the end of an upload of …
#[tokio::test(start_paused = true)]
async fn what_fits_one_part_is_fetched_and_put() {
    for size in [0, 1, 3 * MIB, 8 * MIB] {
        let content = content(1, size);
        let (wharf, mut client, source) = with_source(content.clone()).await;
        assert_eq!(wharf.requested(), [Head, Read]);
        let target = client.create("/b").await;
        client.order(request::copy((&source, 0), 0, (&target, 0))).await.unwrap();
        client.close(&target).await.unwrap();
        assert_eq!(wharf.requested(), [Put], "{size} bytes");
        wharf.assert_stored("/b", &content);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_object_is_copied_in_equal_shares() {
    let mib = MIB as u64;
    let wharf = Wharf::with(Setup { sparse_bytes: 600 * mib, ..Setup::default() });
    let mut client = wharf.connect().await;
    client.stat("/sparse").await.unwrap();
    let source = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let target = client.create("/b").await;
    client.order(request::copy((&source, 0), 0, (&target, 0))).await.unwrap();
    assert_eq!(wharf.sparse.copies(), [0..200 * mib, 200 * mib..400 * mib, 400 * mib..600 * mib]);
    assert_eq!((wharf.sparse.gets().len(), sent_bytes(&wharf)), (0, 0));
    client.vanish();
    wharf.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn s3_joins_files_and_writes_append_to_them() {
    let (first, second) = (content(1, LARGE), content(2, 20 * MIB));
    let (wharf, mut client, source) = with_source(first.clone()).await;
    wharf.bucket.insert("acme/c", second.clone());
    client.stat("/c").await.unwrap();
    let more = client.open("/c", OpenFlags::READ).await.unwrap();
    wharf.requested();
    let (target, at) = (client.create("/b").await, LARGE as u64);
    // The client doesn't wait for replies: the server performs the requests on one handle in order.
    let mut asked = vec![client.send(request::copy((&source, 0), 0, (&target, 0))).await];
    asked.push(client.send(request::copy((&more, MIB as u64), 0, (&target, at))).await);
    asked.push(client.send(request::write(&target, at + 19 * MIB as u64, "the end")).await);
    asked.push(client.send(request::close(&target)).await);
    for id in asked {
        client.status(id).await.unwrap();
    }
    assert_eq!(wharf.requested(), [CreateUpload, CopyPart, CopyPart, Verb::UploadPart, CompleteUpload]);
    wharf.assert_stored("/b", &[&first[..], &second[MIB..], b"the end"].concat());
}

// S114: A copy of the length 0 continues to the end of its source. One of more bytes than the source has copies …
#[tokio::test(start_paused = true)]
async fn lengths_and_offsets_say_which_bytes_go_where() {
    let ended = || Err(StatusError { code: StatusCode::Eof, sentence: "end of file".into() });
    for (source_offset, length, target_offset, outcome, stored) in [
        (0, 0, 0, Ok(()), "the bytes"),
        (4, 0, 0, Ok(()), "bytes"),
        (0, 3, 0, Ok(()), "the"),
        (4, 5, 2, Ok(()), "\0\0bytes"),
        (4, 6, 0, ended(), "bytes"),
        (4, u64::MAX, 0, ended(), "bytes"),
        (9, 0, 0, Ok(()), ""),
        (9, 1, 0, ended(), ""),
        (10, 0, 0, Ok(()), ""),
        (u64::MAX, 0, u64::MAX, Ok(()), ""),
        (u64::MAX, u64::MAX, 0, ended(), ""),
    ] {
        let (wharf, mut client, source) = with_source("the bytes").await;
        let target = client.create("/b").await;
        let copied = client.order(request::copy((&source, source_offset), length, (&target, target_offset))).await;
        assert_eq!(copied, outcome, "{length} bytes from {source_offset}");
        client.close(&target).await.unwrap();
        wharf.assert_stored("/b", stored.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_go_to_the_end_of_what_is_shipped_comes_through_the_server_with_little_memory() {
    let content = content(1, LARGE);
    let wharf = Wharf::with(Setup { budget_bytes: 16 << 20, ..Setup::default() });
    wharf.bucket.insert("acme/a", content.clone());
    let mut client = wharf.connect().await;
    let source = client.open("/a", OpenFlags::READ).await.unwrap();
    let target = client.create("/b").await;
    client.write(&target, 0, "x").await.unwrap();
    client.order(request::copy((&source, 0), 0, (&target, 1))).await.unwrap();
    client.close(&target).await.unwrap();
    assert_eq!(wharf.bucket.count(CopyPart), 0);
    wharf.assert_stored("/b", &[b"x", &content[..]].concat());
    client.vanish();
    wharf.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn copies_change_and_extend_existing_files() {
    for (flags, offset, stored) in [
        (OpenFlags::WRITE, 4, "old new bytes"),
        (OpenFlags::WRITE | OpenFlags::APPEND, 0, "old bytes, not so few new bytes"),
    ] {
        let (wharf, mut client, source) = with_source("new bytes").await;
        let there = if offset == 4 { "old bytes" } else { "old bytes, not so few " };
        wharf.bucket.insert("acme/b", there);
        let target = client.open("/b", flags).await.unwrap();
        client.order(request::copy((&source, 0), 0, (&target, offset))).await.unwrap();
        client.close(&target).await.unwrap();
        wharf.assert_stored("/b", stored.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_copied_over_itself_is_what_it_was() {
    for size in [5, LARGE] {
        let content = content(1, size);
        let (wharf, mut client, source) = with_source(content.clone()).await;
        let target = client.create("/a").await;
        client.order(request::copy((&source, 0), 0, (&target, 0))).await.unwrap();
        client.close(&target).await.unwrap();
        wharf.assert_stored("/a", &content);
    }
}

// S110: COPY-DATA copies from a file that is open for reading alone to one that is open for writing, which appears at …
// S113: After a copy that was refused, or failed, the CLOSE of its target fails too, and nothing is stored.
#[tokio::test(start_paused = true)]
async fn only_what_is_open_for_reading_alone_is_a_source() {
    let (wharf, mut client, closed) = with_source("abc").await;
    client.close(&closed).await.unwrap();
    let id = client.send(request::open_dir("/")).await;
    let directory = client.handle(id).await.unwrap();
    let both = client.open("/a", OpenFlags::READ | OpenFlags::WRITE).await.unwrap();
    for source in [Some(&closed), Some(&directory), Some(&both), None] {
        let target = client.create("/b").await;
        client.write(&target, 0, "abc").await.unwrap();
        let copied = client.order(request::copy((source.unwrap_or(&target), 0), 0, (&target, 3))).await;
        assert_eq!(copied, failure("only a file that is open for reading alone can be copied"), "{source:?}");
        assert_eq!(client.write(&target, 3, "d").await, failure(POISONED));
        assert_eq!(client.close(&target).await, failure(POISONED));
        assert_eq!(wharf.bucket.bytes("acme/b"), None);
    }
}

// S111: A copy is of the version of the source that was opened. If that was replaced or removed the copy fails, but …
// S113: After a copy that was refused, or failed, the CLOSE of its target fails too, and nothing is stored.
#[tokio::test(start_paused = true)]
async fn a_source_that_changes_while_s3_copies_it_fails_the_copy() {
    for gone in [false, true] {
        let (wharf, mut client, source) = with_source(content(1, LARGE)).await;
        let target = client.create("/b").await;
        let hold = wharf.bucket.hold(CopyPart, Request);
        let copy = client.send(request::copy((&source, 0), 0, (&target, 0))).await;
        assert!(!client.incoming.is_answered(copy).await);
        if gone {
            wharf.bucket.delete("acme/a");
        } else {
            wharf.bucket.insert("acme/a", content(2, LARGE));
        }
        drop(hold);
        assert_eq!(client.status(copy).await, failure(CHANGED));
        assert_abandoned(&wharf, client, &target).await;
    }
}

// S111: A copy is of the version of the source that was opened. If that was replaced or removed the copy fails, but …
#[tokio::test(start_paused = true)]
async fn a_source_that_changes_while_it_comes_through_the_server_fails_the_copy() {
    let (wharf, mut client, source) = with_source(content(1, LARGE)).await;
    let target = client.create("/b").await;
    client.write(&target, 0, "x").await.unwrap();
    let hold = wharf.bucket.hold(Read, Request);
    let copy = client.send(request::copy((&source, 0), 0, (&target, 1))).await;
    wharf.bucket.arrived(Read, 1).await;
    hold.release(1);
    assert!(!client.incoming.is_answered(copy).await);
    wharf.bucket.insert("acme/a", content(2, LARGE));
    drop(hold);
    assert_eq!(client.status(copy).await, failure(CHANGED));
    assert_abandoned(&wharf, client, &target).await;
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn what_does_not_touch_the_target_passes_a_copy() {
    let content = content(1, LARGE);
    let (wharf, mut client, source) = with_source(content.clone()).await;
    let target = client.create("/b").await;
    let hold = wharf.bucket.hold(CopyPart, Request);
    let copy = client.send(request::copy((&source, 0), 0, (&target, 0))).await;
    client.put("/c", &Bytes::from_static(b"abc")).await.unwrap();
    let close = client.send(request::close(&target)).await;
    let stat = client.send(request::stat("/b")).await;
    assert_eq!(client.read(&source, 0, 100).await.unwrap(), content[..100]);
    client.close(&source).await.unwrap();
    assert_eq!(client.stat("/a").await.unwrap().size, Some(LARGE as u64));
    for id in [copy, close, stat] {
        assert!(!client.incoming.is_answered(id).await, "{id}");
    }
    drop(hold);
    client.status(copy).await.unwrap();
    client.status(close).await.unwrap();
    assert_eq!(client.attrs(stat).await.unwrap().size, Some(LARGE as u64));
    wharf.assert_stored("/b", &content);
}

// S115: Of one session 64 copies may run or wait for their turn; what is more is refused.
#[tokio::test(start_paused = true)]
async fn a_session_has_room_for_64_copies() {
    let (wharf, mut client, source) = with_source(content(1, 9 * MIB)).await;
    let target = client.create("/b").await;
    let hold = wharf.bucket.hold(CopyPart, Request);
    let mut copies = Vec::new();
    for number in 0..=64 {
        let range = (number * MIB) as u64;
        let length = if number == 0 { 9 * MIB } else { 1 };
        let at = if number == 0 { 0 } else { 9 * MIB as u64 + range };
        copies.push(client.send(request::copy((&source, 0), length as u64, (&target, at))).await);
    }
    run_ready_tasks().await;
    drop(hold);
    let last = copies.pop().unwrap();
    for copy in copies {
        client.status(copy).await.unwrap();
    }
    assert_eq!(client.status(last).await, failure("the server is busy, try again later"));
    assert_abandoned(&wharf, client, &target).await;
}

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_during_a_copy_leaves_nothing() {
    for streamed in [false, true] {
        let (wharf, mut client, source) = with_source(content(1, LARGE)).await;
        let target = client.create("/b").await;
        if streamed {
            client.write(&target, 0, "x").await.unwrap();
        }
        let hold = wharf.bucket.hold(if streamed { Verb::UploadPart } else { CopyPart }, Request);
        client.send(request::copy((&source, 0), 0, (&target, u64::from(streamed)))).await;
        run_ready_tasks().await;
        client.vanish();
        run_ready_tasks().await;
        drop(hold);
        wharf.assert_nothing_left().await;
        assert_eq!(wharf.bucket.keys(), ["acme/a", "acme/first"]);
    }
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn a_copy_before_a_close_that_has_come_is_carried_out() {
    let content = content(1, LARGE);
    let (wharf, mut client, source) = with_source(content.clone()).await;
    let target = client.create("/b").await;
    let hold = wharf.bucket.hold(CopyPart, Request);
    client.send(request::copy((&source, 0), 0, (&target, 0))).await;
    client.send(request::close(&target)).await;
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    wharf.assert_stored("/b", &content);
}
