//! The calls about tasks, in memory.

use super::{
    state::{MemoryJournal, MemoryState},
    task_rows::LeasedTask,
};
use crate::{
    journal::{JournalDown, Lease, MovedAttributes, Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject},
    name::{BucketId, TenantName},
    store::UploadId,
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

#[async_trait]
impl TaskJournal for MemoryJournal {
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("enter_task")?, Instant::now());
        let (holder, leased_until) = (lease.holder.clone(), now + lease.term);
        let row = LeasedTask { task: task.clone(), holder, leased_until, resumable_until: Some(now + keep) };
        Ok(state.tasks.enter(row, now))
    }

    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        let (mut state, now) = (self.ask("hold_task")?, Instant::now());
        let mut rows = state.tasks.0.iter_mut();
        let Some(row) = rows.find(|row| row.task.id == id && row.holder == lease.holder) else {
            return Ok(Standing::Lost);
        };
        row.hold(lease, now);
        row.task.payload = payload.clone();
        row.resumable_until = row.resumable_until.map(|_| now + keep);
        Ok(if row.resumable_until.is_some() { Standing::Resumable } else { Standing::Abandoned })
    }

    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown> {
        let (state, now) = (self.ask("find_task")?, Instant::now());
        let found = state.tasks.0.iter().rfind(|row| row.is_of(kind, subject) && row.is_resumable(now));
        Ok(found.map(|row| (row.task.clone(), row.is_leased(now))))
    }

    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("take_task")?, Instant::now());
        let is_free = |row: &&mut LeasedTask| row.task.id == id && row.is_resumable(now) && !row.is_leased(now);
        let free = state.tasks.0.iter_mut().find(is_free);
        Ok(free.map(|row| row.hold(lease, now)).is_some())
    }

    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown> {
        let (mut state, now) = (self.ask("take_next_task")?, Instant::now());
        let is_next = |row: &&mut LeasedTask| {
            row.task.payload.kind() == kind && !row.is_resumable(now) && row.leased_until + free_for <= now
        };
        let next = state.tasks.0.iter_mut().filter(is_next).min_by_key(|row| row.leased_until);
        Ok(next.map(|row| {
            row.hold(lease, now);
            row.task.clone()
        }))
    }

    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown> {
        self.ask("abandon_tasks")?.tasks.abandon(kind, subject);
        Ok(())
    }

    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown> {
        let is_ended = |row: &LeasedTask| row.task.id == id && holder.is_none_or(|lease| lease.holder == row.holder);
        self.ask("end_task")?.tasks.0.retain(|row| !is_ended(row));
        Ok(())
    }

    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        let (mut state, now) = (self.ask("enter_claimed_task")?, Instant::now());
        let is_claimed = !state.is_shared || state.claim_all(&task.bucket, &task.payload.changed_names(), lease);
        let (holder, leased_until) = (lease.holder.clone(), now + lease.term);
        let row = LeasedTask { task: task.clone(), holder, leased_until, resumable_until: Some(now) };
        Ok(is_claimed && state.tasks.enter(row, now))
    }

    async fn end_claimed_task(
        &self,
        task: &Task,
        lease: &Lease,
        moved: Option<MovedAttributes<'_>>,
    ) -> Result<(), JournalDown> {
        let mut state = self.ask("end_claimed_task")?;
        if let Some(moved) = moved {
            state.move_attributes(&task.bucket, moved);
        }
        state.end_claimed(task, lease);
        Ok(())
    }

    async fn end_task_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        let mut state = self.ask("end_task_without_attributes")?;
        let is_ours = |row: &LeasedTask| row.task.id == task.id && row.holder == lease.holder;
        let mut names = task.payload.changed_names().into_iter();
        let ends = state.tasks.0.iter().any(is_ours) && !names.any(|name| state.has_attributes(&task.bucket, name));
        if ends {
            state.end_claimed(task, lease);
        }
        Ok(ends)
    }

    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        let state = self.ask("has_upload")?;
        let is_it = |row: &LeasedTask| {
            let Task { bucket: other, payload: TaskPayload::Upload(open), .. } = &row.task else { return false };
            other == bucket && open.upload == *upload
        };
        Ok(state.tasks.0.iter().any(is_it))
    }

    async fn has_uploads_of(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown> {
        let state = self.ask("has_uploads_of")?;
        let is_upload_of = |row: &LeasedTask| {
            let Task { bucket: other, owner, payload, .. } = &row.task;
            payload.kind() == TaskKind::Upload && other == bucket && owner.tenant == *tenant
        };
        Ok(state.tasks.0.iter().any(is_upload_of))
    }
}

impl MemoryState {
    fn end_claimed(&mut self, task: &Task, lease: &Lease) {
        for name in task.payload.changed_names() {
            self.end_claim(&task.bucket, name, lease);
        }
        self.tasks.0.retain(|row| row.task.id != task.id || row.holder != lease.holder);
    }
}
