//! Broken PROXY headers (issue 12, "Fuzz … the PROXY header"): the server accepts none, frees each connection, and
//! still serves connections with valid headers.

use super::Soak;
use crate::ssh::Edge;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use wharfinger::{
    policy::{ConnectionLimits, LoginRate},
    ssh::{ProxyHeader, ProxyProtocol, Settings},
};

/// Longer than any step of this test.
const LIMIT: Duration = Duration::from_secs(30);

/// Places before login. If the server kept one for each ended connection, it would soon be full.
const PLACES: usize = 8;

/// Mutations that only the parser sees, for each one that is sent over a socket.
const PARSED: usize = 100;

const GOOD: &[u8] = b"PROXY TCP4 203.0.113.8 10.0.0.1 51000 22\r\n";

/// Valid headers, to be mutated.
fn seeds() -> Vec<Vec<u8>> {
    let v2 = |command, family, rest: &[u8]| {
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family, 0, u8::try_from(rest.len()).unwrap()], rest].concat()
    };
    let ipv4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xc7, 0x38, 0, 22];
    let endpoint = b"\xea\0\x17\x01vpce-08d2bf15fac5001c9";
    let mut checked = v2(0x21, 0x11, &[&ipv4[..], endpoint, &[3, 0, 4, 0, 0, 0, 0]].concat());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &checked);
    let at = checked.len() - 4;
    checked[at..].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    vec![
        b"PROXY TCP4 203.0.113.7 10.0.0.1 51000 22\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 22\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x20, 0, &[]),
        v2(0x21, 0, &[]),
        v2(0x21, 0x11, &ipv4),
        v2(0x21, 0x21, &[7; 36]),
        v2(0x21, 0x31, &[0; 216]),
        v2(0x21, 0x11, &[&ipv4[..], endpoint].concat()),
        checked,
    ]
}

/// Returns the length of the header at the start of `sent`, as the crate that parses addresses sees it. A LOCAL header
/// that the crate rejects also counts: version 2 has its length at a fixed offset.
fn header_length(sent: &[u8]) -> Option<usize> {
    if let Ok((_, length)) = proxy_header::ProxyHeader::parse(sent, proxy_header::ParseConfig::default()) {
        return Some(length);
    }
    // LOCAL, whose addresses are ignored.
    let local = sent.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x20");
    let length = 16 + usize::from(u16::from_be_bytes([*sent.get(14)?, *sent.get(15)?]));
    (local && sent.len() >= length).then_some(length)
}

/// Sends `sent`, ends the sending side, and returns the server's answer.
async fn answer(mut connection: TcpStream, sent: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    // Either fails if the server has already closed the connection.
    let _ = connection.write_all(sent).await;
    let _ = connection.shutdown().await;
    let _ = timeout(LIMIT, connection.read_to_end(&mut answer)).await.expect("the server closes the connection");
    answer
}

async fn logs_in(edge: &Edge) -> bool {
    let Ok(mut client) = edge.connect_behind(GOOD).await else { return false };
    client.authenticate_password("alice", "right").await.is_ok_and(|answer| answer.success())
}

#[tokio::test]
async fn proxy_header() {
    let mut soak = Soak::start("proxy-header");
    let connections = ConnectionLimits {
        unauthenticated: PLACES,
        unauthenticated_per_source: PLACES,
        // This test is about the places, so the rate must not interfere.
        unfinished_logins: LoginRate { burst: 1_000_000, per_second: 1_000_000 },
        ..ConnectionLimits::default()
    };
    let proxy_protocol = ProxyProtocol::Require(vec!["127.0.0.1/32".parse().unwrap()]);
    let edge = Edge::start(Settings { connections, proxy_protocol, ..Settings::default() });
    let seeds = seeds();
    let (mut let_in, mut refused) = (0_u64, 0_u64);
    while soak.round() {
        for _ in 0..PARSED {
            let mut header = soak.random.one_of(&seeds).clone();
            soak.random.mutate(&mut header);
            let _ = ProxyHeader::parse(&header);
        }
        let mut sent = soak.random.one_of(&seeds).clone();
        soak.random.mutate(&mut sent);
        if soak.random.below(2) == 0 {
            sent.extend_from_slice(b"SSH-2.0-x\r\n");
        }
        let shown = sent.escape_ascii().to_string();
        let answer = answer(edge.silent().await, &sent).await;
        if answer.is_empty() {
            refused += 1;
        } else {
            let_in += 1;
            assert!(answer.starts_with(b"SSH-2.0-Wharfinger\r\n"), "{shown}");
            let length = header_length(&sent).unwrap_or_else(|| panic!("no header was let in: {shown}"));
            assert!(ProxyHeader::parse(&sent[..length]).is_ok(), "{shown}");
        }
        let stranger = edge.socket_from(2).await;
        assert_eq!(self::answer(stranger, &sent).await, b"", "from an address that isn't trusted: {shown}");
        if soak.rounds % 50 == 1 {
            assert!(logs_in(&edge).await, "after {} rounds", soak.rounds);
        }
    }
    assert!(logs_in(&edge).await);
    edge.drain.cancel();
    timeout(LIMIT, edge.running).await.expect("no connection is left").unwrap();
    println!("proxy-header: {} headers, {let_in} let in, {refused} refused", let_in + refused);
}
