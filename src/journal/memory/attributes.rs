//! The calls about attributes of objects, in memory.

use super::state::{MemoryJournal, MemoryState};
use crate::{
    journal::{AttributeNote, Journal, JournalDown, MovedAttributes, ObjectAttributes},
    name::{BucketId, Key, Prefix},
};
use async_trait::async_trait;
use std::collections::HashMap;

#[async_trait]
impl Journal for MemoryJournal {
    async fn attributes(&self, bucket: &BucketId, key: &Key) -> Result<Option<ObjectAttributes>, JournalDown> {
        Ok(self.ask("attributes")?.attributes.find(&name(bucket, key.as_str())).cloned())
    }

    async fn attributes_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, ObjectAttributes>, JournalDown> {
        let state = self.ask("attributes_in")?;
        let found = |file: &str| {
            let entry = state.attributes.find(&name(bucket, &format!("{}{file}", directory.as_str())))?;
            Some((file.to_owned(), entry.clone()))
        };
        Ok(page.iter().filter_map(|file| found(file)).collect())
    }

    async fn add_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: &ObjectAttributes,
        modified: i64,
    ) -> Result<ObjectAttributes, JournalDown> {
        let mut state = self.ask("add_attributes")?;
        let name = name(bucket, key.as_str());
        let there = state.attributes.find(&name);
        if there.is_some_and(|there| there.is_of_younger(&entry.etag, modified) && there.set_at >= entry.set_at) {
            return Ok(entry.clone());
        }
        let entry = there.map_or_else(|| entry.clone(), |older| entry.clone().on_top_of(older, modified));
        state.attributes.insert(name, entry.clone());
        Ok(entry)
    }

    async fn replace_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: Option<&ObjectAttributes>,
    ) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_attributes")?;
        let name = name(bucket, key.as_str());
        match entry {
            Some(entry) => state.attributes.insert(name, entry.clone()),
            None => drop(state.attributes.remove(&name)),
        }
        Ok(())
    }

    async fn add_attribute_notes(&self, notes: &[AttributeNote]) -> Result<(), JournalDown> {
        let gate = self.state().batch_gate.clone();
        if let Some(gate) = gate {
            // An error means that the semaphore is closed.
            let _ = gate.acquire().await;
        }
        let mut state = self.ask("add_attribute_notes")?;
        for note in notes {
            let name = name(&note.bucket, note.key.as_str());
            let there = state.attributes.find(&name);
            let entry = there.map_or_else(|| note.entry.clone(), |there| note.beside(there));
            state.attributes.insert(name, entry);
        }
        Ok(())
    }

    async fn replace_attribute_batch(&self, entries: &[(BucketId, Key, ObjectAttributes)]) -> Result<(), JournalDown> {
        let mut state = self.ask("replace_attribute_batch")?;
        for (bucket, key, entry) in entries {
            let name = name(bucket, key.as_str());
            let there = state.attributes.find(&name);
            if there.is_none_or(|there| !there.is_of_younger(&entry.etag, entry.set_at)) {
                state.attributes.insert(name, entry.clone());
            }
        }
        Ok(())
    }

    async fn forget_attribute_batch(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        let mut state = self.ask("forget_attribute_batch")?;
        for key in keys {
            drop(state.attributes.remove(&name(bucket, key.as_str())));
        }
        Ok(())
    }
}

impl MemoryState {
    pub(super) fn has_attributes(&self, bucket: &BucketId, key: &Key) -> bool {
        self.attributes.find(&name(bucket, key.as_str())).is_some()
    }

    pub(super) fn move_attributes(&mut self, bucket: &BucketId, moved: MovedAttributes<'_>) {
        let MovedAttributes { source, target, entry } = moved;
        drop(self.attributes.remove(&name(bucket, source.as_str())));
        let target = name(bucket, target.as_str());
        match entry {
            Some(entry) => self.attributes.insert(target, entry.clone()),
            None => drop(self.attributes.remove(&target)),
        }
    }
}

fn name(bucket: &BucketId, key: &str) -> (BucketId, String) {
    (bucket.clone(), key.to_owned())
}
