//! Keeps the times of renamed objects. S3 reports a renamed object as old as its copy, so the times that the old names
//! showed go to the journal.
//!
//! Invariant: they are written only when the copies are there to stay, and they replace no entry that the journal has.

use super::MovedObject;
use crate::{
    journal::{AttributeNote, Journal, JournalDown, ObjectAttributes, ObjectTimes, TimesAndMode, Version},
    name::{BucketId, Key},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};

/// The most rows in one statement.
const BATCH: usize = 1000;
/// The difference below which two times are the same to a client.
const NEAR_SECONDS: u64 = 2;

/// The pause before a journal that didn't answer is tried again. The journal itself refuses calls for 5 s.
const PAUSE: Duration = Duration::from_secs(6);
/// The number of tries: if the journal doesn't return within a minute, the times are lost.
const TRIES: usize = 10;

/// Limits the directories whose times are being written. They are in memory meanwhile.
static WRITERS: Semaphore = Semaphore::const_new(16);

/// The time that an object showed under its old name. `None` if it is that of its copy, which came to be at
/// `copied_at`, in seconds since 1970.
pub(super) fn shown_before(source: &Version, copied_at: i64) -> Option<ObjectTimes> {
    let is_near = source.modified.abs_diff(copied_at) < NEAR_SECONDS;
    (!is_near).then(|| ObjectTimes::appeared(source.modified))
}

/// A handle on times that are being written to the journal.
#[derive(Clone, Debug)]
pub struct TimesWritten(watch::Receiver<()>);

impl TimesWritten {
    /// True if the journal has them, or is down.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until the journal has them, or is down.
    pub(crate) async fn done(mut self) {
        // No value is sent: the sender is dropped.
        let _ = self.0.changed().await;
    }
}

/// The journal's rows for renamed objects.
#[derive(Debug)]
pub(super) struct Rows {
    bucket: BucketId,
    entries: Vec<(Key, ObjectAttributes)>,
}

impl Rows {
    /// The rows of all objects, except the `known` ones, for which the journal keeps times.
    pub(super) fn new(bucket: &BucketId, moved: &[MovedObject], known: &HashSet<&Key>) -> Self {
        // Clients never see a marker's time.
        let unknown = moved
            .iter()
            .filter(|MovedObject { target, .. }| !target.as_str().ends_with('/') && !known.contains(target));
        let entries = unknown.filter_map(|MovedObject { target, versions, .. }| {
            let times = Some(versions.shown_before()?);
            let (etag, set_at) = (versions.target.etag.clone(), versions.target.modified);
            Some((target.clone(), ObjectAttributes { etag, attributes: TimesAndMode { times, mode: None }, set_at }))
        });
        Self { bucket: bucket.clone(), entries: entries.collect() }
    }

    /// Writes the rows, up to the first batch for which the journal doesn't answer. The next call continues there.
    pub(super) async fn write(&mut self, journal: &dyn Journal) -> Result<(), JournalDown> {
        while !self.entries.is_empty() {
            let batch = self.entries.iter().take(BATCH);
            let born = |(key, entry): &(Key, ObjectAttributes)| {
                AttributeNote::born(self.bucket.clone(), key.clone(), entry.clone())
            };
            let rows: Vec<_> = batch.map(born).collect();
            journal.add_attribute_notes(&rows).await?;
            self.entries.drain(..rows.len());
        }
        Ok(())
    }

    /// Writes the rows in the background, and retries for a while if the journal is down. Waits only if the times of
    /// many directories are being written.
    pub(super) async fn write_meanwhile(mut self, journal: &Arc<dyn Journal>) -> TimesWritten {
        let (sender, receiver) = watch::channel(());
        let (turn, journal) = (WRITERS.acquire().await, Arc::clone(journal));
        tokio::spawn(async move {
            let (_turn, mut awaited) = (turn, Some(sender));
            for _ in 0..TRIES {
                if self.write(&*journal).await.is_ok() {
                    return;
                }
                // No lookup waits for a journal that is down: clients see S3's times.
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
            assert_eq!(times, shown.map(ObjectTimes::Appeared), "{source}");
        }
    }
}
