//! A marker never appears before its data (S105, S159 to S161). Clients that don't wait for CLOSE use a bucket that is
//! slow and sometimes fails, all at random.
//!
//! A round is one server with a few channels. The bucket records its changes, and each channel its requests and
//! replies. [`record`] compares them. The clock is paused, so a round takes virtual minutes and a real moment.

mod channel;
mod record;

use super::{Random, Soak};
use crate::{
    session::harness::{Setup, Wharf},
    support::partials::clear_away,
};
use channel::ClientChannel;
use futures_util::future::join_all;
use record::Tally;
use std::{thread, time::Duration};
use tokio::time::{sleep, timeout};
use wharfinger::{
    store::Error,
    testing::{bucket::Verb, faulty::Fault},
};

/// Longer than any wait of a round. The clock is paused, so it costs no real time.
const PATIENCE: Duration = Duration::from_hours(24);

/// Number of fates. Each request meets one of them at random.
const FATES: usize = 64;

/// Two mounts, as entries of paths and prefixes of keys. A CLOSE in one mount must not delay changes in the other.
const MOUNTS: [(&str, &str); 2] = [("/", "acme/"), ("/other/", "other/")];

/// Returns the fates for the requests of a round. Each request meets one: all are slow, and some fail.
fn fates(random: &mut Random) -> Vec<Fault> {
    let slowest = *random.one_of(&[5, 100, 2_000, 20_000]);
    let failing = *random.one_of(&[0, 1, 3, 10]);
    let mut fates = Vec::new();
    for number in 0..FATES {
        let delay = Duration::from_millis(u64::try_from(random.below(slowest)).unwrap());
        let fate = match random.below(3) {
            _ if number >= failing => Fault::Slow(delay),
            0 => Fault::AnswerLost(error(random)),
            _ => Fault::RefusedAfter(delay, error(random)),
        };
        fates.push(fate);
    }
    fates
}

fn error(random: &mut Random) -> Error {
    let request = "soak".to_owned();
    match random.below(6) {
        0 => Error::Forbidden { request },
        1 => Error::Throttled { request },
        2 => Error::Full { request },
        _ => Error::Unreachable(request),
    }
}

/// Seed of a run that begins with this round. It is printed if the round fails.
struct RoundSeed(u64);

impl Drop for RoundSeed {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("markers: the first round of seed {} failed", self.0);
        }
    }
}

async fn round(mut random: Random, tally: &mut Tally) {
    let budget_bytes = *random.one_of(&[1 << 30, 1 << 30, 64 << 20, 24 << 20]);
    let wharf = Wharf::with(Setup { budget_bytes, mounts: &[("/other", "other/")], ..Setup::default() });
    let mut channels = Vec::new();
    for number in 0..=random.below(3) {
        channels.push(ClientChannel::open(&wharf, Random(random.next()), number).await);
    }
    wharf.bucket.record_changes();
    wharf.faulty.meet_at_random(random.next(), 1, fates(&mut random));
    wharf.bucket.answer_after(Duration::from_millis(u64::try_from(random.below(300)).unwrap()));
    let runs = join_all(channels.iter_mut().map(|channel| Box::pin(channel.run())));
    timeout(PATIENCE, runs).await.expect("the channels come to their end");
    // The server continues the requests of channels that have vanished.
    sleep(Duration::from_secs(u64::try_from(random.below(30)).unwrap())).await;

    let met = wharf.faulty.met();
    let begun_unheard = met
        .iter()
        .filter(|(step, fate)| step.verb == Verb::CreateUpload && matches!(fate, Fault::AnswerLost(_)))
        .count();
    wharf.faulty.restart();
    let mut records = Vec::new();
    for channel in channels {
        records.push(channel.end().await);
    }

    timeout(PATIENCE, wharf.drained()).await.expect("the sessions come to their end");
    assert_eq!((wharf.journal.locks(), wharf.journal.claims()), (0, 0), "locks and claims that are left");
    let changes = wharf.bucket.changes();
    for change in &changes {
        let explained = records.iter().any(|record| record.explains(change));
        assert!(explained, "no request explains the change of {}", change.raw_key);
    }
    tally.changes += changes.len();
    for record in &records {
        record.check(&changes, &wharf.bucket, tally);
    }
    let left = clear_away(&wharf.bucket, &wharf.journal).await;
    // The janitor finds all uploads except those whose id S3 never returned.
    assert!(left.with_row == 0 && left.without_row <= begun_unheard, "uploads stay open: {left:?}");
    assert_eq!(wharf.budget.used(), 0, "memory that is left");
}

#[tokio::test(start_paused = true)]
async fn markers() {
    let mut soak = Soak::start("markers");
    let mut tally = Tally::default();
    while soak.round() {
        let _seed = RoundSeed(soak.random.0);
        round(Random(soak.random.next()), &mut tally).await;
    }
    println!("markers: {} rounds, {tally:?}", soak.rounds);
    let has_proved = tally.behind_pending_closes > 0 && tally.failed_behind_others > 0;
    assert!(has_proved || soak.rounds < 50, "nothing waited, or nothing failed: {tally:?}");
}
