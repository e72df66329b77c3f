//! A sequence: READs that follow one another. Numbers only.

use super::prefetch::RANGE_BYTES;
use std::ops::Range;

/// The most GETs that a long sequence has in flight or unread. At S3's 80 MB/s a connection, they bring as much as one
/// client can take.
pub(super) const MAX_WINDOW: u64 = 16;
/// The furthest that a READ of a sequence may be out of order, in bytes. Half the depth of OpenSSH's 64 READs of 32
/// KiB.
const MAX_SLACK_BYTES: u64 = 1 << 20;
/// The length from which a sequence gets a second GET, in bytes.
const PROVEN_BYTES: u64 = 1 << 20;

/// One sequence of READs.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The end of the furthest READ.
    pub(super) head: u64,
    /// The number of bytes that its READs asked for.
    asked_bytes: u64,
    /// True if it began with the OPEN. Such a sequence is trusted from the start.
    first: bool,
    /// The time of its last READ, in bytes that all READs had asked for.
    pub(super) last_at: u64,
}

impl Sequence {
    /// The sequence that begins with the OPEN.
    pub(super) fn first(head: u64) -> Self {
        Self { head, asked_bytes: 0, first: true, last_at: 0 }
    }

    /// A sequence that continues from `head` after a seek, with `asked_bytes` asked for so far.
    pub(super) fn after_seek(head: u64, asked_bytes: u64, now: u64) -> Self {
        Self { head, asked_bytes, first: false, last_at: now }
    }

    /// True if `want` extends the sequence, even if slightly out of order.
    pub(super) fn leads_to(&self, want: &Range<u64>) -> bool {
        want.end > self.head && want.start.abs_diff(self.head) <= self.slack(want)
    }

    /// True if `want`, whose bytes are here or requested, is a late READ of the sequence.
    pub(super) fn left_out(&self, want: &Range<u64>) -> bool {
        want.start < self.head && self.head - want.start <= MAX_SLACK_BYTES.max(self.slack(want))
    }

    fn slack(&self, want: &Range<u64>) -> u64 {
        let trusted_bytes = if self.first { MAX_SLACK_BYTES } else { self.asked_bytes.min(MAX_SLACK_BYTES) };
        trusted_bytes.max(2 * (want.end - want.start))
    }

    /// Takes in a READ.
    pub(super) fn take(&mut self, want: &Range<u64>, now: u64) {
        self.head = self.head.max(want.end);
        self.asked_bytes += want.end - want.start;
        self.last_at = now;
    }

    /// The length of its next GET, in bytes. A sequence after a seek proves itself with a few small ones.
    pub(super) fn step_bytes(&self) -> u64 {
        if self.first { RANGE_BYTES } else { RANGE_BYTES.min(2 * self.asked_bytes) }
    }

    /// The number of GETs that may be in flight or unread. It doubles fast: at S3's speed, a window of 4 brings less
    /// than half of what a client can take.
    pub(super) fn window(&self) -> u64 {
        const DOUBLE_BYTES: u64 = 2 * PROVEN_BYTES;
        const LONG_BYTES: u64 = 2 * RANGE_BYTES;
        match self.asked_bytes {
            ..PROVEN_BYTES => 1,
            PROVEN_BYTES..DOUBLE_BYTES => 2,
            DOUBLE_BYTES..RANGE_BYTES => MAX_WINDOW / 4,
            RANGE_BYTES..LONG_BYTES => MAX_WINDOW / 2,
            _ => MAX_WINDOW,
        }
    }

    /// True if the sequence may come to bytes of `range`.
    pub(super) fn may_reach(&self, range: &Range<u64>) -> bool {
        self.head < range.end && range.start <= self.reach()
    }

    /// True if `range` lies ahead of the sequence, or so little behind it that a late READ may fall there.
    pub(super) fn is_near(&self, range: &Range<u64>) -> bool {
        self.head < range.end.saturating_add(RANGE_BYTES) && range.start <= self.reach()
    }

    fn reach(&self) -> u64 {
        self.head.saturating_add(self.window() * RANGE_BYTES)
    }
}
