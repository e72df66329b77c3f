//! Decides which request meets which fault. Never waits.

use crate::{store::Error, testing::bucket::Verb};
use std::time::Duration;

/// The fault of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request isn't done, and fails with this error.
    Refused(Error),
    /// The request isn't done, and fails with this error after this delay.
    RefusedAfter(Duration, Error),
    /// The request is done, and fails with this error nevertheless. If it fails by itself, its own error is returned.
    AnswerLost(Error),
    /// The request is done after this delay.
    Slow(Duration),
    /// The request isn't done, and the answer never comes.
    Silent,
    /// The request is done, and the answer never comes.
    SilentWhenDone,
    /// A `DeleteObjects` keeps its first object, for this reason, and deletes the others.
    FirstRefused(Error),
    /// The body of a GET breaks.
    BodyBreaks {
        /// The number of bytes that come before.
        after_bytes: usize,
    },
    /// The body of a GET ends too early, without an error: a short read.
    BodyEnds {
        /// The number of bytes that come before.
        after_bytes: usize,
    },
    /// The body of a GET stalls for ever.
    BodyStalls {
        /// The number of bytes that come before.
        after_bytes: usize,
    },
}

/// A request by its verb, and its number among the requests of that verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its kind.
    pub verb: Verb,
    /// The first is 1.
    pub nth: usize,
}

/// The requests that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// This one.
    At(Step),
    /// All of a verb.
    Every(Verb),
    /// An outage: all requests from this number on. The first is 1.
    From(usize),
}

/// The planned faults, and the requests so far.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    aimed: Vec<(Aim, Fault)>,
    chance: Option<Chance>,
    steps: Vec<Step>,
    met: Vec<(Step, Fault)>,
}

impl FaultPlan {
    pub(super) fn meet(&mut self, aim: Aim, fault: Fault) {
        self.aimed.push((aim, fault));
    }

    pub(super) fn meet_at_random(&mut self, seed: u64, one_in: u64, faults: Vec<Fault>) {
        self.chance = Some(Chance { state: seed, one_in, faults });
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn met(&self) -> &[(Step, Fault)] {
        &self.met
    }

    /// Counts a request, and returns the fault that it meets.
    pub(super) fn arrive(&mut self, verb: Verb) -> Option<Fault> {
        let nth = self.steps.iter().filter(|step| step.verb == verb).count() + 1;
        let step = Step { verb, nth };
        self.steps.push(step);
        let number = self.steps.len();
        let aimed = self.aimed.iter().find(|(aim, _)| aim.means(step, number)).map(|(_, fault)| fault.clone());
        let fault = aimed.or_else(|| self.chance.as_mut().and_then(Chance::draw))?;
        self.met.push((step, fault.clone()));
        Some(fault)
    }
}

impl Aim {
    fn means(self, step: Step, number: usize) -> bool {
        match self {
            Self::At(aim) => aim == step,
            Self::Every(verb) => verb == step.verb,
            Self::From(first) => number >= first,
        }
    }
}

/// Faults by chance.
#[derive(Debug)]
struct Chance {
    state: u64,
    one_in: u64,
    faults: Vec<Fault>,
}

impl Chance {
    fn draw(&mut self) -> Option<Fault> {
        if !self.next().is_multiple_of(self.one_in) {
            return None;
        }
        let count = u64::try_from(self.faults.len()).ok().filter(|count| *count > 0)?;
        let index = usize::try_from(self.next() % count).ok()?;
        self.faults.get(index).cloned()
    }

    /// SplitMix64: any seed will do.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
