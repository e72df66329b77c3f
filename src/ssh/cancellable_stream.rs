//! A socket that another task can disconnect.
//!
//! russh runs a connection in a task of its own that the server can't stop directly. That task always waits for its
//! socket, so an error from the socket ends it in every state.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream. Every operation on it fails once `disconnect` is cancelled.
pub(crate) struct CancellableStream<S> {
    stream: S,
    // One future for each direction: a future remembers only the last task that polled it.
    read_cancelled: CancelledFuture,
    write_cancelled: CancelledFuture,
}

type CancelledFuture = Pin<Box<WaitForCancellationFutureOwned>>;

impl<S> CancellableStream<S> {
    /// Wraps `stream` so that `disconnect` ends it.
    pub(crate) fn new(stream: S, disconnect: &CancellationToken) -> Self {
        let [read_cancelled, write_cancelled] =
            [disconnect, disconnect].map(|disconnect| Box::pin(disconnect.clone().cancelled_owned()));
        Self { stream, read_cancelled, write_cancelled }
    }
}

fn check(disconnect: &mut CancelledFuture, context: &mut Context<'_>) -> io::Result<()> {
    match disconnect.as_mut().poll(context) {
        Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
        Poll::Pending => Ok(()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CancellableStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        check(&mut self.read_cancelled, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CancellableStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        check(&mut self.write_cancelled, cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_cancelled, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_cancelled, cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn bytes_flow_until_the_cancellation_and_waiting_reads_and_writes_fail_at_it() {
        let (mut near, far) = tokio::io::duplex(4);
        let disconnect = CancellationToken::new();
        let (mut reading, mut writing) = tokio::io::split(CancellableStream::new(far, &disconnect));
        near.write_all(b"in").await.unwrap();
        let mut bytes = [0; 2];
        reading.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"in");
        writing.write_all(b"full").await.unwrap();

        let waiting_read = tokio::spawn(async move { reading.read(&mut [0]).await });
        let waiting_write = tokio::spawn(async move { writing.write_all(b"more").await });
        tokio::task::yield_now().await;
        disconnect.cancel();
        for error in [waiting_read.await.unwrap().unwrap_err(), waiting_write.await.unwrap().unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
    }
}
