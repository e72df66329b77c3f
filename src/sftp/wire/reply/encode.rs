//! Encodes a [`Reply`] into a frame.

use bytes::{Bytes, BytesMut};

use super::{NameEntry, Reply};
use crate::sftp::wire::{
    fields::{Sink, frame_len, put_frame},
    kind,
};

/// The minimum length of a DATA piece that is sent without a copy. Shorter pieces are copied, so that no piece keeps a
/// buffer of more than twice its length alive: HTTP reads at most 408 KiB at once.
pub(super) const LONG_PIECE_BYTES: usize = 204 * 1024;
/// The bytes before the data in the body of a DATA: type, id and length.
const DATA_HEADER_BYTES: usize = 9;

/// The tag of English, the server's only language (RFC 1766).
const LANGUAGE: &[u8] = b"en";

impl Reply {
    /// Appends the reply to `out` as a frame, beginning with its length.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_frame(out, |out| self.body(out));
    }

    /// Returns the number of bytes that [`Reply::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        frame_len(|out| self.body(out))
    }

    /// Returns the bytes that [`Reply::encode`] appends, in pieces, so that long data isn't copied.
    #[must_use]
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        let mut joined = BytesMut::new();
        let mut frame = Vec::new();
        match self {
            Self::Data { id, pieces } if pieces.iter().any(is_long) => {
                let length = pieces.iter().map(Bytes::len).sum::<usize>();
                joined.length(DATA_HEADER_BYTES + length);
                begin(&mut joined, kind::DATA, id);
                joined.length(length);
                for piece in pieces {
                    if is_long(&piece) {
                        frame.extend([joined.split().freeze(), piece]);
                    } else {
                        joined.bytes(&piece);
                    }
                }
            }
            reply => reply.encode(&mut joined),
        }
        frame.push(joined.freeze());
        frame.retain(|piece| !piece.is_empty());
        frame
    }

    fn body(&self, out: &mut dyn Sink) {
        match self {
            Self::Version { version, extensions } => {
                begin(out, kind::VERSION, *version);
                for extension in extensions {
                    out.string(extension.name.as_bytes());
                    out.string(extension.version.as_bytes());
                }
            }
            Self::Status { id, code, message } => {
                begin(out, kind::STATUS, *id);
                out.u32(code.code());
                out.string(message.as_bytes());
                out.string(LANGUAGE);
            }
            Self::Handle { id, handle } => {
                begin(out, kind::HANDLE, *id);
                out.string(handle.as_bytes());
            }
            Self::Data { id, pieces } => {
                begin(out, kind::DATA, *id);
                out.length(pieces.iter().map(Bytes::len).sum());
                for piece in pieces {
                    out.bytes(piece);
                }
            }
            Self::Name { id, names } => {
                begin(out, kind::NAME, *id);
                out.length(names.len());
                for NameEntry { filename, longname, attrs } in names {
                    out.string(filename);
                    out.string(longname);
                    attrs.encode(out);
                }
            }
            Self::Attrs { id, attrs } => {
                begin(out, kind::ATTRS, *id);
                attrs.encode(out);
            }
            Self::ExtendedReply { id, data } => {
                begin(out, kind::EXTENDED_REPLY, *id);
                out.bytes(data);
            }
        }
    }
}

fn is_long(piece: &Bytes) -> bool {
    piece.len() >= LONG_PIECE_BYTES
}

fn begin(out: &mut dyn Sink, kind: u8, id_or_version: u32) {
    out.u8(kind);
    out.u32(id_or_version);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sftp::wire::{Attrs, Extension, FileTimes, Handle, OwnerIds, ServerLimits, StatusCode, VERSION};

    /// By the draft. Except for the language tag, OpenSSH 9.2's `sftp-server` answers the same.
    #[test]
    fn golden_replies() {
        let id = 0x0102_0304;
        let shown = Attrs {
            size: Some(6),
            owner: Some(OwnerIds::default()),
            permissions: Some(0o100_644),
            times: Some(FileTimes { accessed: 1_700_000_000, modified: 1_700_000_000 }),
        };
        let golden: [(&[u8], Reply); 10] = [
            (
                b"\0\0\0\x41\x02\0\0\0\x03\0\0\0\x18posix-rename@openssh.com\0\0\0\x011\0\0\0\x12limits@openssh.com\0\0\0\x011",
                Reply::Version { version: VERSION, extensions: vec![Extension::POSIX_RENAME, Extension::LIMITS] },
            ),
            (b"\0\0\0\x1a\x65\x01\x02\x03\x04\0\0\0\0\0\0\0\x07Success\0\0\0\x02en", Reply::ok(id)),
            (
                b"\0\0\0\x1f\x65\x01\x02\x03\x04\0\0\0\x02\0\0\0\x0cNo such file\0\0\0\x02en",
                Reply::status(id, StatusCode::NoSuchFile, "No such file"),
            ),
            (
                b"\0\0\0\x0d\x66\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05",
                Reply::Handle { id, handle: Handle::from(5) },
            ),
            (
                b"\0\0\0\x15\x67\x01\x02\x03\x04\0\0\0\x0chello\nworld\n",
                Reply::Data { id, pieces: vec![Bytes::from_static(b"hello\n"), Bytes::from_static(b"world\n")] },
            ),
            (
                b"\0\0\0\x19\x68\x01\x02\x03\x04\0\0\0\x01\0\0\0\x02/w\0\0\0\x02/w\0\0\0\0",
                Reply::Name {
                    id,
                    names: vec![NameEntry {
                        filename: Bytes::from_static(b"/w"),
                        longname: Bytes::from_static(b"/w"),
                        attrs: Attrs::default(),
                    }],
                },
            ),
            (b"\0\0\0\x09\x68\x01\x02\x03\x04\0\0\0\0", Reply::Name { id, names: vec![] }),
            (
                b"\0\0\0\x25\x69\x01\x02\x03\x04\0\0\0\x0f\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\x81\xa4eS\xf1\0eS\xf1\0",
                Reply::Attrs { id, attrs: shown },
            ),
            (b"\0\0\0\x09\x69\x01\x02\x03\x04\0\0\0\0", Reply::Attrs { id, attrs: Attrs::default() }),
            (
                b"\0\0\0\x25\xc9\x01\x02\x03\x04\0\0\0\0\0\x04\0\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\0\x4e\x1b",
                Reply::ExtendedReply { id, data: ServerLimits::new(19_995).encode() },
            ),
        ];
        for (frame, reply) in golden {
            let mut out = BytesMut::new();
            reply.encode(&mut out);
            assert_eq!(out, frame, "{reply:?}");
            assert_eq!(reply.encoded_len(), frame.len());
        }
    }
}
