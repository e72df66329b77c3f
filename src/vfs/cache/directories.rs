//! Times of directories that the journal may not have yet. Sessions of this node set them, or made the directory.

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
    known_at: Instant,
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
        self.known_at.elapsed()
    }

    /// True if the journal doesn't have the entry yet.
    pub(in crate::vfs) fn is_unwritten(&self) -> bool {
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
    /// Records the times of a directory. The journal doesn't have the entry then.
    pub(in crate::vfs) fn note(&self, tenant: &TenantName, name: ObjectName<'_>, times: Option<Times>) -> KnownTimes {
        let known = KnownTimes { times, known_at: Instant::now(), fresh_until: None };
        self.carry(tenant, name, known);
        known
    }

    /// Records that the journal has the `written` entry, unless a session has set other times since.
    pub(in crate::vfs) fn confirm(&self, tenant: &TenantName, name: ObjectName<'_>, written: KnownTimes) {
        let mut map = self.0.lock();
        if map.find(name, &()) == Some(&written) {
            map.insert(tenant, name, (), KnownTimes { fresh_until: Some(Instant::now() + FRESH), ..written });
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
        self.take_where(bucket, directory, |known| known.known_at < gone_at);
    }

    fn take_where(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        matches: impl Fn(&KnownTimes) -> bool,
    ) -> Vec<(Arc<str>, KnownTimes)> {
        let removed = self.0.lock().take_below_where(bucket, directory.as_str(), matches);
        removed.into_iter().map(|(name, (), known)| (name, known)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Option<Times> = Some(Times { accessed: 1, modified: 1 });
    const TWO: Option<Times> = Some(Times { accessed: 2, modified: 2 });

    // S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files …
    #[test]
    fn the_overlay_is_bounded() {
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
    async fn an_answer_of_the_journal_undoes_no_later_change() {
        let (overlay, bucket, tenant) = (DirectoryOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a/");
        let [one, two] = [ONE, TWO].map(|times| overlay.note(&tenant, name, times));
        overlay.confirm(&tenant, name, one);
        assert!(overlay.find(name).is_some_and(|known| known.is_unwritten() && known.times == TWO));
        overlay.confirm(&tenant, name, two);
        assert!(overlay.find(name).is_some_and(|known| !known.is_unwritten() && known.is_newest()));
        tokio::time::advance(FRESH).await;
        assert!(overlay.find(name).is_some_and(|known| !known.is_newest()));
        overlay.confirm(&tenant, (&bucket, "b/"), one);
        assert_eq!(overlay.find((&bucket, "b/")), None);
    }
}
