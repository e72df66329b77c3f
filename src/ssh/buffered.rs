//! A socket with a read buffer that exists only while it holds bytes.
//!
//! russh reads a packet's length and its body separately, which costs two system calls a packet without a buffer.
//! Thousands of idle connections hold no buffer.

use bytes::{Buf, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// The bytes of one read: two of SSH's largest packets.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream with buffered reads. Writes pass through unbuffered.
pub(crate) struct Buffered<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S> Buffered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> Buffered<S> {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buffer.reserve(BUFFER_BYTES);
        let filled = poll_read_buf(Pin::new(&mut self.stream), context, &mut self.buffer);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        filled.map_ok(drop)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Buffered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        let bytes = self.buffer.len().min(buf.remaining());
        buf.put_slice(self.buffer.get(..bytes).unwrap_or_default());
        self.buffer.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Buffered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn bytes_come_in_order_and_what_is_read_leaves_no_buffer() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let sent: Vec<u8> = (0..=250).cycle().take(3 * BUFFER_BYTES + 7).collect();
        near.write_all(&sent).await.unwrap();
        let mut reading = Buffered::new(far);
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let mut piece = [0; 1000];
            let bytes = reading.read(&mut piece).await.unwrap();
            received.extend_from_slice(&piece[..bytes]);
        }
        assert!(received == sent);
        assert!(reading.buffer.capacity() > 0, "it is used again while bytes come");
        let waiting = reading.read_u8();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        near.write_u8(7).await.unwrap();
        assert_eq!(waiting.await.unwrap(), 7);
        assert!(futures_util::poll!(std::pin::pin!(reading.read_u8())).is_pending());
        assert_eq!(reading.buffer.capacity(), 0);
        drop(near);
        assert_eq!(reading.read(&mut [0]).await.unwrap(), 0);
    }
}
