//! SSH's wire types (RFC 4251, section 5). Numbers are big-endian; a string is its length in four bytes, then its
//! bytes.

use bytes::{Buf, Bytes, BytesMut};

/// The reason why a frame's content doesn't fit its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field or its length extends beyond the end of the frame.
    #[error("the frame ends within a field")]
    Short,
    /// The handle is longer than the 256 bytes of the draft's section 6.2.
    #[error("a handle longer than 256 bytes")]
    HandleTooLong,
    /// A text of a reply isn't UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// Version 3 has no such status code.
    #[error("unknown status code {0}")]
    UnknownStatus(u32),
    /// No reply has this type.
    #[error("unknown reply type {0}")]
    UnknownReply(u8),
}

/// Reads the fields of a frame one after the other. Strings are slices of the frame.
pub(super) struct FieldReader(Bytes);

impl FieldReader {
    pub(super) fn new(frame: Bytes) -> Self {
        Self(frame)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64().map_err(|_| Malformed::Short)
    }

    pub(super) fn string(&mut self) -> Result<Bytes, Malformed> {
        match usize::try_from(self.u32()?) {
            Ok(length) if length <= self.0.len() => Ok(self.0.split_to(length)),
            _ => Err(Malformed::Short),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.string()?.into()).map_err(|_| Malformed::NotUtf8)
    }

    pub(super) fn rest(self) -> Bytes {
        self.0
    }
}

/// A destination for the fields of a frame: a buffer, or [`Count`], so that the announced and the written length always
/// agree.
pub(super) trait Sink {
    fn bytes(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        // Encoded strings are far shorter than 4 GiB, and no peer would accept a frame with a saturated length.
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn string(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.bytes(bytes);
    }
}

impl Sink for BytesMut {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts written bytes.
struct Count(usize);

impl Sink for Count {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Returns the length of a frame with the body that `write` writes, including the length field.
pub(super) fn frame_len(write: impl Fn(&mut dyn Sink)) -> usize {
    let mut count = Count(size_of::<u32>());
    write(&mut count);
    count.0
}

/// Appends a frame with the body that `write` writes to `out`.
pub(super) fn put_frame(out: &mut BytesMut, write: impl Fn(&mut dyn Sink)) {
    let length = frame_len(&write);
    out.reserve(length);
    out.length(length - size_of::<u32>());
    write(out);
}
