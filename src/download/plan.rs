//! Decides what to fetch for a READ, and whose memory it takes. Runs under the reader's lock and never waits.
//!
//! Invariant: after planning, every byte that the READ asks for is here or requested, and no byte is requested twice at
//! the same time.

use super::{
    ReaderInner,
    buffer::{RangeBuffer, RangeMemory},
    fill::fill,
    prefetch::{Prefetch, RANGE_BYTES},
    ranges::Ranges,
    sequence::MAX_WINDOW,
};
use crate::{
    memory::BLOCK_BYTES,
    store::{Body, Error, OwnedTask, Result},
};
use bytes::Bytes;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most budget bytes that one reader's ranges may hold: a full window, and one range that is not read to its end
/// yet.
const MAX_BUDGET_BYTES: u64 = (MAX_WINDOW + 1) * RANGE_BYTES;
/// The bytes to ask of the budget if a whole range isn't free.
const MODEST_BYTES: u64 = 1 << 20;
/// The size of a small file, which has memory of its own. A reader may have such a range if there is no other memory.
pub(super) const SMALL_BYTES: u64 = BLOCK_BYTES as u64;
/// The ranges of a client that sends no READ for this long are dropped.
const SILENCE: Duration = Duration::from_secs(10);

/// The state of a reader that changes while it reads.
#[derive(Debug)]
pub(super) struct ReaderState {
    pub(super) ranges: Ranges,
    pub(super) prefetch: Prefetch,
    /// The version is gone: no further GET can succeed.
    lost: Option<Error>,
    /// The last GET failed. Until one brings bytes, nothing is prefetched. Else, in an outage, each READ of a client
    /// would start a window of GETs.
    failing: bool,
    /// The time of the last READ, or of the OPEN.
    read_at: Instant,
    /// The id of the next range. It tells a range from an earlier one at the same place, whose task may still run.
    next_id: u64,
}

impl ReaderState {
    /// A state without ranges. The sequence begins at `head`, or at the first READ's offset.
    pub(super) fn new(head: Option<u64>) -> Self {
        Self {
            ranges: Ranges::default(),
            prefetch: Prefetch::new(head),
            lost: None,
            failing: false,
            read_at: Instant::now(),
            next_id: 0,
        }
    }

    /// Removes and returns the range of this id, if the client is silent or others need its memory.
    pub(super) fn evict(&mut self, id: u64) -> Vec<RangeBuffer> {
        let is_silent = self.read_at.elapsed() >= SILENCE && self.ranges.is_idle();
        let evicted = self.ranges.evict(id, is_silent);
        if is_silent && !evicted.is_empty() {
            // Else each READ of a client that pauses would fetch a whole window again.
            self.prefetch.restart();
        }
        evicted
    }

    /// Ensures that all of `want` is here or requested, and prefetches. Returns the ranges that it dropped.
    pub(super) fn plan(&mut self, shared: &Arc<ReaderInner>, want: &Range<u64>) -> Result<Vec<RangeBuffer>> {
        self.read_at = Instant::now();
        if self.next_id == 0 && shared.object.size <= RANGE_BYTES {
            self.fetch_whole(shared);
        }
        let covered = self.ranges.frontier(want.start) >= want.end;
        if let Some(lost) = self.lost.as_ref().filter(|_| !covered) {
            return Err(lost.clone());
        }
        let observed = self.prefetch.observe(want, covered);
        let unneeded = if observed.moved { self.ranges.take_unneeded(&self.prefetch) } else { Vec::new() };

        let mut at = observed.sequence_start.map_or(want.start, |from| self.ranges.frontier(from).min(want.start));
        while at < want.end {
            let covered_to = self.ranges.frontier(at);
            at = if covered_to > at { covered_to } else { self.fetch(shared, at, want.end, observed.sequence_start) };
        }
        if observed.sequence_start.is_some() && self.lost.is_none() && !self.failing {
            self.start_prefetches(shared);
        }
        Ok(unneeded)
    }

    /// Starts the GET for the uncovered bytes from `at` on. A READ asks for those before `asked_end`. Returns the GET's
    /// end.
    fn fetch(&mut self, shared: &Arc<ReaderInner>, at: u64, asked_end: u64, sequence_start: Option<u64>) -> u64 {
        let limit =
            self.ranges.next_start(at).unwrap_or(u64::MAX).min(shared.object.size).min(at.saturating_add(RANGE_BYTES));
        let asked_end = asked_end.min(limit);
        let step_bytes = if sequence_start.is_some() { self.prefetch.step_bytes() } else { 0 };
        let end = at.saturating_add(step_bytes).clamp(asked_end, limit);
        if end == asked_end {
            self.start(shared, at..end, RangeMemory::Demanded, None);
            return end;
        }
        let (end, memory) = self.memory(shared, at, asked_end, end);
        self.start(shared, at..end, memory, None);
        end
    }

    /// Starts one GET for all of a small object, regardless of the first READ's offset, if there is memory.
    fn fetch_whole(&mut self, shared: &Arc<ReaderInner>) {
        let size = shared.object.size;
        if let Some(memory) = shared.small_file(size).or_else(|| self.budgeted(shared, size)) {
            self.start(shared, 0..size, memory, None);
        }
    }

    /// Memory for a range from `at` to `end`, or to an earlier end, but not before `asked_end`.
    fn memory(&self, shared: &ReaderInner, at: u64, asked_end: u64, end: u64) -> (u64, RangeMemory) {
        for end in [end, at.saturating_add(MODEST_BYTES).clamp(asked_end, end)] {
            if let Some(memory) = self.budgeted(shared, end - at) {
                return (end, memory);
            }
        }
        let small_end = at.saturating_add(SMALL_BYTES).clamp(asked_end, end);
        match shared.small_file(small_end - at) {
            Some(memory) => (small_end, memory),
            None => (asked_end, RangeMemory::Demanded),
        }
    }

    /// Starts the GETs that fit the window, as far as there is spare memory.
    fn start_prefetches(&mut self, shared: &Arc<ReaderInner>) {
        let head = self.prefetch.head();
        while self.ranges.prefetched_from(head) < self.prefetch.window() {
            let at = self.ranges.frontier(head);
            let limit = self.ranges.next_start(at).unwrap_or(u64::MAX).min(shared.object.size);
            let end = at.saturating_add(self.prefetch.step_bytes()).min(limit);
            if at >= end {
                return;
            }
            let Some(spare) = shared.memory.charge_spare(end - at, self.ranges.budget_bytes()) else { return };
            self.start(shared, at..end, RangeMemory::Charged(spare), None);
        }
    }

    fn budgeted(&self, shared: &ReaderInner, bytes: u64) -> Option<RangeMemory> {
        if self.ranges.budget_bytes() + bytes > MAX_BUDGET_BYTES {
            return None;
        }
        shared.memory.charge_range(bytes).map(RangeMemory::Charged)
    }

    /// Starts a GET, or continues with the `body` of an answered one. A range that no READ holds must not be
    /// [`RangeMemory::Demanded`].
    pub(super) fn start(
        &mut self,
        shared: &Arc<ReaderInner>,
        range: Range<u64>,
        memory: RangeMemory,
        body: Option<Body>,
    ) {
        let evictable = matches!(memory, RangeMemory::Charged(_));
        let id = self.next_id;
        self.next_id += 1;
        let task = OwnedTask::spawn(fill(Arc::clone(shared), id, range.clone(), body, evictable));
        self.ranges.insert(RangeBuffer::new(id, range, memory, task));
    }

    /// Appends the next bytes of a range.
    pub(super) fn deliver(&mut self, id: u64, piece: Bytes) {
        self.failing = false;
        if let Some(range) = self.ranges.find(id) {
            range.push(piece);
        }
    }

    /// Fails a range, unless it is complete. READs that need it get `error`. Returns the range if no READ needs it.
    pub(super) fn fail(&mut self, id: u64, error: &Error) -> Vec<RangeBuffer> {
        let Some(range) = self.ranges.find(id) else { return Vec::new() };
        if !range.fail(error) {
            return Vec::new();
        }
        self.failing = true;
        if matches!(error, Error::Conflict { .. } | Error::NotFound | Error::Archived) {
            self.lost = Some(error.clone());
        }
        self.ranges.take_unneeded(&self.prefetch)
    }
}
