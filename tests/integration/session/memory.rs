//! Upload memory: a bound on waiting WRITEs, every admitted upload completes, and an upload that holds memory
//! without using it loses that memory to other uploads.

use super::{
    harness::{CREATE, SftpClient, Wharf},
    *,
};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use wharfinger::{
    account::RateLimits,
    sftp::{
        channel::Ended,
        wire::{Attrs, Handle, MAX_READ_BYTES, OpenFlags, Reply, StatusCode},
    },
    testing::bucket::{Moment::Request, Verb},
};

const UPLOADS: u8 = 64;
const UPLOAD_BYTES: usize = 6 * MIB + 123;
/// WRITEs in flight for each upload.
const IN_FLIGHT: usize = 4;

fn with_budget(budget_bytes: u64) -> Wharf {
    Wharf::with(Setup { budget_bytes, ..Setup::default() })
}

/// One of many uploads on a channel.
struct ConcurrentUpload {
    number: u8,
    handle: Option<Handle>,
    rest: Bytes,
    in_flight: usize,
}

/// Uploads all files concurrently, each as fast as its replies arrive.
async fn upload_all(client: &mut SftpClient, opens_first: bool) {
    let mut waiting: HashMap<u32, ConcurrentUpload> = HashMap::new();
    let mut numbers = 0..UPLOADS;
    let mut writes: HashMap<u32, u8> = HashMap::new();
    let mut open: HashMap<u8, ConcurrentUpload> = HashMap::new();
    let mut closing = Vec::new();
    let mut done = 0;
    let first = if opens_first { UPLOADS } else { 1 };
    for number in numbers.by_ref().take(first.into()) {
        begin(client, &mut waiting, number).await;
    }
    while done < UPLOADS {
        let reply = client.incoming.any().await;
        let id = reply.id().unwrap();
        let number = if let Some(mut transfer) = waiting.remove(&id) {
            let Reply::Handle { handle, .. } = reply else { panic!("{}: {reply:?}", transfer.number) };
            transfer.handle = Some(handle);
            let number = transfer.number;
            open.insert(number, transfer);
            number
        } else {
            assert_eq!(reply, Reply::ok(id));
            let Some(number) = writes.remove(&id) else {
                assert!(closing.contains(&id));
                done += 1;
                continue;
            };
            open.get_mut(&number).unwrap().in_flight -= 1;
            number
        };
        let transfer = open.get_mut(&number).unwrap();
        let handle = transfer.handle.clone().unwrap();
        while transfer.in_flight < IN_FLIGHT && !transfer.rest.is_empty() {
            let offset = UPLOAD_BYTES - transfer.rest.len();
            let data = transfer.rest.split_to(transfer.rest.len().min(MAX_READ_BYTES as usize));
            writes.insert(client.send(request::write(&handle, offset as u64, data)).await, number);
            transfer.in_flight += 1;
        }
        if transfer.in_flight == 0 {
            open.remove(&number);
            closing.push(client.send(request::close(&handle)).await);
        }
        if let Some(number) = numbers.next() {
            begin(client, &mut waiting, number).await;
        }
    }
}

async fn begin(client: &mut SftpClient, waiting: &mut HashMap<u32, ConcurrentUpload>, number: u8) {
    let id = client.send(request::open(&format!("/{number}"), CREATE)).await;
    let rest = content(number, UPLOAD_BYTES);
    waiting.insert(id, ConcurrentUpload { number, handle: None, rest, in_flight: 0 });
}

#[tokio::test(start_paused = true)]
async fn sixty_four_interleaved_uploads_get_through_a_budget_of_four_parts() {
    for opens_first in [false, true] {
        let wharf = with_budget(20 << 20);
        let mut client = wharf.connect().await;
        upload_all(&mut client, opens_first).await;
        for number in 0..UPLOADS {
            wharf.assert_stored(&format!("/{number}"), &content(number, UPLOAD_BYTES));
        }
        assert_eq!(wharf.budget.used(), 0);
        client.vanish();
        wharf.assert_nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_uploads_on_as_many_connections_get_through_the_same_budget() {
    let wharf = with_budget(20 << 20);
    let uploads = (0..UPLOADS).map(async |number| {
        let mut client = wharf.connect().await;
        client.put(&format!("/{number}"), &content(number, UPLOAD_BYTES)).await.unwrap();
    });
    join_all(uploads).await;
    for number in 0..UPLOADS {
        wharf.assert_stored(&format!("/{number}"), &content(number, UPLOAD_BYTES));
    }
    wharf.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_sessions_leave_the_budget_to_one_that_works() {
    let wharf = with_budget(5 << 20);
    let mut idle = Vec::new();
    for _ in 0..10_000 {
        idle.push(wharf.connect().await);
    }
    assert_eq!(wharf.budget.used(), 0);
    let mut client = wharf.connect().await;
    client.put("/a", &content(1, UPLOAD_BYTES)).await.unwrap();
    wharf.assert_stored("/a", &content(1, UPLOAD_BYTES));
    assert_eq!(client.path(request::real_path("x")).await.unwrap(), "/x");
    for mut session in idle {
        assert_eq!(session.path(request::real_path("y")).await.unwrap(), "/y");
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_of_several_sessions_share_the_smallest_budget() {
    let wharf = with_budget(5 << 20);
    let (mut one, mut two) = (wharf.connect().await, wharf.connect().await);
    let (first, second) = (content(1, 20 * MIB), content(2, 20 * MIB));
    let (one_done, two_done) = tokio::join!(one.put("/one", &first), two.put("/two", &second));
    one_done.unwrap();
    two_done.unwrap();
    wharf.assert_stored("/one", &first);
    wharf.assert_stored("/two", &second);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_arrived_in_part_is_in_the_budget_and_needs_none_of_it() {
    const FRAME_BYTES: u64 = 257 << 10;
    let wharf = with_budget(20 << 20);
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    let mut frame = BytesMut::new();
    request::write(&handle, 0, content(1, 250_000))(7).encode(&mut frame);
    let (first, rest) = frame.split_at(40_000);
    client.inbound.feed(first).await.unwrap();
    assert_eq!(wharf.budget.used(), FRAME_BYTES);
    client.inbound.feed(&rest[..100_000]).await.unwrap();
    assert_eq!(wharf.budget.used(), FRAME_BYTES, "once");
    client.inbound.feed(&rest[100_000..]).await.unwrap();
    client.status(7).await.unwrap();
    assert_eq!(wharf.budget.used(), 256 << 10, "the file's first block");
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &content(1, 250_000));

    // Other tenants have all but less than a frame.
    let mut charges = Vec::new();
    for number in 0..20 {
        let other = wharf.budget.of(&format!("tenant-{number}").parse().unwrap());
        charges.extend(std::iter::from_fn(|| other.charge(200 << 10)));
    }
    let used = wharf.budget.used();
    let mut channels = Vec::new();
    for _ in 0..10 {
        let mut client = wharf.connect().await;
        client.inbound.feed(first).await.unwrap();
        channels.push(client);
    }
    assert_eq!(wharf.budget.used(), used);
    for mut client in channels {
        client.inbound.feed(rest).await.unwrap();
        // No handle of this channel has that number.
        client.status(7).await.unwrap_err();
    }
    assert_eq!(wharf.budget.used(), used);
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn a_stalled_upload_gives_way_when_others_wait_for_its_memory() {
    let wharf = with_budget(5 << 20);
    let (mut stalled, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = stalled.create("/stalled").await;
    stalled.write_all(&handle, 0, &content(2, MIB)).await.unwrap();
    // This OPEN waits for ten seconds.
    let handle_of_other = other.create("/other").await;
    stalled.write(&handle, MIB as u64, content(2, 32 << 10)).await.unwrap();
    let since = Instant::now();
    let writes = async {
        // One after the other, because many at once would hold the connection up.
        for piece in 0..48 {
            other.write(&handle_of_other, piece * 200_000, content(1, 200_000)).await.unwrap();
        }
        other.close(&handle_of_other).await.unwrap();
        since.elapsed()
    };
    let requests = async {
        for second in 0..9 {
            stalled.fstat(&handle).await.unwrap();
            let attrs = Attrs { permissions: Some(0o600), ..Attrs::default() };
            stalled.order(request::fset_stat(&handle, attrs)).await.unwrap();
            // Nor are bytes that are written again.
            stalled.write(&handle, second, content(2, 32 << 10)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (waited, ()) = tokio::join!(writes, requests);
    assert!((10..=11).contains(&waited.as_secs()), "{waited:?}");
    let sentence = "the upload was abandoned: it made no progress while others waited for memory";
    let abandoned = StatusError { code: StatusCode::Failure, sentence: sentence.into() };
    assert_eq!(stalled.write(&handle, 3, "def").await, Err(abandoned.clone()));
    assert_eq!(stalled.fstat(&handle).await, Err(abandoned.clone()));
    assert_eq!(stalled.close(&handle).await, Err(abandoned));
    assert_eq!(wharf.bucket.keys(), ["acme/other"]);
    stalled.put("/stalled", &content(1, 3)).await.unwrap();
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn a_stalled_upload_that_nobody_waits_for_may_stay() {
    let wharf = with_budget(10 << 20);
    let (mut stalled, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = stalled.create("/stalled").await;
    stalled.write(&handle, 0, "abc").await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        other.put("/other", &content(1, 9 * MIB)).await.unwrap();
    }
    stalled.write(&handle, 3, "def").await.unwrap();
    stalled.close(&handle).await.unwrap();
    wharf.assert_stored("/stalled", b"abcdef");
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn a_write_that_waits_for_storage_has_a_minute() {
    let wharf = with_budget(5 << 20);
    let mut stalled = wharf.connect().await;
    // On another connection, which the WRITEs of this client hold up.
    let mut other = wharf.connect_on(&wharf.log_in("0123456789abcdef", "acme")).await;
    let handle = stalled.create("/stalled").await;
    let _hold = wharf.bucket.hold(Verb::CreateUpload, Request);
    let mut offset = 0;
    let last = loop {
        let write = stalled.send(request::write(&handle, offset, content(2, 200_000))).await;
        if !stalled.incoming.is_answered(write).await {
            break write;
        }
        stalled.status(write).await.unwrap();
        offset += 200_000;
    };
    let since = Instant::now();
    // The other one waits for 10 s at its OPEN and 40 s at its WRITE at most, and comes again.
    other.put("/other", &content(1, MIB)).await.unwrap_err();
    assert_eq!(since.elapsed().as_secs(), 50);
    assert!(!stalled.incoming.is_answered(last).await);
    other.put("/again", &content(1, MIB)).await.unwrap();
    // Parts on their way to S3 have 20 s more to arrive.
    assert!((80..=82).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    let sentence = "the upload was abandoned: it made no progress while others waited for memory";
    assert_eq!(stalled.status(last).await.unwrap_err().sentence, sentence);
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn a_read_that_waits_for_a_rate_has_a_minute() {
    const LENGTH: u32 = 200_000;
    let wharf = with_budget(5 << 20);
    let mut stalled = wharf.connect().await;
    let mut other = wharf.connect_on(&wharf.log_in("0123456789abcdef", "acme")).await;
    let handle = stalled.open("/stalled", CREATE | OpenFlags::READ).await.unwrap();
    stalled.write_all(&handle, 0, &content(2, MIB)).await.unwrap();
    wharf.set_rates(RateLimits { download_bytes: Some(1_000), ..RateLimits::default() });
    // The first READ uses the burst up, and the second one waits for minutes.
    stalled.read(&handle, 0, LENGTH).await.unwrap();
    let read = stalled.send(request::read(&handle, 0, LENGTH)).await;
    let since = Instant::now();
    while other.put("/other", &content(1, MIB)).await.is_err() {
        assert!(since.elapsed() < Duration::from_mins(2));
    }
    assert!((60..=62).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    let sentence = "the upload was abandoned: it made no progress while others waited for memory";
    assert_eq!(stalled.data(read).await.unwrap_err().sentence, sentence);
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_slowly_is_no_stall_and_neither_is_a_pause_before_others_waited() {
    let wharf = with_budget(5 << 20);
    let (mut slow, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = slow.create("/slow").await;
    slow.write_all(&handle, 0, &content(2, MIB)).await.unwrap();
    // This OPEN waits for ten seconds.
    let small = other.create("/other").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The pause was spared, so that any request begins a new time.
    slow.fstat(&handle).await.unwrap();
    let write = other.send(request::write(&small, 200_000, content(1, 200_000))).await;
    let mut frame = BytesMut::new();
    request::write(&handle, MIB as u64, content(3, 250_000))(7777).encode(&mut frame);
    for piece in frame.chunks(60_000) {
        tokio::time::sleep(Duration::from_secs(6)).await;
        slow.inbound.feed(piece).await.unwrap();
    }
    slow.status(7777).await.unwrap();
    assert!(!other.incoming.is_answered(write).await);
    slow.close(&handle).await.unwrap();
    other.status(write).await.unwrap();
    wharf.assert_stored("/slow", &[&content(2, MIB)[..], &content(3, 250_000)].concat());
}

// S109: A WRITE that finds no memory for `upload_wait` (40 s by default) is told that the server is busy, and the file …
#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_keeps_its_memory_and_others_are_told_that_the_server_is_busy() {
    let wharf = with_budget(5 << 20);
    let (mut slow, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = slow.create("/slow").await;
    slow.write_all(&handle, 0, &content(2, MIB)).await.unwrap();
    let small = other.create("/other").await;
    other.write(&small, 0, "a small file needs no other's memory").await.unwrap();
    let since = Instant::now();
    let write = other.send(request::write(&small, 200_000, content(1, 200_000))).await;
    for piece in 0..5 {
        assert!(!other.incoming.is_answered(write).await);
        slow.write(&handle, MIB as u64 + piece * (32 << 10), content(2, 32 << 10)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    let busy = "the server is busy, try again later";
    assert_eq!(other.status(write).await, Err(StatusError { code: StatusCode::Failure, sentence: busy.into() }));
    assert_eq!(since.elapsed().as_secs(), 40);
    other.close(&small).await.unwrap_err();
    slow.close(&handle).await.unwrap();
    assert_eq!(wharf.bucket.keys(), ["acme/slow"]);
    other.put("/other", &content(1, MIB)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_may_open_160_small_files_before_it_closes_the_first() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let mut handles = Vec::new();
    let opens: Vec<_> = send_opens(&mut client, 160).await;
    for (number, id) in opens.into_iter().enumerate() {
        handles.push((number, client.handle(id).await.unwrap()));
    }
    for (number, handle) in &handles {
        client.write(handle, 0, format!("file {number}")).await.unwrap();
    }
    for (number, handle) in handles {
        client.close(&handle).await.unwrap();
        wharf.assert_stored(&format!("/{number}"), format!("file {number}").as_bytes());
    }
    assert_eq!(wharf.budget.used(), 0);
}

/// Sends OPENs of `count` new files without waiting for their replies, and returns their ids.
async fn send_opens(client: &mut SftpClient, count: usize) -> Vec<u32> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(client.send(request::open(&format!("/{number}"), CREATE)).await);
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn opens_that_wait_for_memory_hold_up_nothing_that_could_free_it() {
    let wharf = with_budget(5 << 20);
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    let mut opens = vec![client.send(request::open("/a", CREATE)).await];
    for number in 0..100 {
        opens.push(client.send(request::open(&format!("/{number}"), CREATE)).await);
    }
    run_ready_tasks().await;
    let write = client.send(request::write(&handle, 0, "abc")).await;
    let fstat = client.send(request::fstat(&handle)).await;
    let stat = client.send(request::stat("/")).await;
    let close = client.send(request::close(&handle)).await;
    assert!(client.incoming.is_answered(close).await);
    client.status(write).await.unwrap();
    assert_eq!(client.attrs(fstat).await.unwrap().size, Some(3));
    client.attrs(stat).await.unwrap();
    client.status(close).await.unwrap();
    // Each admitted upload makes room for the next one.
    for id in opens {
        let handle = client.handle(id).await.unwrap();
        client.close(&handle).await.unwrap();
    }
    assert_eq!(wharf.bucket.keys().len(), 101);
}

#[tokio::test(start_paused = true)]
async fn downloads_that_nobody_reads_give_way_to_uploads() {
    let wharf = Wharf::with(Setup { budget_bytes: 20 << 20, sparse_bytes: 1 << 30, ..Setup::default() });
    let (mut stalled, mut other) = (wharf.connect().await, wharf.connect().await);
    for _ in 0..4 {
        let handle = stalled.open("/sparse", OpenFlags::READ).await.unwrap();
        for number in 0..100 {
            stalled.send(request::read(&handle, number * u64::from(MAX_READ_BYTES), MAX_READ_BYTES)).await;
        }
    }
    run_ready_tasks().await;
    let since = Instant::now();
    for number in 0..3 {
        other.put("/a", &content(number, 20 * MIB)).await.unwrap();
        wharf.assert_stored("/a", &content(number, 20 * MIB));
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

/// Sends WRITEs without end and reads no reply. Returns the bytes sent, and the reason for the end of the channel.
async fn flood(client: &mut SftpClient, handle: &Handle, length: usize) -> (u64, Ended) {
    let data = content(1, length);
    let mut sent_bytes = 0;
    loop {
        match client.try_send(request::write(handle, sent_bytes, data.clone())).await {
            Ok(_) => sent_bytes += length as u64,
            Err(ended) => return (sent_bytes, ended),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_storage_takes_nothing_a_channel_takes_in_a_bounded_amount_and_ends_after_a_minute() {
    // Parts of 8 MiB in flight, the next part with bytes that may lie behind a gap, 24.5 MiB of WRITEs, and one frame.
    let most_bytes = |in_flight: u64| (in_flight * 8 + 8 + 18 + 25 + 1) << 20;
    for (budget_bytes, least, most) in [
        (1 << 30, 128 << 20, most_bytes(16)),
        (64 << 20, 32 << 20, most_bytes(4)),
        (20 << 20, 5 << 20, 22 << 20),
        (5 << 20, 5 << 20, 7 << 20),
    ] {
        let wharf = with_budget(budget_bytes);
        let hold = wharf.bucket.hold(Verb::UploadPart, Request);
        let mut client = wharf.connect().await;
        let handle = client.create("/a").await;
        let since = Instant::now();
        let (sent_bytes, ended) = flood(&mut client, &handle, MAX_READ_BYTES as usize).await;
        assert_eq!((ended, since.elapsed().as_secs()), (Ended::UploadStalled, 60));
        assert!((least..=most).contains(&sent_bytes), "{sent_bytes} of {budget_bytes}");
        assert!(wharf.budget.used() <= budget_bytes);
        client.vanish();
        run_ready_tasks().await;
        drop(hold);
        wharf.assert_nothing_left().await;
        assert!(wharf.bucket.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn storage_that_recovers_in_time_loses_nothing() {
    for budget_bytes in [1 << 30, 5 << 20] {
        let wharf = with_budget(budget_bytes);
        let hold = wharf.bucket.hold(Verb::UploadPart, Request);
        let mut client = wharf.connect().await;
        let handle = client.create("/a").await;
        // More than the server takes in before S3 has the first part.
        let content = content(1, 200 * MIB);
        let release = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            drop(hold);
        };
        let piece = MAX_READ_BYTES as usize;
        let send = async {
            let mut ids = Vec::new();
            for start in (0..content.len()).step_by(piece) {
                let data = content.slice(start..content.len().min(start + piece));
                ids.push(client.send(request::write(&handle, start as u64, data)).await);
            }
            for id in ids {
                client.status(id).await.unwrap();
            }
            client.close(&handle).await.unwrap();
        };
        tokio::join!(release, send);
        wharf.assert_stored("/a", &content);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_writes_of_one_byte_lose_none() {
    let wharf = with_budget(40 << 20);
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    let content = content(1, 100_000);
    let mut ids = Vec::new();
    for (offset, byte) in content.chunks(1).enumerate() {
        ids.push(client.send(request::write(&handle, offset as u64, byte.to_vec())).await);
        assert!(wharf.budget.used() <= 20 << 20);
    }
    let close = client.send(request::close(&handle)).await;
    client.status(close).await.unwrap();
    for id in ids {
        client.status(id).await.unwrap();
    }
    wharf.assert_stored("/a", &content);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tiny_writes_is_bounded_too() {
    let wharf = with_budget(1 << 30);
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    let (sent, ended) = flood(&mut client, &handle, 1).await;
    assert_eq!(ended, Ended::RepliesUnread);
    assert!((100_000..400_000).contains(&sent), "{sent}");
}
