//! Uploads that can be resumed, in memory.

use super::MemoryJournal;
use crate::{
    journal::{JournalDown, Lease, PartialFile, PartialJournal, PartialUpload, Standing, Whole},
    name::BucketId,
    store::UploadId,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

/// The most uploads that can have an entry: about 5 MB. A new entry replaces the oldest one that no session holds.
const MAX_ENTRIES: usize = 10_000;

/// The entries, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Partials(Vec<Entry>);

/// An upload, its holder, the end of its lease, and the end of the time for which it is kept. That is `None` once it is
/// abandoned.
#[derive(Debug)]
struct Entry {
    partial: PartialUpload,
    holder: String,
    held_until: Instant,
    kept_until: Option<Instant>,
}

impl Entry {
    fn is_held(&self, now: Instant) -> bool {
        now < self.held_until
    }

    fn is_kept(&self, now: Instant) -> bool {
        self.kept_until.is_some_and(|until| now < until)
    }

    fn hold(&mut self, lease: &Lease, now: Instant) {
        (self.holder, self.held_until) = (lease.holder.clone(), now + lease.term);
    }
}

impl Partials {
    pub(super) fn list(&self) -> Vec<PartialUpload> {
        self.0.iter().map(|entry| entry.partial.clone()).collect()
    }

    fn enter(&mut self, entry: Entry, now: Instant) {
        if self.0.iter().any(|other| other.partial.id == entry.partial.id) {
            return;
        }
        self.give_up(&entry.partial.file);
        if self.0.len() >= MAX_ENTRIES {
            let oldest = self.0.iter().position(|entry| !entry.is_held(now)).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push(entry);
    }

    fn give_up(&mut self, file: &PartialFile) {
        for entry in self.0.iter_mut().filter(|entry| entry.partial.file == *file) {
            entry.kept_until = None;
        }
    }
}

#[async_trait]
impl PartialJournal for MemoryJournal {
    async fn enter_partial(&self, partial: &PartialUpload, lease: &Lease, keep: Duration) -> Result<(), JournalDown> {
        let (mut state, now) = (self.ask("enter_partial")?, Instant::now());
        let (holder, held_until) = (lease.holder.clone(), now + lease.term);
        let entry = Entry { partial: partial.clone(), holder, held_until, kept_until: Some(now + keep) };
        state.partials.enter(entry, now);
        Ok(())
    }

    async fn hold_partial(
        &self,
        id: &str,
        whole: Whole,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        let (mut state, now) = (self.ask("hold_partial")?, Instant::now());
        let mut entries = state.partials.0.iter_mut();
        let Some(entry) = entries.find(|entry| entry.partial.id == id && entry.holder == lease.holder) else {
            return Ok(Standing::Lost);
        };
        entry.hold(lease, now);
        entry.partial.whole = whole;
        entry.kept_until = entry.kept_until.map(|_| now + keep);
        Ok(if entry.kept_until.is_some() { Standing::Kept } else { Standing::GivenUp })
    }

    async fn find_partial(&self, file: &PartialFile) -> Result<Option<(PartialUpload, bool)>, JournalDown> {
        let (state, now) = (self.ask("find_partial")?, Instant::now());
        let found = state.partials.0.iter().rfind(|entry| entry.partial.file == *file && entry.is_kept(now));
        Ok(found.map(|entry| (entry.partial.clone(), entry.is_held(now))))
    }

    async fn take_partial(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("take_partial")?, Instant::now());
        let is_free = |entry: &&mut Entry| entry.partial.id == id && entry.is_kept(now) && !entry.is_held(now);
        let free = state.partials.0.iter_mut().find(is_free);
        Ok(free.map(|entry| entry.hold(lease, now)).is_some())
    }

    async fn give_up_partials(&self, file: &PartialFile) -> Result<(), JournalDown> {
        self.ask("give_up_partials")?.partials.give_up(file);
        Ok(())
    }

    async fn take_stale_partial(
        &self,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<PartialUpload>, JournalDown> {
        let (mut state, now) = (self.ask("take_stale_partial")?, Instant::now());
        let is_over = |entry: &&mut Entry| !entry.is_kept(now) && entry.held_until + free_for <= now;
        let over = state.partials.0.iter_mut().filter(is_over);
        Ok(over.min_by_key(|entry| entry.held_until).map(|entry| {
            entry.hold(lease, now);
            entry.partial.clone()
        }))
    }

    async fn end_partial(&self, id: &str) -> Result<(), JournalDown> {
        self.ask("end_partial")?.partials.0.retain(|entry| entry.partial.id != id);
        Ok(())
    }

    async fn knows_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        let state = self.ask("knows_upload")?;
        Ok(state.partials.list().iter().any(|partial| partial.file.bucket == *bucket && partial.upload == *upload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::Owner,
        name::{MountedKey, Prefix},
        store::NewObject,
    };

    fn entry(number: usize, held_until: Instant) -> Entry {
        let file = PartialFile {
            bucket: BucketId::new("files", None),
            owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
            place: MountedKey::new(Prefix::parse("acme/").unwrap(), &number.to_string()).unwrap(),
        };
        let (id, upload) = (number.to_string(), UploadId(number.to_string()));
        let partial = PartialUpload {
            id,
            file,
            permissions: None,
            upload,
            object: NewObject::default(),
            whole: Whole::default(),
        };
        Entry { partial, holder: "me".to_owned(), held_until, kept_until: Some(held_until) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_nobody_holds_makes_room() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_mins(1));
        let mut partials = Partials::default();
        partials.enter(entry(0, later), now);
        for number in 1..=MAX_ENTRIES {
            partials.enter(entry(number, now), now);
        }
        let kept: Vec<_> = partials.list().into_iter().map(|partial| partial.id).collect();
        assert_eq!((kept.len(), &kept[0], &kept[1]), (MAX_ENTRIES, &"0".to_owned(), &"2".to_owned()));
    }
}
