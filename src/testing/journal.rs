//! A journal that fails from a given query on. It wraps one that works.

use crate::{
    account::{DailyAmounts, ProbedRole},
    journal::{
        AttributeNote, ClaimJournal, DirectoryJournal, DirectoryNote, DirectoryTimes, Journal, JournalDown, Lease,
        ListedDirectories, LockJournal, LockOutcome, MemoryJournal, MovedAttributes, ObjectAttributes, RoleProbe,
        RoleVerdictJournal, Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject, UsageJournal,
    },
    name::{BucketId, Key, Prefix, TenantName},
    policy::{DayTotals, UtcDay},
    store::UploadId,
};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, time::Duration};

/// The ways in which SQL fails.
#[derive(Clone, Copy, Debug)]
pub enum JournalFailure {
    /// No query takes effect.
    Down,
    /// Another program holds a lock for longer than a query may take.
    Locked,
    /// The query takes effect, but its answer is lost.
    Deaf,
    /// The query takes effect and is answered, but late.
    Slow,
}

impl JournalFailure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Down, Self::Locked, Self::Deaf, Self::Slow];
    /// Limit on the time of a query.
    const PATIENCE: Duration = Duration::from_secs(2);
}

/// A journal in memory that fails as planned. Without a plan it works.
#[derive(Debug)]
pub struct FaultyJournal {
    inner: MemoryJournal,
    plan: Mutex<FailurePlan>,
}

#[derive(Debug, Default)]
struct FailurePlan {
    /// Queries so far.
    asked: usize,
    failure: Option<(usize, JournalFailure)>,
}

impl Default for FaultyJournal {
    fn default() -> Self {
        Self { inner: MemoryJournal::shared(), plan: Mutex::default() }
    }
}

impl FaultyJournal {
    /// Makes every query fail from number `first` on, counted from the last restart. The first query is 1.
    pub fn fail_from(&self, first: usize, failure: JournalFailure) {
        self.plan().failure = Some((first, failure));
    }

    /// Ends all failures and restarts the count.
    pub fn restart(&self) {
        *self.plan() = FailurePlan::default();
    }

    /// True if a failure is set, even if it hasn't begun.
    pub fn fails(&self) -> bool {
        self.plan().failure.is_some()
    }

    /// Number of queries since the last restart.
    pub fn asked(&self) -> usize {
        self.plan().asked
    }

    /// The rows of the journal, which a failure doesn't hide.
    pub fn written(&self) -> &MemoryJournal {
        &self.inner
    }

    fn plan(&self) -> MutexGuard<'_, FailurePlan> {
        self.plan.lock()
    }

    fn arrive(&self) -> Option<JournalFailure> {
        let mut plan = self.plan();
        plan.asked += 1;
        plan.failure.filter(|(first, _)| plan.asked >= *first).map(|(_, failure)| failure)
    }

    async fn serve<T>(&self, question: impl Future<Output = Result<T, JournalDown>> + Send) -> Result<T, JournalDown> {
        match self.arrive() {
            None => question.await,
            Some(JournalFailure::Down) => Err(JournalDown),
            Some(JournalFailure::Locked) => {
                tokio::time::sleep(JournalFailure::PATIENCE).await;
                Err(JournalDown)
            }
            Some(JournalFailure::Deaf) => {
                question.await?;
                Err(JournalDown)
            }
            Some(JournalFailure::Slow) => {
                tokio::time::sleep(JournalFailure::PATIENCE / 2).await;
                question.await
            }
        }
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn attributes(&self, bucket: &BucketId, key: &Key) -> Result<Option<ObjectAttributes>, JournalDown> {
        self.serve(self.inner.attributes(bucket, key)).await
    }

    async fn attributes_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, ObjectAttributes>, JournalDown> {
        self.serve(self.inner.attributes_in(bucket, directory, page)).await
    }

    async fn add_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: &ObjectAttributes,
        modified: i64,
    ) -> Result<ObjectAttributes, JournalDown> {
        self.serve(self.inner.add_attributes(bucket, key, entry, modified)).await
    }

    async fn replace_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: Option<&ObjectAttributes>,
    ) -> Result<(), JournalDown> {
        self.serve(self.inner.replace_attributes(bucket, key, entry)).await
    }

    async fn add_attribute_notes(&self, notes: &[AttributeNote]) -> Result<(), JournalDown> {
        self.serve(self.inner.add_attribute_notes(notes)).await
    }

    async fn replace_attribute_batch(&self, entries: &[(BucketId, Key, ObjectAttributes)]) -> Result<(), JournalDown> {
        self.serve(self.inner.replace_attribute_batch(entries)).await
    }

    async fn forget_attribute_batch(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        self.serve(self.inner.forget_attribute_batch(bucket, keys)).await
    }
}

#[async_trait]
impl TaskJournal for FaultyJournal {
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown> {
        self.serve(self.inner.enter_task(task, lease, keep)).await
    }

    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        self.serve(self.inner.hold_task(id, payload, lease, keep)).await
    }

    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown> {
        self.serve(self.inner.find_task(kind, subject)).await
    }

    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.take_task(id, lease)).await
    }

    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown> {
        self.serve(self.inner.take_next_task(kind, lease, free_for)).await
    }

    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown> {
        self.serve(self.inner.abandon_tasks(kind, subject)).await
    }

    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown> {
        self.serve(self.inner.end_task(id, holder)).await
    }

    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.enter_claimed_task(task, lease)).await
    }

    async fn end_claimed_task(
        &self,
        task: &Task,
        lease: &Lease,
        moved: Option<MovedAttributes<'_>>,
    ) -> Result<(), JournalDown> {
        self.serve(self.inner.end_claimed_task(task, lease, moved)).await
    }

    async fn end_task_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.end_task_without_attributes(task, lease)).await
    }

    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        self.serve(self.inner.has_upload(bucket, upload)).await
    }

    async fn has_uploads_of(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown> {
        self.serve(self.inner.has_uploads_of(bucket, tenant)).await
    }
}

#[async_trait]
impl ClaimJournal for FaultyJournal {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.claim(bucket, name, lease)).await
    }

    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.hold_claim(bucket, name, lease)).await
    }

    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown> {
        self.serve(self.inner.end_claim(bucket, name, lease)).await
    }

    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.serve(self.inner.drop_ended_claims(ended_for)).await
    }
}

#[async_trait]
impl UsageJournal for FaultyJournal {
    async fn save_usage(&self, process: &str, totals: &[DayTotals]) -> Result<(), JournalDown> {
        self.serve(self.inner.save_usage(process, totals)).await
    }

    async fn usage_of_others(
        &self,
        day: UtcDay,
        process: &str,
    ) -> Result<HashMap<TenantName, DailyAmounts>, JournalDown> {
        self.serve(self.inner.usage_of_others(day, process)).await
    }

    async fn drop_usage_before(&self, day: UtcDay) -> Result<u64, JournalDown> {
        self.serve(self.inner.drop_usage_before(day)).await
    }
}

#[async_trait]
impl RoleVerdictJournal for FaultyJournal {
    async fn save_role_probe(&self, probe: &RoleProbe) -> Result<(), JournalDown> {
        self.serve(self.inner.save_role_probe(probe)).await
    }

    async fn role_probes(&self, roles: &[ProbedRole]) -> Result<Vec<RoleProbe>, JournalDown> {
        self.serve(self.inner.role_probes(roles)).await
    }

    async fn drop_role_probes_before(&self, seconds: i64) -> Result<u64, JournalDown> {
        self.serve(self.inner.drop_role_probes_before(seconds)).await
    }
}

#[async_trait]
impl LockJournal for FaultyJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<LockOutcome, JournalDown> {
        self.serve(self.inner.lock(bucket, name, lease)).await
    }

    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.hold_lock(bucket, name, lease)).await
    }

    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.has_lock(bucket, name, lease)).await
    }

    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.serve(self.inner.end_lock(bucket, name, lease)).await
    }

    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown> {
        self.serve(self.inner.break_lock(bucket, name)).await
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.serve(self.inner.drop_ended_locks(ended_for)).await
    }
}

#[async_trait]
impl DirectoryJournal for FaultyJournal {
    async fn directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
    ) -> Result<Option<DirectoryTimes>, JournalDown> {
        self.serve(self.inner.directory_times(bucket, directory)).await
    }

    async fn directory_times_of(
        &self,
        bucket: &BucketId,
        directories: &[&Prefix],
    ) -> Result<Vec<Option<DirectoryTimes>>, JournalDown> {
        self.serve(self.inner.directory_times_of(bucket, directories)).await
    }

    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown> {
        self.serve(self.inner.keeps_directory_times(bucket, directory)).await
    }

    async fn directory_times_in(
        &self,
        bucket: &BucketId,
        page: ListedDirectories<'_>,
    ) -> Result<HashMap<String, DirectoryTimes>, JournalDown> {
        self.serve(self.inner.directory_times_in(bucket, page)).await
    }

    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown> {
        self.serve(self.inner.set_directory_times(bucket, directory, times)).await
    }

    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown> {
        self.serve(self.inner.tell_directory_times(notes)).await
    }

    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown> {
        self.serve(self.inner.forget_directory_times(bucket, directory, asked_ago)).await
    }

    async fn move_directory_times(
        &self,
        bucket: &BucketId,
        source: &Prefix,
        target: &Prefix,
    ) -> Result<(), JournalDown> {
        self.serve(self.inner.move_directory_times(bucket, source, target)).await
    }
}
