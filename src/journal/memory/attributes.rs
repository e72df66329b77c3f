//! The calls about attributes of objects, in memory.

use super::state::MemoryJournal;
use crate::{
    journal::{Journal, JournalDown, Late, LateNote},
    name::{BucketId, Key, Prefix},
};
use async_trait::async_trait;
use std::collections::HashMap;

#[async_trait]
impl Journal for MemoryJournal {
    async fn late(&self, bucket: &BucketId, key: &Key) -> Result<Option<Late>, JournalDown> {
        Ok(self.ask("late")?.attributes.find(&name(bucket, key.as_str())).cloned())
    }

    async fn late_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, Late>, JournalDown> {
        let state = self.ask("late_in")?;
        let found = |file: &str| {
            let late = state.attributes.find(&name(bucket, &format!("{}{file}", directory.as_str())))?;
            Some((file.to_owned(), late.clone()))
        };
        Ok(page.iter().filter_map(|file| found(file)).collect())
    }

    async fn add_late(&self, bucket: &BucketId, key: &Key, late: &Late, modified: i64) -> Result<Late, JournalDown> {
        let mut state = self.ask("add_late")?;
        let name = name(bucket, key.as_str());
        let there = state.attributes.find(&name);
        if there.is_some_and(|there| there.is_of_younger(&late.etag, modified) && there.set_at >= late.set_at) {
            return Ok(late.clone());
        }
        let late = there.map_or_else(|| late.clone(), |older| late.clone().on_top_of(older, modified));
        state.attributes.insert(name, late.clone());
        Ok(late)
    }

    async fn replace_late(&self, bucket: &BucketId, key: &Key, late: Option<&Late>) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_late")?;
        let name = name(bucket, key.as_str());
        match late {
            Some(late) => state.attributes.insert(name, late.clone()),
            None => drop(state.attributes.remove(&name)),
        }
        Ok(())
    }

    async fn add_lates(&self, notes: &[LateNote]) -> Result<(), JournalDown> {
        let gate = self.state().batch_gate.clone();
        if let Some(gate) = gate {
            // An error means that the semaphore is closed.
            let _ = gate.acquire().await;
        }
        let mut state = self.ask("add_lates")?;
        for note in notes {
            let name = name(&note.bucket, note.key.as_str());
            let there = state.attributes.find(&name);
            let late = there.map_or_else(|| note.late.clone(), |there| note.beside(there));
            state.attributes.insert(name, late);
        }
        Ok(())
    }

    async fn replace_lates(&self, lates: &[(BucketId, Key, Late)]) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_lates")?;
        for (bucket, key, late) in lates {
            let name = name(bucket, key.as_str());
            let there = state.attributes.find(&name);
            if there.is_none_or(|there| !there.is_of_younger(&late.etag, late.set_at)) {
                state.attributes.insert(name, late.clone());
            }
        }
        Ok(())
    }

    async fn forget_lates(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        let mut state = self.ask("forget_lates")?;
        for key in keys {
            drop(state.attributes.remove(&name(bucket, key.as_str())));
        }
        Ok(())
    }
}

fn name(bucket: &BucketId, key: &str) -> (BucketId, String) {
    (bucket.clone(), key.to_owned())
}
