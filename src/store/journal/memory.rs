//! A journal in memory: it ends with the process, counts what it is asked, and is down when it is told to be.

use super::{BucketId, Journal, JournalDown, Key, Late, Prefix};
use crate::store::BoundedMap;
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many objects can have an entry: with names of 100 bytes about 40 MB. The one written longest ago makes room.
const MAX_ENTRIES: usize = 100_000;

/// A journal in memory. Share it as `Arc<MemoryJournal>`.
#[derive(Debug)]
pub struct MemoryJournal(Mutex<State>);

#[derive(Debug)]
struct State {
    entries: BoundedMap<(BucketId, String), Late>,
    asked: Vec<&'static str>,
    down: bool,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self(Mutex::new(State { entries: BoundedMap::new(MAX_ENTRIES), asked: Vec::new(), down: false }))
    }
}

impl MemoryJournal {
    /// From now on nothing is answered, or everything is again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// The methods that were called since the last call of this one, the last 100 of them.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn add_late(&self, bucket: &BucketId, key: &Key, late: &Late) -> Result<Late, JournalDown> {
        let mut state = self.ask("add_late")?;
        let entry = entry(bucket, key.as_str());
        let late = state.entries.find(&entry).map_or_else(|| late.clone(), |older| late.clone().on_top_of(older));
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
}

fn entry(bucket: &BucketId, key: &str) -> (BucketId, String) {
    (bucket.clone(), key.to_owned())
}
