//! Applies every fault of S3 and of the network to each request of each operation.
//!
//! No table lists the right answer to each of these thousands of combinations. Instead all of them must keep these
//! promises ([`World::attempt`]):
//! - Nothing hangs. Only a request that is never answered keeps its operation waiting, until the client disconnects.
//! - OK means done: the answer and the stored objects are those of a run without faults.
//! - An error leaves the state before or the state after, as a whole. A failed RENAME of a file may leave both names. A
//!   failed RENAME of a directory leaves each file under one of its names. The repair then puts all of them under the
//!   old names or under the new ones.
//! - The client then tries again without faults, and succeeds.
//! - The janitor finds every multipart upload that stays open, except one whose id S3 never returned.
//! - No memory stays reserved.
//! - The client gets a sentence. The operator gets S3's answer with its request id.
//! - If the journal fails too, only the RENAME of a directory fails because of it.

pub mod catalogue;
mod operation;
mod sdk;
mod world;

use crate::support::promise::CheckResult;
use catalogue::{StorageOutage, faults_of};
use operation::{VfsOperation, interrupt, path};
use wharfinger::testing::{faulty::Aim, journal::JournalFailure};
use world::World;

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_step_of_every_operation() {
    let mut report = AttemptReport::default();
    for operation in VfsOperation::ALL {
        let ideal = World::of(operation).ideal(operation).await;
        for step in ideal.steps.iter().copied() {
            for (name, fault) in faults_of(step.verb) {
                let world = World::of(operation);
                world.faulty.meet(Aim::At(step), fault);
                report.add(world.attempt(&ideal).await, || format!("{operation:?}, {step:?}, {name}"));
            }
        }
    }
    report.check(500);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_at_any_step_of_any_operation() {
    let mut report = AttemptReport::default();
    for operation in VfsOperation::ALL {
        let ideal = World::of(operation).ideal(operation).await;
        for first in 1..=ideal.steps.len() {
            for (name, outage) in StorageOutage::ALL {
                let world = World::of(operation);
                world.faulty.meet(Aim::From(first), outage.fault());
                report.add(world.attempt(&ideal).await, || format!("{operation:?}, from request {first} on, {name}"));
            }
        }
    }
    report.check(200);
}

// S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming an …
#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_from_any_question_of_any_operation_on() {
    let mut report = AttemptReport::default();
    for operation in VfsOperation::ALL {
        let ideal = World::of(operation).ideal(operation).await;
        for first in 1..=ideal.questions {
            for failure in JournalFailure::ALL {
                let world = World::of(operation);
                world.journal.fail_from(first, failure);
                report.add(world.attempt(&ideal).await, || format!("{operation:?}, question {first}, {failure:?}"));
            }
        }
    }
    report.check(100);
}

// S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming an …
#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_while_the_storage_does() {
    let mut report = AttemptReport::default();
    for operation in VfsOperation::WITH_JOURNAL {
        let ideal = World::of(operation).ideal(operation).await;
        for (first, step) in (1..=ideal.questions).flat_map(|first| ideal.steps.iter().map(move |step| (first, *step)))
        {
            for (name, outage) in StorageOutage::ALL {
                let world = World::of(operation);
                world.journal.fail_from(first, JournalFailure::Down);
                world.faulty.meet(Aim::At(step), outage.fault());
                let what = || format!("{operation:?}, question {first}, {step:?}, {name}");
                report.add(world.attempt(&ideal).await, what);
            }
        }
    }
    report.check(500);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_starts_again_can_be_resumed_however_slowly_the_journal_answers() {
    let world = World::of(VfsOperation::Resume);
    world.journal.fail_from(1, JournalFailure::Slow);
    for _ in 0..2 {
        interrupt(&world.vfs, "/new").await.unwrap();
        let metadata = world.vfs.stat(&path("/new")).await.unwrap();
        assert_eq!(metadata.size, 8 << 20, "it was abandoned with the one before it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_now_and_then() {
    let mut report = AttemptReport::default();
    for seed in 0..100 {
        let world = World::of(VfsOperation::List);
        for operation in VfsOperation::SMALL {
            let ideal = world.ideal(operation).await;
            world.faulty.meet_at_random(seed, 3, catalogue::told());
            report.add(world.attempt(&ideal).await, || format!("{operation:?}, seed {seed}"));
        }
    }
    report.check(1000);
}

/// Collects the failures of all attempts, so that one run shows every one of them.
#[derive(Default)]
struct AttemptReport {
    attempts: usize,
    complaints: Vec<String>,
}

impl AttemptReport {
    fn add(&mut self, kept: CheckResult, what: impl FnOnce() -> String) {
        self.attempts += 1;
        self.complaints.extend(kept.err().map(|complaint| format!("{}: {complaint}", what())));
    }

    fn check(&self, least_attempts: usize) {
        assert!(self.complaints.is_empty(), "\n{}\n", self.complaints.join("\n"));
        assert!(self.attempts >= least_attempts, "only {} attempts", self.attempts);
    }
}
