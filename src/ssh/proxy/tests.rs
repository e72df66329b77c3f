use super::*;
use tokio::io::AsyncWriteExt as _;

/// Returns a version 2 header of `command` and `family`, with `rest` behind its first 16 bytes.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family], &length, rest].concat()
}

/// 203.0.113.7:51000 to 10.0.0.1:22.
const IPV4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0xc7, 0x38, 0, 22];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// Returns a header like [`v2`]'s with the addresses [`IPV4`], these fields, and the right checksum behind them.
fn checked(fields: &[u8]) -> Vec<u8> {
    let mut header = v2(0x21, 0x11, &[&IPV4[..], fields, &tlv(0x03, &[0; 4])].concat());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &header);
    let at = header.len() - 4;
    header[at..].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    header
}

fn said(address: &str, vpc_endpoint: Option<&str>) -> ProxyHeader {
    ProxyHeader::Client { address: address.parse().unwrap(), vpc_endpoint: vpc_endpoint.map(Arc::from) }
}

/// Returns the field that a Network Load Balancer sends for a connection through PrivateLink, per AWS's documentation.
fn vpc_endpoint_field() -> Vec<u8> {
    tlv(0xea, b"\x01vpce-08d2bf15fac5001c9")
}

#[test]
fn issue_12_4_version_1() {
    for (header, expected) in [
        (&b"PROXY TCP4 203.0.113.7 10.0.0.1 51000 22\r\n"[..], Ok(said("203.0.113.7:51000", None))),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 22\r\n", Ok(said("[2001:db8::7]:51000", None))),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 51000 22\r\n", Ok(said("[::ffff:203.0.113.7]:51000", None))),
        (b"PROXY UNKNOWN\r\n", Ok(ProxyHeader::Local)),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok(ProxyHeader::Local)),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 51000 22\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 51000 22\r\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 99999 22\r\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXY TCP4 203.0.113.7\r\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXY UDP4 203.0.113.7 10.0.0.1 51000 22\r\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXY \r\n", Err(ProxyHeaderError::Malformed)),
        (b"PROXYTCP4 203.0.113.7 10.0.0.1 51000 22\r\n", Err(ProxyHeaderError::Missing)),
        (b"proxy TCP4 203.0.113.7 10.0.0.1 51000 22\r\n", Err(ProxyHeaderError::Missing)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Err(ProxyHeaderError::Missing)),
        (b"P", Err(ProxyHeaderError::BrokenOff)),
    ] {
        assert_eq!(ProxyHeader::parse(header), expected, "{}", header.escape_ascii());
    }
    let long = [b"PROXY UNKNOWN ", &[b'x'; 91][..], b"\r\n"].concat();
    assert_eq!((long.len(), ProxyHeader::parse(&long)), (107, Ok(ProxyHeader::Local)));
    let longer = [b"PROXY UNKNOWN ", &[b'x'; 93][..]].concat();
    assert_eq!((longer.len(), ProxyHeader::parse(&longer)), (107, Err(ProxyHeaderError::TooLarge)));
}

#[test]
fn issue_12_4_version_2() {
    let ipv6 = [
        &"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets()[..],
        &"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        &[0xc7, 0x38, 0, 22],
    ]
    .concat();
    let malformed = || Err(ProxyHeaderError::Malformed);
    for (what, header, expected) in [
        ("TCP over IPv4", v2(0x21, 0x11, &IPV4), Ok(said("203.0.113.7:51000", None))),
        ("TCP over IPv6", v2(0x21, 0x21, &ipv6), Ok(said("[2001:db8::7]:51000", None))),
        ("LOCAL", v2(0x20, 0x00, &[]), Ok(ProxyHeader::Local)),
        ("LOCAL with addresses", v2(0x20, 0x11, &IPV4), Ok(ProxyHeader::Local)),
        ("LOCAL of a strange family", v2(0x20, 0x77, &[1, 2, 3]), Ok(ProxyHeader::Local)),
        ("LOCAL and half a field", v2(0x20, 0x11, &[&IPV4[..], &[4, 0]].concat()), Ok(ProxyHeader::Local)),
        ("LOCAL too short for its family", v2(0x20, 0x21, &IPV4), Ok(ProxyHeader::Local)),
        ("LOCAL and a field twice", v2(0x20, 0x00, &vpc_endpoint_field().repeat(2)), Ok(ProxyHeader::Local)),
        ("UNSPEC", v2(0x21, 0x00, &[]), Ok(ProxyHeader::Local)),
        ("UNSPEC with fields", v2(0x21, 0x00, &tlv(0x04, b"..")), Ok(ProxyHeader::Local)),
        ("a UNIX socket", v2(0x21, 0x31, &[0; 216]), Ok(ProxyHeader::Local)),
        ("UDP", v2(0x21, 0x12, &IPV4), malformed()),
        ("a strange family", v2(0x21, 0x77, &IPV4), malformed()),
        ("a strange command", v2(0x22, 0x11, &IPV4), malformed()),
        ("version 3", v2(0x31, 0x11, &IPV4), malformed()),
        ("too short for its family", v2(0x21, 0x21, &IPV4), malformed()),
        ("half a field", v2(0x21, 0x11, &[&IPV4[..], &[4, 0]].concat()), malformed()),
        ("a field beyond the header", v2(0x21, 0x11, &[&IPV4[..], &[4, 0, 9, 1]].concat()), malformed()),
    ] {
        assert_eq!(ProxyHeader::parse(&header), expected, "{what}");
    }
    let most = v2(0x21, 0x11, &[&IPV4[..], &tlv(0x04, &vec![0; MAX_HEADER_BYTES - 16 - 12 - 3])].concat());
    assert_eq!((most.len(), ProxyHeader::parse(&most)), (4_096, Ok(said("203.0.113.7:51000", None))));
    let more = v2(0x21, 0x11, &[&IPV4[..], &tlv(0x04, &vec![0; MAX_HEADER_BYTES - 16 - 12 - 2])].concat());
    assert_eq!(ProxyHeader::parse(&more[..16]), Err(ProxyHeaderError::TooLarge), "the length alone says it");
}

#[test]
fn issue_12_4_the_vpc_endpoint_of_aws() {
    let expected = Ok(said("203.0.113.7:51000", Some("vpce-08d2bf15fac5001c9")));
    assert_eq!(ProxyHeader::parse(&v2(0x21, 0x11, &[&IPV4[..], &vpc_endpoint_field()].concat())), expected);
    assert_eq!(ProxyHeader::parse(&checked(&vpc_endpoint_field())), expected);
    let local = v2(0x20, 0x00, &vpc_endpoint_field());
    assert_eq!(ProxyHeader::parse(&local), Ok(ProxyHeader::Local));
    for (what, fields, expected) in [
        ("another subtype of AWS's", tlv(0xea, b"\x02vpce-1"), Ok(said("203.0.113.7:51000", None))),
        ("AWS's field without a subtype", tlv(0xea, b""), Ok(said("203.0.113.7:51000", None))),
        ("another vendor's field", tlv(0xee, b"\x01vpce-1"), Ok(said("203.0.113.7:51000", None))),
        ("an authority that is no UTF-8", tlv(0x02, b"\xff"), Ok(said("203.0.113.7:51000", None))),
        ("an empty id", tlv(0xea, b"\x01"), Err(ProxyHeaderError::Malformed)),
        ("an id that forges a line", tlv(0xea, b"\x01vpce-1\nlogin"), Err(ProxyHeaderError::Malformed)),
        ("an id of 65 bytes", tlv(0xea, &[&[1][..], &[b'v'; 65]].concat()), Err(ProxyHeaderError::Malformed)),
        ("two ids", [vpc_endpoint_field(), vpc_endpoint_field()].concat(), Err(ProxyHeaderError::Malformed)),
    ] {
        let header = v2(0x21, 0x11, &[&IPV4[..], &fields].concat());
        assert_eq!(ProxyHeader::parse(&header), expected, "{what}");
    }
}

#[test]
fn issue_12_4_the_checksum_is_checked_where_it_is_sent() {
    let right = checked(&vpc_endpoint_field());
    for at in V2_FIXED_BYTES..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << bit;
            let Ok(header) = ProxyHeader::parse(&wrong) else { continue };
            // A flipped bit that changes the type of the checksum field removes the checksum.
            assert_eq!(at, right.len() - 7, "{header:?}: bit {bit} of byte {at}");
        }
    }
    let header = |crc: &[u8]| v2(0x21, 0x11, &[&IPV4[..], &tlv(0x03, crc)].concat());
    assert_eq!(ProxyHeader::parse(&header(&[1, 2, 3, 4])), Err(ProxyHeaderError::Checksum));
    assert_eq!(ProxyHeader::parse(&header(&[1, 2, 3])), Err(ProxyHeaderError::Malformed));
    let two = [&right[28..], &tlv(0x03, &[0; 4])].concat();
    assert!(ProxyHeader::parse(&v2(0x21, 0x11, &[&IPV4[..], &two].concat())).is_err());
}

// §2.2 of the protocol: the receiver discards the block of LOCAL, "including the family which is ignored".
#[test]
fn issue_12_4_nothing_behind_local_is_looked_at() {
    let mut wrong = checked(&vpc_endpoint_field());
    wrong[12] = 0x20;
    assert_eq!(ProxyHeader::parse(&wrong), Ok(ProxyHeader::Local), "the checksum is that of another header");
    for family in 0..=u8::MAX {
        assert_eq!(ProxyHeader::parse(&v2(0x20, family, &[0xff; 300])), Ok(ProxyHeader::Local), "{family:#x}");
    }
    assert_eq!(ProxyHeader::parse(&v2(0x20, 0x11, &IPV4)[..20]), Err(ProxyHeaderError::BrokenOff));
}

/// Reads a header from `sent`, which arrives in pieces of `piece` bytes and then ends. Also returns the bytes behind
/// it.
async fn read(sent: &[u8], piece: usize) -> (Result<Option<ProxyHeader>, ProxyHeaderError>, Vec<u8>) {
    let (mut near, mut far) = tokio::io::duplex(piece);
    let sent = sent.to_vec();
    let sending = tokio::spawn(async move {
        // The write fails once the reader has seen enough.
        let _ = near.write_all(&sent).await;
    });
    let header = ProxyHeader::read(&mut far).await;
    let mut left = Vec::new();
    far.read_to_end(&mut left).await.unwrap();
    sending.await.unwrap();
    (header, left)
}

#[tokio::test]
async fn issue_12_4_nothing_behind_the_header_is_read() {
    for header in [b"PROXY TCP4 203.0.113.7 10.0.0.1 51000 22\r\n".to_vec(), checked(&vpc_endpoint_field())] {
        for piece in [1, 3, 4_096] {
            let (read, left) = read(&[&header[..], b"SSH-2.0-x\r\n"].concat(), piece).await;
            assert!(matches!(read, Ok(Some(ProxyHeader::Client { .. }))), "{read:?}");
            assert_eq!(left, b"SSH-2.0-x\r\n");
        }
    }
}

#[tokio::test]
async fn issue_12_4_a_truncated_header_is_no_header() {
    for header in [b"PROXY TCP4 203.0.113.7 10.0.0.1 51000 22\r\n".to_vec(), checked(&vpc_endpoint_field())] {
        assert_eq!(read(&[], 1).await.0, Ok(None), "a health check");
        for length in 1..header.len() {
            assert_eq!(read(&header[..length], 64).await.0, Err(ProxyHeaderError::BrokenOff), "{length}");
            assert!(ProxyHeader::parse(&header[..length]).is_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn issue_12_4_a_header_has_five_seconds() {
    for sent in [&b""[..], b"PROXY TCP4 ", V2_SIGNATURE] {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(sent).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(ProxyHeader::read(&mut far).await, Err(ProxyHeaderError::Timeout));
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_a_header_or_none(bytes: Vec<u8>, signed: bool) {
        let bytes = if signed { [V2_SIGNATURE, &bytes].concat() } else { bytes };
        let _ = ProxyHeader::parse(&bytes);
    }
}
