//! The calls about times of directories, in memory.

use super::state::MemoryJournal;
use crate::{
    journal::{
        JournalDown,
        directories::{DirectoryJournal, DirectoryNote, DirectoryTimes, ListedDirectories},
    },
    name::{BucketId, Prefix},
};
use async_trait::async_trait;
use std::{collections::HashMap, time::Duration};

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
