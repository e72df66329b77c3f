//! What names an open file or directory on the wire: bytes that only the server understands (draft, section 6.2).

use bytes::Bytes;

use super::fields::{Malformed, Reader};

/// The longest handle, in bytes (draft, section 6.2).
pub const MAX_HANDLE_BYTES: usize = 256;

/// A handle: at most [`MAX_HANDLE_BYTES`] of the server's choice, sent back by the client as they are.
///
/// A decoded one is a slice of its frame and keeps the whole of it in memory: it is to look up with, not to keep.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(Bytes);

impl Handle {
    /// The handle's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number that this handle was made from; `None` when the bytes are no number of ours.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        <[u8; 4]>::try_from(self.as_bytes()).ok().map(u32::from_be_bytes)
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
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
