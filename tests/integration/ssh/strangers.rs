//! Clients without a login cost little, and only for a limited time.

use super::{Edge, is_closed_within};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharfinger::{
    policy::{ConnectionLimits, LoggedInLimits},
    ssh::Settings,
};

#[tokio::test]
async fn silent_connections_from_one_address_keep_nobody_else_out() {
    let edge = Edge::start(Settings::default());
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(edge.silent().await);
    }
    let mut client = edge.connect_from(2).await.unwrap();
    assert!(client.authenticate_password("alice", "right").await.unwrap().success());
    assert!(edge.connect_from(1).await.is_err(), "the address with the silent ones has no place left");
    drop(silent);
    let mut client = edge.connect_from(1).await;
    while client.is_err() {
        client = edge.connect_from(1).await;
    }
}

#[tokio::test]
async fn the_deadline_for_the_login_holds_whatever_is_sent() {
    let edge = Edge::start(Settings { login_timeout: Duration::from_millis(500), ..Settings::default() });
    let silent = edge.silent().await;
    let client = edge.connect().await;
    assert!(is_closed_within(silent, Duration::from_secs(5)).await);
    while !client.is_closed() {
        // Each packet restarts russh's own timer.
        let _ = client.send_keepalive(false).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_no_ssh_is_hung_up_on() {
    let edge = Edge::start(Settings::default());
    let mut browser = edge.silent().await;
    browser.write_all(b"GET / HTTP/1.1\r\nhost: sftp.example\r\n\r\n").await.unwrap();
    let mut said = [0; 64];
    let length = browser.read(&mut said).await.unwrap();
    assert_eq!(&said[..length], b"SSH-2.0-Wharfinger\r\n", "no version");
    assert!(is_closed_within(browser, Duration::from_secs(5)).await);
}

/// The server takes no SSH packet with more than 64 KiB of data, so that strangers can't make it keep more.
#[tokio::test]
async fn more_bytes_at_once_than_the_server_announces_end_the_connection() {
    let edge = Edge::start(Settings::default());
    // The data, with the headers of RFC 4254 §5.2 and the padding of RFC 4253 §6.
    let longest = (64 << 10) + 33;
    for (length, ends) in [(longest, false), (longest + 1, true)] {
        let mut stranger = edge.silent().await;
        let length = u32::try_from(length).unwrap().to_be_bytes();
        stranger.write_all(&[b"SSH-2.0-stranger\r\n", &length[..], &[0; 64]].concat()).await.unwrap();
        assert_eq!(is_closed_within(stranger, Duration::from_secs(2)).await, ends);
    }
}

#[tokio::test]
async fn a_full_server_says_so_and_takes_the_next_when_one_leaves() {
    let connections = ConnectionLimits { logged_in: LoggedInLimits::of(1), ..ConnectionLimits::default() };
    let edge = Edge::start(Settings { connections, ..Settings::default() });
    let first = edge.log_in().await;
    let mut second = edge.connect().await;
    assert!(!second.authenticate_password("alice", "right").await.is_ok_and(|answer| answer.success()));
    first.disconnect(russh::Disconnect::ByApplication, "", "en").await.unwrap();
    drop(first);
    let mut third = edge.connect().await;
    while !third.authenticate_password("alice", "right").await.is_ok_and(|answer| answer.success()) {
        third = edge.connect().await;
    }
}
