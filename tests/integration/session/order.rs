//! Requests that a client sends without waiting have the results that they would have in sequence. Requests on other
//! paths may overtake them.

use super::{
    harness::{SftpClient, Wharf},
    *,
};
use std::time::Duration;
use tokio::time::Instant;
use wharfinger::{
    sftp::wire::{Attrs, OpenFlags, StatusCode},
    testing::bucket::{
        Moment::{Answer, Request},
        Verb,
    },
};

const WRITE_BYTES: usize = 200_000;

/// Creates `/a`, then sends a WRITE, the CLOSE and all further requests without waiting for replies.
async fn after_close(client: &mut SftpClient) -> [u32; 9] {
    let handle = client.create("/a").await;
    [
        client.send(request::write(&handle, 0, "abc")).await,
        client.send(request::close(&handle)).await,
        client.send(request::rename("/a", "/b")).await,
        client.send(request::stat("/a")).await,
        client.send(request::stat("/b")).await,
        client.send(request::open("/b", OpenFlags::READ)).await,
        client.send(request::remove("/b")).await,
        client.send(request::stat("/b")).await,
        client.send(request::open("/b", OpenFlags::READ)).await,
    ]
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn requests_on_one_file_are_as_if_done_one_after_the_other() {
    for held in [None, Some((Verb::Put, Request)), Some((Verb::Copy, Answer)), Some((Verb::Remove, Request))] {
        let wharf = Wharf::start();
        let hold = held.map(|(verb, moment)| wharf.bucket.hold(verb, moment));
        let mut client = wharf.connect().await;
        let [write, close, rename, stat_a, stat_b, open, remove, gone, closed] = after_close(&mut client).await;
        run_ready_tasks().await;
        drop(hold);
        for done in [write, close, rename, remove] {
            client.status(done).await.unwrap();
        }
        assert_eq!(client.attrs(stat_a).await.unwrap_err().code, StatusCode::NoSuchFile);
        assert_eq!(client.attrs(stat_b).await.unwrap().size, Some(3));
        let handle = client.handle(open).await.unwrap();
        assert_eq!(client.attrs(gone).await.unwrap_err().code, StatusCode::NoSuchFile);
        assert_eq!(client.handle(closed).await.unwrap_err().code, StatusCode::NoSuchFile);
        assert_eq!(client.read(&handle, 0, 100).await.unwrap(), "abc", "it was opened before it was removed");
    }
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn nothing_passes_a_close_on_its_path_and_anything_passes_elsewhere() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/other", "x");
    wharf.bucket.insert("acme/third", "x");
    let hold = wharf.bucket.hold(Verb::Put, Request);
    let mut client = wharf.connect().await;
    let handle = client.create("/dir/a").await;
    let close = client.send(request::close(&handle)).await;
    let mut behind = Vec::new();
    for path in ["/dir/a", "/dir", "/dir/a/b"] {
        behind.push(client.send(request::stat(path)).await);
    }
    behind.push(client.send(request::open_dir("/dir")).await);
    behind.push(client.send(request::rename("/other", "/dir/a")).await);
    let passing = [
        client.send(request::stat("/dir/ab")).await,
        client.send(request::open("/new", OpenFlags::WRITE | OpenFlags::CREATE)).await,
        client.send(request::set_stat("/third", Attrs { size: Some(0), ..Attrs::default() })).await,
    ];
    for id in behind.iter().chain([&close]) {
        assert!(!client.incoming.is_answered(*id).await, "{id}");
    }
    // A new size is a PUT, so this request is held too.
    assert_eq!(wharf.bucket.count(Verb::Put), 2);
    assert!(client.incoming.is_answered(passing[0]).await);
    assert!(client.incoming.is_answered(passing[1]).await);
    drop(hold);
    client.status(close).await.unwrap();
    client.status(passing[2]).await.unwrap();
    assert_eq!(client.attrs(behind[0]).await.unwrap().size, Some(0));
    assert_eq!(client.attrs(behind[1]).await.unwrap().permissions, Some(0o40_755));
    client.handle(behind[3]).await.unwrap();
    assert_eq!(client.status(behind[4]).await.unwrap_err().code, StatusCode::Failure, "the target exists");
}

#[tokio::test(start_paused = true)]
async fn a_stat_behind_an_open_sees_the_file_that_it_makes() {
    let wharf = Wharf::start();
    let hold = wharf.bucket.hold(Verb::Head, Request);
    let mut client = wharf.connect().await;
    let before = client.send(request::stat("/a")).await;
    let open = client.send(request::open("/a", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE)).await;
    let behind = client.send(request::stat("/a")).await;
    assert!(!client.incoming.is_answered(open).await, "the first STAT would see it");
    drop(hold);
    assert_eq!(client.attrs(before).await.unwrap_err().code, StatusCode::NoSuchFile);
    client.handle(open).await.unwrap();
    assert_eq!(client.attrs(behind).await.unwrap().size, Some(0));
}

/// sshfs sends a file's CLOSE and its next OPEN from two threads, in either order.
// S66: A second handle can't add to an upload: without TRUNC it is refused, unless the CLOSE of that upload comes …
#[tokio::test(start_paused = true)]
async fn an_open_waits_a_moment_for_the_close_that_is_sent_beside_it() {
    let append = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND;
    for late in [false, true] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        let first = client.create("/a").await;
        client.write(&first, 0, "as it was").await.unwrap();
        let open = client.send(request::open("/a", append)).await;
        if late {
            assert_eq!(client.handle(open).await.unwrap_err().code, StatusCode::OpUnsupported);
            client.close(&first).await.unwrap();
            wharf.assert_stored("/a", b"as it was");
            continue;
        }
        let hold = wharf.bucket.hold(Verb::Put, Request);
        let close = client.send(request::close(&first)).await;
        run_ready_tasks().await;
        drop(hold);
        client.status(close).await.unwrap();
        let closed = Instant::now();
        let second = client.handle(open).await.unwrap();
        assert_eq!(closed.elapsed(), Duration::ZERO, "it goes on when the CLOSE ends");
        client.write(&second, 9, ", and more").await.unwrap();
        client.close(&second).await.unwrap();
        wharf.assert_stored("/a", b"as it was, and more");
    }
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_path_comes_behind_the_writes_to_it() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    let content = content(1, 28 * WRITE_BYTES);
    let end = content.len() as u64;
    let hold = wharf.bucket.hold(Verb::CreateUpload, Request);
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    let mut writes = Vec::new();
    for start in (0..content.len()).step_by(WRITE_BYTES) {
        let data = content.slice(start..start + WRITE_BYTES);
        writes.push(client.send(request::write(&handle, start as u64, data)).await);
    }
    let longer = Attrs { size: Some(end + 10), ..Attrs::default() };
    let [before, resize, after] = [
        client.send(request::stat("/a")).await,
        client.send(request::set_stat("/a", longer)).await,
        client.send(request::stat("/a")).await,
    ];
    assert!(client.incoming.is_answered(writes[0]).await);
    for id in [writes[27], before, resize, after] {
        assert!(!client.incoming.is_answered(id).await, "{id} of {writes:?}, {before}, {resize}, {after}");
    }
    drop(hold);
    assert_eq!(client.attrs(before).await.unwrap().size, Some(end));
    client.status(resize).await.unwrap();
    assert_eq!(client.attrs(after).await.unwrap().size, Some(end + 10));
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &[&content[..], &[0; 10]].concat());
}

// S128: OPEN for reading of a file that the session is uploading, and RENAME of one of which S3 has a part and no older …
#[tokio::test(start_paused = true)]
async fn what_is_read_and_what_is_large_waits_a_moment_for_the_close_that_is_sent_beside_it() {
    for (older, late) in [(None, false), (None, true), (Some("older"), false), (Some("older"), true)] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        if let Some(older) = older {
            wharf.bucket.insert("acme/small", older);
        }
        let (small, large) = (client.create("/small").await, client.create("/large").await);
        client.write(&small, 0, "the new one").await.unwrap();
        client.write_all(&large, 0, &content(1, 9 * MIB)).await.unwrap();
        let open = client.send(request::open("/small", OpenFlags::READ)).await;
        let rename = client.send(request::posix_rename("/large", "/target")).await;
        if late {
            assert_eq!(client.handle(open).await.is_ok(), older.is_some());
            assert_eq!(client.status(rename).await.unwrap_err().code, StatusCode::NoSuchFile);
        }
        client.close(&small).await.unwrap();
        client.close(&large).await.unwrap();
        if late {
            assert_eq!(wharf.bucket.keys(), ["acme/large", "acme/small"]);
            continue;
        }
        let handle = client.handle(open).await.unwrap();
        assert_eq!(client.read(&handle, 0, 100).await.unwrap(), "the new one");
        client.status(rename).await.unwrap();
        assert_eq!(wharf.bucket.keys(), ["acme/small", "acme/target"]);
    }
}

// S130: If no file has the name but the one that the session is uploading, REMOVE and RENAME are about that one: it …
#[tokio::test(start_paused = true)]
async fn what_is_removed_or_renamed_before_its_close_does_not_appear_or_elsewhere() {
    for large in [false, true] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        wharf.bucket.insert("acme/target", "older");
        let removed = client.create("/removed").await;
        let bytes = if large { 20 * MIB } else { 10 };
        client.write_all(&removed, 0, &content(1, bytes)).await.unwrap();
        client.order(request::remove("/removed")).await.unwrap();
        assert_eq!(client.stat("/removed").await.unwrap_err().code, StatusCode::NoSuchFile);
        assert_eq!(client.order(request::remove("/removed")).await.unwrap_err().code, StatusCode::NoSuchFile);

        let renamed = client.create("/renamed").await;
        client.write(&renamed, 0, "as ").await.unwrap();
        assert_eq!(client.order(request::rename("/renamed", "/target")).await.unwrap_err().code, StatusCode::Failure);
        client.order(request::posix_rename("/renamed", "/target")).await.unwrap();
        assert_eq!(client.stat("/renamed").await.unwrap_err().code, StatusCode::NoSuchFile);
        assert_eq!(client.stat("/target").await.unwrap().size, Some(3));
        let again = client.create("/renamed").await;
        client.write(&again, 0, "another").await.unwrap();
        let expected = if large { content(2, 20 * MIB) } else { "as it was".into() };
        client.write_all(&renamed, 0, &expected).await.unwrap();

        client.write(&removed, bytes as u64, "more").await.unwrap();
        for handle in [&removed, &renamed, &again] {
            client.close(handle).await.unwrap();
        }
        assert_eq!(wharf.bucket.keys(), ["acme/renamed", "acme/target"]);
        wharf.assert_stored("/target", &expected);
        wharf.assert_stored("/renamed", b"another");
        assert_eq!(client.stat("/target").await.unwrap().size, Some(expected.len() as u64));
        client.vanish();
        wharf.assert_nothing_left().await;
    }
}

// S130: If no file has the name but the one that the session is uploading, REMOVE and RENAME are about that one: it …
#[tokio::test(start_paused = true)]
async fn what_was_renamed_replaces_what_its_rename_may_replace() {
    let exclusive = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    wharf.bucket.insert("acme/target", "older");
    let handle = client.open("/temporary", exclusive).await.unwrap();
    client.write(&handle, 0, "new").await.unwrap();
    client.order(request::posix_rename("/temporary", "/target")).await.unwrap();
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/target", b"new");

    let handle = client.create("/temporary").await;
    client.write(&handle, 0, "mine").await.unwrap();
    client.order(request::rename("/temporary", "/free")).await.unwrap();
    wharf.bucket.insert("acme/free", "somebody else's");
    assert_eq!(client.close(&handle).await.unwrap_err().sentence, "a file or directory of this name exists already");
    wharf.assert_stored("/free", b"somebody else's");
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn a_close_behind_a_rename_comes_before_what_is_done_under_the_new_name() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    client.write(&handle, 0, "abc").await.unwrap();
    let hold = wharf.bucket.hold(Verb::Put, Request);
    let requests = [
        client.send(request::posix_rename("/a", "/b")).await,
        client.send(request::close(&handle)).await,
        client.send(request::posix_rename("/b", "/c")).await,
        client.send(request::remove("/c")).await,
    ];
    run_ready_tasks().await;
    assert!(!client.incoming.is_answered(requests[2]).await);
    drop(hold);
    for id in requests {
        client.status(id).await.unwrap();
    }
    assert!(wharf.bucket.keys().is_empty());
}

// S130: If no file has the name but the one that the session is uploading, REMOVE and RENAME are about that one: it …
#[tokio::test(start_paused = true)]
async fn a_renamed_upload_continues_under_its_new_name_and_a_removed_one_ends() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (removed, renamed) = (client.create("/removed").await, client.create("/renamed").await);
    client.order(request::rename("/renamed", "/target")).await.unwrap();
    for handle in [&removed, &renamed] {
        client.write_all(handle, 0, &content(1, 20 * MIB)).await.unwrap();
    }
    client.order(request::remove("/removed")).await.unwrap();
    client.vanish();
    run_ready_tasks().await;
    let mut client = wharf.connect().await;
    assert_eq!(client.stat("/target").await.unwrap().size, Some(16 * MIB as u64));
    for path in ["/removed", "/renamed"] {
        assert_eq!(client.stat(path).await.unwrap_err().code, StatusCode::NoSuchFile);
    }
    client.vanish();
    wharf.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_what_came_before_it() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "old");
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    client.write(&handle, 0, "new").await.unwrap();
    let hold = wharf.bucket.hold(Verb::Head, Request);
    let remove = client.send(request::remove("/a")).await;
    let close = client.send(request::close(&handle)).await;
    assert!(!client.incoming.is_answered(close).await);
    drop(hold);
    client.status(remove).await.unwrap();
    client.status(close).await.unwrap();
    wharf.assert_stored("/a", b"new");
}

// S105: Requests that a client sends without waiting have the result that they would have one after the other, as …
#[tokio::test(start_paused = true)]
async fn chains_of_renames_keep_their_order() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "first");
    wharf.bucket.insert("acme/b", "second");
    let hold = wharf.bucket.hold(Verb::Copy, Request);
    let mut client = wharf.connect().await;
    let mut chain = Vec::new();
    // Swaps a and b, then swaps them back, eleven and a half times.
    for (source, target) in [("/a", "/c"), ("/b", "/a"), ("/c", "/b")].into_iter().cycle().take(23 * 3) {
        chain.push(client.send(request::rename(source, target)).await);
    }
    run_ready_tasks().await;
    drop(hold);
    for id in chain {
        client.status(id).await.unwrap();
    }
    wharf.assert_stored("/a", b"second");
    wharf.assert_stored("/b", b"first");
    assert_eq!(wharf.bucket.keys().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn directories_are_made_before_what_is_put_into_them_and_emptied_before_they_go() {
    let wharf = Wharf::start();
    let hold = wharf.bucket.hold(Verb::Put, Request);
    let mut client = wharf.connect().await;
    let mkdir = client.send(request::mkdir("/d")).await;
    let again = client.send(request::mkdir("/d")).await;
    let onto = client.send(request::open("/d", harness::CREATE)).await;
    let inside = client.send(request::mkdir("/d/e")).await;
    let full = client.send(request::rmdir("/d")).await;
    let rmdirs = [client.send(request::rmdir("/d/e")).await, client.send(request::rmdir("/d")).await];
    let gone = client.send(request::stat("/d")).await;
    run_ready_tasks().await;
    drop(hold);
    client.status(mkdir).await.unwrap();
    assert_eq!(client.status(again).await.unwrap_err().code, StatusCode::Failure);
    assert_eq!(client.handle(onto).await.unwrap_err().sentence, "this is a directory");
    client.status(inside).await.unwrap();
    assert_eq!(client.status(full).await.unwrap_err().sentence, "the directory is not empty");
    for id in rmdirs {
        client.status(id).await.unwrap();
    }
    assert_eq!(client.attrs(gone).await.unwrap_err().code, StatusCode::NoSuchFile);
}

#[tokio::test(start_paused = true)]
async fn independent_requests_run_beside_each_other_64_at_a_time() {
    let wharf = Wharf::start();
    let hold = wharf.bucket.hold(Verb::Head, Request);
    let mut client = wharf.connect().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        wharf.bucket.insert(&format!("acme/{number}"), "x");
        ids.push(client.send(request::stat(&format!("/{number}"))).await);
    }
    run_ready_tasks().await;
    assert_eq!(wharf.bucket.count(Verb::Head), 64);
    drop(hold);
    for id in ids {
        client.attrs(id).await.unwrap();
    }
}
