//! An existing file that is open for reading and writing: a download until its first change, and an upload from then
//! on.

use super::{
    harness::{CREATE, ReceivedReplies, SftpClient, Wharf},
    *,
};
use crate::ssh::log::CapturedLog;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;
use wharfinger::{
    sftp::{
        channel::{ChannelSettings, Ended},
        wire::{Attrs, FileTimes, Handle, MAX_READ_BYTES, OpenFlags, OwnerIds, StatusCode},
    },
    testing::bucket::{
        Moment::Request,
        Verb::{Head, Put, Read},
    },
};

const BOTH: OpenFlags = OpenFlags::from_bits(0x01 | 0x02);
const OLD: &[u8] = b"the old bytes";
const BUSY: &str = "the server is busy, try again later";
const EARLIER_WRITE_FAILED: &str = "an earlier write failed, so nothing was stored: upload the file again";
const ANOTHER_HANDLE: &str = "this file is being uploaded through another handle: close that first";

fn failure(code: StatusCode, sentence: &str) -> SftpResult<()> {
    Err(StatusError { code, sentence: sentence.into() })
}

fn size(size: u64) -> Attrs {
    Attrs { size: Some(size), ..Attrs::default() }
}

/// Starts a server with a small file, and a client that has the file open for reading and writing.
async fn opened() -> (Wharf, SftpClient, Handle) {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", OLD);
    let mut client = wharf.connect().await;
    let handle = client.open("/a", BOTH).await.unwrap();
    (wharf, client, handle)
}

/// Checks that these replies arrived in this order, after the first `earlier` replies.
fn assert_order(incoming: &ReceivedReplies, earlier: usize, ids: &[u32]) {
    let order: Vec<u32> = incoming.order[earlier..].iter().filter(|id| ids.contains(id)).copied().collect();
    assert_eq!(order, ids);
}

// S144: A file that is there and is opened for reading and writing, without TRUNC, is no upload until it is changed: by a …
// S80: A file that was opened and not changed stays the same version.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_changed_is_a_reader_and_its_close_costs_nothing() {
    for flags in [BOTH, BOTH | OpenFlags::CREATE, BOTH | OpenFlags::APPEND] {
        let (wharf, mut client, first) = opened().await;
        wharf.requested();
        let (memory, since) = (wharf.budget.used(), Instant::now());
        let second = client.open("/a", flags).await.unwrap();
        assert_eq!(wharf.budget.used(), memory);
        let reader = client.open("/a", OpenFlags::READ).await.unwrap();
        assert_eq!(client.stat("/a").await.unwrap(), client.fstat(&second).await.unwrap());
        assert_eq!(wharf.requested(), [Head, Read, Head]);
        let owner = Attrs { owner: Some(OwnerIds { uid: 0, gid: 0 }), ..Attrs::default() };
        client.order(request::fset_stat(&second, owner)).await.unwrap();
        wharf.requested();
        for handle in [&first, &second] {
            assert_eq!(client.read(handle, 4, 100).await.unwrap(), OLD[4..]);
            assert_eq!(client.read(handle, 13, 100).await.unwrap_err().code, StatusCode::Eof);
            assert_eq!(client.read(handle, 0, 3).await.unwrap(), "the");
        }
        assert_eq!(wharf.requested(), [Read, Read]);
        for handle in [first, second, reader] {
            client.close(&handle).await.unwrap();
        }
        assert_eq!((since.elapsed(), wharf.requested()), (Duration::ZERO, vec![]));
        wharf.assert_stored("/a", OLD);
    }
}

// S144: A file that is there and is opened for reading and writing, without TRUNC, is no upload until it is changed: by a …
// S127: READs of a handle are answered in the order in which they came, whatever S3 answers first.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_changed_is_prefetched_and_read_in_order() {
    let sparse_bytes = 64 << 20;
    let mut gets = Vec::new();
    for flags in [OpenFlags::READ, BOTH] {
        let wharf = Wharf::with(Setup { sparse_bytes, ..Setup::default() });
        let mut client = wharf.connect().await;
        client.stat("/sparse").await.unwrap();
        let handle = client.open("/sparse", flags).await.unwrap();
        let earlier = client.incoming.order.len();
        let mut reads = Vec::new();
        for offset in (0..sparse_bytes).step_by(MAX_READ_BYTES as usize) {
            reads.push(client.send(request::read(&handle, offset, MAX_READ_BYTES)).await);
        }
        let mut bytes = 0;
        for id in &reads {
            bytes += client.data(*id).await.unwrap().len() as u64;
        }
        assert_eq!(bytes, sparse_bytes);
        assert_order(&client.incoming, earlier, &reads);
        gets.push(wharf.sparse.gets());
    }
    assert_eq!(gets[0], gets[1]);
    assert!(gets[1].len() <= 9, "{:?}", gets[1]);
}

// S74: A file opened for writing without TRUNC begins as it is, and READ shows what was written over what was there.
// S144: A file that is there and is opened for reading and writing, without TRUNC, is no upload until it is changed: by a …
#[tokio::test(start_paused = true)]
async fn what_is_sent_without_waiting_is_done_in_its_order() {
    let (wharf, mut client, handle) = opened().await;
    let hold = wharf.bucket.hold(Read, Request);
    let earlier = client.incoming.order.len();
    let mut ids = vec![client.send(request::read(&handle, 0, 100)).await];
    ids.push(client.send(request::fstat(&handle)).await);
    ids.push(client.send(request::write(&handle, 4, "new")).await);
    ids.push(client.send(request::read(&handle, 0, 100)).await);
    ids.push(client.send(request::write(&handle, 13, "!")).await);
    ids.push(client.send(request::fstat(&handle)).await);
    ids.push(client.send(request::fset_stat(&handle, size(7))).await);
    ids.push(client.send(request::read(&handle, 0, 100)).await);
    let stat = client.send(request::stat("/a")).await;
    ids.push(client.send(request::close(&handle)).await);
    assert!(!client.incoming.is_answered(ids[2]).await, "the READ before it is not answered");
    drop(hold);
    assert_eq!(client.data(ids[0]).await.unwrap(), OLD);
    assert_eq!(client.attrs(ids[1]).await.unwrap().size, Some(13));
    client.status(ids[2]).await.unwrap();
    assert_eq!(client.data(ids[3]).await.unwrap(), "the new bytes");
    client.status(ids[4]).await.unwrap();
    assert_eq!(client.attrs(ids[5]).await.unwrap().size, Some(14));
    client.status(ids[6]).await.unwrap();
    assert_eq!(client.data(ids[7]).await.unwrap(), "the new");
    assert_eq!(client.attrs(stat).await.unwrap().size, Some(7));
    client.status(ids[8]).await.unwrap();
    assert_order(&client.incoming, earlier, &ids);
    wharf.assert_stored("/a", b"the new");
    client.vanish();
    wharf.assert_nothing_left().await;
}

// S144: A file that is there and is opened for reading and writing, without TRUNC, is no upload until it is changed: by a …
#[tokio::test(start_paused = true)]
async fn each_change_makes_it_an_upload() {
    let times = Attrs { times: Some(FileTimes { accessed: 5, modified: 7 }), ..Attrs::default() };
    let mode = Attrs { permissions: Some(0o600), ..Attrs::default() };
    for (change, stored) in [
        ("write", &b"The old bytes"[..]),
        ("copy", b"The old bytes"),
        ("size", b"the"),
        ("size by path", b"the"),
        ("times", OLD),
        ("mode", OLD),
    ] {
        let (wharf, mut client, handle) = opened().await;
        wharf.bucket.insert("acme/t", "T");
        let source = client.open("/t", OpenFlags::READ).await.unwrap();
        let changed = match change {
            "write" => client.write(&handle, 0, "T").await,
            "copy" => client.order(request::copy((&source, 0), 0, (&handle, 0))).await,
            "size" => client.order(request::fset_stat(&handle, size(3))).await,
            "size by path" => client.order(request::set_stat("/a", size(3))).await,
            "times" => client.order(request::fset_stat(&handle, times)).await,
            _ => client.order(request::fset_stat(&handle, mode)).await,
        };
        changed.unwrap();
        wharf.assert_stored("/a", OLD);
        let shown = client.stat("/a").await.unwrap();
        assert_eq!(shown, client.fstat(&handle).await.unwrap(), "{change}");
        assert_eq!(shown.size, Some(stored.len() as u64));
        assert!(wharf.budget.used() > 0, "{change}");
        let opened = client.open("/a", BOTH).await;
        assert_eq!(opened.unwrap_err().sentence, ANOTHER_HANDLE, "{change}");
        client.close(&handle).await.unwrap();
        wharf.assert_stored("/a", stored);
        let shown = client.stat("/a").await.unwrap();
        assert_eq!(change == "times", shown.times == times.times);
        assert_eq!(change == "mode", shown.permissions == Some(0o100_600));
    }
}

// S79: A change replaces the version that was opened, and no other: if another writer has changed or removed the …
// S49: A file is one version for as long as it is open; a download never mixes two.
#[tokio::test(start_paused = true)]
async fn the_version_that_was_opened_is_read_and_replaced_and_no_other() {
    for gone in [false, true] {
        let (wharf, mut client, handle) = opened().await;
        if gone {
            wharf.bucket.delete("acme/a");
        } else {
            wharf.bucket.insert("acme/a", "somebody's");
        }
        assert!(client.read(&handle, 0, 3).await.is_err());
        client.write(&handle, 0, "T").await.unwrap();
        let closed = client.close(&handle).await.unwrap_err();
        assert_eq!(closed.sentence, "the file was changed by another writer in the meantime");
        assert_eq!(wharf.bucket.bytes("acme/a").as_deref(), (!gone).then_some(&b"somebody's"[..]));
    }
}

// S66: A second handle can't add to an upload: without TRUNC it is refused, unless the CLOSE of that upload comes …
// S145: The first change is refused where another handle of the session uploads the file already, and so is all that …
#[tokio::test(start_paused = true)]
async fn the_first_change_beside_another_upload_is_refused_and_so_is_the_close() {
    let (wharf, mut client, first) = opened().await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(client.open("/a", BOTH).await.unwrap());
    }
    client.write(&first, 0, "T").await.unwrap();
    let refused = || failure(StatusCode::OpUnsupported, ANOTHER_HANDLE);
    for (number, other) in others.iter().enumerate() {
        assert_eq!(client.read(other, 0, 3).await.unwrap(), "the");
        let changed = match number {
            0 => client.write(other, 4, "new").await,
            1 => client.order(request::fset_stat(other, size(0))).await,
            2 => client.order(request::copy((&first, 0), 0, (other, 0))).await,
            _ => Err(client.fstat(other).await.map(|_| refused().unwrap_err()).unwrap()),
        };
        assert_eq!(changed, refused());
        if number < 3 {
            assert_eq!(client.write(other, 4, "new").await, refused());
            assert_eq!(client.close(other).await, refused());
        } else {
            client.close(other).await.unwrap();
        }
    }
    client.close(&first).await.unwrap();
    assert_eq!(client.stat("/a").await.unwrap().size, Some(13));
    wharf.assert_stored("/a", b"The old bytes");
    assert_eq!(wharf.bucket.count(Put), 1);
}

// S146: The first change waits as an OPEN for writing does. The handle's later requests wait behind it, the connection …
#[tokio::test(start_paused = true)]
async fn the_first_change_waits_for_memory_and_the_connection_does_not() {
    let wharf = Wharf::with(Setup { budget_bytes: 6 << 20, ..Setup::default() });
    wharf.bucket.insert("acme/a", OLD);
    wharf.bucket.insert("acme/b", OLD);
    let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
    let upload = other.create("/other").await;
    other.write_all(&upload, 0, &content(1, MIB)).await.unwrap();
    let (handle, late) = (client.open("/a", BOTH).await.unwrap(), client.open("/b", BOTH).await.unwrap());
    let write = client.send(request::write(&handle, 0, "T")).await;
    let read = client.send(request::read(&handle, 0, 3)).await;
    let stat = client.send(request::stat("/a")).await;
    assert_eq!(client.read(&late, 0, 3).await.unwrap(), "the");
    assert_eq!(client.stat("/b").await.unwrap().size, Some(13));
    for id in [write, read, stat] {
        assert!(!client.incoming.is_answered(id).await);
    }
    other.close(&upload).await.unwrap();
    client.status(write).await.unwrap();
    assert_eq!(client.data(read).await.unwrap(), "The");
    client.attrs(stat).await.unwrap();
    client.write_all(&handle, 13, &content(1, MIB)).await.unwrap();

    client.write(&late, 0, "T").await.unwrap();
    client.write_all(&handle, 13 + MIB as u64, &content(1, MIB)).await.unwrap();
    let since = Instant::now();
    let write = client.send(request::write(&late, 200_000, content(1, 200_000))).await;
    let read = client.send(request::read(&late, 0, 3)).await;
    let close = client.send(request::close(&late)).await;
    // This upload makes progress, so it keeps its memory.
    client.write(&handle, 1, "H").await.unwrap();
    let more = content(2, 5 * (32 << 10));
    for at in (0..more.len()).step_by(32 << 10) {
        client.write(&handle, (13 + 2 * MIB + at) as u64, more.slice(at..at + (32 << 10))).await.unwrap();
        tokio::time::sleep(ChannelSettings::default().upload_wait / 5).await;
    }
    for (id, sentence) in [(write, BUSY), (close, EARLIER_WRITE_FAILED)] {
        assert_eq!(client.status(id).await, failure(StatusCode::Failure, sentence));
    }
    client.data(read).await.unwrap();
    assert_eq!(since.elapsed().as_secs(), ChannelSettings::default().upload_wait.as_secs());
    // A client that checks the size sees that its upload isn't stored.
    assert_eq!(client.stat("/b").await.unwrap().size, Some(13));
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &[b"THe old bytes", &content(1, MIB)[..], &content(1, MIB)[..], &more[..]].concat());
    wharf.assert_stored("/b", OLD);
    client.vanish();
    drop(other);
    wharf.assert_nothing_left().await;
}

// S85: A changed file keeps its mode and the object's other metadata, and shows the time of the change, unless …
#[tokio::test(start_paused = true)]
async fn a_mode_that_is_set_by_path_before_the_first_change_stays() {
    let (wharf, mut client, handle) = opened().await;
    let mode = Attrs { permissions: Some(0o600), ..Attrs::default() };
    client.order(request::set_stat("/a", mode)).await.unwrap();
    client.write(&handle, 0, "T").await.unwrap();
    assert_eq!(client.fstat(&handle).await.unwrap().permissions, Some(0o100_600));
    client.close(&handle).await.unwrap();
    let mut other = wharf.connect().await;
    assert_eq!(other.stat("/a").await.unwrap().permissions, Some(0o100_600));
    wharf.assert_stored("/a", b"The old bytes");
}

// S84: A size that is set by path is set at once, or by the upload of this session that is open; where that can't do …
#[tokio::test(start_paused = true)]
async fn a_size_that_is_set_by_path_is_that_of_the_handle_too() {
    let (wharf, mut client, handle) = opened().await;
    // A STAT in flight keeps the SETSTAT out of the handle's own queue.
    let hold = wharf.bucket.hold(Head, Request);
    let before = client.send(request::stat("/a")).await;
    let set = client.send(request::set_stat("/a", size(3))).await;
    run_ready_tasks().await;
    drop(hold);
    client.status(set).await.unwrap();
    client.attrs(before).await.unwrap();
    client.write(&handle, 3, "!").await.unwrap();
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", b"the!");
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn reads_whose_replies_are_not_received_delay_no_change() {
    let wharf = Wharf::with(Setup { sparse_bytes: 1 << 30, ..Setup::default() });
    let mut client = wharf.connect().await;
    let handle = client.open("/sparse", BOTH).await.unwrap();
    let mut reads = Vec::new();
    for number in 0..1000 {
        reads.push(client.send(request::read(&handle, number * 32_768, 32_768)).await);
    }
    let piece = content(1, 200_000);
    let (since, mut writes) = (Instant::now(), Vec::new());
    for number in 0..200 {
        writes.push(client.send(request::write(&handle, number * 200_000, piece.clone())).await);
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    for id in writes {
        client.status(id).await.unwrap();
    }
    let mut refused = 0;
    for id in reads {
        refused +=
            usize::from(client.data(id).await.inspect_err(|refusal| assert_eq!(refusal.sentence, BUSY)).is_err());
    }
    assert!((800..1000).contains(&refused), "{refused}");
    client.close(&handle).await.unwrap();
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn a_change_waits_once_for_a_client_that_does_not_read() {
    let wharf = Wharf::with(Setup { sparse_bytes: 1 << 30, ..Setup::default() });
    let mut client = wharf.connect().await;
    let handle = client.open("/sparse", BOTH).await.unwrap();
    for number in 0..1000 {
        client.send(request::read(&handle, number * 32_768, 32_768)).await;
    }
    client.send(request::write(&handle, 0, "T")).await;
    client.send(request::close(&handle)).await;
    let upload_wait = ChannelSettings::default().upload_wait;
    tokio::time::sleep(upload_wait.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(wharf.sparse.completed().len(), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(wharf.sparse.completed().iter().sum::<u64>(), 1 << 30);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_any_number_of_reads_are_bounded() {
    let wharf = Wharf::with(Setup { sparse_bytes: 1 << 40, ..Setup::default() });
    let mut client = wharf.connect().await;
    let handle = client.open("/sparse", BOTH).await.unwrap();
    for number in 0..200_000 {
        client.send(request::read(&handle, number * 32_768, 32_768)).await;
    }
    let (piece, mut sent) = (content(1, 200_000), 0);
    let ended = loop {
        match client.try_send(request::write(&handle, sent * 200_000, piece.clone())).await {
            Ok(_) => sent += 1,
            Err(ended) => break ended,
        }
        assert!(sent < 1000);
    };
    assert_eq!(ended, Ended::RepliesUnread);
    // The server doesn't forget the unanswered request when the client reads the other replies.
    while client.incoming.is_answered(0).await {}
    assert_eq!(client.try_send(request::stat("/")).await, Err(Ended::RepliesUnread));
}

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_leaves_what_its_close_says() {
    for closes in [false, true] {
        let (wharf, mut client, handle) = opened().await;
        let hold = wharf.bucket.hold(Read, Request);
        client.send(request::read(&handle, 0, 100)).await;
        client.send(request::write(&handle, 0, Bytes::from_static(b"The new bytes"))).await;
        if closes {
            client.send(request::close(&handle)).await;
        }
        run_ready_tasks().await;
        client.vanish();
        run_ready_tasks().await;
        drop(hold);
        wharf.assert_nothing_left().await;
        wharf.assert_stored("/a", if closes { b"The new bytes" } else { OLD });
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_is_read_and_changed() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "");
    let mut client = wharf.connect().await;
    let handle = client.open("/a", BOTH).await.unwrap();
    assert_eq!(client.read(&handle, 0, 1).await.unwrap_err().code, StatusCode::Eof);
    client.write(&handle, 0, "new").await.unwrap();
    assert_eq!(client.read(&handle, 0, 10).await.unwrap(), "new");
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", b"new");
}

// S118: OPEN without TRUNC resumes it, on any node, and the whole file appears at its CLOSE, if nothing else has …
#[tokio::test(start_paused = true)]
async fn a_new_file_and_a_truncated_one_are_uploads_from_their_open_on() {
    for (path, flags) in [("/new", BOTH | OpenFlags::CREATE), ("/a", CREATE | OpenFlags::READ)] {
        let wharf = Wharf::start();
        wharf.bucket.insert("acme/a", OLD);
        let mut client = wharf.connect().await;
        let handle = client.open(path, flags).await.unwrap();
        assert_eq!(client.stat(path).await.unwrap().size, Some(0));
        assert_eq!(client.open(path, BOTH).await.unwrap_err().code, StatusCode::OpUnsupported);
        client.close(&handle).await.unwrap();
        assert_eq!(wharf.bucket.count(Put), 1);
        wharf.assert_stored(path, b"");
    }
}

/// Returns lines of the log: the message, the direction of the transfer, and its bytes.
fn lines(log: &CapturedLog) -> Vec<(String, String, u64)> {
    let line = |message: &str, line: &serde_json::Value| {
        (message.to_owned(), line["transfer"].as_str().unwrap().to_owned(), line["bytes"].as_u64().unwrap_or_default())
    };
    let found = ["file opened", "file closed"].map(|message| {
        let lines = log.lines(message);
        lines.iter().map(|found| line(message, found)).collect::<Vec<_>>()
    });
    found.concat()
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_download_for_what_was_read_and_an_upload_for_what_was_changed() {
    let line = |message: &str, transfer: &str, bytes| (message.to_owned(), transfer.to_owned(), bytes);
    for (reads, writes) in [(false, false), (true, false), (false, true), (true, true)] {
        let log = CapturedLog::start();
        let (_wharf, mut client, handle) = opened().await;
        if reads {
            client.read(&handle, 0, 100).await.unwrap();
        }
        if writes {
            client.write(&handle, 0, "T").await.unwrap();
        }
        client.close(&handle).await.unwrap();
        let mut expected = Vec::new();
        for (message, is_end) in [("file opened", 0), ("file closed", 1)] {
            expected.extend((reads || !writes).then(|| line(message, "download", is_end * if reads { 13 } else { 0 })));
            expected.extend(writes.then(|| line(message, "upload", is_end)));
        }
        assert_eq!(lines(&log), expected);
    }
}
