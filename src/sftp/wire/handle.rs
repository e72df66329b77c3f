//! The handles of open files and directories on the wire: bytes that only the server understands (draft, section 6.2).

use bytes::Bytes;

use super::fields::{FieldReader, Malformed};

/// The maximum length of a handle, in bytes (draft, section 6.2).
pub const MAX_HANDLE_BYTES: usize = 256;

/// A handle: at most [`MAX_HANDLE_BYTES`] that the server chose. The client sends them back unchanged.
///
/// A decoded handle is a slice of its frame and keeps the whole frame in memory. Use it for a lookup, and don't store
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(Bytes);

impl Handle {
    /// Returns the handle's bytes.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number that the server made this handle from, or `None` if the bytes are no number of the server's.
    #[must_use]
    pub(crate) fn number(&self) -> Option<u32> {
        <[u8; 4]>::try_from(self.as_bytes()).ok().map(u32::from_be_bytes)
    }

    pub(super) fn decode(reader: &mut FieldReader) -> Result<Self, Malformed> {
        reader.string()?.try_into()
    }
}

impl From<u32> for Handle {
    fn from(number: u32) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }
}

impl TryFrom<Bytes> for Handle {
    type Error = Malformed;

    fn try_from(bytes: Bytes) -> Result<Self, Malformed> {
        if bytes.len() > MAX_HANDLE_BYTES { Err(Malformed::HandleTooLong) } else { Ok(Self(bytes)) }
    }
}
