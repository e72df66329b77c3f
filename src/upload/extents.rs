//! The written bytes of a file. The upload waits for a gap as long as its bytes may still come. After that the gap
//! shows the bytes under it.

use std::{
    collections::BTreeMap,
    ops::{Bound::Excluded, Bound::Unbounded, Range},
};

/// The most separate extents that are kept before the writer has to fill gaps.
const MAX_EXTENTS: usize = 1024;

/// The written bytes, as extents that neither touch nor overlap.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// The end of the contiguous bytes: every byte before it was written, or lies in a gap that the upload no longer
    /// waits for.
    contiguous_end: u64,
    /// The ends of the extents by their starts. None contains `contiguous_end`, except at its end.
    written: BTreeMap<u64, u64>,
    /// The bytes that were written, each counted once, and not truncated since.
    new_bytes: u64,
}

impl Extents {
    /// The end of the contiguous bytes: written without a gap, except for gaps that were closed.
    pub(super) fn contiguous_end(&self) -> u64 {
        self.contiguous_end
    }

    /// The bytes that were written, each counted once. A byte that is written again after a truncation counts again.
    pub(super) fn new_bytes(&self) -> u64 {
        self.new_bytes
    }

    /// True if there are too many extents.
    pub(super) fn is_scattered(&self) -> bool {
        self.written.len() > MAX_EXTENTS
    }

    /// Notes that `start..end` was written.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        while let Some((&other_start, &other_end)) = self.written.range(..=end).next_back()
            && other_end >= start
        {
            start = start.min(other_start);
            end = end.max(other_end);
            self.written.remove(&other_start);
            self.new_bytes -= other_end - other_start;
        }
        self.new_bytes += end - start;
        if start <= self.contiguous_end {
            self.contiguous_end = self.contiguous_end.max(end);
        }
        self.written.insert(start, end);
    }

    /// Stops waiting for the bytes of the first gap.
    pub(super) fn close_first_gap(&mut self) {
        if let Some((_, end)) = self.written.range((Excluded(self.contiguous_end), Unbounded)).next() {
            self.contiguous_end = *end;
        }
    }

    /// The gaps in `range`: bytes that were never written.
    pub(super) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        let before = self.written.range(..=range.start).next_back();
        let within =
            self.written.range((Excluded(range.start), Unbounded)).take_while(|(start, _)| **start < range.end);
        for (start, end) in before.into_iter().chain(within) {
            if *start > at {
                gaps.push(at..*start);
            }
            at = at.max(*end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Forgets extents that end before `offset`, where writes are no longer possible.
    pub(super) fn forget_before(&mut self, offset: u64) {
        self.contiguous_end = self.contiguous_end.max(offset);
        while let Some(first) = self.written.first_entry()
            && *first.get() <= offset
        {
            first.remove();
        }
    }

    /// Forgets all bytes from `size` on.
    pub(super) fn truncate(&mut self, size: u64) {
        self.contiguous_end = self.contiguous_end.min(size);
        let removed: u64 = self.written.split_off(&size).into_iter().map(|(start, end)| end - start).sum();
        self.new_bytes -= removed;
        if let Some(mut last) = self.written.last_entry() {
            let former = last.insert(size.min(*last.get()));
            self.new_bytes -= former.saturating_sub(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scattered_bytes_are_noticed_and_gaps_closed_one_by_one() {
        let mut extents = Extents::default();
        (1..=MAX_EXTENTS as u64).for_each(|n| extents.insert(n * 2, n * 2 + 1));
        assert!(!extents.is_scattered());
        extents.insert(9_999, 10_000);
        assert!(extents.is_scattered());
        extents.close_first_gap();
        assert_eq!(extents.contiguous_end(), 3);
        (0..2 * MAX_EXTENTS).for_each(|_| extents.close_first_gap());
        assert_eq!(extents.contiguous_end(), 10_000);
        assert_eq!(extents.gaps(0..6), [0..2, 3..4, 5..6]);
    }

    proptest! {
        #[test]
        fn extents_are_what_a_bitmap_says(
            writes in prop::collection::vec((0..100usize, 1..20usize), 0..40),
            (cut, probe) in (0..140usize, (0..128usize, 0..40usize)),
        ) {
            let (mut extents, mut bitmap) = (Extents::default(), [false; 128]);
            for (start, len) in writes {
                extents.insert(start as u64, (start + len) as u64);
                bitmap[start..start + len].fill(true);
                let whole = bitmap.iter().take_while(|written| **written).count();
                prop_assert_eq!(extents.contiguous_end(), whole as u64);
                prop_assert_eq!(extents.new_bytes(), bitmap.iter().filter(|written| **written).count() as u64);
            }
            extents.truncate(cut as u64);
            bitmap[cut.min(128)..].fill(false);
            prop_assert_eq!(extents.new_bytes(), bitmap.iter().filter(|written| **written).count() as u64);
            let range = probe.0..(probe.0 + probe.1).min(128);
            let mut gaps = [false; 128];
            for gap in extents.gaps(range.start as u64..range.end as u64) {
                prop_assert!(gap.start < gap.end);
                gaps[usize::try_from(gap.start).unwrap()..usize::try_from(gap.end).unwrap()].fill(true);
            }
            for (at, gap) in gaps.into_iter().enumerate() {
                prop_assert_eq!(gap, range.contains(&at) && !bitmap[at]);
            }
        }
    }
}
