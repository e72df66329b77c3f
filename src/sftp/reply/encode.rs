//! [`Reply`] → a frame.

use bytes::{Bytes, BytesMut};

use super::{Name, Reply};
use crate::sftp::{
    kind,
    wire::{Sink, frame_len, put_frame},
};

/// The tag of the only language that the server speaks (RFC 1766).
const LANGUAGE: &[u8] = b"en";

impl Reply {
    /// Appends the reply to `out` as a frame, its length first.
    pub fn encode(&self, out: &mut BytesMut) {
        put_frame(out, |out| self.body(out));
    }

    /// The bytes that [`Reply::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        frame_len(|out| self.body(out))
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
                for Name { filename, longname, attrs } in names {
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

fn begin(out: &mut dyn Sink, kind: u8, id_or_version: u32) {
    out.u8(kind);
    out.u32(id_or_version);
}
