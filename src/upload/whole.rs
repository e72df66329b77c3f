//! The stored beginning of an upload: the parts without a gap, although parts arrive in any order.

use crate::{journal::Whole, store::Part};
use crc_fast::{CrcAlgorithm::Crc64Nvme, Digest};
use std::collections::BTreeMap;

/// The stored parts without a gap, and the parts that wait for one before them.
#[derive(Debug, Default)]
pub(super) struct ContiguousParts {
    whole: Whole,
    /// Parts that arrived before others.
    waiting: BTreeMap<u32, Part>,
    /// The first part that doesn't count, if there is one.
    end: Option<u32>,
}

impl ContiguousParts {
    /// Begins with parts that are stored already.
    pub(super) fn of(whole: Whole) -> Self {
        Self { whole, ..Self::default() }
    }

    pub(super) fn so_far(&self) -> Whole {
        self.whole
    }

    /// Excludes part `number` and all behind it.
    pub(super) fn end_before(&mut self, number: u32) {
        self.end.get_or_insert(number);
    }

    /// Counts a stored part. Returns `true` if the beginning grew.
    pub(super) fn add(&mut self, part: &Part) -> bool {
        let before = self.whole;
        if self.end.is_none_or(|end| part.number < end) {
            self.waiting.insert(part.number, part.clone());
        }
        while let Some(next) = self.waiting.remove(&(self.whole.parts + 1)) {
            self.whole = behind(self.whole, &next);
        }
        self.whole != before
    }
}

/// The stored beginning with one more part.
fn behind(Whole { parts, bytes, etags }: Whole, part: &Part) -> Whole {
    let mut digest = Digest::new(Crc64Nvme);
    digest.update(&etags.to_le_bytes());
    // Stores differ in whether a listing shows the ETag's quotes.
    digest.update(part.etag.0.trim_matches('"').as_bytes());
    Whole { parts: parts + 1, bytes: bytes + part.size, etags: digest.finalize() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    fn part(number: u32, etag: &str) -> Part {
        Part { number, etag: ETag(etag.to_owned()), size: u64::from(number) * 10, crc64: None }
    }

    #[test]
    fn parts_count_in_their_order_up_to_one_that_does_not() {
        let first = ContiguousParts::of(behind(Whole::default(), &part(1, "a")));
        let mut prefix = first;
        let mut add = |number| {
            prefix.add(&part(number, "a"));
            (prefix.whole.parts, prefix.whole.bytes)
        };
        assert_eq!([add(4), add(3), add(2)], [(1, 10), (1, 10), (4, 100)]);
        prefix.end_before(6);
        prefix.end_before(7);
        assert_eq!([6, 5, 7].map(|number| prefix.add(&part(number, "a"))), [false, true, false]);
        assert_eq!((prefix.so_far().parts, prefix.so_far().bytes), (5, 150));
    }

    #[test]
    fn a_part_that_was_stored_again_makes_a_difference() {
        let whole = |etags: [&str; 2]| {
            let mut prefix = ContiguousParts::default();
            for (number, etag) in (1..).zip(etags) {
                prefix.add(&part(number, etag));
            }
            prefix.so_far()
        };
        assert_eq!(whole(["\"a\"", "b"]), whole(["a", "\"b\""]));
        assert_ne!(whole(["a", "b"]), whole(["a", "c"]));
        assert_ne!(whole(["a", "b"]), whole(["b", "a"]));
    }
}
