//! The ranges that a reader has or is fetching: disjoint, in order, few.
//!
//! Invariant: a range that a READ needs stays until that READ has ended. Removed ranges are returned, so that the
//! caller drops them outside the reader's lock.

use super::{
    buffer::{RangeBuffer, RangeMemory},
    prefetch::Prefetch,
};
use crate::store::Result;
use bytes::Bytes;
use std::ops::Range;
use tokio::sync::oneshot;

/// The ranges of one reader, sorted by their start.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<RangeBuffer>);

/// The result of a READ's look for its bytes.
pub(super) enum RangeLookup {
    /// All its bytes, in order.
    Complete(Vec<Bytes>),
    /// Some bytes are still missing. Look again after this signal.
    Wait(oneshot::Receiver<()>),
}

impl Ranges {
    /// Adds a range that overlaps no other.
    pub(super) fn insert(&mut self, range: RangeBuffer) {
        let at = self.0.partition_point(|other| other.start() < range.start());
        self.0.insert(at, range);
    }

    /// The range of this id, if it is still held.
    pub(super) fn find(&mut self, id: u64) -> Option<&mut RangeBuffer> {
        self.0.iter_mut().find(|range| range.id == id)
    }

    /// The first offset from `from` on that no range covers.
    pub(super) fn frontier(&self, from: u64) -> u64 {
        self.0.iter().fold(from, |at, range| if (range.start()..range.end()).contains(&at) { range.end() } else { at })
    }

    /// The start of the first range behind `at`.
    pub(super) fn next_start(&self, at: u64) -> Option<u64> {
        self.0.iter().map(RangeBuffer::start).find(|start| *start > at)
    }

    /// The number of ranges that cover the bytes from `head` on without a gap, not counting those of single READs.
    pub(super) fn prefetched_from(&self, head: u64) -> u64 {
        let mut at = head;
        let mut count = 0;
        for range in self.0.iter().filter(|range| range.end() > head) {
            if range.start() > at {
                break;
            }
            at = range.end();
            count += u64::from(!matches!(range.memory, RangeMemory::Demanded));
        }
        count
    }

    /// The budget bytes that the ranges hold.
    pub(super) fn budget_bytes(&self) -> u64 {
        let bytes = |range: &RangeBuffer| match &range.memory {
            RangeMemory::Charged(reservation) => reservation.bytes(),
            RangeMemory::Demanded => 0,
        };
        self.0.iter().map(bytes).sum()
    }

    /// Holds the ranges of `want` until [`release`](Self::release).
    pub(super) fn hold(&mut self, want: &Range<u64>) {
        for range in self.within(want) {
            range.readers += 1;
            range.touched = true;
        }
    }

    /// Hands out `want`, all of it or nothing.
    pub(super) fn look(&mut self, want: &Range<u64>) -> Result<RangeLookup> {
        let mut pieces = Vec::new();
        for range in self.within(want) {
            if let Some(arrival) = range.wait_for(want)? {
                return Ok(RangeLookup::Wait(arrival));
            }
        }
        for range in self.within(want) {
            range.take(want, &mut pieces);
        }
        Ok(RangeLookup::Complete(pieces))
    }

    /// Ends the [`hold`](Self::hold) of `want`. Removes and returns the ranges that no READ will need.
    pub(super) fn release(&mut self, want: &Range<u64>, prefetch: &Prefetch) -> Vec<RangeBuffer> {
        for range in self.within(want) {
            range.readers = range.readers.saturating_sub(1);
        }
        self.take_unneeded(prefetch)
    }

    /// Removes the ranges that no READ will need, as far as the client's access pattern tells.
    pub(super) fn take_unneeded(&mut self, prefetch: &Prefetch) -> Vec<RangeBuffer> {
        self.take_idle(|range| {
            range.has_failed()
                || matches!(range.memory, RangeMemory::Demanded)
                || (range.is_consumed() && !prefetch.may_reach(range.range()))
                || !prefetch.is_near(range.range())
        })
    }

    /// True if no READ needs a range now.
    pub(super) fn is_idle(&self) -> bool {
        self.0.iter().all(|range| range.readers == 0)
    }

    /// Removes the range of this id, if the client is silent, or if memory is tight and no READ needed the range since
    /// the last call.
    pub(super) fn evict(&mut self, id: u64, is_silent: bool) -> Vec<RangeBuffer> {
        let evicted = self.take_idle(|range| range.id == id && (is_silent || !range.touched && range.is_tight()));
        if let Some(range) = self.find(id) {
            range.touched = false;
        }
        evicted
    }

    /// Removes all ranges.
    pub(super) fn clear(&mut self) -> Vec<RangeBuffer> {
        std::mem::take(&mut self.0)
    }

    fn take_idle(&mut self, condition: impl Fn(&RangeBuffer) -> bool) -> Vec<RangeBuffer> {
        self.0.extract_if(.., |range| range.readers == 0 && condition(range)).collect()
    }

    fn within(&mut self, want: &Range<u64>) -> impl Iterator<Item = &mut RangeBuffer> {
        self.0.iter_mut().filter(|range| range.start() < want.end && range.end() > want.start)
    }
}
