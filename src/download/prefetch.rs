//! Finds the READs that follow one another, and how much to prefetch for them. No IO, no memory: numbers only.
//!
//! A client reads ahead itself: dozens of READs are in flight and arrive slightly out of order. So a READ near a
//! sequence, or of bytes that are already here, is no seek. Neither is a single stray READ. Some clients follow several
//! sequences side by side over one handle. A seek is a READ elsewhere whose successor follows it, or several READs in a
//! row that follow nothing.

use super::sequence::Sequence;
use std::{collections::VecDeque, ops::Range};

/// The longest GET, in bytes.
pub(super) const RANGE_BYTES: u64 = 8 << 20;
/// The most sequences that are followed side by side.
const MAX_SEQUENCES: usize = 4;
/// The number of stray READs in a row that end all sequences. The first READs of [`MAX_SEQUENCES`] sequences stay below
/// it.
const MAX_STRAYS: usize = MAX_SEQUENCES;
/// A sequence ends when READs of other sequences have asked for this many bytes since its last READ: its client is
/// elsewhere.
const PATIENCE_BYTES: u64 = RANGE_BYTES;

/// The reader's knowledge of its client's access pattern.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The sequences, that of the last READ first. Empty before the first READ, which begins a sequence at any offset.
    sequences: Vec<Sequence>,
    /// The last READs that followed nothing, the latest at the back. Each may have been the first of a sequence.
    strays: VecDeque<Range<u64>>,
    /// The number of READs in a row that followed nothing.
    astray: usize,
    /// The clock of the sequences: the bytes that all READs have asked for.
    asked_bytes: u64,
}

/// The meaning of a READ for the ranges to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// The offset from which its sequence is being fetched. `None` if the READ belongs to no sequence: fetch only its
    /// own bytes.
    pub(super) sequence_start: Option<u64>,
    /// True if a sequence has ended, so that the ranges prefetched for it are of no use.
    pub(super) moved: bool,
}

impl Prefetch {
    /// Begins with a sequence at `head`, or at the first READ's offset.
    pub(super) fn new(head: Option<u64>) -> Self {
        let sequences = head.map(Sequence::first).into_iter().collect();
        Self { sequences, strays: VecDeque::new(), astray: 0, asked_bytes: 0 }
    }

    /// Takes note of a READ. `covered`: its bytes are here or requested.
    pub(super) fn observe(&mut self, want: &Range<u64>, covered: bool) -> Observation {
        let len = want.end - want.start;
        self.asked_bytes += len;
        if self.sequences.is_empty() {
            self.sequences.push(Sequence::first(want.start));
        }
        let leads = self.sequences.iter().position(|sequence| sequence.leads_to(want));
        let lags = || self.sequences.iter().position(|sequence| covered && sequence.left_out(want));
        if let Some(at) = leads.or_else(lags) {
            let mut sequence = self.sequences.remove(at);
            let sequence_start = leads.map(|_| sequence.head);
            sequence.take(want, self.asked_bytes);
            return Observation { sequence_start, moved: self.follow(sequence) };
        }
        match self.first_of_sequence(want) {
            Some(first) => {
                self.follow(Sequence::after_seek(want.end, first.end - first.start + len, self.asked_bytes));
                Observation { sequence_start: Some(first.end), moved: true }
            }
            None => Observation { sequence_start: None, moved: self.stray(want, covered) },
        }
    }

    /// Makes `sequence` the latest one. Returns `true` if another sequence has ended because of that.
    fn follow(&mut self, sequence: Sequence) -> bool {
        self.astray = 0;
        self.sequences.insert(0, sequence);
        let before = self.sequences.len();
        self.sequences.retain(|sequence| self.asked_bytes - sequence.last_at <= PATIENCE_BYTES);
        self.sequences.truncate(MAX_SEQUENCES);
        self.sequences.len() < before
    }

    /// The READ that `want` follows, if that READ followed nothing itself. Only after the latest READ may there be a
    /// gap: among READs all over the file, some are neighbours by chance.
    fn first_of_sequence(&mut self, want: &Range<u64>) -> Option<Range<u64>> {
        let gap_bytes = 2 * (want.end - want.start);
        let latest = self.strays.len().saturating_sub(1);
        let at = self.strays.iter().enumerate().position(|(at, first)| {
            let gap_bytes = if at == latest { gap_bytes } else { 0 };
            (first.end..=first.end.saturating_add(gap_bytes)).contains(&want.start)
        })?;
        self.strays.remove(at)
    }

    /// Takes note of a READ that follows nothing. Returns `true` if that ends all sequences.
    fn stray(&mut self, want: &Range<u64>, covered: bool) -> bool {
        if self.strays.len() == MAX_SEQUENCES {
            self.strays.pop_front();
        }
        self.strays.push_back(want.clone());
        self.astray += usize::from(!covered);
        let moved = self.astray >= MAX_STRAYS;
        if moved {
            self.astray = 0;
            self.strays.clear();
            self.sequences = vec![Sequence::after_seek(want.end, want.end - want.start, self.asked_bytes)];
        }
        moved
    }

    /// Forgets how far the client's sequences had come. The latest one has to prove itself again from where it is.
    pub(super) fn restart(&mut self) {
        self.sequences = vec![Sequence::after_seek(self.head(), 0, self.asked_bytes)];
        self.strays.clear();
        self.astray = 0;
    }

    /// The end of the furthest READ of the latest sequence.
    pub(super) fn head(&self) -> u64 {
        self.sequences.first().map_or(0, |sequence| sequence.head)
    }

    /// The length of the latest sequence's next GET, in bytes.
    pub(super) fn step_bytes(&self) -> u64 {
        self.sequences.first().map_or(0, Sequence::step_bytes)
    }

    /// The number of GETs that the latest sequence may have in flight or unread. The sequences share the reader's
    /// maximum.
    pub(super) fn window(&self) -> u64 {
        let share = super::sequence::MAX_WINDOW / (self.sequences.len() as u64).max(1);
        self.sequences.first().map_or(0, Sequence::window).min(share)
    }

    /// True if a sequence may come to bytes of `range`.
    pub(super) fn may_reach(&self, range: &Range<u64>) -> bool {
        self.sequences.iter().any(|sequence| sequence.may_reach(range))
    }

    /// True if a sequence is at `range` or may come there, late READs included.
    pub(super) fn is_near(&self, range: &Range<u64>) -> bool {
        self.sequences.iter().any(|sequence| sequence.is_near(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_BYTES: u64 = 32 << 10;

    /// Observes one READ of bytes that are not here.
    fn observe_read(prefetch: &mut Prefetch, offset: u64) -> Observation {
        prefetch.observe(&(offset..offset + READ_BYTES), false)
    }

    fn sequence(from: u64) -> Observation {
        Observation { sequence_start: Some(from), moved: false }
    }

    fn stray() -> Observation {
        Observation { sequence_start: None, moved: false }
    }

    #[test]
    fn the_first_read_begins_a_sequence_wherever_it_is() {
        let mut prefetch = Prefetch::new(None);
        assert_eq!(observe_read(&mut prefetch, 5 << 30), sequence(5 << 30));
        assert_eq!(prefetch.step_bytes(), RANGE_BYTES);
        assert_eq!(observe_read(&mut prefetch, (5 << 30) + READ_BYTES), sequence((5 << 30) + READ_BYTES));
    }

    #[test]
    fn the_window_doubles_with_the_sequence() {
        let mut prefetch = Prefetch::new(Some(0));
        let windows: Vec<u64> = (0..16 * 32)
            .map(|number| {
                observe_read(&mut prefetch, number * READ_BYTES);
                prefetch.window()
            })
            .collect();
        assert!(windows.is_sorted());
        let mebibytes = [1, 2, 7, 8, 15, 16].map(|mebibytes| windows[mebibytes * 32 - 1]);
        assert_eq!((windows[30], mebibytes), (1, [2, 4, 4, 8, 8, 16]));
    }

    #[test]
    fn one_read_astray_ends_no_sequence_but_four_do() {
        let mut prefetch = Prefetch::new(Some(0));
        observe_read(&mut prefetch, 0);
        assert_eq!(observe_read(&mut prefetch, 1 << 30), stray());
        assert_eq!(observe_read(&mut prefetch, READ_BYTES), sequence(READ_BYTES));
        for gibibytes in 2..5 {
            assert_eq!(observe_read(&mut prefetch, gibibytes << 30), stray());
        }
        assert_eq!(observe_read(&mut prefetch, 5 << 30), Observation { sequence_start: None, moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 2 * READ_BYTES));
    }

    #[test]
    fn a_seek_that_is_followed_up_is_a_new_sequence_that_has_to_prove_itself() {
        let mut prefetch = Prefetch::new(Some(0));
        for number in 0..300 {
            observe_read(&mut prefetch, number * READ_BYTES);
        }
        assert_eq!(prefetch.window(), 8);
        assert_eq!(observe_read(&mut prefetch, 1 << 30), stray());
        let follower = (1 << 30) + READ_BYTES;
        assert_eq!(observe_read(&mut prefetch, follower), Observation { sequence_start: Some(follower), moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 4 * READ_BYTES));
    }

    #[test]
    fn sequences_side_by_side_grow_and_share_the_window() {
        let mut prefetch = Prefetch::new(None);
        let starts = [0, 1 << 30, 2 << 30, 3 << 30];
        let ended = (0..2000).flat_map(|number| starts.map(|start| start + number * READ_BYTES));
        let ended = ended.filter(|offset| {
            let observed = observe_read(&mut prefetch, *offset);
            observed.moved && *offset % (1 << 30) > READ_BYTES
        });
        assert_eq!(ended.count(), 0);
        assert_eq!((prefetch.sequences.len(), prefetch.window(), prefetch.step_bytes()), (4, 4, RANGE_BYTES));
    }

    #[test]
    fn a_sequence_that_its_client_has_left_ends() {
        let mut prefetch = Prefetch::new(Some(0));
        observe_read(&mut prefetch, 0);
        let moved = (0..=256).filter(|number| observe_read(&mut prefetch, (1 << 30) + number * READ_BYTES).moved);
        assert_eq!(moved.collect::<Vec<_>>(), [1, 256]);
        assert!(!prefetch.is_near(&(0..RANGE_BYTES)));
    }

    #[test]
    fn offsets_at_the_end_of_the_world_do_no_harm() {
        let mut prefetch = Prefetch::new(Some(0));
        for offset in [u64::MAX - READ_BYTES, 0, u64::MAX - 2 * READ_BYTES, u64::MAX - READ_BYTES] {
            observe_read(&mut prefetch, offset);
        }
    }
}
