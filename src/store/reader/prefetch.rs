//! Which READs follow one another, and how much to fetch ahead of them. No IO, no memory: numbers only.
//!
//! A client reads ahead itself: dozens of READs are in flight and arrive slightly out of order, so that a READ near the
//! run, or of bytes that are there already, is no seek; nor is one that goes astray. A seek is a READ elsewhere whose
//! successor follows it, or several READs in a row that follow nothing.

use std::ops::Range;

/// The longest GET, in bytes.
pub(super) const RANGE_BYTES: u64 = 8 << 20;
/// How many GETs a long run has in flight or unread at most.
const MAX_WINDOW: usize = 4;
/// How far out of order a READ of a run may come at most, in bytes. Half the depth of OpenSSH's 64 READs of 32 KiB.
const MAX_SLACK_BYTES: u64 = 1 << 20;
/// From here on a run is worth a second GET, in bytes.
const PROVEN_BYTES: u64 = 1 << 20;
/// So many READs in a row that follow nothing end a run.
const MAX_STRAYS: u32 = 3;

/// What the reader knows of its client's ways.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The end of the furthest READ of the run; `None` before the first READ, which begins the run wherever it is.
    head: Option<u64>,
    /// How many bytes of the run were asked for.
    asked_bytes: u64,
    /// Whether the run is the one that began with the OPEN, and is believed in from the start.
    first_run: bool,
    /// The last READ that followed nothing.
    stray: Option<Range<u64>>,
    strays: u32,
}

/// What a READ means for the ranges to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// The READ belongs to the run, which is being fetched from here on; `None`: fetch just what it asks for.
    pub(super) run_from: Option<u64>,
    /// The client went elsewhere: what was fetched ahead is in vain.
    pub(super) moved: bool,
}

impl Prefetch {
    /// A run that begins at `head`, or wherever the first READ asks.
    pub(super) fn new(head: Option<u64>) -> Self {
        Self { head, asked_bytes: 0, first_run: true, stray: None, strays: 0 }
    }

    fn moved_to(head: u64, asked_bytes: u64) -> Self {
        Self { asked_bytes, first_run: false, ..Self::new(Some(head)) }
    }

    /// The end of the run's furthest READ.
    pub(super) fn head(&self) -> u64 {
        self.head.unwrap_or(0)
    }

    /// Takes note of a READ. `covered`: its bytes are there or on their way.
    pub(super) fn observe(&mut self, want: &Range<u64>, covered: bool) -> Observed {
        let len = want.end - want.start;
        let head = *self.head.get_or_insert(want.start);
        let trusted_bytes = if self.first_run { MAX_SLACK_BYTES } else { self.asked_bytes.min(MAX_SLACK_BYTES) };
        let slack = trusted_bytes.max(2 * len);
        let follows = want.end > head && want.start.abs_diff(head) <= slack;
        let lags = covered && want.start < head && head - want.start <= MAX_SLACK_BYTES.max(slack);
        if follows || lags {
            self.head = Some(head.max(want.end));
            self.asked_bytes += len;
            self.strays = 0;
            return Observed { run_from: follows.then_some(head), moved: false };
        }
        match self.stray.replace(want.clone()) {
            // The stray was the first READ of a new run.
            Some(first) if (first.end..=first.end.saturating_add(2 * len)).contains(&want.start) => {
                *self = Self::moved_to(want.end, first.end - first.start + len);
                Observed { run_from: Some(first.end), moved: true }
            }
            _ => {
                self.strays += u32::from(!covered);
                let moved = self.strays >= MAX_STRAYS;
                if moved {
                    *self = Self::moved_to(want.end, len);
                }
                Observed { run_from: None, moved }
            }
        }
    }

    /// The length of the run's next GET, in bytes: a new run proves itself with a few small ones.
    pub(super) fn step_bytes(&self) -> u64 {
        if self.first_run { RANGE_BYTES } else { RANGE_BYTES.min(2 * self.asked_bytes) }
    }

    /// How many GETs may be in flight or unread: 1, then 2, then 4.
    pub(super) fn window(&self) -> usize {
        match self.asked_bytes {
            ..PROVEN_BYTES => 1,
            PROVEN_BYTES..RANGE_BYTES => MAX_WINDOW / 2,
            _ => MAX_WINDOW,
        }
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
        let windows: Vec<usize> = (0..9 * 32)
            .map(|number| {
                seen(&mut prefetch, number * READ_BYTES);
                prefetch.window()
            })
            .collect();
        assert!(windows.is_sorted());
        assert_eq!((windows[30], windows[31], windows[254], windows[255]), (1, 2, 2, 4));
    }

    #[test]
    fn one_read_astray_ends_no_run_but_three_do() {
        let mut prefetch = Prefetch::new(Some(0));
        seen(&mut prefetch, 0);
        assert_eq!(seen(&mut prefetch, 1 << 30), stray());
        assert_eq!(seen(&mut prefetch, READ_BYTES), run(READ_BYTES));
        assert_eq!(seen(&mut prefetch, 2 << 30), stray());
        assert_eq!(seen(&mut prefetch, 3 << 30), stray());
        assert_eq!(seen(&mut prefetch, 4 << 30), Observed { run_from: None, moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 2 * READ_BYTES));
    }

    #[test]
    fn a_seek_that_is_followed_up_is_a_new_run_that_has_to_prove_itself() {
        let mut prefetch = Prefetch::new(Some(0));
        for number in 0..300 {
            seen(&mut prefetch, number * READ_BYTES);
        }
        assert_eq!(prefetch.window(), 4);
        assert_eq!(seen(&mut prefetch, 1 << 30), stray());
        let follower = (1 << 30) + READ_BYTES;
        assert_eq!(seen(&mut prefetch, follower), Observed { run_from: Some(follower), moved: true });
        assert_eq!((prefetch.window(), prefetch.step_bytes()), (1, 4 * READ_BYTES));
    }

    #[test]
    fn offsets_at_the_end_of_the_world_do_no_harm() {
        let mut prefetch = Prefetch::new(Some(0));
        for offset in [u64::MAX - READ_BYTES, 0, u64::MAX - 2 * READ_BYTES, u64::MAX - READ_BYTES] {
            seen(&mut prefetch, offset);
        }
    }
}
