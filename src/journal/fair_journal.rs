//! The journal of one tenant. Its questions take permits, which all tenants share, before they reach the database.
//!
//! A tenant that asks too much waits in a line of its own, so a flood delays the questions of another tenant by a few
//! answers. It is no outage:
//! - A question that its request can do without fails after two seconds as if the journal were down, for this tenant
//!   alone, and the database doesn't see it.
//! - A claim, a lock or a task waits as long as its request. Without it two sessions could change one file. So do their
//!   ends, without which the next request would wait for them.
//!
//! Questions that change something have permits of their own, because a database may have one writer. Among them, those
//! that renew a lease have a line of their own, so that a flood ends none.
//!
//! An age that a question has grows while it waits.
//!
//! While a tenant has no upload in a bucket, its questions for the upload of a file are answered without the database,
//! if no other node shares that.
//!
//! A holder of a permit waits for the database alone, which answers within seconds or is down.

use super::{
    AttributeNote, ClaimJournal, DirectoryJournal, DirectoryNote, DirectoryTimes, Journal, JournalDown, Lease,
    ListedDirectories, LockJournal, LockOutcome, MovedAttributes, ObjectAttributes, RoleProbe, RoleVerdictJournal,
    Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject, UsageJournal,
    upload_presence::{KnownPresence, UploadPresence},
};
use crate::{
    account::{DailyAmounts, ProbedRole},
    name::{BucketId, Key, Prefix, TenantName},
    policy::{DayTotals, UtcDay},
    shares::{ShareLine, Shares},
    store::UploadId,
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// The questions that change nothing and are sent at once. With those that change something they are as many as the
/// connections to PostgreSQL: more of them would only wait for a connection, where the first comes first.
const READS: usize = 4;
/// The same of questions that change something.
const WRITES: usize = 4;
/// The time for which a question that its request can do without waits for its permit.
const PATIENCE: Duration = Duration::from_secs(2);

/// The permits for the questions of all tenants to a journal, and the answers that need no question.
#[derive(Debug)]
pub(crate) struct JournalQuestions {
    reads: Arc<Shares<TenantName>>,
    writes: Arc<Shares<TenantName>>,
    uploads: Arc<UploadPresence>,
}

impl Default for JournalQuestions {
    fn default() -> Self {
        Self { reads: Shares::new(READS), writes: Shares::new(WRITES), uploads: Arc::default() }
    }
}

/// The journal, as one tenant asks it.
#[derive(Debug)]
pub(crate) struct FairJournal {
    inner: Arc<dyn Journal>,
    tenant: TenantName,
    questions: Arc<JournalQuestions>,
}

impl FairJournal {
    /// Forwards questions to `inner` with permits of `tenant`.
    pub(crate) fn new(inner: Arc<dyn Journal>, tenant: TenantName, questions: Arc<JournalQuestions>) -> Self {
        Self { inner, tenant, questions }
    }

    /// Asks a question that changes nothing.
    async fn read<T>(&self, question: impl Future<Output = Result<T, JournalDown>> + Send) -> Result<T, JournalDown> {
        self.ask(&self.questions.reads, question).await
    }

    /// Asks for a change that the request can do without.
    async fn write<T>(&self, question: impl Future<Output = Result<T, JournalDown>> + Send) -> Result<T, JournalDown> {
        self.ask(&self.questions.writes, question).await
    }

    /// Asks for a change that begins or ends a claim, a lock or a task. Waits as long as its caller.
    async fn act<T>(&self, question: impl Future<Output = Result<T, JournalDown>> + Send) -> Result<T, JournalDown> {
        let _permit = self.questions.writes.acquire(&self.tenant, ShareLine::First).await;
        question.await
    }

    /// Asks for the renewal of a lease. Waits as long as its caller.
    async fn renew<T>(&self, question: impl Future<Output = Result<T, JournalDown>> + Send) -> Result<T, JournalDown> {
        let _permit = self.questions.writes.acquire(&self.tenant, ShareLine::Second).await;
        question.await
    }

    /// True if the tenant may have uploads in the bucket.
    async fn may_have_uploads(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown> {
        if self.inner.is_shared() {
            return Ok(true);
        }
        let (uploads, of) = (&self.questions.uploads, (tenant.clone(), bucket.clone()));
        let turn = match uploads.look(&of) {
            KnownPresence::Known(has_uploads) => return Ok(has_uploads),
            KnownPresence::Unknown(turn) => turn,
        };
        let has_uploads = self.has_uploads_of(bucket, tenant).await?;
        uploads.learn(of, turn, has_uploads);
        Ok(has_uploads)
    }

    async fn ask<T>(
        &self,
        permits: &Arc<Shares<TenantName>>,
        question: impl Future<Output = Result<T, JournalDown>> + Send,
    ) -> Result<T, JournalDown> {
        let _permit =
            timeout(PATIENCE, permits.acquire(&self.tenant, ShareLine::First)).await.map_err(|_| JournalDown)?;
        question.await
    }
}

#[async_trait]
impl Journal for FairJournal {
    async fn attributes(&self, bucket: &BucketId, key: &Key) -> Result<Option<ObjectAttributes>, JournalDown> {
        self.read(self.inner.attributes(bucket, key)).await
    }

    async fn attributes_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, ObjectAttributes>, JournalDown> {
        self.read(self.inner.attributes_in(bucket, directory, page)).await
    }

    async fn add_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: &ObjectAttributes,
        modified: i64,
    ) -> Result<ObjectAttributes, JournalDown> {
        self.write(self.inner.add_attributes(bucket, key, entry, modified)).await
    }

    async fn replace_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: Option<&ObjectAttributes>,
    ) -> Result<(), JournalDown> {
        self.write(self.inner.replace_attributes(bucket, key, entry)).await
    }

    async fn add_attribute_notes(&self, notes: &[AttributeNote]) -> Result<(), JournalDown> {
        self.act(self.inner.add_attribute_notes(notes)).await
    }

    async fn replace_attribute_batch(&self, entries: &[(BucketId, Key, ObjectAttributes)]) -> Result<(), JournalDown> {
        self.write(self.inner.replace_attribute_batch(entries)).await
    }

    async fn forget_attribute_batch(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
        self.write(self.inner.forget_attribute_batch(bucket, keys)).await
    }
}

#[async_trait]
impl TaskJournal for FairJournal {
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown> {
        let entering = async {
            let of = (task.owner.tenant.clone(), task.bucket.clone());
            let entering = (task.payload.kind() == TaskKind::Upload).then(|| self.questions.uploads.enter(of));
            let entered = self.inner.enter_task(task, lease, keep).await;
            if let (Some(entering), Ok(_)) = (entering, &entered) {
                entering.answered();
            }
            entered
        };
        self.act(entering).await
    }

    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        self.renew(self.inner.hold_task(id, payload, lease, keep)).await
    }

    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown> {
        if kind == TaskKind::Upload && !self.may_have_uploads(&subject.bucket, &subject.owner.tenant).await? {
            return Ok(None);
        }
        self.read(self.inner.find_task(kind, subject)).await
    }

    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        self.act(self.inner.take_task(id, lease)).await
    }

    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown> {
        self.act(self.inner.take_next_task(kind, lease, free_for)).await
    }

    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown> {
        self.act(self.inner.abandon_tasks(kind, subject)).await
    }

    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown> {
        self.act(self.inner.end_task(id, holder)).await
    }

    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        self.act(self.inner.enter_claimed_task(task, lease)).await
    }

    async fn end_claimed_task(
        &self,
        task: &Task,
        lease: &Lease,
        moved: Option<MovedAttributes<'_>>,
    ) -> Result<(), JournalDown> {
        self.act(self.inner.end_claimed_task(task, lease, moved)).await
    }

    async fn end_task_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown> {
        self.act(self.inner.end_task_without_attributes(task, lease)).await
    }

    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        self.read(self.inner.has_upload(bucket, upload)).await
    }

    async fn has_uploads_of(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown> {
        self.read(self.inner.has_uploads_of(bucket, tenant)).await
    }
}

#[async_trait]
impl ClaimJournal for FairJournal {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.act(self.inner.claim(bucket, name, lease)).await
    }

    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.renew(self.inner.hold_claim(bucket, name, lease)).await
    }

    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown> {
        self.act(self.inner.end_claim(bucket, name, lease)).await
    }

    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.act(self.inner.drop_ended_claims(ended_for)).await
    }
}

#[async_trait]
impl UsageJournal for FairJournal {
    async fn save_usage(&self, process: &str, totals: &[DayTotals]) -> Result<(), JournalDown> {
        self.act(self.inner.save_usage(process, totals)).await
    }

    async fn usage_of_others(
        &self,
        day: UtcDay,
        process: &str,
    ) -> Result<HashMap<TenantName, DailyAmounts>, JournalDown> {
        self.read(self.inner.usage_of_others(day, process)).await
    }

    async fn drop_usage_before(&self, day: UtcDay) -> Result<u64, JournalDown> {
        self.act(self.inner.drop_usage_before(day)).await
    }
}

#[async_trait]
impl RoleVerdictJournal for FairJournal {
    async fn save_role_probe(&self, probe: &RoleProbe) -> Result<(), JournalDown> {
        self.act(self.inner.save_role_probe(probe)).await
    }

    async fn role_probes(&self, roles: &[ProbedRole]) -> Result<Vec<RoleProbe>, JournalDown> {
        self.read(self.inner.role_probes(roles)).await
    }

    async fn drop_role_probes_before(&self, seconds: i64) -> Result<u64, JournalDown> {
        self.act(self.inner.drop_role_probes_before(seconds)).await
    }
}

#[async_trait]
impl LockJournal for FairJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<LockOutcome, JournalDown> {
        self.act(self.inner.lock(bucket, name, lease)).await
    }

    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.renew(self.inner.hold_lock(bucket, name, lease)).await
    }

    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.read(self.inner.has_lock(bucket, name, lease)).await
    }

    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        self.act(self.inner.end_lock(bucket, name, lease)).await
    }

    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown> {
        self.act(self.inner.break_lock(bucket, name)).await
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        self.act(self.inner.drop_ended_locks(ended_for)).await
    }
}

#[async_trait]
impl DirectoryJournal for FairJournal {
    async fn directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
    ) -> Result<Option<DirectoryTimes>, JournalDown> {
        self.read(self.inner.directory_times(bucket, directory)).await
    }

    async fn directory_times_of(
        &self,
        bucket: &BucketId,
        directories: &[&Prefix],
    ) -> Result<Vec<Option<DirectoryTimes>>, JournalDown> {
        self.read(self.inner.directory_times_of(bucket, directories)).await
    }

    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown> {
        self.read(self.inner.keeps_directory_times(bucket, directory)).await
    }

    async fn directory_times_in(
        &self,
        bucket: &BucketId,
        page: ListedDirectories<'_>,
    ) -> Result<HashMap<String, DirectoryTimes>, JournalDown> {
        let since = Instant::now();
        let question = async {
            let page = ListedDirectories { asked_ago: page.asked_ago + since.elapsed(), ..page };
            self.inner.directory_times_in(bucket, page).await
        };
        self.read(question).await
    }

    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown> {
        self.write(self.inner.set_directory_times(bucket, directory, times)).await
    }

    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown> {
        self.write(self.inner.tell_directory_times(notes)).await
    }

    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown> {
        let since = Instant::now();
        let question = async {
            let asked_ago = asked_ago.map(|asked_ago| asked_ago + since.elapsed());
            self.inner.forget_directory_times(bucket, directory, asked_ago).await
        };
        self.write(question).await
    }

    async fn move_directory_times(
        &self,
        bucket: &BucketId,
        source: &Prefix,
        target: &Prefix,
    ) -> Result<(), JournalDown> {
        self.write(self.inner.move_directory_times(bucket, source, target)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::journal::{FaultyJournal, JournalFailure};
    use tokio::task::JoinSet;

    /// The journals of acme and globex. Each answer takes a second.
    fn slow_journals() -> [Arc<FairJournal>; 2] {
        let inner = FaultyJournal::default();
        inner.fail_from(1, JournalFailure::Slow);
        let (inner, questions): (Arc<dyn Journal>, _) = (Arc::new(inner), Arc::default());
        ["acme", "globex"].map(|tenant| {
            Arc::new(FairJournal::new(Arc::clone(&inner), tenant.parse().unwrap(), Arc::clone(&questions)))
        })
    }

    fn name() -> (BucketId, Key) {
        (BucketId::in_store("memory", "bucket"), Prefix::parse("acme/").unwrap().key("a").unwrap())
    }

    // S193: Tenants ask the journal in turn. A question that its request can do without waits for its turn for two …
    #[tokio::test(start_paused = true)]
    async fn a_flood_fails_for_its_own_tenant_and_another_one_is_asked_at_once() {
        let [acme, globex] = slow_journals();
        let (asked, (bucket, key)) = (Instant::now(), name());
        let mut flood = JoinSet::new();
        for _ in 0..10_000 {
            let (acme, bucket, key) = (Arc::clone(&acme), bucket.clone(), key.clone());
            flood.spawn(async move { (acme.attributes(&bucket, &key).await, asked.elapsed()) });
        }
        tokio::task::yield_now().await;
        let lease = Lease::new().unwrap();
        assert_eq!(globex.attributes(&bucket, &key).await, Ok(None));
        assert_eq!(globex.claim(&bucket, &key, &lease).await, Ok(true));
        assert_eq!(asked.elapsed(), PATIENCE, "one second each");
        let answers = flood.join_all().await;
        let answered = answers.iter().filter(|(answer, _)| answer.is_ok()).count();
        // Three in the first second, three in the second one, and those that got a permit at its very end.
        assert!((6..=9).contains(&answered), "{answered}");
        let failed_later = answers.iter().filter(|(answer, after)| answer.is_err() && *after != PATIENCE).count();
        assert_eq!(failed_later, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn claims_locks_and_tasks_wait_behind_a_flood_of_changes_and_neighbours_do_not() {
        let [acme, globex] = slow_journals();
        let ((bucket, key), lease) = (name(), Lease::new().unwrap());
        let mut flood = JoinSet::new();
        for _ in 0..1_000 {
            let (acme, bucket, key) = (Arc::clone(&acme), bucket.clone(), key.clone());
            flood.spawn(async move { acme.replace_attributes(&bucket, &key, None).await });
        }
        tokio::task::yield_now().await;
        let asked = Instant::now();
        let claimed = async { (acme.claim(&bucket, &key, &lease).await.is_ok(), asked.elapsed()) };
        let locked = async { (acme.lock(&bucket, &key, &lease).await.is_ok(), asked.elapsed()) };
        let neighbour = async { (globex.claim(&bucket, &key, &lease).await.is_ok(), asked.elapsed()) };
        let (claimed, locked, neighbour) = tokio::join!(claimed, locked, neighbour);
        assert!(claimed.0 && locked.0, "they wait for their turn");
        assert!(claimed.1 > PATIENCE && locked.1 > PATIENCE, "{:?} {:?}", claimed.1, locked.1);
        assert!(neighbour.0 && neighbour.1 <= Duration::from_secs(2), "{:?}", neighbour.1);
        let failed = flood.join_all().await.into_iter().filter(Result::is_err).count();
        assert!(failed > 900, "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_changes_ends_no_lease_of_its_tenant() {
        let [acme, _] = slow_journals();
        let ((bucket, key), lease) = (name(), Lease::new().unwrap());
        assert_eq!(acme.claim(&bucket, &key, &lease).await, Ok(true));
        let mut flood = JoinSet::new();
        for _ in 0..1_000 {
            let (acme, bucket, key) = (Arc::clone(&acme), bucket.clone(), key.clone());
            flood.spawn(async move { acme.replace_attributes(&bucket, &key, None).await });
        }
        tokio::task::yield_now().await;
        assert_eq!(acme.hold_claim(&bucket, &key, &lease).await, Ok(true));
    }
}
