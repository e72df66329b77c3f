//! How much of an upload is stored without a gap: parts arrive in any order.

use crate::store::{Part, Whole};
use std::collections::BTreeMap;

/// The parts from the first one on that are stored, and those that wait for one before them.
#[derive(Debug, Default)]
pub(super) struct Contiguous {
    whole: Whole,
    /// The sizes of parts that arrived before others, in bytes.
    waiting: BTreeMap<u32, u64>,
    /// The first part that counts no more.
    end: Option<u32>,
}

impl Contiguous {
    /// What is stored already.
    pub(super) fn of(whole: Whole) -> Self {
        Self { whole, ..Self::default() }
    }

    pub(super) fn so_far(&self) -> Whole {
        self.whole
    }

    /// Neither part `number` nor any behind it counts.
    pub(super) fn end_before(&mut self, number: u32) {
        self.end.get_or_insert(number);
    }

    /// Counts a part that is stored. Says whether that made a difference.
    pub(super) fn add(&mut self, part: &Part) -> bool {
        let before = self.whole;
        if self.end.is_none_or(|end| part.number < end) {
            self.waiting.insert(part.number, part.size);
        }
        while let Some(size) = self.waiting.remove(&(self.whole.parts + 1)) {
            self.whole = Whole { parts: self.whole.parts + 1, bytes: self.whole.bytes + size };
        }
        self.whole != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    #[test]
    fn parts_count_in_their_order_up_to_one_that_does_not() {
        let mut prefix = Contiguous::of(Whole { parts: 1, bytes: 10 });
        let mut add = |number, size| {
            prefix.add(&Part { number, etag: ETag(String::new()), size, crc64: None });
            (prefix.whole.parts, prefix.whole.bytes)
        };
        assert_eq!([add(4, 40), add(3, 30), add(2, 20)], [(1, 10), (1, 10), (4, 100)]);
        prefix.end_before(6);
        prefix.end_before(7);
        let mut add = |number, size| prefix.add(&Part { number, etag: ETag(String::new()), size, crc64: None });
        assert_eq!([add(6, 60), add(5, 50), add(7, 1)], [false, true, false]);
        assert_eq!(prefix.so_far(), Whole { parts: 5, bytes: 150 });
    }
}
