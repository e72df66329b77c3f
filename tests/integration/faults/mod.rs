//! What S3, and the way to it, can do to a request, done to each request of each operation.
//!
//! Nobody writes down what each of these thousands of combinations should answer. What must hold in all of them
//! ([`World::attempt`]):
//! - Nothing hangs. Only a request that is never answered keeps its operation waiting, until the client goes.
//! - OK means done: the answer is that of a run without faults, and so is what is stored.
//! - An error leaves what was before, or what would be after, whole. Of a RENAME that fails both names may be there.
//! - Then the client tries again, without faults, and gets there.
//! - No multipart upload stays open, but one whose abort failed, which is in the log, and one whose id never came.
//! - No memory stays taken.
//! - The client hears a sentence, the operator what S3 said, with its request id.

pub mod catalogue;
mod operation;
mod sdk;
mod world;

use catalogue::{Outage, faults_of};
use operation::Operation;
use wharfinger::store::faulty::Aim;
use world::{Kept, World};

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_step_of_every_operation() {
    let mut report = Report::default();
    for operation in Operation::ALL {
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
    let mut report = Report::default();
    for operation in Operation::ALL {
        let ideal = World::of(operation).ideal(operation).await;
        for first in 1..=ideal.steps.len() {
            for (name, outage) in Outage::ALL {
                let world = World::of(operation);
                world.faulty.meet(Aim::From(first), outage.fault());
                report.add(world.attempt(&ideal).await, || format!("{operation:?}, from request {first} on, {name}"));
            }
        }
    }
    report.check(200);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_now_and_then() {
    let mut report = Report::default();
    for seed in 0..100 {
        let world = World::of(Operation::List);
        for operation in Operation::SMALL {
            let ideal = world.ideal(operation).await;
            world.faulty.meet_at_random(seed, 3, catalogue::told());
            report.add(world.attempt(&ideal).await, || format!("{operation:?}, seed {seed}"));
        }
    }
    report.check(1000);
}

/// What came of all attempts: nobody wants to mend a table row by row.
#[derive(Default)]
struct Report {
    attempts: usize,
    complaints: Vec<String>,
}

impl Report {
    fn add(&mut self, kept: Kept, what: impl FnOnce() -> String) {
        self.attempts += 1;
        self.complaints.extend(kept.err().map(|complaint| format!("{}: {complaint}", what())));
    }

    fn check(&self, least_attempts: usize) {
        assert!(self.complaints.is_empty(), "\n{}\n", self.complaints.join("\n"));
        assert!(self.attempts >= least_attempts, "only {} attempts", self.attempts);
    }
}
