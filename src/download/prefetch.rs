//! Finds the READs that follow one another, and how much to prefetch for them. No IO, no memory: numbers only.
//!
//! A client reads ahead itself: dozens of READs are in flight and arrive slightly out of order. So a READ near a run,
//! or of bytes that are already here, is no seek. Neither is a single stray READ. Some clients follow several runs side
//! by side over one handle. A seek is a READ elsewhere whose successor follows it, or several READs in a row that
//! follow nothing.

use super::run::Run;
use std::{collections::VecDeque, ops::Range};

/// The longest GET, in bytes.
pub(super) const RANGE_BYTES: u64 = 8 << 20;
/// The most runs that are followed side by side.
const MAX_RUNS: usize = 4;
/// The number of stray READs in a row that end all runs. The first READs of [`MAX_RUNS`] runs stay below it.
const MAX_STRAYS: usize = MAX_RUNS;
/// A run ends when READs of other runs have asked for this many bytes since its last READ: its client is elsewhere.
const PATIENCE_BYTES: u64 = RANGE_BYTES;

/// The reader's knowledge of its client's access pattern.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The runs, that of the last READ first. Empty before the first READ, which begins a run at any offset.
    runs: Vec<Run>,
    /// The last READs that followed nothing, the latest at the back. Each may have been the first of a run.
    strays: VecDeque<Range<u64>>,
    /// The number of READs in a row that followed nothing.
    astray: usize,
    /// The clock of the runs: the bytes that all READs have asked for.
    asked_bytes: u64,
}

/// The meaning of a READ for the ranges to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// The offset from which its run is being fetched. `None` if the READ belongs to no run: fetch only its own bytes.
    pub(super) run_from: Option<u64>,
    /// True if a run has ended, so that the ranges prefetched for it are of no use.
    pub(super) moved: bool,
}

impl Prefetch {
    /// Begins with a run at `head`, or at the first READ's offset.
    pub(super) fn new(head: Option<u64>) -> Self {
        let runs = head.map(Run::first).into_iter().collect();
        Self { runs, strays: VecDeque::new(), astray: 0, asked_bytes: 0 }
    }

    /// Takes note of a READ. `covered`: its bytes are here or requested.
    pub(super) fn observe(&mut self, want: &Range<u64>, covered: bool) -> Observed {
        let len = want.end - want.start;
        self.asked_bytes += len;
        if self.runs.is_empty() {
            self.runs.push(Run::first(want.start));
        }
        let leads = self.runs.iter().position(|run| run.leads_to(want));
        let lags = || self.runs.iter().position(|run| covered && run.left_out(want));
        if let Some(at) = leads.or_else(lags) {
            let mut run = self.runs.remove(at);
            let run_from = leads.map(|_| run.head);
            run.take(want, self.asked_bytes);
            return Observed { run_from, moved: self.follow(run) };
        }
        match self.first_of_run(want) {
            Some(first) => {
                self.follow(Run::after_seek(want.end, first.end - first.start + len, self.asked_bytes));
                Observed { run_from: Some(first.end), moved: true }
            }
            None => Observed { run_from: None, moved: self.stray(want, covered) },
        }
    }

    /// Makes `run` the latest one. Returns `true` if another run has ended because of that.
    fn follow(&mut self, run: Run) -> bool {
        self.astray = 0;
        self.runs.insert(0, run);
        let before = self.runs.len();
        self.runs.retain(|run| self.asked_bytes - run.last_at <= PATIENCE_BYTES);
        self.runs.truncate(MAX_RUNS);
        self.runs.len() < before
    }

    /// The READ that `want` follows, if that READ followed nothing itself. Only after the latest READ may there be a
    /// gap: among READs all over the file, some are neighbours by chance.
    fn first_of_run(&mut self, want: &Range<u64>) -> Option<Range<u64>> {
        let gap_bytes = 2 * (want.end - want.start);
        let latest = self.strays.len().saturating_sub(1);
        let at = self.strays.iter().enumerate().position(|(at, first)| {
            let gap_bytes = if at == latest { gap_bytes } else { 0 };
            (first.end..=first.end.saturating_add(gap_bytes)).contains(&want.start)
        })?;
        self.strays.remove(at)
    }

    /// Takes note of a READ that follows nothing. Returns `true` if that ends all runs.
    fn stray(&mut self, want: &Range<u64>, covered: bool) -> bool {
        if self.strays.len() == MAX_RUNS {
            self.strays.pop_front();
        }
        self.strays.push_back(want.clone());
        self.astray += usize::from(!covered);
        let moved = self.astray >= MAX_STRAYS;
        if moved {
            self.astray = 0;
            self.strays.clear();
            self.runs = vec![Run::after_seek(want.end, want.end - want.start, self.asked_bytes)];
        }
        moved
    }

    /// The end of the furthest READ of the latest run.
    pub(super) fn head(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.head)
    }

    /// The length of the latest run's next GET, in bytes.
    pub(super) fn step_bytes(&self) -> u64 {
        self.runs.first().map_or(0, Run::step_bytes)
    }

    /// The number of GETs that the latest run may have in flight or unread. The runs share the reader's maximum.
    pub(super) fn window(&self) -> u64 {
        let share = super::run::MAX_WINDOW / (self.runs.len() as u64).max(1);
        self.runs.first().map_or(0, Run::window).min(share)
    }

    /// True if a run may come to bytes of `range`.
    pub(super) fn may_reach(&self, range: &Range<u64>) -> bool {
        self.runs.iter().any(|run| run.may_reach(range))
    }

    /// True if a run is at `range` or may come there, late READs included.
    pub(super) fn is_near(&self, range: &Range<u64>) -> bool {
        self.runs.iter().any(|run| run.is_near(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_BYTES: u64 = 32 << 10;

    /// Observes one READ of bytes that are not here.
    fn seen(prefetch: &mut Prefetch, offset: u64) -> Observed {
        prefetch.observe(&(offset..offset + READ_BYTES), false)
    }

    fn run(from: u64) -> Observed {
        Observed { run_from: Some(from), moved: false }
    }

    fn stray() -> Observed {
        Observed { run_from: None, moved: false }
    }

    #[test]
    fn the_first_read_begins_a_run_wherever_it_is() {
        let mut prefetch = Prefetch::new(None);
        assert_eq!(seen(&mut prefetch, 5 << 30), run(5 << 30));
        assert_eq!(prefetch.step_bytes(), RANGE_BYTES);
        assert_eq!(seen(&mut prefetch, (5 << 30) + READ_BYTES), run((5 << 30) + READ_BYTES));
    }

    #[test]
    fn the_window_doubles_with_the_run() {
        let mut prefetch = Prefetch::new(Some(0));
        let windows: Vec<u64> = (0..16 * 32)
            .map(|number| {
                seen(&mut prefetch, number * READ_BYTES);
                prefetch.window()
            })
            .collect();
        assert!(windows.is_sorted());
        let mebibytes = [1, 2, 7, 8, 15, 16].map(|mebibytes| windows[mebibytes * 32 - 1]);
        assert_eq!((windows[30], mebibytes), (1, [2, 4, 4, 8, 8, 16]));
    }

    #[test]
    fn one_read_astray_ends_no_run_but_four_do() {
        let mut prefetch = Prefetch::new(Some(0));
        seen(&mut prefetch, 0);
        assert_eq!(seen(&mut prefetch, 1 << 30), stray());
        assert_eq!(seen(&mut prefetch, READ_BYTES), run(READ_BYTES));
        for gibibytes in 2..5 {
            assert_eq!(seen(&mut prefetch, gibibytes << 30), stray());
        }
        assert_eq!(seen(&mut prefetch, 5 << 30), Observed { run_from: None, moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 2 * READ_BYTES));
    }

    #[test]
    fn a_seek_that_is_followed_up_is_a_new_run_that_has_to_prove_itself() {
        let mut prefetch = Prefetch::new(Some(0));
        for number in 0..300 {
            seen(&mut prefetch, number * READ_BYTES);
        }
        assert_eq!(prefetch.window(), 8);
        assert_eq!(seen(&mut prefetch, 1 << 30), stray());
        let follower = (1 << 30) + READ_BYTES;
        assert_eq!(seen(&mut prefetch, follower), Observed { run_from: Some(follower), moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 4 * READ_BYTES));
    }

    #[test]
    fn runs_side_by_side_grow_and_share_the_window() {
        let mut prefetch = Prefetch::new(None);
        let starts = [0, 1 << 30, 2 << 30, 3 << 30];
        let ended = (0..2000).flat_map(|number| starts.map(|start| start + number * READ_BYTES));
        let ended = ended.filter(|offset| {
            let observed = seen(&mut prefetch, *offset);
            observed.moved && *offset % (1 << 30) > READ_BYTES
        });
        assert_eq!(ended.count(), 0);
        assert_eq!((prefetch.runs.len(), prefetch.window(), prefetch.step_bytes()), (4, 4, RANGE_BYTES));
    }

    #[test]
    fn a_run_that_its_client_has_left_ends() {
        let mut prefetch = Prefetch::new(Some(0));
        seen(&mut prefetch, 0);
        let moved = (0..=256).filter(|number| seen(&mut prefetch, (1 << 30) + number * READ_BYTES).moved);
        assert_eq!(moved.collect::<Vec<_>>(), [1, 256]);
        assert!(!prefetch.is_near(&(0..RANGE_BYTES)));
    }

    #[test]
    fn offsets_at_the_end_of_the_world_do_no_harm() {
        let mut prefetch = Prefetch::new(Some(0));
        for offset in [u64::MAX - READ_BYTES, 0, u64::MAX - 2 * READ_BYTES, u64::MAX - READ_BYTES] {
            seen(&mut prefetch, offset);
        }
    }
}
