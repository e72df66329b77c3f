//! A socket that another task can cut.
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

/// A stream. Every operation on it fails once `cut` is cancelled.
pub struct CutStream<S> {
    stream: S,
    // One future for each direction: a future remembers only the last task that polled it.
    read_cut: Cut,
    write_cut: Cut,
}

type Cut = Pin<Box<WaitForCancellationFutureOwned>>;

impl<S> CutStream<S> {
    /// Wraps `stream` so that `cut` ends it.
    pub fn new(stream: S, cut: &CancellationToken) -> Self {
        let [read_cut, write_cut] = [cut, cut].map(|cut| Box::pin(cut.clone().cancelled_owned()));
        Self { stream, read_cut, write_cut }
    }
}

fn check(cut: &mut Cut, context: &mut Context<'_>) -> io::Result<()> {
    match cut.as_mut().poll(context) {
        Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
        Poll::Pending => Ok(()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CutStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        check(&mut self.read_cut, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        check(&mut self.write_cut, cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_cut, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_cut, cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn bytes_flow_until_the_cut_and_waiting_reads_and_writes_fail_at_it() {
        let (mut near, far) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let (mut reading, mut writing) = tokio::io::split(CutStream::new(far, &cut));
        near.write_all(b"in").await.unwrap();
        let mut bytes = [0; 2];
        reading.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"in");
        writing.write_all(b"full").await.unwrap();

        let waiting_read = tokio::spawn(async move { reading.read(&mut [0]).await });
        let waiting_write = tokio::spawn(async move { writing.write_all(b"more").await });
        tokio::task::yield_now().await;
        cut.cancel();
        for error in [waiting_read.await.unwrap().unwrap_err(), waiting_write.await.unwrap().unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
    }
}
