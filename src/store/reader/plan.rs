//! What to fetch for a READ, and with whose memory. Decides under the reader's lock and never waits.
//!
//! Invariant: after planning, every byte that the READ asks for is there or on its way, and no byte is fetched twice at a
//! time.

use super::{
    Shared,
    buffer::{Memory, RangeBuffer},
    fill::fill,
    prefetch::{Prefetch, RANGE_BYTES},
    ranges::Ranges,
    run::MAX_WINDOW,
};
use crate::store::{Body, Error, Result, task::OwnedTask};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

/// What the ranges of one reader may take of the budget: a full window, and one that is not read to its end yet.
const MAX_BUDGET_BYTES: u64 = (MAX_WINDOW + 1) * RANGE_BYTES;
/// What to ask of the budget when a whole range is not free.
const MODEST_BYTES: u64 = 1 << 20;
/// The range that a reader may have when the budget gives nothing; small files never ask the budget.
pub(super) const GUARANTEED_BYTES: u64 = 256 << 10;

/// What changes while an object is read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ranges: Ranges,
    pub(super) prefetch: Prefetch,
    /// The version is gone: no further GET can succeed.
    lost: Option<Error>,
    /// The last GET failed. Until one brings bytes, nothing is fetched ahead: an outage would be met with a window of GETs for
    /// each READ that a client sends.
    failing: bool,
    /// Ids tell a range from an earlier one at the same place, whose task may not have noticed yet.
    next_id: u64,
}

impl State {
    /// No range yet. The run begins at `head`, or wherever the first READ asks.
    pub(super) fn new(head: Option<u64>) -> Self {
        Self { ranges: Ranges::default(), prefetch: Prefetch::new(head), lost: None, failing: false, next_id: 0 }
    }

    /// Sees to it that all of `want` is there or on its way, and fetches ahead. Returns what is given up.
    pub(super) fn plan(&mut self, shared: &Arc<Shared>, want: &Range<u64>) -> Result<Vec<RangeBuffer>> {
        if self.next_id == 0 && shared.object.size <= RANGE_BYTES {
            self.fetch_whole(shared);
        }
        let covered = self.ranges.frontier(want.start) >= want.end;
        if let Some(lost) = self.lost.as_ref().filter(|_| !covered) {
            return Err(lost.clone());
        }
        let observed = self.prefetch.observe(want, covered);
        let forsaken = if observed.moved { self.ranges.take_unneeded(&self.prefetch) } else { Vec::new() };

        let mut at = observed.run_from.map_or(want.start, |from| self.ranges.frontier(from).min(want.start));
        while at < want.end {
            let covered_to = self.ranges.frontier(at);
            at = if covered_to > at { covered_to } else { self.fetch(shared, at, want.end, observed.run_from) };
        }
        if observed.run_from.is_some() && self.lost.is_none() && !self.failing {
            self.fetch_ahead(shared);
        }
        Ok(forsaken)
    }

    /// Starts the GET for the uncovered bytes from `at` on, of which a READ asks for those before `asked_end`.
    /// Returns its end.
    fn fetch(&mut self, shared: &Arc<Shared>, at: u64, asked_end: u64, run_from: Option<u64>) -> u64 {
        let limit =
            self.ranges.next_start(at).unwrap_or(u64::MAX).min(shared.object.size).min(at.saturating_add(RANGE_BYTES));
        let asked_end = asked_end.min(limit);
        let step_bytes = if run_from.is_some() { self.prefetch.step_bytes() } else { 0 };
        let end = at.saturating_add(step_bytes).clamp(asked_end, limit);
        if end == asked_end {
            self.start(shared, at..end, Memory::Demanded, None);
            return end;
        }
        let (end, memory) = self.memory(shared, at, asked_end, end);
        self.start(shared, at..end, memory, None);
        end
    }

    /// Starts the one GET that brings all of a small object, wherever its first READ asks, if there is memory.
    fn fetch_whole(&mut self, shared: &Arc<Shared>) {
        let size = shared.object.size;
        let memory = if size <= GUARANTEED_BYTES { Some(Memory::Guaranteed) } else { self.budgeted(shared, size) };
        if let Some(memory) = memory {
            self.start(shared, 0..size, memory, None);
        }
    }

    /// Memory for a range from `at` to `end`, or to less, but not less than `asked_end`.
    fn memory(&self, shared: &Shared, at: u64, asked_end: u64, end: u64) -> (u64, Memory) {
        for end in [end, at.saturating_add(MODEST_BYTES).clamp(asked_end, end)] {
            if let Some(memory) = self.budgeted(shared, end - at) {
                return (end, memory);
            }
        }
        if self.ranges.guarantee_is_used() {
            (asked_end, Memory::Demanded)
        } else {
            (at.saturating_add(GUARANTEED_BYTES).clamp(asked_end, end), Memory::Guaranteed)
        }
    }

    /// Starts the GETs that the window has room for, as far as there is memory to spare.
    fn fetch_ahead(&mut self, shared: &Arc<Shared>) {
        let head = self.prefetch.head();
        while self.ranges.ahead_of(head) < self.prefetch.window() {
            let at = self.ranges.frontier(head);
            let limit = self.ranges.next_start(at).unwrap_or(u64::MAX).min(shared.object.size);
            let end = at.saturating_add(self.prefetch.step_bytes()).min(limit);
            if at >= end {
                return;
            }
            let Some(spare) = shared.budget.try_take_spare(end - at, self.ranges.budget_bytes()) else { return };
            self.start(shared, at..end, Memory::Budget(spare), None);
        }
    }

    fn budgeted(&self, shared: &Shared, bytes: u64) -> Option<Memory> {
        if self.ranges.budget_bytes() + bytes > MAX_BUDGET_BYTES {
            return None;
        }
        shared.budget.try_take(bytes).map(Memory::Budget)
    }

    /// Starts a GET, or goes on with the `body` of one that was answered. Without a READ that holds it, the range must
    /// not be [`Memory::Demanded`].
    pub(super) fn start(&mut self, shared: &Arc<Shared>, range: Range<u64>, memory: Memory, body: Option<Body>) {
        let evictable = matches!(memory, Memory::Budget(_));
        let id = self.next_id;
        self.next_id += 1;
        let task = OwnedTask::spawn(fill(Arc::clone(shared), id, range.clone(), body, evictable));
        self.ranges.insert(RangeBuffer::new(id, range, memory, task));
    }

    /// Takes in the next bytes of a range.
    pub(super) fn deliver(&mut self, id: u64, chunk: Bytes) {
        self.failing = false;
        if let Some(range) = self.ranges.find(id) {
            range.push(chunk);
        }
    }

    /// Gives up on a range, unless it is complete; READs that need it get `error`. Returns it when none does.
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
