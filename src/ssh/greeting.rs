//! Exchanges the identifications of both sides, and reads the client's KEXINIT before russh sends the server's.
//!
//! By RFC 4253 the client's order of ciphers decides. OpenSSH before 10 prefers AES-CTR with a MAC to AES-GCM, which
//! costs twice the CPU time a byte. The server therefore offers only AES-GCM to a client that knows it. To learn the
//! client's ciphers, the server sends its identification and waits for the client's KEXINIT, which most clients send
//! unasked. russh then runs on a stream that replays the client's bytes and suppresses russh's own identification.
//!
//! The server keeps at most [`MAX_IDENTIFICATION_BYTES`] and [`MAX_KEXINIT_BYTES`], and waits at most [`KEXINIT_WAIT`].

use bytes::{Buf as _, BytesMut};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::timeout,
};

/// The server's identification (RFC 4253 §4.2). It has no version, which would help only attackers.
pub(crate) const IDENTIFICATION: &str = "SSH-2.0-Wharfinger";

/// The maximum size of the client's lines up to the end of its identification.
const MAX_IDENTIFICATION_BYTES: usize = 8 * 1024;

/// The maximum size of a KEXINIT packet, which every implementation must accept (RFC 4253 §6.1).
const MAX_KEXINIT_BYTES: usize = 35_000;

/// The time that the server waits for the client's KEXINIT before it sends its own. Some clients wait for the server's.
const KEXINIT_WAIT: Duration = Duration::from_millis(500);

/// SSH_MSG_KEXINIT (RFC 4253 §12), the length of the cookie behind it, and the positions of the two lists of ciphers.
const KEXINIT: u8 = 20;
const COOKIE_BYTES: usize = 16;
const CIPHER_LISTS: std::ops::Range<usize> = 2..4;

/// A client's identification and ciphers, and the stream behind them.
pub(crate) struct Greeting<S> {
    /// The client's identification, without its line end. U+FFFD replaces bytes that aren't UTF-8.
    pub(crate) version: Arc<str>,
    /// The ciphers that the client knows in both directions, if its KEXINIT came in time.
    pub(crate) ciphers: Option<Vec<String>>,
    /// The stream for russh.
    pub(crate) stream: Greeted<S>,
}

/// Exchanges identifications on `stream` and, if `await_kexinit`, waits for the client's KEXINIT.
///
/// # Errors
/// The client is gone, or its identification is too long.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    await_kexinit: bool,
) -> io::Result<Greeting<S>> {
    let ours = format!("{IDENTIFICATION}\r\n").into_bytes();
    stream.write_all(&ours).await?;
    stream.flush().await?;
    let mut received = BytesMut::new();
    let line_bytes = read_identification(&mut stream, &mut received).await?;
    let mut ciphers = None;
    if await_kexinit && received.starts_with(b"SSH-") {
        // `received` keeps the bytes that arrived before the time-out.
        let kexinit = timeout(KEXINIT_WAIT, read_kexinit(&mut stream, &mut received, line_bytes)).await;
        kexinit.unwrap_or(Ok(()))?;
        ciphers = received.get(line_bytes..).and_then(matching_ciphers);
    }
    let version = received.get(..line_bytes).unwrap_or_default();
    let version = String::from_utf8_lossy(version).trim_end_matches(['\r', '\n']).into();
    Ok(Greeting { version, ciphers, stream: Greeted { stream, received, swallow: BytesMut::from(&*ours) } })
}

/// Reads up to the end of the first line and returns its length. russh validates the line.
async fn read_identification<S: AsyncRead + Unpin>(stream: &mut S, received: &mut BytesMut) -> io::Result<usize> {
    loop {
        if let Some(length) = received.iter().position(|byte| *byte == b'\n') {
            return Ok(length.saturating_add(1));
        }
        if received.len() >= MAX_IDENTIFICATION_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client's identification is too long"));
        }
        read_some(stream, received).await?;
    }
}

/// Reads until a whole packet lies behind `start`. Stops early if the packet can't be a KEXINIT.
async fn read_kexinit<S: AsyncRead + Unpin>(stream: &mut S, received: &mut BytesMut, start: usize) -> io::Result<()> {
    while received.get(start..).is_some_and(is_beginning) {
        read_some(stream, received).await?;
    }
    Ok(())
}

/// True if `bytes` are the beginning of an incomplete packet that may be a KEXINIT.
fn is_beginning(bytes: &[u8]) -> bool {
    match packet_bytes(bytes) {
        None => true,
        Some(length) => {
            length <= MAX_KEXINIT_BYTES && bytes.len() < length && *bytes.get(5).unwrap_or(&KEXINIT) == KEXINIT
        }
    }
}

/// Returns the length of the packet that begins with `bytes`, including the length field.
fn packet_bytes(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(length).ok()?.checked_add(4)
}

async fn read_some<S: AsyncRead + Unpin>(stream: &mut S, received: &mut BytesMut) -> io::Result<()> {
    match stream.read_buf(received).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Returns the ciphers in both lists of the KEXINIT at the start of `bytes`, or `None` if no whole KEXINIT is there.
fn matching_ciphers(bytes: &[u8]) -> Option<Vec<String>> {
    let packet = bytes.get(..packet_bytes(bytes)?)?;
    let [_, _, _, _, padding_bytes, payload @ ..] = packet else { return None };
    let payload = payload.get(..payload.len().checked_sub(usize::from(*padding_bytes))?)?;
    let mut rest = payload.strip_prefix(&[KEXINIT])?.get(COOKIE_BYTES..)?;
    let mut lists = Vec::new();
    for _ in 0..CIPHER_LISTS.end {
        let (length, behind) = rest.split_first_chunk()?;
        let (list, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        lists.push(str::from_utf8(list).ok()?);
        rest = behind;
    }
    let [to_server, to_client] = lists.get(CIPHER_LISTS)? else { return None };
    let common = to_server.split(',').filter(|name| to_client.split(',').any(|other| other == *name));
    Some(common.map(str::to_owned).collect())
}

/// A stream that replays the bytes which the server already read and suppresses the identification that it already
/// sent.
pub(crate) struct Greeted<S> {
    stream: S,
    /// The bytes that russh reads first.
    received: BytesMut,
    /// The bytes that russh writes first and the stream suppresses.
    swallow: BytesMut,
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let bytes = self.received.len().min(buf.remaining());
        buf.put_slice(self.received.get(..bytes).unwrap_or_default());
        self.received.advance(bytes);
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.swallow.is_empty() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        let bytes = self.swallow.len().min(buf.len());
        if self.swallow.get(..bytes) != buf.get(..bytes) {
            let error = io::Error::new(io::ErrorKind::InvalidData, "russh sent another identification than the server");
            return Poll::Ready(Err(error));
        }
        self.swallow.advance(bytes);
        if bytes == buf.len() {
            return Poll::Ready(Ok(bytes));
        }
        // The rest goes out in the same call: `Pending` must not stand for a write that took bytes.
        let written = match Pin::new(&mut self.stream).poll_write(cx, buf.get(bytes..).unwrap_or_default()) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        Poll::Ready(Ok(bytes.saturating_add(written)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{DuplexStream, duplex},
        time::Instant,
    };

    const CLIENT: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";

    /// Returns a KEXINIT with these ciphers, as a client sends it.
    fn kexinit(to_server: &str, to_client: &str) -> Vec<u8> {
        let mut payload = [&[KEXINIT][..], &[7; COOKIE_BYTES]].concat();
        for list in ["curve25519-sha256", "ssh-ed25519", to_server, to_client, "hmac-sha2-256", "hmac-sha2-256"] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend([0; 4 * 4 + 5]);
        let padding = 11;
        let length = u32::try_from(1 + payload.len() + padding).unwrap();
        [&length.to_be_bytes()[..], &[11], &payload, &[0; 11]].concat()
    }

    /// Returns the ciphers that `greet` learns from a client that sends `bytes`. Checks that russh reads the same bytes
    /// afterwards.
    async fn learned(bytes: &[u8]) -> Option<Vec<String>> {
        let (mut client, server) = duplex(1 << 20);
        client.write_all(bytes).await.unwrap();
        let mut greeting = greet(server, true).await.unwrap();
        assert_eq!(&*greeting.version, "SSH-2.0-OpenSSH_9.2p1 Debian-2");
        let mut again = vec![0; bytes.len()];
        greeting.stream.read_exact(&mut again).await.unwrap();
        assert!(again == bytes);
        greeting.ciphers
    }

    /// Issue 12.5.
    #[tokio::test(start_paused = true)]
    async fn the_ciphers_of_both_directions_are_learned() {
        let sent = [CLIENT, &kexinit("aes128-ctr,aes256-gcm@openssh.com", "aes256-gcm@openssh.com,none")].concat();
        assert_eq!(learned(&sent).await.unwrap(), ["aes256-gcm@openssh.com"]);
        let with_more = [CLIENT, &kexinit("a,b", "b,a"), b"the guessed packet behind it"].concat();
        assert_eq!(learned(&with_more).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_for_our_kexinit_waits_for_half_a_second() {
        let began = Instant::now();
        assert_eq!(learned(CLIENT).await, None);
        assert_eq!(began.elapsed(), Duration::from_millis(500));
        // russh reads a part of a KEXINIT again.
        let whole = [CLIENT, &kexinit("a", "a")].concat();
        assert_eq!(learned(&whole[..whole.len() - 1]).await, None);
    }

    /// Issue 12.5: the server keeps at most 35,000 bytes and doesn't wait for a longer KEXINIT.
    #[tokio::test(start_paused = true)]
    async fn a_kexinit_that_is_too_long_is_left_to_russh() {
        let names = "a,".repeat(MAX_KEXINIT_BYTES / 4);
        let long = kexinit(&names, &names);
        assert!(long.len() > MAX_KEXINIT_BYTES);
        let began = Instant::now();
        assert_eq!(learned(&[CLIENT, &long[..100]].concat()).await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_kexinit_is_left_to_russh() {
        let mut other = kexinit("a", "a");
        other[5] = 2;
        assert_eq!(learned(&[CLIENT, &other].concat()).await, None);
        assert_eq!(learned(&[CLIENT, &[0xff; 64]].concat()).await, None);
        let mut padded = kexinit("a", "a");
        padded[4] = 255;
        assert_eq!(learned(&[CLIENT, &padded].concat()).await, None);
        for end in 0..kexinit("a", "a").len() {
            let cut = &kexinit("a", "a")[..end];
            let length = u32::try_from(end.max(4) - 4).unwrap().to_be_bytes();
            let short = [&length, cut.get(4..).unwrap_or_default()].concat();
            assert!(learned(&[CLIENT, &short].concat()).await.is_none_or(|ciphers| ciphers == ["a"]), "{end}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kexinit_may_come_in_single_bytes() {
        let (mut client, server) = duplex(1);
        let sent = [CLIENT, &kexinit("aes256-gcm@openssh.com", "aes256-gcm@openssh.com")].concat();
        let sending = tokio::spawn(async move {
            let mut ours = [0; IDENTIFICATION.len() + 2];
            client.read_exact(&mut ours).await.unwrap();
            for byte in sent {
                client.write_all(&[byte]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            client
        });
        let greeting = greet(server, true).await.unwrap();
        assert_eq!(greeting.ciphers.unwrap(), ["aes256-gcm@openssh.com"]);
        sending.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_identification_is_refused() {
        let (mut client, server) = duplex(1 << 20);
        client.write_all(&vec![b'x'; MAX_IDENTIFICATION_BYTES]).await.unwrap();
        let error = greet(server, true).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    async fn greeted() -> (DuplexStream, Greeted<DuplexStream>) {
        let (mut client, server) = duplex(1 << 20);
        client.write_all(CLIENT).await.unwrap();
        (client, greet(server, false).await.unwrap().stream)
    }

    /// Issue 12.5: two identifications never go out.
    #[tokio::test]
    async fn the_identification_goes_out_once() {
        for pieces in [1, 3, 100] {
            let (mut client, mut stream) = greeted().await;
            for piece in format!("{IDENTIFICATION}\r\nKEXINIT").as_bytes().chunks(pieces) {
                stream.write_all(piece).await.unwrap();
            }
            drop(stream);
            let mut sent = String::new();
            client.read_to_string(&mut sent).await.unwrap();
            assert_eq!(sent, format!("{IDENTIFICATION}\r\nKEXINIT"));
        }
    }

    #[tokio::test]
    async fn another_identification_is_an_error() {
        let (_client, mut stream) = greeted().await;
        assert!(stream.write_all(b"SSH-2.0-russh_0.65.1\r\n").await.is_err());
    }
}
