//! Cuts the byte stream of a channel into frames: a length of four bytes, then a body of that length (draft,
//! section 3).
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
    /// Takes from the front of `input` what the current frame lacks. Returns the body (type, then payload) of that
    /// frame when it is whole, and `None` when `input` is used up before.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const LONGEST: u32 = 263_168;

    fn all(frames: &mut FrameReader, mut input: &[u8]) -> Vec<Bytes> {
        std::iter::from_fn(|| frames.next(&mut input).unwrap()).collect()
    }

    #[test]
    fn a_length_that_can_t_be_allocates_nothing_and_ends_the_stream() {
        for (length, error) in [
            (0, FrameError::Empty),
            (LONGEST + 1, FrameError::TooLong(LONGEST + 1)),
            (u32::MAX, FrameError::TooLong(u32::MAX)),
        ] {
            let mut frames = FrameReader::default();
            let header = length.to_be_bytes();
            assert_eq!(frames.next(&mut &header[..]), Err(error));
            assert_eq!(frames.next(&mut &[0, 0, 0, 1, 1][..]), Err(error));
            assert_eq!(frames.body.capacity(), 0);
        }
    }

    #[test]
    fn the_longest_frame_gets_exactly_its_bytes_and_never_moves() {
        let mut frames = FrameReader::default();
        assert!(all(&mut frames, &LONGEST.to_be_bytes()).is_empty());
        assert!(all(&mut frames, &[7]).is_empty());
        let start = frames.body.as_ptr();
        assert_eq!(frames.body.capacity(), MAX_FRAME_BYTES);

        for _ in 0..8 {
            assert!(all(&mut frames, &vec![7; MAX_FRAME_BYTES / 8 - 1]).is_empty());
        }
        let [body] = &all(&mut frames, &[7; 7])[..] else { panic!("one frame") };
        assert_eq!((body.as_ptr(), body.len()), (start, MAX_FRAME_BYTES));
    }

    #[test]
    fn what_is_behind_a_frame_is_left_for_the_next_call() {
        let mut input: &[u8] = b"\0\0\0\x01a\0\0\0\x02bc\0\0";
        let mut frames = FrameReader::default();
        assert_eq!(frames.next(&mut input), Ok(Some(Bytes::from_static(b"a"))));
        assert_eq!(input, b"\0\0\0\x02bc\0\0");
        assert_eq!(frames.next(&mut input), Ok(Some(Bytes::from_static(b"bc"))));
        assert_eq!(frames.next(&mut input), Ok(None));
        assert!(input.is_empty());
        assert_eq!(all(&mut frames, b"\0\x01d"), ["d"]);
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_input_is_cut(
            bodies in vec(vec(any::<u8>(), 1..400), 0..20),
            cuts in vec(1_usize..300, 1..40),
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                stream.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
                stream.extend(body);
            }
            let mut frames = FrameReader::default();
            let (mut rest, mut found) = (&stream[..], Vec::new());
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                found.extend(all(&mut frames, piece));
                rest = later;
            }
            prop_assert_eq!(found, bodies);
        }
    }
}
