//! One connection: read head and body, wait for the latency, answer, repeat.

use super::{
    NullS3,
    bytes::{self, BandwidthLimit},
    http::{Head, HeadReader},
    verbs,
};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread::sleep,
};

/// Bodies up to this size are read, because they may be XML.
const MAX_XML_BYTES: u64 = 4 << 20;

/// Serves until the client closes the connection.
pub fn serve(mut stream: &TcpStream, server: &NullS3) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut heads = HeadReader::default();
    let mut scratch = Vec::new();
    while let Some(head) = heads.next(stream)? {
        if head.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = heads.take(head.body_bytes());
        let left = head.body_bytes() - body.len() as u64;
        if wants_body(&head) {
            stream.take(left).read_to_end(&mut body)?;
        } else {
            bytes::discard(stream, &mut scratch, left, &mut BandwidthLimit::new(server.bandwidth))?;
        }
        sleep(server.latency);
        let answer = verbs::answer(&server.objects, &head, &body);
        answer.write(stream, head.method != "HEAD")?;
        if let Some((offset, bytes)) = answer.object {
            bytes::send(stream, &server.pattern, offset, bytes, &mut BandwidthLimit::new(server.bandwidth))?;
        }
        if head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

fn wants_body(head: &Head) -> bool {
    head.method == "POST" && head.body_bytes() <= MAX_XML_BYTES
}
