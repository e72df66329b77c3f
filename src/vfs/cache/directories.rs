//! Times of directories that the journal may not have yet. Sessions of this node set them, or know them to be unset.

use crate::{
    bounded::{ObjectMap, ObjectName},
    name::{BucketId, Prefix, TenantName},
    vfs::Times,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most directories of a tenant that have an entry: about 1 MiB of memory.
const MAX_ENTRIES: usize = 4096;

/// For this long the node answers from an entry that the journal has.
const FRESH: Duration = Duration::from_secs(2);

/// The times of a directory, as far as this node knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct KnownTimes {
    /// `None` if no times are set.
    pub(in crate::vfs) times: Option<Times>,
    /// The time at which they were set, or were known to be unset.
    noted_at: Instant,
    /// Until then the entry overrides the journal. `None` while the journal doesn't have it.
    fresh_until: Option<Instant>,
}

impl KnownTimes {
    /// True if the entry overrides the journal.
    pub(in crate::vfs) fn is_newest(&self) -> bool {
        self.fresh_until.is_none_or(|until| Instant::now() < until)
    }

    /// The time since they were set, or were known to be unset.
    pub(in crate::vfs) fn age(&self) -> Duration {
        self.noted_at.elapsed()
    }

    /// True if the journal doesn't have the entry yet.
    pub(in crate::vfs) fn is_here_alone(&self) -> bool {
        self.fresh_until.is_none()
    }
}

/// The times that the node's sessions set, by directory. Names end in `/`, or are empty.
#[derive(Debug)]
pub(in crate::vfs) struct DirectoryOverlay(Mutex<ObjectMap<(), KnownTimes>>);

impl Default for DirectoryOverlay {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_ENTRIES)))
    }
}

impl DirectoryOverlay {
    /// Notes the times of a directory. The entry is marked as not in the journal.
    pub(in crate::vfs) fn note(&self, tenant: &TenantName, name: ObjectName<'_>, times: Option<Times>) -> KnownTimes {
        let known = KnownTimes { times, noted_at: Instant::now(), fresh_until: None };
        self.carry(tenant, name, known);
        known
    }

    /// Records that the journal has the entry it was `told`, unless a session has set other times since.
    pub(in crate::vfs) fn keep(&self, tenant: &TenantName, name: ObjectName<'_>, told: KnownTimes) {
        let mut map = self.0.lock();
        if map.find(name, &()) == Some(&told) {
            map.insert(tenant, name, (), KnownTimes { fresh_until: Some(Instant::now() + FRESH), ..told });
        }
    }

    /// Copies an entry from another directory. It overrides the journal only if it did so before.
    pub(in crate::vfs) fn carry(&self, tenant: &TenantName, name: ObjectName<'_>, known: KnownTimes) {
        self.0.lock().insert(tenant, name, (), known);
    }

    /// Returns the entry of the directory.
    pub(in crate::vfs) fn find(&self, name: ObjectName<'_>) -> Option<KnownTimes> {
        self.0.lock().find(name, &()).copied()
    }

    /// Removes and returns the entries of a directory and of those below it, each with its name.
    pub(in crate::vfs) fn take(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, KnownTimes)> {
        self.take_where(bucket, directory, |_| true)
    }

    /// Drops entries of a directory and of those below it that are older than `gone_at`: the directory didn't exist
    /// then.
    pub(in crate::vfs) fn drop_older(&self, bucket: &BucketId, directory: &Prefix, gone_at: Instant) {
        self.take_where(bucket, directory, |known| known.noted_at < gone_at);
    }

    fn take_where(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        meant: impl Fn(&KnownTimes) -> bool,
    ) -> Vec<(Arc<str>, KnownTimes)> {
        let taken = self.0.lock().take_below_where(bucket, directory.as_str(), meant);
        taken.into_iter().map(|(name, (), known)| (name, known)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Option<Times> = Some(Times { accessed: 1, modified: 1 });
    const TWO: Option<Times> = Some(Times { accessed: 2, modified: 2 });

    // S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files …
    #[test]
    fn what_is_here_alone_is_bounded() {
        let (overlay, bucket, tenant) = (DirectoryOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        for number in 0..=MAX_ENTRIES {
            overlay.note(&tenant, (&bucket, &format!("{number}/")), ONE);
        }
        assert!(overlay.find((&bucket, "0/")).is_none());
        for number in 1..=MAX_ENTRIES {
            assert!(overlay.find((&bucket, &format!("{number}/"))).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_journal_takes_nothing_back_that_was_set_since() {
        let (overlay, bucket, tenant) = (DirectoryOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a/");
        let [one, two] = [ONE, TWO].map(|times| overlay.note(&tenant, name, times));
        overlay.keep(&tenant, name, one);
        assert!(overlay.find(name).is_some_and(|known| known.is_here_alone() && known.times == TWO));
        overlay.keep(&tenant, name, two);
        assert!(overlay.find(name).is_some_and(|known| !known.is_here_alone() && known.is_newest()));
        tokio::time::advance(FRESH).await;
        assert!(overlay.find(name).is_some_and(|known| !known.is_newest()));
        overlay.keep(&tenant, (&bucket, "b/"), one);
        assert_eq!(overlay.find((&bucket, "b/")), None);
    }
}
