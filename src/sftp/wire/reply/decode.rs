//! Decodes a frame's body into a [`Reply`], for clients: the server's tests have one.

use bytes::Bytes;

use super::{NameEntry, Reply};
use crate::sftp::wire::{Attrs, Extension, Handle, Malformed, StatusCode, fields::FieldReader, kind};

impl Reply {
    /// Decodes a frame's body, as [`FrameReader`](crate::sftp::wire::FrameReader) returns it.
    ///
    /// # Errors
    /// The body is malformed or no reply.
    pub fn decode(frame: Bytes) -> Result<Self, Malformed> {
        let mut reader = FieldReader::new(frame);
        let kind = reader.u8()?;
        let id = reader.u32()?;
        Ok(match kind {
            kind::VERSION => Self::Version { version: id, extensions: extensions(&mut reader)? },
            kind::STATUS => {
                let code = reader.u32()?;
                let code = StatusCode::from_code(code).ok_or(Malformed::UnknownStatus(code))?;
                Self::Status { id, code, message: reader.text()?.into() }
            }
            kind::HANDLE => Self::Handle { id, handle: Handle::decode(&mut reader)? },
            kind::DATA => Self::Data { id, pieces: vec![reader.string()?] },
            kind::NAME => Self::Name { id, names: names(&mut reader)? },
            kind::ATTRS => Self::Attrs { id, attrs: Attrs::decode(&mut reader)? },
            kind::EXTENDED_REPLY => Self::ExtendedReply { id, data: reader.rest() },
            kind => return Err(Malformed::UnknownReply(kind)),
        })
    }
}

fn extensions(reader: &mut FieldReader) -> Result<Vec<Extension>, Malformed> {
    let mut extensions = Vec::new();
    while reader.remaining() > 0 {
        extensions.push(Extension { name: reader.text()?.into(), version: reader.text()?.into() });
    }
    Ok(extensions)
}

/// The vector grows with the names that it reads: a peer's count reserves no memory.
fn names(reader: &mut FieldReader) -> Result<Vec<NameEntry>, Malformed> {
    let mut names = Vec::new();
    for _ in 0..reader.u32()? {
        names.push(NameEntry { filename: reader.string()?, longname: reader.string()?, attrs: Attrs::decode(reader)? });
    }
    Ok(names)
}
