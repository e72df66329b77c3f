//! Bodies of requests and answers: pieces are sent without being joined, and frames received without being copied.

use super::error::reasons;
use crate::store::{self, Error, Payload};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// The body of an upload. The SDK can send it again. Its length is known, so that it is sent with `Content-Length`.
pub(super) fn streamed(payload: Payload) -> ByteStream {
    ByteStream::new(SdkBody::retryable(move || SdkBody::from_body_1_x(Pieces::of(&payload))))
}

/// The body as one piece in memory, which the SDK can hash for the signature.
pub(super) fn joined(payload: &Payload) -> ByteStream {
    let bytes = match payload.pieces.as_slice() {
        [piece] => piece.clone(),
        pieces => {
            let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            for piece in pieces {
                whole.extend_from_slice(piece);
            }
            whole.freeze()
        }
    };
    ByteStream::from(bytes)
}

/// The body of an answer, of exactly `expected` bytes.
pub(super) fn received(body: ByteStream, expected: u64) -> store::Body {
    stream::try_unfold((body, expected), |(mut body, left)| async move {
        match body.next().await {
            Some(Ok(bytes)) => {
                let left = left
                    .checked_sub(bytes.len() as u64)
                    .ok_or_else(|| Error::Broken("a body longer than its length".to_owned()))?;
                Ok(Some((bytes, (body, left))))
            }
            Some(Err(error)) => Err(Error::Unreachable(reasons(&error))),
            None if left == 0 => Ok(None),
            None => Err(Error::Broken(format!("a body that ended {left} bytes early"))),
        }
    })
    .boxed()
}

/// An HTTP body of pieces.
#[derive(Debug)]
struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Pieces {
    fn of(payload: &Payload) -> Self {
        Self { pieces: payload.pieces.clone().into_iter(), left: payload.len() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.find(|piece| !piece.is_empty());
        Poll::Ready(piece.map(|piece| {
            self.left -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    fn payload(pieces: &[&'static str]) -> Payload {
        Payload { pieces: pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect(), crc64: 0 }
    }

    #[tokio::test]
    async fn a_streamed_body_keeps_its_pieces_and_can_be_sent_again() {
        let body = streamed(payload(&["ab", "", "c"])).into_inner();
        assert_eq!((body.content_length(), body.bytes()), (Some(3), None));
        let again = ByteStream::new(body.try_clone().unwrap()).collect().await.unwrap().to_vec();
        assert_eq!(again, b"abc");
        assert_eq!(ByteStream::new(body).collect().await.unwrap().to_vec(), b"abc");
    }

    #[tokio::test]
    async fn an_empty_body_is_a_body_of_length_zero() {
        assert_eq!(streamed(payload(&[])).into_inner().content_length(), Some(0));
        assert_eq!(streamed(payload(&[""])).collect().await.unwrap().to_vec(), b"");
    }

    #[test]
    fn a_body_that_is_signed_lies_in_memory() {
        assert_eq!(joined(&payload(&["ab", "c"])).bytes(), Some(b"abc".as_slice()));
        assert_eq!(joined(&payload(&[])).bytes(), Some(b"".as_slice()));
    }

    #[tokio::test]
    async fn an_answer_of_another_length_is_an_error() {
        let answer = |expected| received(ByteStream::from_static(b"abc"), expected).try_collect::<Vec<_>>();
        assert_eq!(answer(3).await.unwrap(), ["abc"]);
        assert_eq!(
            answer(4).await.unwrap_err().to_string(),
            "S3's answer was not as it should be: a body that ended 1 bytes early"
        );
        assert!(matches!(answer(2).await, Err(Error::Broken(_))));
    }
}
