//! A journal in memory: it ends with the process, records the calls to it, and is down when a test says so.

mod claims;
mod directories;
mod locks;
mod tasks;

use super::{BucketId, DirectoryRename, Journal, JournalDown, Key, Late, LateNote, Prefix, ResumableUpload, Task};
use crate::bounded::BoundedMap;
use async_trait::async_trait;
use claims::Claims;
use directories::Directories;
use locks::Locks;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};
use tasks::Tasks;
use tokio::sync::Semaphore;

/// The most objects that can have an entry: with names of 100 bytes about 40 MB. A new entry replaces the one that was
/// written longest ago.
const MAX_ENTRIES: usize = 100_000;

/// The most rows that are dropped at once.
const MAX_DROPPED: usize = 1_000;

/// A journal in memory. Share it as `Arc<MemoryJournal>`.
#[derive(Debug)]
pub struct MemoryJournal(Mutex<State>);

#[derive(Debug)]
struct State {
    entries: BoundedMap<(BucketId, String), Late>,
    tasks: Tasks,
    claims: Claims,
    locks: Locks,
    directories: Directories,
    is_shared: bool,
    asked: Vec<&'static str>,
    down: bool,
    /// Dropping [`HeldLates`] closes it.
    held: Option<Arc<Semaphore>>,
}

/// While this lives, `add_lates` doesn't return.
#[derive(Debug)]
pub struct HeldLates(Arc<Semaphore>);

impl Drop for HeldLates {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self(Mutex::new(State {
            entries: BoundedMap::new(MAX_ENTRIES),
            tasks: Tasks::default(),
            claims: Claims::default(),
            locks: Locks::default(),
            directories: Directories::default(),
            is_shared: false,
            asked: Vec::new(),
            down: false,
            held: None,
        }))
    }
}

impl MemoryJournal {
    /// A journal that several nodes of a test share, so that they write their claims and locks to it.
    #[must_use]
    pub fn shared() -> Self {
        let journal = Self::default();
        journal.state().is_shared = true;
        journal
    }

    /// The number of claims, without those that were ended.
    pub fn claims(&self) -> usize {
        self.state().claims.len()
    }

    /// The number of locks, without those that were ended.
    pub fn locks(&self) -> usize {
        self.state().locks.len()
    }

    /// From now on every method fails, or, with `false`, succeeds again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// From now on `add_lates` waits until the returned guard is dropped.
    #[must_use]
    pub fn hold_add_lates(&self) -> HeldLates {
        let held = Arc::new(Semaphore::new(0));
        self.state().held = Some(Arc::clone(&held));
        HeldLates(held)
    }

    /// The methods called since the last call of this one, at most the first 100 of them.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().asked)
    }

    /// The tasks of all kinds, in the order in which they were entered.
    pub fn tasks(&self) -> Vec<Task> {
        self.state().tasks.list().collect()
    }

    /// The renames of directories that are running or were interrupted.
    pub fn renames(&self) -> Vec<Task<DirectoryRename>> {
        self.tasks().into_iter().filter_map(Task::directory_rename).collect()
    }

    /// The uploads that have a task, abandoned or not, in the order in which they were entered.
    pub fn uploads(&self) -> Vec<Task<ResumableUpload>> {
        self.tasks().into_iter().filter_map(Task::upload).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    fn ask(&self, method: &'static str) -> Result<MutexGuard<'_, State>, JournalDown> {
        const REMEMBERED: usize = 100;
        let mut state = self.state();
        if state.asked.len() < REMEMBERED {
            state.asked.push(method);
        }
        if state.down { Err(JournalDown) } else { Ok(state) }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn late(&self, bucket: &BucketId, key: &Key) -> Result<Option<Late>, JournalDown> {
        Ok(self.ask("late")?.entries.find(&entry(bucket, key.as_str())).cloned())
    }

    async fn late_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, Late>, JournalDown> {
        let state = self.ask("late_in")?;
        let kept = |name: &str| {
            let late = state.entries.find(&entry(bucket, &format!("{}{name}", directory.as_str())))?;
            Some((name.to_owned(), late.clone()))
        };
        Ok(page.iter().filter_map(|name| kept(name)).collect())
    }

    async fn add_late(&self, bucket: &BucketId, key: &Key, late: &Late, modified: i64) -> Result<Late, JournalDown> {
        let mut state = self.ask("add_late")?;
        let entry = entry(bucket, key.as_str());
        let there = state.entries.find(&entry);
        if there.is_some_and(|there| there.is_of_younger(&late.etag, modified) && there.set_at >= late.set_at) {
            return Ok(late.clone());
        }
        let late = there.map_or_else(|| late.clone(), |older| late.clone().on_top_of(older, modified));
        state.entries.insert(entry, late.clone());
        Ok(late)
    }

    async fn replace_late(&self, bucket: &BucketId, key: &Key, late: Option<&Late>) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_late")?;
        let entry = entry(bucket, key.as_str());
        match late {
            Some(late) => state.entries.insert(entry, late.clone()),
            None => drop(state.entries.remove(&entry)),
        }
        Ok(())
    }

    async fn add_lates(&self, notes: &[LateNote]) -> Result<(), JournalDown> {
        let held = self.state().held.clone();
        if let Some(held) = held {
            // An error means that the semaphore is closed.
            let _ = held.acquire().await;
        }
        let mut state = self.ask("add_lates")?;
        for note in notes {
            let entry = entry(&note.bucket, note.key.as_str());
            let there = state.entries.find(&entry);
            let late = there.map_or_else(|| note.late.clone(), |there| note.beside(there));
            state.entries.insert(entry, late);
        }
        Ok(())
    }

    async fn replace_lates(&self, lates: &[(BucketId, Key, Late)]) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_lates")?;
        for (bucket, key, late) in lates {
            let entry = entry(bucket, key.as_str());
            let there = state.entries.find(&entry);
            if there.is_none_or(|there| !there.is_of_younger(&late.etag, late.set_at)) {
                state.entries.insert(entry, late.clone());
            }
        }
        Ok(())
    }

    async fn forget_lates(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        let mut state = self.ask("forget_lates")?;
        for key in keys {
            drop(state.entries.remove(&entry(bucket, key.as_str())));
        }
        Ok(())
    }
}

fn entry(bucket: &BucketId, key: &str) -> (BucketId, String) {
    (bucket.clone(), key.to_owned())
}
