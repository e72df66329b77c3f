//! Connections behind a load balancer that speaks the PROXY protocol: the client's address, and the balancers that may
//! state it.

use super::{Edge, is_closed_within, log::CapturedLog};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wharfinger::{
    policy::ConnectionLimits,
    ssh::{ProxyProtocol, Settings},
};

/// Longer than any step of these tests.
const LIMIT: Duration = Duration::from_secs(30);

/// A server that accepts PROXY headers from 127.0.0.1 only.
fn behind_a_load_balancer(settings: Settings) -> Edge {
    let proxy_protocol = ProxyProtocol::Require(vec!["127.0.0.1/32".parse().unwrap()]);
    Edge::start(Settings { proxy_protocol, ..settings })
}

fn v1(address: &str) -> Vec<u8> {
    format!("PROXY TCP4 {address} 10.0.0.1 51000 22\r\n").into_bytes()
}

/// A header as AWS's Network Load Balancer sends it.
fn v2(address: [u8; 4], vpc_endpoint: &str) -> Vec<u8> {
    let endpoint = [&[0xea, 0, u8::try_from(vpc_endpoint.len() + 1).unwrap(), 1], vpc_endpoint.as_bytes()].concat();
    let rest = [&address[..], &[10, 0, 0, 1, 0xc7, 0x38, 0, 22], &endpoint].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..], &[u8::try_from(rest.len()).unwrap()], &rest].concat()
}

async fn logs_in(edge: &Edge, header: &[u8]) -> bool {
    let Ok(mut client) = edge.connect_behind(header).await else { return false };
    client.authenticate_password("alice", "right").await.unwrap().success()
}

/// Returns the server's output up to the end of the connection.
async fn said(mut connection: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // It fails if the server closed the connection before it read all bytes.
    let _ = tokio::time::timeout(LIMIT, connection.read_to_end(&mut said)).await.expect("the server closes");
    said
}

#[tokio::test]
async fn issue_12_4_a_login_has_the_clients_address() {
    let log = CapturedLog::start();
    let edge = behind_a_load_balancer(Settings::default());
    assert!(logs_in(&edge, &v1("203.0.113.7")).await);
    let login = log.line("login").await;
    assert_eq!((&login["source_ip"], &login["source_port"]), (&"203.0.113.7".into(), &51_000.into()));
    assert!(login.get("vpc_endpoint").is_none(), "{login}");
}

#[tokio::test]
async fn issue_12_4_the_session_knows_its_vpc_endpoint() {
    let log = CapturedLog::start();
    let edge = behind_a_load_balancer(Settings::default());
    let mut client = edge.connect_behind(&v2([10, 0, 0, 5], "vpce-08d2bf15fac5001c9")).await.unwrap();
    assert!(!client.authenticate_password("alice", "wrong").await.unwrap().success());
    assert!(client.authenticate_password("alice", "right").await.unwrap().success());
    client.channel_open_session().await.unwrap().request_subsystem(true, "sftp").await.unwrap();
    for message in ["login refused", "login", "session started"] {
        let line = log.line(message).await;
        assert_eq!(line["source_ip"], "10.0.0.5", "{line}");
        assert_eq!(line["vpc_endpoint"], "vpce-08d2bf15fac5001c9", "{line}");
    }
}

#[tokio::test]
async fn issue_12_4_a_load_balancer_that_speaks_for_itself_is_the_client() {
    let log = CapturedLog::start();
    let edge = behind_a_load_balancer(Settings::default());
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"] {
        assert!(logs_in(&edge, header).await);
    }
    let logins = log.lines("login");
    assert_eq!(logins.len(), 3);
    assert!(logins.iter().all(|login| login["source_ip"] == "127.0.0.1"), "{logins:?}");
}

#[tokio::test]
async fn issue_12_4_others_may_not_say_for_whom_they_speak() {
    let log = CapturedLog::start();
    let edge = behind_a_load_balancer(Settings::default());
    for header in [&v1("127.0.0.1")[..], &v2([127, 0, 0, 1], "vpce-1"), b"SSH-2.0-x\r\n", b""] {
        let mut stranger = edge.socket_from(2).await;
        // It fails if the server has already closed the connection.
        let _ = stranger.write_all(header).await;
        assert_eq!(said(stranger).await, b"", "not even our identification");
    }
    let refused = log.line("connection refused").await;
    assert_eq!(refused["source_ip"], "127.0.0.2");
    assert_eq!(refused["reason"], "it isn't from a load balancer in `proxy_from`");
    assert!(logs_in(&edge, &v1("203.0.113.7")).await);
}

#[tokio::test]
async fn issue_12_4_a_missing_or_broken_header_ends_the_connection_with_a_line() {
    for (header, reason) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "it began without a PROXY header"),
        (b"PROXY TCP4 203.0.113.7\r\n", "its PROXY header is malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x20\0", "its PROXY header is too large"),
    ] {
        let log = CapturedLog::start();
        let edge = behind_a_load_balancer(Settings::default());
        for _ in 0..10 {
            let mut broken = edge.silent().await;
            broken.write_all(header).await.unwrap();
            assert_eq!(said(broken).await, b"", "not even our identification");
        }
        let refused = log.lines("connection refused");
        assert_eq!(refused.len(), 10);
        for line in refused {
            assert_eq!((&line["source_ip"], &line["reason"]), (&"127.0.0.1".into(), &reason.into()));
        }
        assert!(log.lines("connection ended").is_empty());
    }
}

#[tokio::test]
async fn issue_12_4_health_checks_are_silent() {
    let log = CapturedLog::start();
    let edge = behind_a_load_balancer(Settings::default());
    for header in [&b""[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"PROXY UNKNOWN\r\n"] {
        for _ in 0..5 {
            let mut check = edge.silent().await;
            check.write_all(header).await.unwrap();
            check.shutdown().await.unwrap();
            assert!(is_closed_within(check, LIMIT).await);
        }
    }
    edge.drain.cancel();
    edge.running.await.unwrap();
    assert!(log.is_empty(), "{:?}", log.lines("connection refused"));
}

#[tokio::test]
async fn issue_12_4_a_header_may_come_byte_by_byte_and_with_what_follows() {
    let edge = behind_a_load_balancer(Settings::default());
    for header in [v1("203.0.113.7"), v2([203, 0, 113, 7], "vpce-1")] {
        let mut slow = edge.silent().await;
        slow.set_nodelay(true).unwrap();
        for byte in &header {
            slow.write_u8(*byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut client = super::greet(slow).await.unwrap();
        assert!(client.authenticate_password("alice", "right").await.unwrap().success());

        let mut fast = edge.silent().await;
        fast.write_all(&[&header[..], b"SSH-2.0-fast\r\n"].concat()).await.unwrap();
        let mut identification = [0; 20];
        fast.read_exact(&mut identification).await.unwrap();
        assert_eq!(&identification, b"SSH-2.0-Wharfinger\r\n");
        assert!(fast.read_u8().await.is_ok(), "the client's identification was read, and the key exchange began");
    }
}

#[tokio::test]
async fn issue_12_4_each_client_behind_the_load_balancer_is_its_own_source() {
    let edge = behind_a_load_balancer(Settings::default());
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(edge.connect_behind(&v1("203.0.113.7")).await.unwrap());
    }
    assert!(edge.connect_behind(&v1("203.0.113.7")).await.is_err(), "it has 20 already");
    assert!(logs_in(&edge, &v1("203.0.113.8")).await);
    assert!(logs_in(&edge, &v2([203, 0, 113, 7], "vpce-1")).await, "another network's 203.0.113.7");
}

#[tokio::test]
async fn issue_12_4_a_shared_source_is_limited_in_all_only() {
    let connections = ConnectionLimits { unauthenticated: 40, ..ConnectionLimits::default() };
    let shared_sources = vec!["203.0.113.0/24".parse().unwrap()];
    let edge = behind_a_load_balancer(Settings { connections, shared_sources, ..Settings::default() });
    let mut held = Vec::new();
    for _ in 0..39 {
        held.push(edge.connect_behind(&v1("203.0.113.7")).await.unwrap());
    }
    assert!(logs_in(&edge, &v1("203.0.113.7")).await);
}
