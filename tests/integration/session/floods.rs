//! Clients that send requests and never read replies: each kind of request has a limit, beyond which the channel ends.

use super::{harness::Wharf, *};
use bytes::Bytes;
use wharfinger::sftp::{
    channel::Ended,
    wire::{Handle, OpenFlags, Reply, StatusCode},
};

const MAX_OUTSTANDING: usize = 4096;

#[tokio::test(start_paused = true)]
async fn five_thousand_stats_without_reading_end_the_channel() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    for _ in 0..MAX_OUTSTANDING {
        client.try_send(request::lstat("/a")).await.unwrap();
    }
    assert_eq!(client.try_send(request::lstat("/a")).await, Err(Ended::TooManyRequests));
    client.vanish();
    // Unread replies count like unserved requests.
    let next = wharf.log_in("next", "acme");
    let mut client = wharf.connect_on(&next).await;
    for _ in 0..MAX_OUTSTANDING {
        client.try_send(request::lstat("/a")).await.unwrap();
    }
    run_ready_tasks().await;
    assert_eq!(client.try_send(request::lstat("/a")).await, Err(Ended::TooManyRequests));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_may_ask_for_ever() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    for _ in 0..4 {
        let mut ids = Vec::new();
        for _ in 0..4000 {
            ids.push(client.send(request::lstat("/a")).await);
        }
        for id in ids {
            client.attrs(id).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_replies_that_nobody_reads_end_the_channel_at_4_mib() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let path = format!("/{}", ["n".repeat(250), "m".repeat(250), "o".repeat(250), "p".repeat(250)].join("/"));
    let mut sent = 0;
    while client.try_send(request::real_path(&path)).await.is_ok() {
        sent += 1;
    }
    assert!((2000..MAX_OUTSTANDING).contains(&sent), "{sent} replies of two kilobytes");
}

#[tokio::test(start_paused = true)]
async fn scattered_reads_end_the_channel_whatever_handles_they_are_on() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", content(1, MIB));
    let mut client = wharf.connect().await;
    let mut handles = Vec::new();
    for _ in 0..5 {
        handles.push(client.open("/a", OpenFlags::READ).await.unwrap());
    }
    let (mut sent, mut ended) = (0, None);
    while ended.is_none() && sent < 10_000 {
        let handle = &handles[sent % handles.len()];
        ended = client.try_send(request::read(handle, 7 * sent as u64 % 1_000_000, 3)).await.err();
        sent += 1;
    }
    assert_eq!(ended, Some(Ended::TooManyReads));
    assert!(sent <= 4096 + 1, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn any_number_of_reads_of_a_handle_that_is_not_open_is_refused_one_by_one() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let closed = Handle::from(7);
    let mut ids = Vec::new();
    for number in 0..100_000 {
        ids.push(client.send(request::read(&closed, number * 32_768, 32_768)).await);
    }
    run_ready_tasks().await;
    for id in ids {
        let Reply::Status { code: StatusCode::Failure, .. } = client.reply(id).await else { panic!("{id}") };
    }
    client.stat("/").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn writes_to_a_handle_that_is_not_open_end_the_channel_when_nobody_reads_their_refusals() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let data = Bytes::from(vec![0; 1000]);
    let (mut sent, mut ended) = (0, None);
    while ended.is_none() && sent < 1_000_000 {
        ended = client.try_send(request::write(&Handle::from(7), 0, data.clone())).await.err();
        sent += 1;
    }
    assert_eq!(ended, Some(Ended::RepliesUnread));
    assert!(sent < 100_000, "{sent}");
    assert_eq!(wharf.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn listings_that_nobody_reads_are_bounded() {
    let wharf = Wharf::start();
    for number in 0..20_000 {
        wharf.bucket.insert(&format!("acme/{number}"), "x");
    }
    let mut client = wharf.connect().await;
    let mut handles = Vec::new();
    for _ in 0..20 {
        let id = client.send(request::open_dir("/")).await;
        handles.push(client.handle(id).await.unwrap());
    }
    wharf.requested();
    for _ in 0..200 {
        for handle in &handles {
            client.send(request::read_dir(handle)).await;
        }
    }
    run_ready_tasks().await;
    // Beside the replies, each listing has two pages.
    let pages = 2 * 130_000 * handles.len() as u64;
    assert!(wharf.budget.used() <= (5 << 20) + pages, "{}", wharf.budget.used());
    // 128 replies of 32 KiB hold about 25,000 entries.
    assert!(wharf.requested().len() <= 80);
    client.vanish();
    wharf.assert_nothing_left().await;
}
