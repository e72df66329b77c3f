//! Times of directories, in memory.

use super::{MAX_ENTRIES, MemoryJournal};
use crate::{
    bounded::BoundedMap,
    journal::{
        JournalDown,
        directories::{CLOCK_MARGIN, DirectoryJournal, DirectoryNote, DirectoryTimes, ListedDirectories},
    },
    name::{BucketId, Prefix},
};
use async_trait::async_trait;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The times of directories by prefix, each with the time at which it was set.
#[derive(Debug)]
pub(super) struct Directories(BoundedMap<(BucketId, String), (DirectoryTimes, Instant)>);

impl Default for Directories {
    fn default() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }
}

impl Directories {
    fn find(&self, bucket: &BucketId, prefix: &str) -> Option<DirectoryTimes> {
        self.0.find(&(bucket.clone(), prefix.to_owned())).map(|(times, _)| *times)
    }

    fn set(&mut self, bucket: &BucketId, prefix: &str, times: DirectoryTimes) {
        self.0.insert((bucket.clone(), prefix.to_owned()), (times, Instant::now()));
    }

    /// Takes in a note of some time ago. Times that were set since stay.
    fn tell(&mut self, DirectoryNote { bucket, directory, times, set_ago }: &DirectoryNote) {
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

    fn keeps(&self, bucket: &BucketId, directory: &str) -> bool {
        self.0.keys().any(|(of, prefix)| of == bucket && prefix.starts_with(directory))
    }

    /// Takes out a directory and those below it, each with its prefix.
    fn take(&mut self, bucket: &BucketId, directory: &str) -> Vec<(String, (DirectoryTimes, Instant))> {
        let is_meant = |(of, prefix): &(BucketId, String)| of == bucket && prefix.starts_with(directory);
        let taken = self.0.take_where(is_meant);
        taken.into_iter().map(|((_, prefix), entry)| (prefix, entry)).collect()
    }

    fn forget(&mut self, bucket: &BucketId, directory: &str, asked_ago: Option<Duration>) {
        let age = asked_ago.map_or(Duration::ZERO, |ago| ago.saturating_add(CLOCK_MARGIN));
        for (prefix, (times, set_at)) in self.take(bucket, directory) {
            if set_at.elapsed() < age {
                self.0.insert((bucket.clone(), prefix), (times, set_at));
            }
        }
    }

    fn drop_lacking(&mut self, bucket: &BucketId, page: &ListedDirectories<'_>) {
        let parent = page.parent.as_str();
        let below = self.0.keys().filter(|(of, _)| of == bucket).filter_map(|(_, prefix)| prefix.strip_prefix(parent));
        let names = below.filter_map(|path| path.split('/').next());
        let lacking: Vec<String> = page.lacking(names).into_iter().map(|name| format!("{parent}{name}/")).collect();
        for prefix in lacking {
            self.forget(bucket, &prefix, Some(page.asked_ago));
        }
    }
}

#[async_trait]
impl DirectoryJournal for MemoryJournal {
    async fn directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
    ) -> Result<Option<DirectoryTimes>, JournalDown> {
        Ok(self.ask("directory_times")?.directories.find(bucket, directory.as_str()))
    }

    async fn directory_times_of(
        &self,
        bucket: &BucketId,
        directories: &[&Prefix],
    ) -> Result<Vec<Option<DirectoryTimes>>, JournalDown> {
        let state = self.ask("directory_times_of")?;
        Ok(directories.iter().map(|directory| state.directories.find(bucket, directory.as_str())).collect())
    }

    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown> {
        Ok(self.ask("keeps_directory_times")?.directories.keeps(bucket, directory.as_str()))
    }

    async fn directory_times_in(
        &self,
        bucket: &BucketId,
        page: ListedDirectories<'_>,
    ) -> Result<HashMap<String, DirectoryTimes>, JournalDown> {
        let mut state = self.ask("directory_times_in")?;
        state.directories.drop_lacking(bucket, &page);
        let kept = |name: &str| {
            let times = state.directories.find(bucket, &format!("{}{name}/", page.parent.as_str()))?;
            Some((name.to_owned(), times))
        };
        Ok(page.names.iter().filter_map(|name| kept(name)).collect())
    }

    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown> {
        self.ask("set_directory_times")?.directories.set(bucket, directory.as_str(), times);
        Ok(())
    }

    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown> {
        let mut state = self.ask("tell_directory_times")?;
        for note in notes {
            state.directories.tell(note);
        }
        Ok(())
    }

    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown> {
        self.ask("forget_directory_times")?.directories.forget(bucket, directory.as_str(), asked_ago);
        Ok(())
    }

    async fn move_directory_times(
        &self,
        bucket: &BucketId,
        source: &Prefix,
        target: &Prefix,
    ) -> Result<(), JournalDown> {
        let mut state = self.ask("move_directory_times")?;
        for (old, (times, _)) in state.directories.take(bucket, source.as_str()) {
            let new = format!("{}{}", target.as_str(), old.strip_prefix(source.as_str()).unwrap_or_default());
            if state.directories.find(bucket, &new).is_none() {
                state.directories.set(bucket, &new, times);
            }
        }
        Ok(())
    }
}
