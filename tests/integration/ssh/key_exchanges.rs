//! Key exchanges cost a stranger little and the server much: limits on their number and their time.

use super::{Edge, TrustingClient, is_closed_within, log::CapturedLog};
use futures_util::future::join_all;
use russh::client;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};
use wharfinger::{
    policy::{ConnectionLimits, LoginRate},
    ssh::Settings,
};

/// Longer than any step of these tests.
const LIMIT: Duration = Duration::from_secs(30);

/// Connects from `127.0.0.{host}` and disconnects. Returns true if the server greeted.
async fn is_greeted(edge: &Edge, host: u8) -> bool {
    edge.socket_from(host).await.read_u8().await.is_ok()
}

#[tokio::test]
async fn issue_12_7_unfinished_logins_of_one_source_are_limited_and_finished_ones_are_not() {
    let log = CapturedLog::start();
    let unfinished_logins = LoginRate { burst: 3, per_second: 1 };
    let connections = ConnectionLimits { unfinished_logins, ..ConnectionLimits::default() };
    let edge = Edge::start(Settings { connections, ..Settings::default() });
    for _ in 0..10 {
        edge.log_in().await;
    }
    // The paused clock advances only when nothing else can run. Here the wait for a token advances it.
    tokio::time::pause();
    let began = Instant::now();
    for _ in 0..3 {
        assert!(is_greeted(&edge, 2).await);
    }
    let waiting: Vec<_> = join_all((0..10).map(|_| is_greeted(&edge, 2))).await;
    assert_eq!(waiting.iter().filter(|is_greeted| **is_greeted).count(), 2, "one a second");
    assert_eq!(began.elapsed().as_secs(), 2);
    let reason = &log.line("connection refused").await["reason"];
    assert_eq!(reason, "too many logins from this address that were not finished");
    assert!(is_greeted(&edge, 3).await, "another address");
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_a_key_exchange_has_ten_seconds() {
    for said in [&b""[..], b"SSH-2.0-slow\r\n"] {
        let log = CapturedLog::start();
        let edge = Edge::start(Settings::default());
        let mut slow = edge.silent().await;
        slow.write_all(said).await.unwrap();
        let began = Instant::now();
        assert!(is_closed_within(slow, LIMIT).await);
        let seconds = began.elapsed().as_secs();
        assert!((10..15).contains(&seconds), "{seconds}");
        let line = log.line("connection ended").await;
        assert_eq!(line["reason"], "key exchange took too long");
        assert!(line["user"].is_null() && line["tenant"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn issue_12_7_who_has_exchanged_keys_has_the_login_timeout() {
    let log = CapturedLog::start();
    let edge = Edge::start(Settings::default());
    // This client has no time-out of its own.
    let mut client = client::connect_stream(Arc::default(), edge.silent().await, TrustingClient).await.unwrap();
    assert!(!client.authenticate_none("alice").await.unwrap().success());
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!client.is_closed());
    assert!(log.lines("connection ended").is_empty());
    tokio::time::sleep(Duration::from_secs(40)).await;
    tokio::time::resume();
    assert_eq!(log.line("connection ended").await["reason"], "login took too long");
}

#[tokio::test]
async fn issue_12_7_a_full_house_drops_an_unfinished_key_exchange_and_not_the_newcomer() {
    let log = CapturedLog::start();
    let connections = ConnectionLimits { unauthenticated: 10, ..ConnectionLimits::default() };
    let edge = Edge::start(Settings { connections, ..Settings::default() });
    let mut asking = edge.connect_from(3).await.unwrap();
    assert!(!asking.authenticate_none("alice").await.unwrap().success());
    let mut silent = Vec::new();
    for _ in 0..9 {
        let mut connection = edge.socket_from(2).await;
        connection.read_u8().await.unwrap();
        silent.push(connection);
    }
    let mut newcomer = edge.connect().await;
    assert!(is_closed_within(silent.remove(0), LIMIT).await, "the oldest");
    assert!(newcomer.authenticate_password("alice", "right").await.unwrap().success());
    assert!(asking.authenticate_password("alice", "right").await.unwrap().success());
    let dropped = log.line("connection refused").await;
    assert_eq!(dropped["source_ip"], "127.0.0.2");
    let reason = "too many connections that are not logged in: one that was trying no credential made room";
    assert_eq!(dropped["reason"], reason);
    assert!(log.lines("connection ended").is_empty(), "one counted line says it");
}

#[tokio::test]
async fn issue_12_7_connections_that_are_silent_after_the_key_exchange_make_room_too() {
    let log = CapturedLog::start();
    let connections = ConnectionLimits { unauthenticated: 10, ..ConnectionLimits::default() };
    let edge = Edge::start(Settings { connections, ..Settings::default() });
    let mut silent = Vec::new();
    for number in 0..10 {
        silent.push(edge.connect_from(2 + number % 2).await.unwrap());
    }
    for _ in 0..3 {
        edge.log_in().await;
    }
    let dropped = log.line("connection refused").await;
    assert_eq!(dropped["source_ip"], "127.0.0.2");
    assert_eq!(silent.iter().position(client::Handle::is_closed), Some(0), "the oldest");
}

#[tokio::test]
async fn issue_12_7_with_the_defaults_the_21st_connection_of_a_source_waits_for_a_login() {
    let edge = Edge::start(Settings::default());
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(edge.connect_from(2).await.unwrap());
    }
    let login = async { held[7].authenticate_password("alice", "right").await.unwrap().success() };
    // `join!` polls in this order, so the connection exists before the login begins.
    let (waiting, logged_in) = tokio::join!(edge.connect_from(2), login);
    assert!(logged_in);
    assert!(waiting.unwrap().authenticate_password("alice", "right").await.unwrap().success());
}
