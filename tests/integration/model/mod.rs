//! A second implementation of `src/vfs/SEMANTICS.md` as a simple program ([`Promises`]). It is compared with the real
//! tree: random sequences of client actions, in three sessions of two users of one tenant, with several open handles
//! each. After every action the test compares the answer and all stored objects.
//!
//! The test suite runs 2,500 sequences. For a longer run:
//!
//! ```sh
//! WHARFINGER_MODEL_CASES=200000 cargo test --test integration model:: -- --nocapture
//! ```
//!
//! A failure prints the shortest sequence that still fails.
//!
//! [`Promises`]: promises::Promises

mod action;
mod answer_kind;
mod check;
mod directories;
mod promises;
mod stored_tree;
mod system;

use action::sequences;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use system::System;
use tokio::runtime::Builder;

const CASES: u32 = 2500;

#[test]
fn the_tree_keeps_its_promises_whatever_clients_do() {
    let cases = std::env::var("WHARFINGER_MODEL_CASES").map_or(CASES, |cases| cases.parse().expect("a number"));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let held = TestRunner::new(config).run(&sequences(), |actions| {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(System::play(&actions)).map_err(TestCaseError::fail)
    });
    assert!(held.is_ok(), "{}", held.unwrap_err());
}
