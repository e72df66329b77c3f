//! The times of directories in memory: the rows, without the calls of the journal.

use crate::{
    bounded::BoundedMap,
    journal::directories::{CLOCK_MARGIN, DirectoryNote, DirectoryTimes, ListedDirectories},
    name::BucketId,
};
use std::time::Duration;
use tokio::time::Instant;

/// The most directories: with names of 100 bytes about 40 MB. A new row replaces the one that was written longest ago.
const MAX_DIRECTORIES: usize = 100_000;

/// The times of directories by prefix, each with the time at which it was set.
#[derive(Debug)]
pub(super) struct DirectoryRows(BoundedMap<(BucketId, String), (DirectoryTimes, Instant)>);

impl Default for DirectoryRows {
    fn default() -> Self {
        Self(BoundedMap::new(MAX_DIRECTORIES))
    }
}

impl DirectoryRows {
    pub(super) fn find(&self, bucket: &BucketId, prefix: &str) -> Option<DirectoryTimes> {
        self.0.find(&(bucket.clone(), prefix.to_owned())).map(|(times, _)| *times)
    }

    pub(super) fn set(&mut self, bucket: &BucketId, prefix: &str, times: DirectoryTimes) {
        self.0.insert((bucket.clone(), prefix.to_owned()), (times, Instant::now()));
    }

    /// Takes in a note of some time ago. Times that were set since stay.
    pub(super) fn tell(&mut self, DirectoryNote { bucket, directory, times, set_ago }: &DirectoryNote) {
        let name = (bucket.clone(), directory.as_str().to_owned());
        let is_newer = |set_at: &Instant| set_at.elapsed() < *set_ago;
        match times {
            Some(_) if self.0.find(&name).is_some_and(|(_, set_at)| is_newer(set_at)) => {}
            Some(times) => {
                let now = Instant::now();
                self.0.insert(name, (*times, now.checked_sub(*set_ago).unwrap_or(now)));
            }
            None => {
                for (prefix, entry) in self.take(bucket, directory.as_str()) {
                    if entry.1.elapsed() <= *set_ago {
                        self.0.insert((bucket.clone(), prefix), entry);
                    }
                }
            }
        }
    }

    pub(super) fn keeps(&self, bucket: &BucketId, directory: &str) -> bool {
        self.0.keys().any(|(of, prefix)| of == bucket && prefix.starts_with(directory))
    }

    /// Takes out a directory and those below it, each with its prefix.
    pub(super) fn take(&mut self, bucket: &BucketId, directory: &str) -> Vec<(String, (DirectoryTimes, Instant))> {
        let is_meant = |(of, prefix): &(BucketId, String)| of == bucket && prefix.starts_with(directory);
        let removed = self.0.take_where(is_meant);
        removed.into_iter().map(|((_, prefix), entry)| (prefix, entry)).collect()
    }

    pub(super) fn forget(&mut self, bucket: &BucketId, directory: &str, asked_ago: Option<Duration>) {
        let age = asked_ago.map_or(Duration::ZERO, |ago| ago.saturating_add(CLOCK_MARGIN));
        for (prefix, (times, set_at)) in self.take(bucket, directory) {
            if set_at.elapsed() < age {
                self.0.insert((bucket.clone(), prefix), (times, set_at));
            }
        }
    }

    pub(super) fn drop_lacking(&mut self, bucket: &BucketId, page: &ListedDirectories<'_>) {
        let parent = page.parent.as_str();
        let below = self.0.keys().filter(|(of, _)| of == bucket).filter_map(|(_, prefix)| prefix.strip_prefix(parent));
        let names = below.filter_map(|path| path.split('/').next());
        let lacking: Vec<String> = page.lacking(names).into_iter().map(|name| format!("{parent}{name}/")).collect();
        for prefix in lacking {
            self.forget(bucket, &prefix, Some(page.asked_ago));
        }
    }
}
