//! READ on a handle that is open for reading and writing. It waits for the memory of its reply. Neither the connection
//! nor the upload waits long for a client that doesn't read replies.

use super::{
    harness::{CREATE, SftpClient, Wharf},
    *,
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;
use wharfinger::{
    sftp::{
        channel::ChannelSettings,
        wire::{Handle, OpenFlags, StatusCode},
    },
    testing::bucket::{Moment::Request, Verb},
};

const FILE_BYTES: usize = 7 * MIB;
const READ_BYTES: usize = 200_000;
const BUSY: &str = "the server is busy, try again later";

/// Opens a file for reading and writing, and writes bytes that stay in the server's memory.
async fn written(client: &mut SftpClient, path: &str) -> (Handle, Bytes) {
    let handle = client.open(path, CREATE | OpenFlags::READ).await.unwrap();
    let content = content(1, FILE_BYTES);
    client.write_all(&handle, 0, &content).await.unwrap();
    (handle, content)
}

async fn send_reads(client: &mut SftpClient, handle: &Handle, count: usize, length: usize) -> Vec<u32> {
    let mut reads = Vec::new();
    for _ in 0..count {
        reads.push(client.send(request::read(handle, 0, u32::try_from(length).unwrap())).await);
    }
    reads
}

/// Returns the number of READs that got their bytes. The others must have been refused as busy.
async fn served(client: &mut SftpClient, reads: Vec<u32>, bytes: &[u8]) -> usize {
    let mut served = 0;
    for id in reads {
        match client.data(id).await {
            Ok(data) => {
                assert!(data == bytes);
                served += 1;
            }
            Err(refusal) => assert_eq!(refusal, StatusError { code: StatusCode::Failure, sentence: BUSY.into() }),
        }
    }
    served
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn reads_that_are_more_than_a_channel_may_have_on_its_way_are_all_answered() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (handle, content) = written(&mut client, "/a").await;
    let reads = send_reads(&mut client, &handle, 100, READ_BYTES).await;
    run_ready_tasks().await;
    let order = client.incoming.order.len();
    assert_eq!(served(&mut client, reads.clone(), &content[..READ_BYTES]).await, 100);
    assert_eq!(client.incoming.order[order..], reads);
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &content);
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn a_download_on_the_same_channel_takes_no_reply_from_a_handle_that_writes() {
    let wharf = Wharf::with(Setup { sparse_bytes: 64 << 20, ..Setup::default() });
    let mut client = wharf.connect().await;
    let (handle, content) = written(&mut client, "/a").await;
    let download = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let mut downloaded = Vec::new();
    for number in 0..100 {
        downloaded.push(client.send(request::read(&download, number * 200_000, 200_000)).await);
    }
    let reads = send_reads(&mut client, &handle, 10, 1).await;
    run_ready_tasks().await;
    for id in downloaded {
        client.data(id).await.unwrap();
    }
    assert_eq!(served(&mut client, reads, &content[..1]).await, 10);
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn uploads_of_others_that_hold_all_memory_take_no_reply_from_a_handle_that_writes() {
    let wharf = Wharf::with(Setup { budget_bytes: (5 * (50 + 2)) << 20, ..Setup::default() });
    let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
    let (handle, content) = written(&mut client, "/a").await;
    for number in 0..50 {
        let upload = other.create(&format!("/{number}")).await;
        other.write(&upload, 0, "x").await.unwrap();
    }
    let waiting = other.send(request::open("/waiting", CREATE)).await;
    assert!(!other.incoming.is_answered(waiting).await, "all memory is held");
    let reads = send_reads(&mut client, &handle, 100, READ_BYTES).await;
    run_ready_tasks().await;
    assert_eq!(served(&mut client, reads, &content[..READ_BYTES]).await, 100);
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn an_upload_waits_once_for_a_client_that_does_not_read() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (handle, content) = written(&mut client, "/a").await;
    let reads = send_reads(&mut client, &handle, 1000, READ_BYTES).await;
    client.send(request::write(&handle, 0, content.slice(..10))).await;
    let since = Instant::now();
    let close = client.send(request::close(&handle)).await;
    let before = ChannelSettings::default().upload_wait.saturating_sub(Duration::from_millis(1));
    tokio::time::sleep(before).await;
    assert_eq!(wharf.bucket.bytes("acme/a"), None);
    while wharf.bucket.bytes("acme/a").is_none() {
        run_ready_tasks().await;
    }
    assert!(since.elapsed() < ChannelSettings::default().upload_wait + Duration::from_secs(1), "{:?}", since.elapsed());
    let served = served(&mut client, reads, &content[..READ_BYTES]).await;
    assert!((1..=21).contains(&served), "{served}");
    client.status(close).await.unwrap();
    wharf.assert_stored("/a", &content);
}

// S134: READ on a handle that writes waits for the memory of its reply, as long as a WRITE waits for upload memory, and …
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_and_writes_and_takes_no_reply_does_not_stop_its_connection() {
    for budget_bytes in [256 << 20, 5 << 20] {
        let wharf = Wharf::with(Setup { budget_bytes, ..Setup::default() });
        let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
        let handle = client.open("/a", CREATE | OpenFlags::READ).await.unwrap();
        let content = content(1, 4 * MIB);
        client.write_all(&handle, 0, &content).await.unwrap();
        let (since, piece) = (Instant::now(), READ_BYTES);
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for number in 0..400 {
            reads.extend(send_reads(&mut client, &handle, 1, piece).await);
            let start = number % (content.len() / piece) * piece;
            let write = request::write(&handle, start as u64, content.slice(start..start + piece));
            writes.push(client.send(write).await);
            assert!(wharf.budget.used() <= (40 << 20).min(budget_bytes), "{}", wharf.budget.used());
        }
        let download = client.send(request::open("/none", OpenFlags::READ)).await;
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        other.stat("/").await.unwrap();

        assert_eq!(client.handle(download).await.unwrap_err().code, StatusCode::NoSuchFile);
        for id in writes {
            client.status(id).await.unwrap();
        }
        let served = served(&mut client, reads, &content[..piece]).await;
        assert!(served < 400, "some had to make way for WRITEs");
        client.close(&handle).await.unwrap();
        wharf.assert_stored("/a", &content);
    }
}

/// The WRITEs of another handle wait for storage and hold up the connection. No READ needs to make way for them.
#[tokio::test(start_paused = true)]
async fn a_read_without_writes_behind_it_does_not_make_way() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (handle, content) = written(&mut client, "/a").await;
    let reads = send_reads(&mut client, &handle, 40, READ_BYTES).await;
    let other = client.create("/b").await;
    run_ready_tasks().await;
    let hold = wharf.bucket.hold(Verb::CreateUpload, Request);
    let more = content.repeat(8);
    let release = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(hold);
    };
    let send = async {
        let mut writes = Vec::new();
        for (number, piece) in more.chunks(READ_BYTES).enumerate() {
            let write = request::write(&other, (number * READ_BYTES) as u64, piece.to_vec());
            writes.push(client.send(write).await);
        }
        writes
    };
    let since = Instant::now();
    let (writes, ()) = tokio::join!(send, release);
    assert!(since.elapsed() >= Duration::from_secs(1), "the connection was held up");
    for id in writes {
        client.status(id).await.unwrap();
    }
    assert_eq!(served(&mut client, reads, &content[..READ_BYTES]).await, 40);
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn a_close_behind_reads_that_wait_is_carried_out_when_the_client_is_gone() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (handle, content) = written(&mut client, "/a").await;
    send_reads(&mut client, &handle, 100, READ_BYTES).await;
    client.send(request::close(&handle)).await;
    run_ready_tasks().await;
    client.vanish();
    wharf.assert_nothing_left().await;
    wharf.assert_stored("/a", &content);
}
