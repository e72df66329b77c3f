//! Splits the byte stream of a channel into frames: a length of four bytes, then a body of that length (draft, section
//! 3).
//!
//! Invariant: the reader checks a length before it allocates memory for it, and holds at most one frame. The allocation
//! has the frame's size, or is at most a third larger. It is never regrown, and a slice that outlives the other parts
//! of its frame keeps no other frame alive.

use bytes::Bytes;
use parking_lot::Mutex;
use std::{mem, sync::Arc};

/// The maximum length of a frame body, in bytes.
///
/// `limits@openssh.com` announces 256 KiB as the maximum packet. The headroom admits a client that takes this for the
/// length of its data and adds a header and a handle to it.
pub const MAX_FRAME_BYTES: usize = 256 * 1024 + 1024;

const LENGTH_BYTES: u8 = 4;

/// A length that no frame can have. The stream is unreadable from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is too short for a type.
    #[error("an empty frame")]
    Empty,
    /// The frame is longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes, the longest allowed is {MAX_FRAME_BYTES}")]
    TooLong(u32),
}

/// Collects the frames of one channel from pieces of any size.
///
/// ```
/// # use wharfinger::sftp::wire::{FrameError, FrameReader};
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
    /// The received part of the length field: `length_bytes` of its four bytes.
    length: u32,
    length_bytes: u8,
    body: Vec<u8>,
    pool: Arc<FramePool>,
}

impl FrameReader {
    /// Creates a reader that shares the memory of long frames with others.
    #[must_use]
    pub(crate) fn new(pool: Arc<FramePool>) -> Self {
        Self { pool, ..Self::default() }
    }

    /// Consumes the missing part of the current frame from the front of `input`. Returns the frame's body (type, then
    /// payload) when it is complete, or `None` when `input` is used up first.
    ///
    /// # Errors
    /// The frame's length is invalid. Every later call returns the same error.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, FrameError> {
        while self.length_bytes < LENGTH_BYTES {
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.length = self.length << 8 | u32::from(byte);
            self.length_bytes += 1;
        }
        let length = checked(self.length)?;
        if self.body.capacity() == 0 {
            self.body = self.pool.body(length);
        }
        let (taken, rest) = input.split_at(input.len().min(length - self.body.len()));
        self.body.extend_from_slice(taken);
        *input = rest;
        if self.body.len() < length {
            return Ok(None);
        }
        (self.length, self.length_bytes) = (0, 0);
        Ok(Some(self.pool.freeze(mem::take(&mut self.body))))
    }

    /// The bytes of a frame that has arrived in part.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.body
    }

    /// The memory of that frame, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.body.capacity()
    }
}

/// The minimum length of a frame with pooled memory. The memory is at most a third larger than the frame.
const LONG_BYTES: usize = MAX_FRAME_BYTES / 4 * 3;
/// The number of idle bodies that the pool keeps: 8 MiB. The rest goes back to the system.
const MAX_IDLE: usize = 32;

/// The pooled memory of long frames. Without the pool the allocator would return much of it to the system and get it
/// back page by page, 80,000 times in an upload of 1 GiB.
///
/// No frame exposes bytes of an earlier one: the pool empties a body before it becomes idle, and the body grows with
/// the bytes that arrive.
#[derive(Debug, Default)]
pub struct FramePool {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl FramePool {
    fn body(&self, length: usize) -> Vec<u8> {
        if length < LONG_BYTES {
            return Vec::with_capacity(length);
        }
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Vec::with_capacity(MAX_FRAME_BYTES))
    }

    fn freeze(self: &Arc<Self>, body: Vec<u8>) -> Bytes {
        if body.len() < LONG_BYTES {
            return body.into();
        }
        Bytes::from_owner(Long { body, pool: Arc::clone(self) })
    }
}

/// The body of a long frame.
struct Long {
    body: Vec<u8>,
    pool: Arc<FramePool>,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        let mut body = mem::take(&mut self.body);
        body.clear();
        let mut idle = self.pool.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(body);
        }
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
        assert_eq!((frames.memory_bytes(), frames.partial().len()), (MAX_FRAME_BYTES, MAX_FRAME_BYTES - 7));
        let [body] = &all(&mut frames, &[7; 7])[..] else { panic!("one frame") };
        assert_eq!((body.as_ptr(), body.len()), (start, MAX_FRAME_BYTES));
        assert_eq!((frames.memory_bytes(), frames.partial().len()), (0, 0));
    }

    #[test]
    fn the_memory_of_long_frames_goes_round_and_shows_nothing_of_its_past() {
        let pool = Arc::default();
        let mut frames = FrameReader::new(Arc::clone(&pool));
        let mut frame = |length: usize, byte| {
            let body = vec![byte; length];
            let header = u32::try_from(length).unwrap().to_be_bytes();
            let read = all(&mut frames, &[&header[..], &body].concat()).remove(0);
            assert_eq!(read, body);
            read
        };
        let (first, second) = (frame(MAX_FRAME_BYTES, 1), frame(LONG_BYTES, 2));
        let place = first.as_ptr();
        drop(first);
        assert_eq!(frame(LONG_BYTES, 3).as_ptr(), place);
        drop(second);
        drop(frame(LONG_BYTES - 1, 4));
        assert_eq!(pool.idle.lock().len(), 2);

        let many: Vec<_> = (0..MAX_IDLE + 5).map(|_| frame(LONG_BYTES, 5)).collect();
        drop(many);
        assert_eq!(pool.idle.lock().len(), MAX_IDLE);
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
        fn frames_are_the_same_however_the_input_is_split(
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
