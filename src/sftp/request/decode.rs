//! A frame's body → [`Request`]. Bytes behind the last field are ignored: some clients send the flags of version 5.

use bytes::Bytes;

use super::Request;
use crate::sftp::{Attrs, Extended, Handle, Malformed, OpenFlags, kind, wire::Reader};

/// Why a frame is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It contradicts its own type, so nothing that follows can be trusted either: the channel is to be ended.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// A type that no request of version 3 has. Clients wait for the answer: OP_UNSUPPORTED, with this id.
    #[error("unknown request type {kind}")]
    Unknown {
        /// The first field, where every request but INIT has its id.
        id: u32,
        /// The frame's type.
        kind: u8,
    },
}

impl Request {
    /// Reads a frame's body, as [`FrameReader`](crate::sftp::FrameReader) gives it.
    ///
    /// # Errors
    /// When it is malformed, or of an unknown type.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame);
        let r = &mut reader;
        let kind = r.u8()?;
        if kind == kind::INIT {
            return Ok(Self::Init { version: r.u32()? });
        }
        let id = r.u32()?;
        Ok(match kind {
            kind::OPEN => {
                let (path, flags) = (r.string()?, OpenFlags::from_bits(r.u32()?));
                Self::Open { id, path, flags, attrs: Attrs::decode(r)? }
            }
            kind::CLOSE => Self::Close { id, handle: Handle::decode(r)? },
            kind::READ => Self::Read { id, handle: Handle::decode(r)?, offset: r.u64()?, length: r.u32()? },
            kind::WRITE => Self::Write { id, handle: Handle::decode(r)?, offset: r.u64()?, data: r.string()? },
            kind::LSTAT => Self::Lstat { id, path: r.string()? },
            kind::FSTAT => Self::Fstat { id, handle: Handle::decode(r)? },
            kind::SETSTAT => Self::SetStat { id, path: r.string()?, attrs: Attrs::decode(r)? },
            kind::FSETSTAT => Self::FsetStat { id, handle: Handle::decode(r)?, attrs: Attrs::decode(r)? },
            kind::OPENDIR => Self::OpenDir { id, path: r.string()? },
            kind::READDIR => Self::ReadDir { id, handle: Handle::decode(r)? },
            kind::REMOVE => Self::Remove { id, path: r.string()? },
            kind::MKDIR => Self::Mkdir { id, path: r.string()?, attrs: Attrs::decode(r)? },
            kind::RMDIR => Self::Rmdir { id, path: r.string()? },
            kind::REALPATH => Self::RealPath { id, path: r.string()? },
            kind::STAT => Self::Stat { id, path: r.string()? },
            kind::RENAME => Self::Rename { id, source: r.string()?, target: r.string()? },
            kind::READLINK => Self::ReadLink { id, path: r.string()? },
            kind::SYMLINK => Self::Symlink { id, target: r.string()?, link: r.string()? },
            kind::EXTENDED => Self::Extended { id, request: Extended::decode(r)? },
            kind => return Err(DecodeError::Unknown { id, kind }),
        })
    }
}
