//! Two channels that create one file with EXCL, as programs do that use a file as a lock.

use super::{
    harness::{CREATE, SftpClient, SftpResult, StatusError, Wharf},
    *,
};
use std::time::Duration;
use tokio::time::sleep;
use wharfinger::sftp::{
    channel::ChannelSettings,
    wire::{Attrs, Handle, OpenFlags, StatusCode},
};

async fn lock(client: &mut SftpClient) -> SftpResult<Handle> {
    client.open("/lock", CREATE | OpenFlags::EXCLUSIVE).await
}

fn failure(sentence: &str) -> StatusError {
    StatusError { code: StatusCode::Failure, sentence: sentence.into() }
}

async fn assert_refused(client: &mut SftpClient) {
    let refused = lock(client).await.unwrap_err();
    assert_eq!(refused, failure("a file or directory of this name exists already"));
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
// S173: Until its CLOSE others don't see a file that is created with EXCL: STAT and listings don't show it, and OPEN …
#[tokio::test(start_paused = true)]
async fn another_channel_is_refused_until_the_close() {
    let wharf = Wharf::start();
    let (mut one, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = lock(&mut one).await.unwrap();
    wharf.requested();
    assert_refused(&mut other).await;
    assert_eq!(wharf.requested(), []);
    assert_eq!(other.stat("/lock").await.unwrap_err().code, StatusCode::NoSuchFile);
    one.close(&handle).await.unwrap();
    assert_refused(&mut other).await;
    other.order(request::remove("/lock")).await.unwrap();
    let handle = lock(&mut other).await.unwrap();
    other.close(&handle).await.unwrap();
}

// S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
#[tokio::test(start_paused = true)]
async fn a_lock_ends_with_its_connection() {
    for size in [0, 3, 20 * MIB] {
        let wharf = Wharf::start();
        let (mut one, mut other) = (wharf.connect().await, wharf.connect().await);
        let handle = lock(&mut one).await.unwrap();
        one.write_all(&handle, 0, &content(1, size)).await.unwrap();
        assert_refused(&mut other).await;
        one.vanish();
        run_ready_tasks().await;
        lock(&mut other).await.unwrap();
    }
}

// S176: REMOVE of that name by another session, of whatever node, ends the lock and answers OK: the holder's CLOSE then …
#[tokio::test(start_paused = true)]
async fn who_removes_a_lock_takes_it_from_its_holder_who_hears_of_it_at_its_close() {
    let wharf = Wharf::start();
    let (mut one, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = lock(&mut one).await.unwrap();
    one.write(&handle, 0, "mine").await.unwrap();
    other.order(request::remove("/lock")).await.unwrap();
    assert_eq!(other.order(request::remove("/lock")).await.unwrap_err().code, StatusCode::NoSuchFile);
    let theirs = lock(&mut other).await.unwrap();
    let sentence = "another session removed this file before it was stored, or is creating it too: nothing was stored";
    assert_eq!(one.close(&handle).await.unwrap_err(), failure(sentence));
    assert!(wharf.bucket.keys().is_empty());
    other.close(&theirs).await.unwrap();
    wharf.assert_stored("/lock", b"");
}

// S179: A holder that stored nothing, and sent nothing on the handle for `idle_timeout`, loses the lock. Its CLOSE takes …
#[tokio::test(start_paused = true)]
async fn a_handle_on_which_nothing_is_sent_loses_its_lock() {
    let limit = ChannelSettings::default().idle_timeout;
    let wharf = Wharf::start();
    let (mut one, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = lock(&mut one).await.unwrap();
    for _ in 0..3 {
        sleep(limit * 9 / 10).await;
        assert_refused(&mut other).await;
        one.fstat(&handle).await.unwrap();
    }
    // Requests by path don't name the handle, so they don't keep its lock.
    for _ in 0..2 {
        sleep(limit * 9 / 20).await;
        assert_refused(&mut other).await;
        one.stat("/lock").await.unwrap();
        let attrs = Attrs { permissions: Some(0o600), ..Attrs::default() };
        one.order(request::set_stat("/lock", attrs)).await.unwrap();
    }
    sleep(limit / 10 + Duration::from_secs(1)).await;
    let theirs = lock(&mut other).await.unwrap();
    assert!(one.close(&handle).await.is_err());
    other.close(&theirs).await.unwrap();
    wharf.assert_stored("/lock", b"");
    // A holder that has stored a part keeps its lock.
    other.order(request::remove("/lock")).await.unwrap();
    let handle = lock(&mut one).await.unwrap();
    one.write_all(&handle, 0, &content(1, 20 * MIB)).await.unwrap();
    sleep(limit * 2).await;
    assert_refused(&mut other).await;
    one.close(&handle).await.unwrap();
    wharf.assert_stored("/lock", &content(1, 20 * MIB));
}
