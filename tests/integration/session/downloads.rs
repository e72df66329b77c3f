//! READs in the patterns of real clients, including clients that don't read the replies. The bytes are right, and the
//! memory for prefetched bytes is bounded.

use super::{
    harness::{SftpClient, Wharf},
    *,
};
use bytes::Bytes;
use std::time::Duration;
use wharfinger::{
    sftp::wire::{Handle, MAX_READ_BYTES, OpenFlags, Reply, StatusCode},
    store,
    testing::bucket::{
        Moment::{Answer, Request},
        Verb,
    },
};

const GIB: u64 = 1 << 30;
/// Size of paramiko's READs.
const PARAMIKO_BYTES: u32 = 32_768;
/// Limit on the budget that a channel holds for one file: 4 MiB of replies, 40 MiB of prefetched ranges.
const MAX_CHANNEL_BYTES: u64 = 44 << 20;

/// Sends `count` consecutive READs of `length`, and receives no reply.
async fn prefetch(client: &mut SftpClient, handle: &Handle, count: u32, length: u32) -> Vec<u32> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(client.send(request::read(handle, u64::from(number) * u64::from(length), length)).await);
    }
    ids
}

fn sparse(budget_bytes: u64, sparse_bytes: u64) -> Wharf {
    Wharf::with(Setup { budget_bytes, sparse_bytes, ..Setup::default() })
}

/// Checks that the client can still upload and download other files.
async fn assert_works(client: &mut SftpClient) {
    let content = content(3, 9 * MIB);
    client.put("/beside", &content).await.unwrap();
    assert!(client.fetch("/beside").await.unwrap() == content);
}

#[tokio::test(start_paused = true)]
async fn openssh_s_64_reads_in_flight_bring_every_byte_however_little_memory_there_is() {
    let content = content(1, 30 * MIB + 7);
    for budget_bytes in [256 << 20, 6 << 20, 1 << 20, 0] {
        let wharf = Wharf::with(Setup { budget_bytes, ..Setup::default() });
        wharf.bucket.insert("acme/a", content.clone());
        let mut client = wharf.connect().await;
        assert!(client.fetch("/a").await.unwrap() == content, "{budget_bytes}");
        client.vanish();
        wharf.assert_nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_prefetch_of_10_gib_that_is_never_read_holds_a_bounded_amount() {
    let wharf = sparse(256 << 20, 10 * GIB);
    let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let reads = prefetch(&mut client, &handle, 327_680, PARAMIKO_BYTES).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(wharf.budget.used() <= MAX_CHANNEL_BYTES, "{} bytes", wharf.budget.used());
    assert!(wharf.sparse.gets().len() <= 6, "{:?}", wharf.sparse.gets());
    assert!(wharf.sparse.fetched_bytes() <= MAX_CHANNEL_BYTES);
    assert_works(&mut other).await;

    // The user cancels the download: CLOSE follows all the READs.
    let close = client.send(request::close(&handle)).await;
    client.status(close).await.unwrap();
    let (mut served, mut refused) = (0, 0);
    for id in reads {
        match client.reply(id).await {
            Reply::Data { pieces, .. } => {
                assert_eq!(pieces.concat().len(), PARAMIKO_BYTES as usize);
                served += 1;
            }
            Reply::Status { code: StatusCode::Failure, message, .. } => {
                assert_eq!(message, "Failure: the file was closed");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(served + refused, 327_680);
    assert!(served <= 1024 + 128, "{served} were served that nobody wants");
    client.vanish();
    other.vanish();
    wharf.assert_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_prefetch_is_served_in_order_as_it_is_read() {
    let wharf = Wharf::start();
    let content = content(1, 64 * MIB);
    wharf.bucket.insert("acme/a", content.clone());
    let mut client = wharf.connect().await;
    let handle = client.open("/a", OpenFlags::READ).await.unwrap();
    let reads = prefetch(&mut client, &handle, 2048, PARAMIKO_BYTES).await;
    for (id, start) in reads.into_iter().zip((0..content.len()).step_by(PARAMIKO_BYTES as usize)) {
        assert!(client.data(id).await.unwrap() == content[start..][..PARAMIKO_BYTES as usize], "{start}");
    }
    assert_eq!(wharf.requested(), [Verb::Read; 8]);
    client.close(&handle).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn four_thousand_reads_and_nothing_read_stop_nobody_else() {
    for length in [PARAMIKO_BYTES, MAX_READ_BYTES] {
        for budget_bytes in [64 << 20, 12 << 20] {
            let wharf = sparse(budget_bytes, 2 * GIB);
            let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
            let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
            let reads = prefetch(&mut client, &handle, 4000, length).await;
            run_ready_tasks().await;
            assert!(wharf.sparse.fetched_bytes() <= MAX_CHANNEL_BYTES + 64 * u64::from(length));
            assert_works(&mut other).await;
            for id in reads {
                assert_eq!(client.data(id).await.unwrap().len(), length as usize);
            }
            client.close(&handle).await.unwrap();
            client.vanish();
            other.vanish();
            wharf.assert_nothing_left().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_unwanted_reads_is_answered_and_so_are_they() {
    for length in [PARAMIKO_BYTES, MAX_READ_BYTES] {
        for budget_bytes in [64 << 20, 1 << 20, 0] {
            for read_before in [0, 100] {
                let wharf = sparse(budget_bytes, 2 * GIB);
                let mut client = wharf.connect().await;
                let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
                let reads = prefetch(&mut client, &handle, 3000, length).await;
                for id in &reads[..read_before] {
                    client.data(*id).await.unwrap();
                }
                run_ready_tasks().await;
                let fetched_bytes = wharf.sparse.fetched_bytes();
                let close = client.send(request::close(&handle)).await;
                client.status(close).await.unwrap();
                for id in &reads[read_before..] {
                    client.reply(*id).await;
                }
                let more = wharf.sparse.fetched_bytes() - fetched_bytes;
                assert!(more <= 64 << 20, "{more} bytes were fetched for nobody");
                client.vanish();
                wharf.assert_nothing_left().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_client_that_holds_all_it_can_stops_no_download() {
    for budget_bytes in [0, 2 << 20, 20 << 20] {
        let wharf = sparse(budget_bytes, 2 * GIB);
        let mut stalled = wharf.connect().await;
        for _ in 0..20 {
            let handle = stalled.open("/sparse", OpenFlags::READ).await.unwrap();
            prefetch(&mut stalled, &handle, 200, MAX_READ_BYTES).await;
        }
        run_ready_tasks().await;
        let content = content(1, 30 * MIB);
        wharf.bucket.insert("acme/a", content.clone());
        let mut client = wharf.connect().await;
        for _ in 0..3 {
            assert!(client.fetch("/a").await.unwrap() == content, "{budget_bytes}");
        }
        stalled.vanish();
        client.vanish();
        wharf.assert_nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_stalled_handle_stops_no_other_request_of_its_channel_but_large_replies() {
    let wharf = sparse(64 << 20, 2 * GIB);
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
    prefetch(&mut client, &handle, 4000, MAX_READ_BYTES).await;
    run_ready_tasks().await;
    // The reply comes after 4 MiB of data, which the client now reads.
    client.stat("/a").await.unwrap();
    client.put("/b", &content(1, 9 * MIB)).await.unwrap();
    assert!(client.fstat(&handle).await.unwrap().size == Some(2 * GIB), "FSTAT comes behind the READs");
}

#[tokio::test(start_paused = true)]
async fn reads_anywhere_bring_what_is_there() {
    let wharf = Wharf::start();
    let content = content(1, 20 * MIB + 5);
    wharf.bucket.insert("acme/a", content.clone());
    let mut client = wharf.connect().await;
    let handle = client.open("/a", OpenFlags::READ).await.unwrap();
    let mut seed = 1_u64;
    let mut reads = Vec::new();
    for _ in 0..300 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let start = usize::try_from((seed >> 33) % (21 * MIB as u64)).unwrap();
        let length = u32::try_from((seed >> 20) % 300_000).unwrap();
        reads.push((client.send(request::read(&handle, start as u64, length)).await, start, length));
    }
    for (id, start, length) in reads {
        let end = content.len().min(start + length.min(MAX_READ_BYTES) as usize);
        match client.data(id).await {
            Ok(data) => assert!(data == content[start.min(end)..end], "{start} {length}"),
            Err(refusal) => assert!(refusal.code == StatusCode::Eof && length > 0 && start >= content.len()),
        }
    }
    for (offset, length) in [(u64::MAX, u32::MAX), (u64::MAX - 5, 10), (content.len() as u64, 1)] {
        assert_eq!(client.read(&handle, offset, length).await.unwrap_err().code, StatusCode::Eof);
    }
    assert_eq!(client.read(&handle, 5, u32::MAX).await.unwrap().len(), MAX_READ_BYTES as usize);
}

// S127: READs of a handle are answered in the order in which they came, whatever S3 answers first.
#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_file_that_is_read_is_answered_in_order() {
    for budget_bytes in [256 << 20, 0] {
        let wharf = Wharf::with(Setup { budget_bytes, ..Setup::default() });
        let content = content(1, 40 * MIB);
        wharf.bucket.insert("acme/a", content.clone());
        let mut client = wharf.connect().await;
        let handle = client.open("/a", OpenFlags::READ).await.unwrap();
        let hold = wharf.bucket.hold(Verb::Read, Answer);
        // The other READs need nothing from S3, or S3 refuses them at once.
        let mut asked = vec![client.send(request::read(&handle, 20 << 20, 10)).await];
        run_ready_tasks().await;
        wharf.bucket.fail(Verb::Read, Request, store::Error::Throttled { request: "SlowDown".into() });
        asked.push(client.send(request::read(&handle, 30 << 20, 10)).await);
        for offset in [0, 100, content.len() as u64, 10] {
            asked.push(client.send(request::read(&handle, offset, 10)).await);
        }
        asked.push(client.send(request::fstat(&handle)).await);
        asked.push(client.send(request::close(&handle)).await);
        for id in &asked {
            assert!(!client.incoming.is_answered(*id).await, "{id} of {asked:?} overtook the first");
        }
        drop(hold);
        client.incoming.order.clear();
        for id in &asked {
            client.reply(*id).await;
        }
        assert_eq!(client.incoming.order, asked);
    }
}

// S49: A file is one version for as long as it is open; a download never mixes two.
#[tokio::test(start_paused = true)]
async fn a_download_never_mixes_two_versions() {
    let wharf = Wharf::start();
    let (first, second) = (content(1, 40 * MIB), content(2, 40 * MIB));
    wharf.bucket.insert("acme/a", first.clone());
    let mut client = wharf.connect().await;
    let handle = client.open("/a", OpenFlags::READ).await.unwrap();
    assert!(client.read(&handle, 0, MAX_READ_BYTES).await.unwrap() == first[..MAX_READ_BYTES as usize]);
    wharf.bucket.insert("acme/a", second.clone());
    let changed = client.read(&handle, 35 << 20, MAX_READ_BYTES).await.unwrap_err();
    assert_eq!(changed.sentence, "the file was changed by another writer in the meantime");
    client.close(&handle).await.unwrap();
    assert!(client.fetch("/a").await.unwrap() == second);
}

// S53: A download whose connection to S3 breaks, or stalls, resumes at the byte where it did.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_resumed_where_it_broke() {
    let wharf = Wharf::start();
    let content = content(1, 12 * MIB);
    wharf.bucket.insert("acme/a", content.clone());
    wharf.bucket.break_body(3 * MIB + 1);
    let mut client = wharf.connect().await;
    let fetched: Bytes = client.fetch("/a").await.unwrap();
    assert!(fetched == content);
    assert_eq!(wharf.requested(), [Verb::Read; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_download_that_resumes_at_the_last_hundredth_fetches_nothing_before_it() {
    let wharf = sparse(256 << 20, 10 * GIB);
    let mut client = wharf.connect().await;
    // OpenSSH's `reget` asks for the size first.
    client.stat("/sparse").await.unwrap();
    let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let start = 10 * GIB / 100 * 99;
    let length = u64::from(MAX_READ_BYTES);
    let mut reads = std::collections::VecDeque::new();
    for offset in (start..10 * GIB).step_by(MAX_READ_BYTES as usize) {
        reads.push_back((
            client.send(request::read(&handle, offset, MAX_READ_BYTES)).await,
            length.min(10 * GIB - offset),
        ));
        if reads.len() == 64 {
            let (id, bytes) = reads.pop_front().unwrap();
            assert_eq!(client.data(id).await.unwrap().len() as u64, bytes);
        }
    }
    for (id, bytes) in reads {
        assert_eq!(client.data(id).await.unwrap().len() as u64, bytes);
    }
    let gets = wharf.sparse.gets();
    assert!(gets.iter().all(|range| range.start >= start), "{gets:?}");
    assert_eq!(gets.iter().map(|range| range.end - range.start).sum::<u64>(), 10 * GIB - start);
}

// S149: READ of length 0 brings 0 bytes on every handle of a file that is open, before its end, at it and behind it, and …
#[tokio::test(start_paused = true)]
async fn a_read_of_no_bytes_is_answered_with_none_and_not_with_the_end() {
    let content = content(1, 20 * MIB);
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", content.clone());
    wharf.bucket.insert("acme/empty", "");
    let mut client = wharf.connect().await;
    let both = OpenFlags::READ | OpenFlags::WRITE;
    let new = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    for (path, flags) in [
        ("/a", OpenFlags::READ),
        ("/empty", OpenFlags::READ),
        ("/a", both),
        ("/new", both | new),
        ("/written", OpenFlags::WRITE | new),
    ] {
        let handle = client.open(path, flags).await.unwrap();
        if flags.contains(OpenFlags::TRUNCATE) {
            client.write_all(&handle, 0, &content).await.unwrap();
        }
        let size = client.fstat(&handle).await.unwrap().size.unwrap();
        run_ready_tasks().await;
        wharf.requested();
        for offset in [0, 5, size, size + 1, u64::MAX] {
            assert_eq!(client.read(&handle, offset, 0).await.unwrap(), "", "{path} {flags:?} {offset}");
        }
        assert_eq!(wharf.requested(), []);
        if path == "/new" {
            assert_eq!(client.read(&handle, 0, 1).await.unwrap_err().code, StatusCode::Failure, "S3 has it");
        }
        client.close(&handle).await.unwrap();
        assert_eq!(client.read(&handle, 0, 0).await.unwrap_err().code, StatusCode::Failure, "it isn't open");
    }
    let id = client.send(request::open_dir("/")).await;
    let directory = client.handle(id).await.unwrap();
    assert_eq!(client.read(&directory, 0, 0).await.unwrap_err().code, StatusCode::Failure);
}
