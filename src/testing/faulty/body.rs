//! Bodies of GETs that don't reach their end.

use super::Fault;
use crate::store::{Body, Error};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::future::ready;

/// `body`, truncated or broken as `fault` says.
pub(super) fn with_fault(fault: Option<&Fault>, body: Body) -> Body {
    match fault {
        Some(Fault::BodyBreaks { after_bytes }) => {
            let broken = Error::Unreachable("the connection was reset in the middle of a body".into());
            truncated(body, *after_bytes).chain(stream::once(ready(Err(broken)))).boxed()
        }
        Some(Fault::BodyEnds { after_bytes }) => truncated(body, *after_bytes),
        Some(Fault::BodyStalls { after_bytes }) => truncated(body, *after_bytes).chain(stream::pending()).boxed(),
        _ => body,
    }
}

/// The first `len` bytes of `body`.
fn truncated(body: Body, len: usize) -> Body {
    let shorten = |left: &mut usize, piece: Result<Bytes, Error>| {
        let piece = piece.map(|mut bytes| {
            bytes.truncate(*left);
            *left -= bytes.len();
            bytes
        });
        ready(piece.as_ref().map_or(true, |bytes| !bytes.is_empty()).then_some(piece))
    };
    body.scan(len, shorten).boxed()
}
