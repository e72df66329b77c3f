//! Finds the split point of an upload: the end of the next part. Decides if the server sends the part or S3 copies it.
//!
//! Invariant: every part but the last has at least 5 MiB, because S3 requires it. So a small stretch of the older
//! object beside new bytes is sent with them, and all else of that object is copied.

use super::{part_buffer::PartBuffer, plan::MIN_PART_BYTES};
use std::ops::Range;

/// The bytes that S3 copies with one request. The size is large enough to take seconds, and small enough that several
/// requests in parallel are faster.
const COPY_BYTES: u64 = 256 * 1024 * 1024;
/// The most copies of one object. Another program may have made an object of up to 5 TiB. Each copy is larger than
/// [`COPY_BYTES`] then, so that part numbers are left for the new bytes.
const MAX_COPIES: u64 = 2048;

/// The next part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextPart {
    /// A range of the older object.
    Copy(Range<u64>),
    /// The bytes in the buffer.
    Send {
        /// The part's end.
        end: u64,
        /// True if waiting would not make the part longer.
        whole: bool,
    },
}

/// Splits the bytes of an upload into parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartSplitter {
    /// The end of the bytes that may ship.
    pub(super) end: u64,
    /// The planned length of a part, in bytes.
    pub(super) planned_bytes: u64,
    /// True if the older object is large enough for S3 to copy ranges of it.
    pub(super) copyable: bool,
    /// True if no bytes follow `end`, so that a part of any length may end there.
    pub(super) last: bool,
}

impl PartSplitter {
    /// The part that begins at the window's start.
    pub(super) fn next(self, buffer: &PartBuffer) -> NextPart {
        let start = buffer.start();
        match self.copied(buffer, start) {
            Some(older) if older.start == start => NextPart::Copy(start..copy_end(buffer, &older)),
            _ => self.sent(buffer),
        }
    }

    fn sent(self, buffer: &PartBuffer) -> NextPart {
        let start = buffer.start();
        let planned = buffer.boundary_behind(start.saturating_add(self.planned_bytes));
        let enough = buffer.boundary_behind(start.saturating_add(MIN_PART_BYTES));
        let mut from = start;
        while let Some(older) = self.copied(buffer, from).filter(|older| older.start < planned) {
            let end = older.start.max(enough);
            if self.is_worth_copying(&(end..older.end)) {
                return NextPart::Send { end, whole: true };
            }
            from = older.end;
        }
        NextPart::Send { end: planned.min(self.end), whole: planned <= self.end }
    }

    /// The first range of the older object from `from` on that S3 can copy.
    fn copied(self, buffer: &PartBuffer, mut from: u64) -> Option<Range<u64>> {
        if !self.copyable {
            return None;
        }
        loop {
            let older = buffer.untouched(from, self.end)?;
            if self.is_worth_copying(&older) {
                return Some(older);
            }
            from = older.end;
        }
    }

    fn is_worth_copying(self, older: &Range<u64>) -> bool {
        let bytes = older.end.saturating_sub(older.start);
        bytes >= MIN_PART_BYTES || (self.last && older.end == self.end && bytes > 0)
    }
}

/// The end of the part of `older` that S3 copies with one request. All shares are equal, so that none is too small.
fn copy_end(buffer: &PartBuffer, older: &Range<u64>) -> u64 {
    buffer.boundary_behind(older.start + share_bytes(older.end - older.start)).min(older.end)
}

/// The share of `bytes` that S3 copies with one request.
pub(super) fn share_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(bytes.div_ceil(COPY_BYTES.max(bytes / MAX_COPIES)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Pool;
    use std::sync::Arc;

    const MIB: u64 = 1024 * 1024;

    /// The parts of an object of `size` MiB in which the client overwrote the MiB `written`.
    fn parts(size: u64, written: &[u64]) -> Vec<NextPart> {
        let (mut buffer, pool): (_, Arc<Pool>) = (PartBuffer::over(size * MIB), Arc::default());
        for at in written.iter().flat_map(|at| (at * 4..at * 4 + 4).map(|quarter| quarter * MIB / 4)) {
            buffer.make_room_at(at, pool.block());
            buffer.write(at, &vec![1; 256 * 1024]);
        }
        let splitter = PartSplitter { end: buffer.size(), planned_bytes: 8 * MIB, copyable: size > 5, last: true };
        let mut parts = Vec::new();
        while buffer.start() < buffer.size() {
            let part = splitter.next(&buffer);
            match &part {
                NextPart::Copy(range) => buffer.skip_to(range.end),
                NextPart::Send { end, .. } => drop(buffer.take_part(*end)),
            }
            parts.push(part);
        }
        parts
    }

    fn copy(start: u64, end: u64) -> NextPart {
        NextPart::Copy(start * MIB..end * MIB)
    }

    fn send(end: u64) -> NextPart {
        NextPart::Send { end: end * MIB, whole: true }
    }

    #[test]
    fn what_nobody_wrote_is_copied_and_small_pieces_go_with_their_neighbours() {
        assert_eq!(parts(1024, &[]), [copy(0, 256), copy(256, 512), copy(512, 768), copy(768, 1024)]);
        assert_eq!(parts(257, &[]).len(), 2, "in equal shares");
        assert!(parts(5 * 1024 * 1024, &[]).len() < 7_000, "S3's largest object");
        assert_eq!(parts(100, &[100]), [copy(0, 100), NextPart::Send { end: 101 * MIB, whole: false }]);
        assert_eq!(parts(100, &[50]), [copy(0, 50), send(55), copy(55, 100)]);
        assert_eq!(parts(100, &[0]), [send(5), copy(5, 100)]);
        assert_eq!(parts(100, &[3]), [send(5), copy(5, 100)]);
        assert_eq!(parts(100, &[3, 7]), [send(8), copy(8, 100)]);
        assert_eq!(parts(100, &[98]), [copy(0, 98), NextPart::Send { end: 100 * MIB, whole: false }]);
        assert_eq!(parts(20, &[0, 1, 2, 3, 4, 5, 12, 18]).first(), Some(&send(6)));
        assert_eq!(
            parts(5, &[8]),
            [send(8), NextPart::Send { end: 9 * MIB, whole: false }],
            "S3 copies from more alone"
        );
    }
}
