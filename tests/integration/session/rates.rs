//! The rates of a tenant: its sessions wait and take turns, and nothing fails.

use super::{
    harness::{ReceivedReplies, Setup, SftpClient, UserConnection, Wharf, request},
    run_ready_tasks,
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wharfinger::{
    account::{RateLimits, TenantRates},
    sftp::wire::{OpenFlags, Reply, StatusCode},
};

const SECONDS: u64 = 10;
const RATE: u64 = 1_000_000;
/// The bytes of each WRITE and each READ.
const STEP: u32 = 32_768;

fn bytes(upload: Option<u64>, download: Option<u64>) -> RateLimits {
    RateLimits { upload_bytes: upload, download_bytes: download, ..RateLimits::default() }
}

/// Sends WRITEs until `end`. Returns the bytes that the server has answered with OK.
async fn upload_until(mut client: SftpClient, path: &str, end: Instant) -> u64 {
    let handle = client.create(path).await;
    let data = Bytes::from(vec![7; STEP as usize]);
    let mut ids = Vec::new();
    while let Ok(id) = timeout_at(end, client.send(request::write(&handle, offset(&ids), data.clone()))).await {
        ids.push(id);
    }
    let mut replies = client.finish();
    answered(&mut replies, &ids).await * u64::from(STEP)
}

/// Sends READs of `/sparse`, and returns the bytes that arrive until `end`.
async fn download_until(mut client: SftpClient, end: Instant) -> u64 {
    let handle = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..1_000 {
        ids.push(client.send(request::read(&handle, offset(&ids), STEP)).await);
    }
    while timeout_at(end, client.incoming.receive()).await.is_ok() {}
    ids.retain(|id| client.incoming.order.contains(id));
    answered(&mut client.incoming, &ids).await * u64::from(STEP)
}

/// Sends STATs of `/a` until `end`. Returns the number of those that the server has answered.
async fn stat_until(client: &mut SftpClient, end: Instant) -> u64 {
    let mut ids = Vec::new();
    while let Ok(id) = timeout_at(end, client.send(request::stat("/a"))).await {
        ids.push(id);
    }
    let mut answered = 0;
    for id in ids {
        if client.incoming.is_answered(id).await {
            client.attrs(id).await.unwrap();
            answered += 1;
        }
    }
    answered
}

fn offset(ids: &[u32]) -> u64 {
    ids.len() as u64 * u64::from(STEP)
}

/// Counts the requests that the server has answered. Each answer must be bytes or OK.
async fn answered(replies: &mut ReceivedReplies, ids: &[u32]) -> u64 {
    let mut count = 0;
    for id in ids {
        if !replies.is_answered(*id).await {
            continue;
        }
        let reply = replies.reply(*id).await;
        assert!(matches!(reply, Reply::Data { .. } | Reply::Status { code: StatusCode::Ok, .. }), "{reply:?}");
        count += 1;
    }
    count
}

fn assert_fair(sessions: &[u64], burst: u64) {
    let (sum, most) = (sessions.iter().sum::<u64>(), SECONDS * RATE + burst);
    assert!((most * 95 / 100..=most).contains(&sum), "{sessions:?}");
    // The burst is for the first who comes.
    let (least, most) = (sessions.iter().min().unwrap(), sessions.iter().max().unwrap());
    assert!(most - least <= burst + u64::from(2 * STEP), "{sessions:?}");
    assert!(*least >= (SECONDS * RATE - u64::from(6 * STEP)) / 3, "{sessions:?}");
}

async fn three_clients(wharf: &Wharf) -> (Vec<UserConnection>, [SftpClient; 3]) {
    let connections: Vec<_> = ["a", "b", "c"].map(|id| wharf.log_in(id, "acme")).into();
    let clients = [
        wharf.connect_on(&connections[0]).await,
        wharf.connect_on(&connections[1]).await,
        wharf.connect_on(&connections[2]).await,
    ];
    (connections, clients)
}

// S210: The sessions of a tenant together upload and download at most the rates that its config has, and a burst of one …
// S211: The sessions of a tenant that wait for a rate take turns, one request each. …
#[tokio::test(start_paused = true)]
async fn three_sessions_share_the_upload_rate_and_another_tenant_does_not_wait() {
    let wharf = Wharf::start();
    wharf.set_rates(bytes(Some(RATE), None));
    let (_connections, [one, two, three]) = three_clients(&wharf).await;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let (one, two, three) = tokio::join!(
        upload_until(one, "/one", end),
        upload_until(two, "/two", end),
        upload_until(three, "/three", end)
    );
    assert_fair(&[one, two, three], RATE);
    let globex = wharf.log_in("globex", "globex");
    let (mut client, begun) = (wharf.connect_on(&globex).await, Instant::now());
    client.put("/a", &Bytes::from(vec![7; 20 << 20])).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

// S210: The sessions of a tenant together upload and download at most the rates that its config has, and a burst of one …
// S211: The sessions of a tenant that wait for a rate take turns, one request each. …
#[tokio::test(start_paused = true)]
async fn three_sessions_share_the_download_rate() {
    let wharf = Wharf::with(Setup { sparse_bytes: 1 << 30, ..Setup::default() });
    wharf.set_rates(bytes(None, Some(RATE)));
    let (_connections, [one, two, three]) = three_clients(&wharf).await;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let (one, two, three) =
        tokio::join!(download_until(one, end), download_until(two, end), download_until(three, end));
    assert_fair(&[one, two, three], RATE);
}

#[tokio::test(start_paused = true)]
async fn a_small_file_costs_its_bytes_and_not_those_of_the_read() {
    let wharf = Wharf::start();
    wharf.set_rates(bytes(None, Some(64 << 10)));
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let begun = Instant::now();
    for _ in 0..1_000 {
        client.fetch("/a").await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

// S212: A WRITE waits for the rate for at most a minute. Then it is done, and later ones wait so much longer, by up to …
#[tokio::test(start_paused = true)]
async fn a_write_waits_for_a_minute_at_most_and_a_client_that_leaves_leaves_nothing() {
    let wharf = Wharf::start();
    wharf.set_rates(bytes(Some(64 << 10), None));
    let mut clients = Vec::new();
    for number in 0..20 {
        let connection = wharf.log_in(&number.to_string(), "acme");
        let mut client = wharf.connect_on(&connection).await;
        let handle = client.create(&format!("/{number}")).await;
        clients.push((connection, client, handle));
    }
    let (begun, data) = (Instant::now(), Bytes::from(vec![7; 255 << 10]));
    let writes = clients.iter_mut().map(|(_, client, handle)| client.send(request::write(handle, 0, data.clone())));
    futures_util::future::join_all(writes).await;
    assert_eq!(begun.elapsed(), Duration::from_mins(1), "20 WRITEs at that rate take 76 seconds");
    let (_connection, mut client, handle) = clients.pop().unwrap();
    let written = client.send(request::write(&handle, 255 << 10, data.clone()));
    assert!(tokio::time::timeout(Duration::from_secs(1), written).await.is_err());
    client.vanish();
    for (_connection, client, _) in clients {
        client.vanish();
    }
    run_ready_tasks().await;
    wharf.assert_nothing_left().await;
}

// S210: The sessions of a tenant together upload and download at most the rates that its config has, and a burst of one …
#[tokio::test(start_paused = true)]
async fn another_rate_holds_from_the_next_request_on() {
    let wharf = Wharf::start();
    let (mut client, mib) = (wharf.connect().await, Bytes::from(vec![7; 1 << 20]));
    let mut seconds = Vec::new();
    for rate in [Some(1 << 20), Some(128 << 10), None] {
        wharf.set_rates(bytes(rate, None));
        let begun = Instant::now();
        client.put("/a", &mib).await.unwrap();
        client.put("/a", &mib).await.unwrap();
        seconds.push(begun.elapsed().as_secs());
    }
    assert_eq!(seconds, [1, 14, 0], "less the burst");
}

// S213: The requests of a tenant, its requests to S3, its new sessions and the entries of its listings have rates too, …
#[tokio::test(start_paused = true)]
async fn two_sessions_share_the_rate_of_requests_and_transfers_are_none() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let (one, two) = (wharf.log_in("one", "acme"), wharf.log_in("two", "acme"));
    let (mut one, mut two) = (wharf.connect_on(&one).await, wharf.connect_on(&two).await);
    let reader = wharf.log_in("reader", "acme");
    let mut reader = wharf.connect_on(&reader).await;
    let handle = reader.create("/b").await;
    wharf.set_rates(RateLimits { requests: Some(100), ..RateLimits::default() });
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let (one, two, ()) = tokio::join!(stat_until(&mut one, end), stat_until(&mut two, end), async {
        let begun = Instant::now();
        reader.write_all(&handle, 0, &Bytes::from(vec![7; 4 << 20])).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    });
    // The burst is for the first who comes.
    assert!((1_095..=1_100).contains(&(one + two)) && one.abs_diff(two) <= 102, "{one} and {two}");
}

// S217: Each user of a tenant, and each of its sessions, has rates of its own where the config sets them. A request …
#[tokio::test(start_paused = true)]
async fn the_rate_of_a_user_is_for_all_its_sessions_and_that_of_a_session_for_itself() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let (one, two) = (wharf.log_in("one", "acme"), wharf.log_in("two", "acme"));
    let (mut one, mut two) = (wharf.connect_on(&one).await, wharf.connect_on(&two).await);
    let hundred = RateLimits { requests: Some(100), ..RateLimits::default() };
    for (rates, total) in [
        (TenantRates { each_user: hundred, ..TenantRates::default() }, 1_100),
        (TenantRates { each_session: hundred, ..TenantRates::default() }, 2_200),
    ] {
        wharf.set_each_rate(&rates);
        let end = Instant::now() + Duration::from_secs(SECONDS);
        let (one, two) = tokio::join!(stat_until(&mut one, end), stat_until(&mut two, end));
        assert!((total - 10..=total).contains(&(one + two)) && one.abs_diff(two) <= 102, "{one} and {two}");
    }
}

// S213: The requests of a tenant, its requests to S3, its new sessions and the entries of its listings have rates too, …
#[tokio::test(start_paused = true)]
async fn listings_have_as_many_entries_as_the_rate_allows() {
    let wharf = Wharf::with(Setup { many_names: 10_000, ..Setup::default() });
    wharf.set_rates(RateLimits { listing_entries: Some(1_000), ..RateLimits::default() });
    let (mut client, begun) = (wharf.connect().await, Instant::now());
    let replies = client.list("/many").await.unwrap();
    let entries: usize = replies.iter().map(Vec::len).sum();
    assert!(entries >= 10_000, "{entries}");
    // The burst comes at once, and nobody waits for the entries of the last reply.
    assert!((8..=9).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}
