//! Tasks in memory: the rows, without the calls of the journal.

use crate::journal::{Lease, Task, TaskKind, TaskPayload, TaskSubject};
use tokio::time::Instant;

/// The most tasks: about 5 MB. A new one replaces the oldest upload without a lease. There are at most as many
/// renames as sessions.
const MAX_TASKS: usize = 10_000;

/// The tasks, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct TaskRows(pub(super) Vec<LeasedTask>);

/// A task and its lease.
#[derive(Debug)]
pub(super) struct LeasedTask {
    pub(super) task: Task,
    pub(super) holder: String,
    /// The end of the lease.
    pub(super) leased_until: Instant,
    /// The end of the time in which a session can resume the task. `None` once the task is abandoned.
    pub(super) resumable_until: Option<Instant>,
}

impl LeasedTask {
    pub(super) fn is_of(&self, kind: TaskKind, subject: &TaskSubject) -> bool {
        self.task.payload.kind() == kind && self.task.subject() == *subject
    }

    pub(super) fn is_leased(&self, now: Instant) -> bool {
        now < self.leased_until
    }

    pub(super) fn is_resumable(&self, now: Instant) -> bool {
        self.resumable_until.is_some_and(|until| now < until)
    }

    pub(super) fn hold(&mut self, lease: &Lease, now: Instant) {
        (self.holder, self.leased_until) = (lease.holder.clone(), now + lease.term);
    }
}

impl TaskRows {
    pub(super) fn list(&self) -> impl Iterator<Item = Task> {
        self.0.iter().map(|row| row.task.clone())
    }

    pub(super) fn enter(&mut self, row: LeasedTask, now: Instant) -> bool {
        if self.0.iter().any(|other| other.task.id == row.task.id) {
            return true;
        }
        match &row.task.payload {
            TaskPayload::Upload(_) => self.abandon(TaskKind::Upload, &row.task.subject()),
            TaskPayload::DirectoryRename(_) if self.0.iter().any(|other| overlap(&other.task, &row.task)) => {
                return false;
            }
            TaskPayload::DirectoryRename(_) | TaskPayload::FileRename(_) => {}
        }
        if self.0.len() >= MAX_TASKS {
            let is_idle = |row: &LeasedTask| row.task.payload.kind() == TaskKind::Upload && !row.is_leased(now);
            let oldest = self.0.iter().position(is_idle).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push(row);
        true
    }

    pub(super) fn abandon(&mut self, kind: TaskKind, subject: &TaskSubject) {
        for row in self.0.iter_mut().filter(|row| row.is_of(kind, subject)) {
            row.resumable_until = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{Owner, ResumableUpload, Whole},
        name::{BucketId, MountedKey, Prefix},
        store::{NewObject, UploadId},
    };
    use std::time::Duration;

    fn row(number: usize, leased_until: Instant) -> LeasedTask {
        let id = number.to_string();
        let payload = ResumableUpload {
            place: MountedKey::new(Prefix::parse("acme/").unwrap(), &id).unwrap(),
            upload: UploadId(id.clone()),
            object: NewObject::default(),
            whole: Whole::default(),
        };
        let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
        let task = Task { id, bucket: BucketId::new("files", None), owner, permissions: None, payload };
        LeasedTask {
            task: task.of_any_kind(),
            holder: "me".to_owned(),
            leased_until,
            resumable_until: Some(leased_until),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_upload_without_a_lease_makes_room() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_mins(1));
        let mut tasks = TaskRows::default();
        assert!(tasks.enter(row(0, later), now));
        for number in 1..=MAX_TASKS {
            assert!(tasks.enter(row(number, now), now));
        }
        let ids: Vec<_> = tasks.list().map(|task| task.id).collect();
        assert_eq!((ids.len(), &ids[0], &ids[1]), (MAX_TASKS, &"0".to_owned(), &"2".to_owned()));
    }
}
