//! Cuts the byte stream of a channel into frames: a length of four bytes, then a body of that length (draft, section 3).
//!
//! Invariant: a length is checked before anything is allocated for it, and at most one frame is held, in an allocation
//! of exactly its size: nothing is regrown, and a slice that outlives its frame's other parts keeps no neighbour alive.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest frame body that is taken, in bytes.
///
/// `limits@openssh.com` announces 256 KiB as the longest packet; the headroom lets pass a client that takes this for
/// the length of its data, and adds a header and a handle to it.
pub const MAX_FRAME_BYTES: usize = 256 * 1024 + 1024;

const LENGTH_BYTES: u8 = 4;

/// A length that no frame can have. The stream can't be read on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame without even a type.
    #[error("an empty frame")]
    Empty,
    /// Longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes, the longest allowed is {MAX_FRAME_BYTES}")]
    TooLong(u32),
}

/// Collects the frames of one channel from pieces of any size.
///
/// ```
/// # use wharfinger::sftp::{FrameError, FrameReader};
/// # fn main() -> Result<(), FrameError> {
/// let mut frames = FrameReader::default();
/// let mut input: &[u8] = &[0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0];
/// while let Some(body) = frames.next(&mut input)? {
///     assert_eq!(&body[..], [1, 0, 0, 0, 3]);
/// }
/// assert!(input.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The length field, as far as `length_bytes` of its four bytes have come.
    length: u32,
    length_bytes: u8,
    body: BytesMut,
}

impl FrameReader {
    /// Takes from the front of `input` what the current frame lacks. Returns the body (type, then payload) of that frame
    /// when it is whole, and `None` when `input` is used up before.
    ///
    /// # Errors
    /// When the frame's length can't be. Every later call says the same.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, FrameError> {
        while self.length_bytes < LENGTH_BYTES {
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.length = self.length << 8 | u32::from(byte);
            self.length_bytes += 1;
        }
        let length = checked(self.length)?;
        if self.body.capacity() == 0 {
            self.body = BytesMut::with_capacity(length);
        }
        let (taken, rest) = input.split_at(input.len().min(length - self.body.len()));
        self.body.put_slice(taken);
        *input = rest;
        if self.body.len() < length {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).body.freeze()))
    }
}

fn checked(length: u32) -> Result<usize, FrameError> {
    match usize::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(length) if length <= MAX_FRAME_BYTES => Ok(length),
        _ => Err(FrameError::TooLong(length)),
    }
}
