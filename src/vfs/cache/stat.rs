//! The stat cache: the files and directories that names had a moment ago. OpenSSH asks for the size of a file before it
//! opens it; rclone sets a file's time after it closed it. A fresh entry saves the second request to S3.
//!
//! Invariant: an answer that was requested before a change of the node is never cached after it. Each change increments
//! the stamps of the object and of the directories above it. An answer with an older stamp is dropped.

use super::{Change, CredentialScope, ScopedName};
use crate::{
    bounded::{ObjectMap, ObjectName},
    store::Object,
    vfs::Times,
};
use parking_lot::Mutex;
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// The most names that are remembered for a tenant.
const MAX_ENTRIES: usize = 4096;
/// An entry older than this is stale.
const FRESH: Duration = Duration::from_secs(2);
/// The number of stamps. Names that share a stamp invalidate each other, which costs a request now and then.
const STAMPS: usize = 4096;

/// The file or directory that a name had a moment ago.
#[derive(Clone, Debug)]
pub(in crate::vfs) enum CachedStat {
    /// A file that S3 described.
    File(Box<Object>),
    /// A file that this node stored.
    Stored(Box<Object>),
    Directory,
    /// A directory from a listing, with the times that are set on it: all attributes of a directory.
    Listed(Option<Times>),
}

impl CachedStat {
    pub(in crate::vfs) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory | Self::Listed(_))
    }

    pub(in crate::vfs) fn file(self) -> Option<Box<Object>> {
        match self {
            Self::File(file) | Self::Stored(file) => Some(file),
            Self::Directory | Self::Listed(_) => None,
        }
    }
}

/// The stamp of a name: the number of changes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct Stamp(u64);

/// The stat cache of a node.
#[derive(Debug)]
pub(in crate::vfs) struct StatCache {
    hasher: RandomState,
    table: Mutex<StatTable>,
}

#[derive(Debug)]
struct StatTable {
    entries: ObjectMap<Arc<CredentialScope>, StatEntry>,
    stamps: Box<[u64]>,
    /// The number of files that were stored, each counted under its own name alone.
    stored: Box<[u64]>,
}

#[derive(Debug)]
struct StatEntry {
    stat: CachedStat,
    stale_at: Instant,
}

impl Default for StatCache {
    fn default() -> Self {
        let table = StatTable {
            entries: ObjectMap::new(MAX_ENTRIES),
            stamps: vec![0; STAMPS].into(),
            stored: vec![0; STAMPS].into(),
        };
        Self { hasher: RandomState::new(), table: Mutex::new(table) }
    }
}

impl StatCache {
    /// Returns the stamp of the name. Call it before a request about the name is sent.
    pub(in crate::vfs) fn stamp(&self, name: ObjectName<'_>) -> Stamp {
        Stamp(self.table.lock().stamp(self.place(name)))
    }

    /// True if the node has changed nothing under the name, nor below it, since `stamp` was read.
    pub(in crate::vfs) fn is_unchanged(&self, name: ObjectName<'_>, stamp: Stamp) -> bool {
        self.stamp(name) == stamp
    }

    /// The number of files that the node has stored under the names of the directories above the object. If it changes,
    /// a file may have taken the name of one of them.
    pub(in crate::vfs) fn files_above(&self, (bucket, key): ObjectName<'_>) -> u64 {
        let table = self.table.lock();
        let count = |name: &str| table.stored.get(self.place((bucket, name))).copied().unwrap_or_default();
        ancestors(key).map(count).fold(0, u64::wrapping_add)
    }

    /// Caches S3's answer: `None` if S3 has nothing under the name. `stamp` was read before the request was sent.
    pub(in crate::vfs) fn note(&self, at: ScopedName<'_>, stamp: Stamp, stat: Option<CachedStat>) {
        let place = self.place(at.name());
        let mut table = self.table.lock();
        if table.stamp(place) == stamp.0 {
            table.note(at, stat);
        }
    }

    /// Caches a subdirectory with its times from a listing of `directory`, whose `stamp` was read before.
    pub(in crate::vfs) fn note_listed(
        &self,
        at: ScopedName<'_>,
        directory: ObjectName<'_>,
        stamp: Stamp,
        times: Option<Times>,
    ) {
        let place = self.place(directory);
        let mut table = self.table.lock();
        if table.stamp(place) == stamp.0 {
            table.note(at, Some(CachedStat::Listed(times)));
        }
    }

    /// Returns the entry, if it is at most two seconds old.
    pub(in crate::vfs) fn find(&self, at: ScopedName<'_>) -> Option<CachedStat> {
        let table = self.table.lock();
        let entry = table.entries.find(at.name(), at.scope)?;
        (Instant::now() < entry.stale_at).then(|| entry.stat.clone())
    }

    pub(super) fn changed(&self, name: ObjectName<'_>, change: Change) {
        self.change(&mut self.table.lock(), name, change);
    }

    /// Records a change and the state after it. Returns true if no other change came between.
    pub(super) fn replaced(&self, at: ScopedName<'_>, stamp: Stamp, change: Change, stat: CachedStat) -> bool {
        let place = self.place(at.name());
        let mut table = self.table.lock();
        // If another change came between, the node doesn't know which of the two S3 made last.
        let is_last = table.stamp(place) == stamp.0;
        self.change(&mut table, at.name(), change);
        if is_last {
            table.note(at, Some(stat));
        }
        is_last
    }

    /// The stamps of the names below can't be told apart from others, so all are incremented.
    pub(super) fn changed_below(&self, name: ObjectName<'_>) {
        let mut table = self.table.lock();
        table.stamps.iter_mut().for_each(|stamp| *stamp += 1);
        // A directory below it may be a file's name now.
        table.stored.iter_mut().for_each(|stored| *stored = stored.wrapping_add(1));
        table.entries.take_below(name.0, &format!("{}/", name.1));
        self.change(&mut table, name, Change::Removed);
    }

    fn change(&self, table: &mut StatTable, name: ObjectName<'_>, change: Change) {
        table.entries.remove_all(name);
        table.count_up(self.place(name));
        if change == Change::Stored
            && let Some(stored) = table.stored.get_mut(self.place(name))
        {
            *stored = stored.wrapping_add(1);
        }
        for directory in ancestors(name.1) {
            let directory = (name.0, directory);
            table.count_up(self.place(directory));
            if change == Change::Removed {
                // The directory may have vanished with its last object.
                table.entries.remove_all(directory);
            }
        }
    }

    fn place(&self, (bucket, key): ObjectName<'_>) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "any bits will do")]
        let hash = self.hasher.hash_one((bucket, key.trim_end_matches('/'))) as usize;
        hash % STAMPS
    }
}

impl StatTable {
    fn stamp(&self, place: usize) -> u64 {
        self.stamps.get(place).copied().unwrap_or_default()
    }

    fn count_up(&mut self, place: usize) {
        if let Some(stamp) = self.stamps.get_mut(place) {
            *stamp += 1;
        }
    }

    fn note(&mut self, at: ScopedName<'_>, stat: Option<CachedStat>) {
        let now = Instant::now();
        self.entries.drop_oldest(|entry| entry.stale_at <= now);
        match stat {
            Some(stat) => {
                let entry = StatEntry { stat, stale_at: now + FRESH };
                self.entries.insert(at.tenant(), at.name(), Arc::clone(at.scope), entry);
            }
            None => drop(self.entries.remove(at.name(), at.scope)),
        }
    }
}

/// The directories above a key, the innermost first, without a slash at their ends. The marker of a directory counts as
/// the directory itself.
pub(super) fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    let inner = key.trim_end_matches('/');
    let outer = std::iter::successors(Some(inner), |key| key.rsplit_once('/').map(|(parent, _)| parent)).skip(1);
    // The last one is the bucket itself, which is a directory too if a mount covers all of it.
    outer.chain([""])
}
