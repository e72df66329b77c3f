//! The limits of a connection, which its channels share, and those of a tenant, which its connections share. Each is
//! reached exactly, and is free again when the clients have vanished.

use super::{
    harness::{CREATE, UserConnection, Wharf},
    *,
};
use bytes::Bytes;
use std::time::Duration;
use wharfinger::sftp::{
    channel::Ended,
    wire::{Handle, OpenFlags, Request, StatusCode},
};

const CHANNELS: usize = 10;
const HANDLES: usize = 256;
const REQUESTS: usize = 4096;
const FULL_CONNECTIONS: usize = 16;

/// A server with a small file of each of two tenants.
fn wharf() -> Wharf {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    wharf.bucket.insert("globex/a", "abc");
    wharf
}

async fn ten_channels(wharf: &Wharf, connection: &UserConnection) -> Vec<SftpClient> {
    let mut channels = Vec::new();
    for _ in 0..CHANNELS {
        channels.push(wharf.connect_on(connection).await);
    }
    channels
}

/// Connections of acme, with a channel each.
async fn connections(wharf: &Wharf, count: usize) -> Vec<(SftpClient, UserConnection)> {
    let mut connections = Vec::new();
    for number in 0..count {
        let connection = wharf.log_in(&format!("acme{number}"), "acme");
        connections.push((wharf.connect_on(&connection).await, connection));
    }
    connections
}

async fn open(client: &mut SftpClient) -> SftpResult<Handle> {
    client.open("/a", OpenFlags::READ).await
}

fn refusal(sentence: &str) -> StatusError {
    StatusError { code: StatusCode::Failure, sentence: sentence.into() }
}

/// Sends requests in turn on the channels until a channel is ended. Returns the number of accepted ones, and the reason.
async fn flood(channels: &mut [SftpClient], request: impl Fn(usize, u32) -> Request) -> (usize, Ended) {
    let mut sent = 0;
    loop {
        let number = sent % channels.len();
        match channels[number].try_send(|id| request(sent, id)).await {
            Ok(_) => sent += 1,
            Err(ended) => return (sent, ended),
        }
    }
}

// S107: A connection has at most 256 open handles on all its channels, and the connections of a tenant have at most 4,096.
#[tokio::test(start_paused = true)]
async fn ten_channels_of_a_connection_have_256_handles_together() {
    let wharf = wharf();
    let (connection, other) = (wharf.log_in("one", "acme"), wharf.log_in("other", "globex"));
    let mut channels = ten_channels(&wharf, &connection).await;
    let mut first = None;
    for number in 0..HANDLES {
        let handle = open(&mut channels[number % CHANNELS]).await.unwrap();
        first.get_or_insert(handle);
    }
    for channel in &mut channels {
        assert_eq!(open(channel).await.unwrap_err(), refusal("too many open handles: close some first"));
    }
    open(&mut wharf.connect_on(&other).await).await.unwrap();
    channels[0].close(&first.unwrap()).await.unwrap();
    open(&mut channels[9]).await.unwrap();
    assert!(open(&mut channels[0]).await.is_err());
    // A channel's handles are free again when it ends.
    channels.pop();
    for _ in 0..=HANDLES / CHANNELS {
        open(&mut channels[0]).await.unwrap();
    }
    assert!(open(&mut channels[0]).await.is_err());
}

// S107: A connection has at most 256 open handles on all its channels, and the connections of a tenant have at most 4,096.
#[tokio::test(start_paused = true)]
async fn seventeen_connections_of_a_tenant_reach_its_limit_of_handles() {
    let wharf = wharf();
    let other = wharf.log_in("other", "globex");
    for _ in 0..2 {
        let mut full = connections(&wharf, FULL_CONNECTIONS + 1).await;
        let (mut last, _connection) = full.pop().unwrap();
        let mut handle = None;
        for (client, _) in &mut full {
            for _ in 0..HANDLES {
                handle = Some(open(client).await.unwrap());
            }
        }
        let sentence = "too many open handles in all sessions of the tenant: close some first";
        assert_eq!(open(&mut last).await.unwrap_err(), refusal(sentence));
        open(&mut wharf.connect_on(&other).await).await.unwrap();
        full[FULL_CONNECTIONS - 1].0.close(&handle.unwrap()).await.unwrap();
        open(&mut last).await.unwrap();
        assert_eq!(open(&mut full[FULL_CONNECTIONS - 1].0).await.unwrap_err(), refusal(sentence));
        drop((full, last));
        wharf.drained().await;
    }
}

// S201: A connection has at most 4,096 requests without a reply on all its channels, READs of a file and WRITEs aside. A …
#[tokio::test(start_paused = true)]
async fn ten_channels_of_a_connection_have_4096_requests_together() {
    let wharf = wharf();
    let (connection, other) = (wharf.log_in("one", "acme"), wharf.log_in("other", "globex"));
    for _ in 0..2 {
        let mut channels = ten_channels(&wharf, &connection).await;
        let flood = flood(&mut channels, |_, id| request::lstat("/a")(id)).await;
        assert_eq!(flood, (REQUESTS, Ended::TooManyRequests));
        wharf.connect_on(&other).await.stat("/a").await.unwrap();
        // A reply that is read makes room for a request on another channel.
        run_ready_tasks().await;
        assert!(channels[9].incoming.receive().await);
        channels[0].try_send(request::lstat("/a")).await.unwrap();
        drop(channels);
        wharf.drained().await;
    }
}

// S202: The connections of a tenant have at most 65,536 requests without a reply. A connection that sends one more is …
#[tokio::test(start_paused = true)]
async fn seventeen_connections_of_a_tenant_reach_its_limit_of_requests() {
    let wharf = wharf();
    let other = wharf.log_in("other", "globex");
    for _ in 0..2 {
        let mut full = connections(&wharf, FULL_CONNECTIONS + 1).await;
        let (mut last, _connection) = full.pop().unwrap();
        for (client, _) in &mut full {
            for _ in 0..REQUESTS {
                client.try_send(request::real_path("/a")).await.unwrap();
            }
        }
        let ended = last.try_send(request::real_path("/a")).await.unwrap_err();
        assert_eq!(ended, Ended::TooManyRequestsOfTenant);
        wharf.connect_on(&other).await.stat("/a").await.unwrap();
        drop(full);
        wharf.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_channels_of_a_connection_have_4096_scattered_reads_together() {
    let wharf = wharf();
    let connection = wharf.log_in("one", "acme");
    for _ in 0..2 {
        let mut channels = ten_channels(&wharf, &connection).await;
        let read = |number, id| request::read(&Handle::from(7), 7 * number as u64, 3)(id);
        assert_eq!(flood(&mut channels, read).await, (4096, Ended::TooManyReads));
        drop(channels);
        wharf.drained().await;
    }
}

/// A reply counts 256 bytes at least, because its place in the queue takes so much.
#[tokio::test(start_paused = true)]
async fn ten_channels_of_a_connection_have_4_mib_of_small_replies_together() {
    let wharf = wharf();
    let connection = wharf.log_in("one", "acme");
    for _ in 0..2 {
        let mut channels = ten_channels(&wharf, &connection).await;
        let write = |_, id| request::write(&Handle::from(7), 0, Bytes::from_static(b"x"))(id);
        assert_eq!(flood(&mut channels, write).await, ((4 << 20) / 256 + 1, Ended::RepliesUnread));
        drop(channels);
        wharf.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn listings_that_nobody_reads_are_bounded_over_ten_channels() {
    let wharf = Wharf::with(Setup { many_names: 100_000, ..Setup::default() });
    let connection = wharf.log_in("one", "acme");
    let mut channels = ten_channels(&wharf, &connection).await;
    for client in &mut channels {
        for _ in 0..2 {
            let id = client.send(request::open_dir("/many")).await;
            let handle = client.handle(id).await.unwrap();
            for _ in 0..10 {
                client.send(request::read_dir(&handle)).await;
            }
        }
    }
    run_ready_tasks().await;
    let (shared, lanes) = (4 << 20, CHANNELS as u64 * (32 << 10));
    // Each of the listings has two pages.
    let pages = 2 * 130_000 * 2 * CHANNELS as u64;
    assert!((shared..=shared + lanes + pages).contains(&wharf.budget.used()), "{}", wharf.budget.used());
    drop(channels);
    wharf.assert_nothing_left().await;
}

// S206: The pages of listings count as memory of the tenant. …
#[tokio::test(start_paused = true)]
async fn directories_that_are_opened_and_not_read_take_no_more_memory_than_their_tenant_may() {
    let budget_bytes = 32 << 20;
    let share_bytes = (budget_bytes + budget_bytes / 15) / 4 * 3;
    let wharf = Wharf::with(Setup { many_names: 3000, budget_bytes, ..Setup::default() });
    let mut connections = connections(&wharf, 10).await;
    let (mut opened, mut most) = (Vec::new(), 0);
    for (client, _) in &mut connections {
        for _ in 0..HANDLES {
            opened.push(client.send(request::open_dir("/many")).await);
            run_ready_tasks().await;
            most = wharf.budget.used().max(most);
        }
    }
    assert!((share_bytes / 2..=share_bytes).contains(&most), "{most}");
    // The pages that were fetched before are dropped, and a directory can still be read.
    let (client, _) = &mut connections[0];
    let handle = client.handle(opened[0]).await.unwrap();
    let (mut listed, mut most) = (0, 0);
    loop {
        let id = client.send(request::read_dir(&handle)).await;
        let Ok(names) = client.names(id).await else { break };
        listed += names.len();
        most = wharf.budget.used().max(most);
    }
    assert_eq!(listed, 3002);
    assert!(most <= share_bytes, "{most}");
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(wharf.budget.used(), 0);
    drop(connections);
    wharf.assert_nothing_left().await;
}

/// The memory of requests and replies beside the budget, in a server with little.
const REQUEST_MEMORY: u64 = 64 << 20;
/// The longest frame that a client may send.
const LONG_FRAME_BYTES: usize = 263_168;

/// The beginning of a WRITE, whose last byte is missing.
fn almost_a_write() -> Vec<u8> {
    let length = u32::try_from(LONG_FRAME_BYTES).unwrap().to_be_bytes();
    [&length[..], &[6], &vec![0; LONG_FRAME_BYTES - 2]].concat()
}

// S209: Requests and replies that can't wait for their tenant's memory take a quarter as much as the server's memory beside …
#[tokio::test(start_paused = true)]
async fn half_sent_requests_without_memory_end_the_largest_connection() {
    let wharf = Wharf::with(Setup { budget_bytes: 0, ..Setup::default() });
    let (other, frame) = (wharf.log_in("other", "globex"), almost_a_write());
    let mut honest = wharf.connect_on(&other).await;
    honest.inbound.feed(&frame).await.unwrap();
    for _ in 0..2 {
        let (mut connections, mut ended) = (Vec::new(), 0);
        for number in 0..40 {
            let connection = wharf.log_in(&format!("acme{number}"), "acme");
            let mut channels = ten_channels(&wharf, &connection).await;
            for client in &mut channels {
                let fed = client.inbound.feed(&frame).await;
                assert!(matches!(fed, Ok(()) | Err(Ended::OutOfMemory)));
            }
            connections.push((channels, connection));
            // The server drops a connection that must end.
            for number in (0..connections.len()).rev() {
                if connections[number].0[0].inbound.feed(&[]).await == Err(Ended::OutOfMemory) {
                    connections.remove(number);
                    ended += 1;
                }
            }
            let bytes = wharf.budget.request_bytes();
            assert!(bytes <= REQUEST_MEMORY, "{bytes}");
        }
        assert!(connections.len() > 20 && ended == 40 - connections.len(), "{ended}");
        drop(connections);
        wharf.drained().await;
        assert_eq!(wharf.budget.request_bytes(), 4 << 16, "the other tenant's frame");
    }
    // The rest of its WRITE makes it whole: it names no handle.
    honest.inbound.feed(&[0]).await.unwrap();
    drop(honest);
    wharf.assert_nothing_left().await;
}

// S203: A client that doesn't read its replies on one channel gets those on the other channels of its connection.
// S208: A READDIR whose page finds no memory for 30 s is told that the server is busy. The next one asks for the page …
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_not_read_stops_no_other_channel() {
    for budget_bytes in [256 << 20, 0] {
        let wharf = Wharf::with(Setup { budget_bytes, sparse_bytes: 64 << 20, ..Setup::default() });
        let content = content(1, 6 * MIB);
        wharf.bucket.insert("acme/a", content.clone());
        let connection = wharf.log_in("one", "acme");
        let mut channels = ten_channels(&wharf, &connection).await;
        let mut reads = Vec::new();
        let stalled = &mut channels[0];
        for _ in 0..10 {
            let handle = stalled.open("/sparse", OpenFlags::READ).await.unwrap();
            for number in 0..20 {
                reads.push(stalled.send(request::read(&handle, number * 200_000, 200_000)).await);
            }
        }
        run_ready_tasks().await;
        for client in &mut channels[1..] {
            assert!(client.fetch("/a").await.unwrap() == content, "{budget_bytes}");
            let listed = client.list("/").await;
            if budget_bytes == 0 {
                assert_eq!(listed.unwrap_err(), refusal("the server is busy, try again later"));
            } else {
                assert!(!listed.unwrap().is_empty());
                let both = client.open("/b", CREATE | OpenFlags::READ).await.unwrap();
                client.write_all(&both, 0, &content).await.unwrap();
                assert!(client.read(&both, 0, 200_000).await.unwrap() == content[..200_000]);
                client.close(&both).await.unwrap();
            }
        }
        for id in reads {
            assert_eq!(channels[0].data(id).await.unwrap().len(), 200_000);
        }
    }
}
