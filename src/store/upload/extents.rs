//! Which bytes of a file were written: so that a gap is waited for as long as its bytes may still come.

use std::collections::BTreeMap;

/// How many separate extents are kept apart. A client that scatters more than that loses no byte: the first gap is
/// just not waited for any more.
const MAX_EXTENTS: usize = 256;

/// The written bytes from a start on, as extents that neither touch nor overlap.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// The end of what was written without a gap.
    whole: u64,
    /// Extents behind the first gap, by their starts: their ends.
    ahead: BTreeMap<u64, u64>,
}

impl Extents {
    /// The end of what was written without a gap.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Notes that `start..end` was written.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        while let Some((&other_start, &other_end)) = self.ahead.range(..=end).next_back()
            && other_end >= start
        {
            start = start.min(other_start);
            end = end.max(other_end);
            self.ahead.remove(&other_start);
        }
        if start <= self.whole {
            self.whole = self.whole.max(end);
        } else {
            self.ahead.insert(start, end);
        }
        if self.ahead.len() > MAX_EXTENTS {
            self.close_first_gap();
        }
    }

    /// Takes the first gap for written: it is a hole.
    pub(super) fn close_first_gap(&mut self) {
        if let Some((_, end)) = self.ahead.pop_first() {
            self.whole = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scattered_bytes_are_bounded() {
        let mut extents = Extents::default();
        (1..10_000u64).for_each(|n| extents.insert(n * 2, n * 2 + 1));
        assert_eq!(extents.ahead.len(), MAX_EXTENTS);
        while !extents.ahead.is_empty() {
            extents.close_first_gap();
        }
        assert_eq!(extents.whole(), 19_999);
    }

    proptest! {
        #[test]
        fn extents_are_what_a_bitmap_says(writes in prop::collection::vec((0..100usize, 1..20usize), 0..40)) {
            let (mut extents, mut bitmap) = (Extents::default(), [false; 128]);
            for (start, len) in writes {
                extents.insert(start as u64, (start + len) as u64);
                bitmap[start..start + len].fill(true);
                let whole = bitmap.iter().take_while(|written| **written).count();
                prop_assert_eq!(extents.whole(), whole as u64);
                let ahead = bitmap[whole..].iter().filter(|written| **written).count();
                prop_assert_eq!(extents.ahead.iter().map(|(start, end)| end - start).sum::<u64>(), ahead as u64);
            }
        }
    }
}
