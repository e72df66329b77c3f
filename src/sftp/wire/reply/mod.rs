//! The replies of the server (draft, section 7).

mod decode;
mod encode;

use std::borrow::Cow;

use bytes::Bytes;

use super::{Attrs, Extension, Handle, StatusCode};

/// One reply, with the `id` of the request that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are the draft's own: each reply is documented with its use")]
pub enum Reply {
    /// Answers INIT: the protocol version, and the extensions that the server offers.
    Version { version: u32, extensions: Vec<Extension> },
    /// Answers any request: its status, and an English sentence for the user.
    Status { id: u32, code: StatusCode, message: Cow<'static, str> },
    /// Answers OPEN and OPENDIR.
    Handle { id: u32, handle: Handle },
    /// Answers READ. The pieces form one string on the wire; the sender needn't join them.
    Data { id: u32, pieces: Vec<Bytes> },
    /// Answers READDIR with several names, and REALPATH and similar requests with one.
    Name { id: u32, names: Vec<NameEntry> },
    /// Answers STAT, LSTAT and FSTAT.
    Attrs { id: u32, attrs: Attrs },
    /// Answers EXTENDED in the extension's own format, such as that of [`ServerLimits`](super::ServerLimits).
    ExtendedReply { id: u32, data: Bytes },
}

/// One name of a [`Reply::Name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry {
    /// The entry's name, or for REALPATH the path.
    pub filename: Bytes,
    /// The line that a client shows unchanged, similar to those of `ls -l`.
    pub(crate) longname: Bytes,
    /// The entry's attributes; none for REALPATH.
    pub attrs: Attrs,
}

impl Reply {
    /// Returns the status of success.
    #[must_use]
    pub const fn ok(id: u32) -> Self {
        Self::Status { id, code: StatusCode::Ok, message: Cow::Borrowed("Success") }
    }

    /// Returns a status with a sentence for the user.
    #[must_use]
    pub(crate) fn status(id: u32, code: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Status { id, code, message: message.into() }
    }

    /// Returns the id of the answered request, or `None` for VERSION.
    #[must_use]
    pub const fn id(&self) -> Option<u32> {
        match self {
            Self::Version { .. } => None,
            Self::Status { id, .. }
            | Self::Handle { id, .. }
            | Self::Data { id, .. }
            | Self::Name { id, .. }
            | Self::Attrs { id, .. }
            | Self::ExtendedReply { id, .. } => Some(*id),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{encode::LONG_PIECE_BYTES, *};
    use crate::sftp::wire::{FrameReader, Malformed, arbitrary};

    fn encoded(reply: &Reply) -> BytesMut {
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        out
    }

    fn body(reply: &Reply) -> Bytes {
        FrameReader::default().next(&mut &encoded(reply)[..]).unwrap().unwrap()
    }

    /// Returns the reply as a client sees it: a client can't know the pieces of a DATA.
    fn joined(reply: Reply) -> Reply {
        match reply {
            Reply::Data { id, pieces } => Reply::Data { id, pieces: vec![pieces.concat().into()] },
            reply => reply,
        }
    }

    proptest! {
        #[test]
        fn every_reply_comes_back_as_it_was(reply in arbitrary::reply()) {
            prop_assert_eq!(Reply::decode(body(&reply)), Ok(joined(reply)));
        }

        #[test]
        fn the_length_is_known_before(reply in arbitrary::reply()) {
            let out = encoded(&reply);
            prop_assert_eq!(reply.encoded_len(), out.len());
            prop_assert_eq!(out.len(), 4 + body(&reply).len());
        }

        #[test]
        fn the_pieces_make_the_frame(reply in arbitrary::reply()) {
            prop_assert_eq!(encoded(&reply), reply.into_pieces().concat());
        }

        #[test]
        fn replies_follow_one_another(first in arbitrary::reply(), second in arbitrary::reply()) {
            let mut out = encoded(&first);
            second.encode(&mut out);
            prop_assert_eq!(out, [encoded(&first), encoded(&second)].concat());
        }

        #[test]
        fn arbitrary_bytes_never_panic(kind in prop_oneof![Just(2), 101_u8..106, Just(201), any::<u8>()], rest: Vec<u8>) {
            let _ = Reply::decode([&[kind][..], &rest].concat().into());
        }
    }

    #[test]
    fn long_pieces_are_not_copied_and_short_ones_keep_no_buffer_alive() {
        let buffer = Bytes::from(vec![7; 2 * LONG_PIECE_BYTES]);
        let lengths = [1, LONG_PIECE_BYTES, 10, 20, LONG_PIECE_BYTES + 1000, LONG_PIECE_BYTES - 1];
        let pieces = lengths.iter().map(|length| buffer.slice(..length)).collect();
        let reply = Reply::Data { id: 5, pieces };
        let frame = encoded(&reply);
        let pieces = reply.into_pieces();
        assert_eq!(pieces.concat(), frame);
        assert_eq!(
            pieces.iter().map(Bytes::len).collect::<Vec<_>>(),
            [13 + 1, LONG_PIECE_BYTES, 30, LONG_PIECE_BYTES + 1000, LONG_PIECE_BYTES - 1]
        );
        let shared = pieces.iter().map(|piece| piece.as_ptr() == buffer.as_ptr());
        assert_eq!(shared.collect::<Vec<_>>(), [false, true, false, true, false]);
    }

    #[test]
    fn a_count_that_the_frame_can_t_hold_is_malformed() {
        let frame = Bytes::from_static(b"\x68\0\0\0\x01\xff\xff\xff\xff");
        assert_eq!(Reply::decode(frame), Err(Malformed::Short));
    }
}
