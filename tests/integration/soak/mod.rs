//! Proofs with random input, which find more the longer they run. They print their seed. `tests/soak/run` runs them for
//! any length of time, a plain `cargo test` for a moment each. See docs/testing.md.
//!
//! A proof is a test in this module. `tests/soak/run` finds it by its name.

mod markers;
mod proxy_header;

use std::{
    env,
    time::{Duration, Instant},
};

const SECONDS: &str = "WHARFINGER_SOAK_SECONDS";
const SEED: &str = "WHARFINGER_SOAK_SEED";

/// Default length of a proof, in seconds.
const DEFAULT_SECONDS: u64 = 2;

/// One run of a proof.
struct Soak {
    random: Random,
    began: Instant,
    length: Duration,
    rounds: u64,
}

impl Soak {
    /// Starts a run of the proof `name`, with seed and length from the environment.
    fn start(name: &str) -> Self {
        let number =
            |key| env::var(key).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{key}={text}")));
        let seed = number(SEED).unwrap_or_else(|| getrandom::u64().unwrap());
        let length = Duration::from_secs(number(SECONDS).unwrap_or(DEFAULT_SECONDS));
        println!("{name}: seed {seed}, {} s", length.as_secs());
        Self { random: Random(seed), began: Instant::now(), length, rounds: 0 }
    }

    /// Counts a round. Returns false when the time is over.
    fn round(&mut self) -> bool {
        self.rounds += 1;
        self.rounds == 1 || self.began.elapsed() < self.length
    }
}

/// SplitMix64: a seed gives the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which must not be 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Returns one of `all`.
    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Changes `bytes` in one to four places: flips bits, replaces, cuts, duplicates and inserts bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below(bytes.len() - at + 1);
            match self.below(7) {
                0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 if at < bytes.len() => bytes[at] = *self.one_of(&[0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ']),
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(at..end)),
                5 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                _ => bytes.insert(at, self.byte()),
            }
        }
    }
}
