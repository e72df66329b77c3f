//! Which READs follow one another, and how much to fetch ahead of them. No IO, no memory: numbers only.
//!
//! A client reads ahead itself: dozens of READs are in flight and arrive slightly out of order, so that a READ near a
//! run, or of bytes that are there already, is no seek; nor is one that goes astray. Some clients follow several runs
//! side by side over one handle. A seek is a READ elsewhere whose successor follows it, or several READs in a row that
//! follow nothing.

use super::run::Run;
use std::{collections::VecDeque, ops::Range};

/// The longest GET, in bytes.
pub(super) const RANGE_BYTES: u64 = 8 << 20;
/// So many runs are followed side by side.
const MAX_RUNS: usize = 4;
/// So many READs in a row that follow nothing end all runs. The first READs of as many runs as may be don't.
const MAX_STRAYS: usize = MAX_RUNS;
/// A run ends when others have asked for so many bytes since its last READ: its client is elsewhere.
const PATIENCE_BYTES: u64 = RANGE_BYTES;

/// What the reader knows of its client's ways.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The run of the last READ first. None before the first READ, which begins a run wherever it is.
    runs: Vec<Run>,
    /// The last READs that followed nothing, the latest behind: each may have been the first of a run.
    strays: VecDeque<Range<u64>>,
    /// How many READs in a row followed nothing.
    astray: usize,
    /// The time of runs: bytes that were asked for, by whatever READs.
    asked_bytes: u64,
}

/// What a READ means for the ranges to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// The READ belongs to a run, which is being fetched from here on; `None`: fetch just what it asks for.
    pub(super) run_from: Option<u64>,
    /// A run has ended: what was fetched ahead of it is in vain.
    pub(super) moved: bool,
}

impl Prefetch {
    /// A run that begins at `head`, or wherever the first READ asks.
    pub(super) fn new(head: Option<u64>) -> Self {
        let runs = head.map(Run::first).into_iter().collect();
        Self { runs, strays: VecDeque::new(), astray: 0, asked_bytes: 0 }
    }

    /// Takes note of a READ. `covered`: its bytes are there or on their way.
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

    /// Makes `run` the one that was followed last. Says whether another has ended by that.
    fn follow(&mut self, run: Run) -> bool {
        self.astray = 0;
        self.runs.insert(0, run);
        let before = self.runs.len();
        self.runs.retain(|run| self.asked_bytes - run.last_at <= PATIENCE_BYTES);
        self.runs.truncate(MAX_RUNS);
        self.runs.len() < before
    }

    /// The READ that `want` follows, if that followed nothing itself. Only behind the latest there may be a gap: among
    /// READs all over the file some are neighbours by chance.
    fn first_of_run(&mut self, want: &Range<u64>) -> Option<Range<u64>> {
        let gap_bytes = 2 * (want.end - want.start);
        let latest = self.strays.len().saturating_sub(1);
        let at = self.strays.iter().enumerate().position(|(at, first)| {
            let gap_bytes = if at == latest { gap_bytes } else { 0 };
            (first.end..=first.end.saturating_add(gap_bytes)).contains(&want.start)
        })?;
        self.strays.remove(at)
    }

    /// Takes note of a READ that follows nothing. Says whether that ends all runs.
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

    /// The end of the furthest READ of the run that was followed last.
    pub(super) fn head(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.head)
    }

    /// The length of that run's next GET, in bytes.
    pub(super) fn step_bytes(&self) -> u64 {
        self.runs.first().map_or(0, Run::step_bytes)
    }

    /// How many GETs that run may have in flight or unread: the runs share the most that a reader has.
    pub(super) fn window(&self) -> u64 {
        let share = super::run::MAX_WINDOW / (self.runs.len() as u64).max(1);
        self.runs.first().map_or(0, Run::window).min(share)
    }

    /// Whether some run may come to bytes of `range`.
    pub(super) fn may_reach(&self, range: &Range<u64>) -> bool {
        self.runs.iter().any(|run| run.may_reach(range))
    }

    /// Whether some run is at `range` or may come there, late READs included.
    pub(super) fn is_near(&self, range: &Range<u64>) -> bool {
        self.runs.iter().any(|run| run.is_near(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_BYTES: u64 = 32 << 10;

    /// Observes one READ of bytes that are not there.
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
