//! Encodes a [`Request`] into a frame, for clients: the server's tests have one.

use bytes::BytesMut;

use super::Request;
use crate::sftp::wire::{
    fields::{Sink, put_frame},
    kind,
};

impl Request {
    /// Appends the request to `out` as a frame, beginning with its length.
    pub fn encode(&self, out: &mut BytesMut) {
        put_frame(out, |out| self.body(out));
    }

    fn body(&self, out: &mut dyn Sink) {
        match self {
            Self::Init { version } => {
                out.u8(kind::INIT);
                out.u32(*version);
            }
            Self::Open { id, path, flags, attrs } => {
                begin(out, kind::OPEN, *id, path);
                out.u32(flags.bits());
                attrs.encode(out);
            }
            Self::Close { id, handle } => begin(out, kind::CLOSE, *id, handle.as_bytes()),
            Self::Read { id, handle, offset, length } => {
                begin(out, kind::READ, *id, handle.as_bytes());
                out.u64(*offset);
                out.u32(*length);
            }
            Self::Write { id, handle, offset, data } => {
                begin(out, kind::WRITE, *id, handle.as_bytes());
                out.u64(*offset);
                out.string(data);
            }
            Self::Lstat { id, path } => begin(out, kind::LSTAT, *id, path),
            Self::Fstat { id, handle } => begin(out, kind::FSTAT, *id, handle.as_bytes()),
            Self::SetStat { id, path, attrs } => {
                begin(out, kind::SETSTAT, *id, path);
                attrs.encode(out);
            }
            Self::FsetStat { id, handle, attrs } => {
                begin(out, kind::FSETSTAT, *id, handle.as_bytes());
                attrs.encode(out);
            }
            Self::OpenDir { id, path } => begin(out, kind::OPENDIR, *id, path),
            Self::ReadDir { id, handle } => begin(out, kind::READDIR, *id, handle.as_bytes()),
            Self::Remove { id, path } => begin(out, kind::REMOVE, *id, path),
            Self::Mkdir { id, path, attrs } => {
                begin(out, kind::MKDIR, *id, path);
                attrs.encode(out);
            }
            Self::Rmdir { id, path } => begin(out, kind::RMDIR, *id, path),
            Self::RealPath { id, path } => begin(out, kind::REALPATH, *id, path),
            Self::Stat { id, path } => begin(out, kind::STAT, *id, path),
            Self::Rename { id, source, target } => {
                begin(out, kind::RENAME, *id, source);
                out.string(target);
            }
            Self::ReadLink { id, path } => begin(out, kind::READLINK, *id, path),
            Self::Symlink { id, target, link } => {
                begin(out, kind::SYMLINK, *id, target);
                out.string(link);
            }
            Self::Extended { id, request } => {
                out.u8(kind::EXTENDED);
                out.u32(*id);
                request.encode(out);
            }
        }
    }
}

/// Writes the beginning of every request except INIT and EXTENDED: type, id, and a path or a handle.
fn begin(out: &mut dyn Sink, kind: u8, id: u32, subject: &[u8]) {
    out.u8(kind);
    out.u32(id);
    out.string(subject);
}
