//! Tasks, in memory.

use super::MemoryJournal;
use crate::{
    journal::{JournalDown, Lease, Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject},
    name::BucketId,
    store::UploadId,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

/// The most tasks: about 5 MB. A new one replaces the oldest upload that no session holds. There are at most as many
/// renames as sessions.
const MAX_TASKS: usize = 10_000;

/// The tasks, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<Entry>);

/// A task, its holder, the end of its lease, and the end of the time for which it is kept. That is `None` once it is
/// abandoned.
#[derive(Debug)]
struct Entry {
    task: Task,
    holder: String,
    held_until: Instant,
    kept_until: Option<Instant>,
}

impl Entry {
    fn is_of(&self, kind: TaskKind, subject: &TaskSubject) -> bool {
        self.task.payload.kind() == kind && self.task.subject() == *subject
    }

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

impl Tasks {
    pub(super) fn list(&self) -> impl Iterator<Item = Task> {
        self.0.iter().map(|entry| entry.task.clone())
    }

    fn enter(&mut self, entry: Entry, now: Instant) -> bool {
        if self.0.iter().any(|other| other.task.id == entry.task.id) {
            return true;
        }
        match &entry.task.payload {
            TaskPayload::Upload(_) => self.abandon(TaskKind::Upload, &entry.task.subject()),
            TaskPayload::DirectoryRename(_) if self.0.iter().any(|other| overlap(&other.task, &entry.task)) => {
                return false;
            }
            TaskPayload::DirectoryRename(_) | TaskPayload::FileRename(_) => {}
        }
        if self.0.len() >= MAX_TASKS {
            let is_idle = |entry: &Entry| entry.task.payload.kind() == TaskKind::Upload && !entry.is_held(now);
            let oldest = self.0.iter().position(is_idle).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push(entry);
        true
    }

    fn abandon(&mut self, kind: TaskKind, subject: &TaskSubject) {
        for entry in self.0.iter_mut().filter(|entry| entry.is_of(kind, subject)) {
            entry.kept_until = None;
        }
    }
}

/// True if both are renames of directories that could touch the same keys.
fn overlap(one: &Task, other: &Task) -> bool {
    match (&one.payload, &other.payload) {
        (TaskPayload::DirectoryRename(mine), TaskPayload::DirectoryRename(theirs)) => {
            one.bucket == other.bucket && mine.overlaps(theirs)
        }
        _ => false,
    }
}

#[async_trait]
impl TaskJournal for MemoryJournal {
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("enter_task")?, Instant::now());
        let (holder, held_until) = (lease.holder.clone(), now + lease.term);
        let entry = Entry { task: task.clone(), holder, held_until, kept_until: Some(now + keep) };
        Ok(state.tasks.enter(entry, now))
    }

    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        let (mut state, now) = (self.ask("hold_task")?, Instant::now());
        let mut entries = state.tasks.0.iter_mut();
        let Some(entry) = entries.find(|entry| entry.task.id == id && entry.holder == lease.holder) else {
            return Ok(Standing::Lost);
        };
        entry.hold(lease, now);
        entry.task.payload = payload.clone();
        entry.kept_until = entry.kept_until.map(|_| now + keep);
        Ok(if entry.kept_until.is_some() { Standing::Kept } else { Standing::Abandoned })
    }

    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown> {
        let (state, now) = (self.ask("find_task")?, Instant::now());
        let found = state.tasks.0.iter().rfind(|entry| entry.is_of(kind, subject) && entry.is_kept(now));
        Ok(found.map(|entry| (entry.task.clone(), entry.is_held(now))))
    }

    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("take_task")?, Instant::now());
        let is_free = |entry: &&mut Entry| entry.task.id == id && entry.is_kept(now) && !entry.is_held(now);
        let free = state.tasks.0.iter_mut().find(is_free);
        Ok(free.map(|entry| entry.hold(lease, now)).is_some())
    }

    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown> {
        let (mut state, now) = (self.ask("take_next_task")?, Instant::now());
        let is_next = |entry: &&mut Entry| {
            entry.task.payload.kind() == kind && !entry.is_kept(now) && entry.held_until + free_for <= now
        };
        let next = state.tasks.0.iter_mut().filter(is_next).min_by_key(|entry| entry.held_until);
        Ok(next.map(|entry| {
            entry.hold(lease, now);
            entry.task.clone()
        }))
    }

    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown> {
        self.ask("abandon_tasks")?.tasks.abandon(kind, subject);
        Ok(())
    }

    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown> {
        let is_ended = |entry: &Entry| entry.task.id == id && holder.is_none_or(|lease| lease.holder == entry.holder);
        self.ask("end_task")?.tasks.0.retain(|entry| !is_ended(entry));
        Ok(())
    }

    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("enter_claimed_task")?, Instant::now());
        let is_claimed = !state.is_shared || state.claim(&task.bucket, task.payload.place().key(), lease);
        let (holder, held_until) = (lease.holder.clone(), now + lease.term);
        let entry = Entry { task: task.clone(), holder, held_until, kept_until: Some(now) };
        Ok(is_claimed && state.tasks.enter(entry, now))
    }

    async fn end_claimed_task(&self, task: &Task, lease: &Lease) -> Result<(), JournalDown> {
        let mut state = self.ask("end_claimed_task")?;
        state.end_claim(&task.bucket, task.payload.place().key(), lease);
        state.tasks.0.retain(|entry| entry.task.id != task.id || entry.holder != lease.holder);
        Ok(())
    }

    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        let state = self.ask("has_upload")?;
        let is_it = |entry: &Entry| {
            let Task { bucket: other, payload: TaskPayload::Upload(open), .. } = &entry.task else { return false };
            other == bucket && open.upload == *upload
        };
        Ok(state.tasks.0.iter().any(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{Owner, ResumableUpload, Whole},
        name::{MountedKey, Prefix},
        store::NewObject,
    };

    fn entry(number: usize, held_until: Instant) -> Entry {
        let id = number.to_string();
        let payload = ResumableUpload {
            place: MountedKey::new(Prefix::parse("acme/").unwrap(), &id).unwrap(),
            upload: UploadId(id.clone()),
            object: NewObject::default(),
            whole: Whole::default(),
        };
        let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
        let task = Task { id, bucket: BucketId::new("files", None), owner, permissions: None, payload };
        Entry { task: task.of_any_kind(), holder: "me".to_owned(), held_until, kept_until: Some(held_until) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_upload_that_nobody_holds_makes_room() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_mins(1));
        let mut tasks = Tasks::default();
        assert!(tasks.enter(entry(0, later), now));
        for number in 1..=MAX_TASKS {
            assert!(tasks.enter(entry(number, now), now));
        }
        let ids: Vec<_> = tasks.list().map(|task| task.id).collect();
        assert_eq!((ids.len(), &ids[0], &ids[1]), (MAX_TASKS, &"0".to_owned(), &"2".to_owned()));
    }
}
