//! A renamed object is a new one, which S3 says is as old as its copy. The times that the old names showed go to the journal.
//!
//! Invariant: they are written once the copies are there to stay, and take the place of nothing that is kept of them.

use super::Moved;
use crate::{
    name::{BucketId, Key},
    store::{Journal, JournalDown, Late, LateAttributes, LateNote, LateTimes, Version},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};

/// Rows in one statement.
const BATCH: usize = 1000;
/// Times that are closer to each other than this are the same to a client.
const NEAR_SECONDS: u64 = 2;

/// A journal that didn't answer is asked again after so long: it is left alone for 5 s.
const PAUSE: Duration = Duration::from_secs(6);
/// Within a minute it is back, or the times are lost.
const TRIES: usize = 10;

/// The directories whose times are on their way at once. They are in memory meanwhile.
static WRITERS: Semaphore = Semaphore::const_new(16);

/// The time that an object showed under its old name, if it isn't that of its copy, which came to be at `copied_at`, in
/// seconds since 1970.
pub(super) fn shown_before(source: &Version, copied_at: i64) -> Option<LateTimes> {
    let is_near = source.modified.abs_diff(copied_at) < NEAR_SECONDS;
    (!is_near).then(|| LateTimes::appeared(source.modified))
}

/// Times on their way to the journal.
#[derive(Clone, Debug)]
pub struct TimesWritten(watch::Receiver<()>);

impl TimesWritten {
    /// Tells whether the journal has them, or doesn't answer.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until the journal has them, or doesn't answer.
    pub async fn done(mut self) {
        // Nothing is sent: the other end is dropped.
        let _ = self.0.changed().await;
    }
}

/// The rows that the journal gets of renamed objects.
#[derive(Debug)]
pub(super) struct Rows {
    bucket: BucketId,
    lates: Vec<(Key, Late)>,
}

impl Rows {
    /// The rows of all objects but `known` ones, of which times are kept.
    pub(super) fn new(bucket: &BucketId, moved: &[Moved], known: &HashSet<&Key>) -> Self {
        // A marker's time is never shown.
        let unknown =
            moved.iter().filter(|Moved { target, .. }| !target.as_str().ends_with('/') && !known.contains(target));
        let lates = unknown.filter_map(|Moved { target, versions, .. }| {
            let times = Some(versions.shown_before()?);
            let (etag, set_at) = (versions.target.etag.clone(), versions.target.modified);
            Some((target.clone(), Late { etag, attributes: LateAttributes { times, mode: None }, set_at }))
        });
        Self { bucket: bucket.clone(), lates: lates.collect() }
    }

    /// Writes them, up to the first that the journal doesn't answer for. Called again, it goes on there.
    pub(super) async fn write(&mut self, journal: &dyn Journal) -> Result<(), JournalDown> {
        while !self.lates.is_empty() {
            let batch = self.lates.iter().take(BATCH);
            let born = |(key, late): &(Key, Late)| LateNote::born(self.bucket.clone(), key.clone(), late.clone());
            let rows: Vec<_> = batch.map(born).collect();
            journal.add_lates(&rows).await?;
            self.lates.drain(..rows.len());
        }
        Ok(())
    }

    /// Writes them in the background, and tries again for a while where the journal doesn't answer. Waits only where those of
    /// many directories are on their way.
    pub(super) async fn write_meanwhile(mut self, journal: &Arc<dyn Journal>) -> TimesWritten {
        let (sender, receiver) = watch::channel(());
        let (turn, journal) = (WRITERS.acquire().await, Arc::clone(journal));
        tokio::spawn(async move {
            let (_turn, mut awaited) = (turn, Some(sender));
            for _ in 0..TRIES {
                if self.write(&*journal).await.is_ok() {
                    return;
                }
                // No question waits for a journal that is down: S3's times are shown.
                drop(awaited.take());
                sleep(PAUSE).await;
            }
        });
        TimesWritten(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    #[test]
    fn times_that_are_close_to_each_other_are_the_same() {
        let version = |modified| Version { etag: ETag(String::new()), modified };
        for (source, shown) in [(98, Some(98)), (99, None), (100, None), (101, None), (102, Some(102)), (-7, Some(0))] {
            let times = shown_before(&version(source), 100);
            assert_eq!(times, shown.map(LateTimes::Appeared), "{source}");
        }
    }
}
