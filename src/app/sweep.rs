//! Aborts, in S3, uploads of this server that no ledger knows. Either S3's answer to their beginning was lost, or the
//! ledger itself was. The server can recognize its uploads only if a tenant has a role: S3 then names the session that
//! began each.
//!
//! Invariant: the sweep aborts an upload only if one of this server's sessions began it, below the tenant's prefix,
//! longer ago than any upload lasts, and if the ledger answers that it doesn't know the upload.

use crate::{
    account::{DEFAULT_PARTIAL_UPLOADS_KEPT_FOR, Tenant},
    clock::{Clock as _, SystemClock},
    cloud::S3Buckets,
    events::{Event, Events, Outcome, Who},
    journal::{Journal, JournalDown},
    name::{Prefix, TenantName},
    store::{self, Bucket, MultipartUpload},
    tenants::Tenants,
};
use async_trait::async_trait;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::sleep;

/// The interval between a node's sweeps. A sweep makes one request for each tenant, and for each thousand open uploads
/// in its bucket.
const INTERVAL: Duration = Duration::from_hours(6);

/// The parts of the tenants' storage that a sweep uses.
#[async_trait]
pub(super) trait Swept: Send + Sync {
    /// Returns the bucket, with credentials that may list uploads and abort those below `prefix`. Returns `None` if the
    /// tenant has no role.
    async fn bucket(&self, tenant: &TenantName, prefix: &Prefix) -> store::Result<Option<Arc<dyn Bucket>>>;

    /// True if a session of this server began an upload: `initiator` is S3's name of the session.
    fn is_ours(&self, tenant: &TenantName, initiator: &str) -> bool;
}

#[async_trait]
impl Swept for S3Buckets {
    async fn bucket(&self, tenant: &TenantName, prefix: &Prefix) -> store::Result<Option<Arc<dyn Bucket>>> {
        self.for_janitor(tenant, prefix).await
    }

    fn is_ours(&self, tenant: &TenantName, initiator: &str) -> bool {
        self.is_ours(tenant, initiator)
    }
}

/// The reason why a sweep of one tenant ended early.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Journal(#[from] JournalDown),
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// The task that aborts unknown uploads.
pub(super) struct Sweep {
    journal: Arc<dyn Journal>,
    buckets: Arc<dyn Swept>,
    tenants: Arc<Tenants>,
    /// Tenants whose role doesn't allow listing uploads. Each has one record of it, and lifecycle rules of their
    /// buckets do the work.
    refused: HashSet<TenantName>,
    events: Events,
}

impl Sweep {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        buckets: Arc<dyn Swept>,
        tenants: Arc<Tenants>,
        events: Events,
    ) -> Self {
        Self { journal, buckets, tenants, refused: HashSet::new(), events }
    }

    /// Sweeps every six hours. Doesn't sweep at the start, because nodes may be started one after the other.
    pub(super) async fn run(mut self) {
        loop {
            sleep(INTERVAL).await;
            self.sweep(SystemClock.unix_seconds()).await;
        }
    }

    /// Aborts old uploads that the ledger doesn't know. `now` is in seconds since 1970.
    async fn sweep(&mut self, now: i64) {
        let tenants = self.tenants.tenants();
        self.refused.retain(|name| tenants.iter().any(|tenant| tenant.name == *name));
        for tenant in tenants {
            let name = &tenant.name;
            let outcome = match self.sweep_one(&tenant, now).await {
                Ok(()) => {
                    self.refused.remove(name);
                    continue;
                }
                Err(error @ SweepError::Storage(store::Error::Forbidden { .. })) => {
                    if !self.refused.insert(name.clone()) {
                        continue;
                    }
                    Outcome::Refused(error.to_string())
                }
                Err(error) => Outcome::Failed(error.to_string()),
            };
            self.record(&tenant, Event::OpenUploadsNotListed { outcome });
        }
    }

    fn record(&self, tenant: &Tenant, event: Event) {
        self.events.record(Who::Maintenance { tenant: tenant.name.clone(), user: None }, event);
    }

    async fn sweep_one(&self, tenant: &Tenant, now: i64) -> Result<(), SweepError> {
        let Some(prefix) = self.tenants.prefix(&tenant.name) else { return Ok(()) };
        let Some(bucket) = self.buckets.bucket(&tenant.name, &prefix).await? else { return Ok(()) };
        let mut next = None;
        loop {
            let page = bucket.list_uploads(&prefix, next.as_ref()).await?;
            for upload in page.uploads.iter().filter(|upload| self.is_over(tenant, upload, now)) {
                let Some(key) = prefix.adopt(&upload.raw_key) else { continue };
                // An error of the ledger ends the sweep: without an answer the upload may be a known one.
                if self.journal.has_upload(bucket.id(), &upload.upload).await? {
                    continue;
                }
                let aborted = bucket.abort_upload(&key, &upload.upload).await;
                let outcome = aborted.map_or_else(|error| Outcome::Failed(error.to_string()), |()| Outcome::Done);
                let (id, key) = (upload.upload.0.clone(), key.as_str().to_owned());
                self.record(tenant, Event::UnknownUploadAborted { id, key, outcome });
            }
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn is_over(&self, tenant: &Tenant, upload: &MultipartUpload, now: i64) -> bool {
        let age = u64::try_from(now.saturating_sub(upload.initiated)).unwrap_or(0);
        let is_ours = |initiator: &String| self.buckets.is_ours(&tenant.name, initiator);
        // An upload may be in flight for this long even if interrupted uploads aren't kept.
        let lasting = tenant.partial_uploads_kept_for.unwrap_or_default().max(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR);
        age > lasting.as_secs() && upload.initiator.as_ref().is_some_and(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Storage,
        journal::{Lease, MemoryJournal, Owner, ResumableUpload, Task, TaskJournal as _, Whole},
        name::MountedKey,
        store::{Error, NewObject, UploadId},
        tenants::TenantSetup,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    const OURS: &str = "arn:aws:sts::111122223333:assumed-role/theirs/acme.alice.0123456789ab";
    const DAY: i64 = 86_400;

    struct AcmeBucket(Arc<MemoryBucket>);

    #[async_trait]
    impl Swept for AcmeBucket {
        async fn bucket(&self, tenant: &TenantName, prefix: &Prefix) -> store::Result<Option<Arc<dyn Bucket>>> {
            assert_eq!(prefix.as_str(), "acme/");
            Ok((tenant.as_str() == "acme").then(|| Arc::clone(&self.0) as Arc<dyn Bucket>))
        }

        fn is_ours(&self, _: &TenantName, initiator: &str) -> bool {
            initiator == OURS
        }
    }

    struct SweepFixture {
        bucket: Arc<MemoryBucket>,
        journal: Arc<MemoryJournal>,
        sweep: Sweep,
    }

    fn fixture() -> SweepFixture {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        bucket.initiate_as(OURS);
        let tenant = |name: &str| TenantSetup {
            tenant: Arc::new(Tenant {
                max_object_bytes: 1 << 30,
                max_rename_objects: 100,
                partial_uploads_kept_for: Some(Duration::from_hours(10 * 24)),
                ..Tenant::new(name.parse().unwrap())
            }),
            storage: Arc::new(Storage::of_a_test("acme/")),
            users: Vec::new(),
        };
        let sweep = Sweep {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            buckets: Arc::new(AcmeBucket(Arc::clone(&bucket))),
            tenants: Arc::new(Tenants::new(&[tenant("no-role"), tenant("acme")])),
            refused: HashSet::new(),
            events: Events::new("node"),
        };
        SweepFixture { bucket, journal, sweep }
    }

    impl SweepFixture {
        async fn begin(&self, directory: &str) -> UploadId {
            let key = Prefix::parse(directory).unwrap().key("file").unwrap();
            self.bucket.create_upload(&key, &NewObject::default()).await.unwrap()
        }

        /// Returns the time at which the last upload began.
        async fn begun(&self) -> i64 {
            let uploads = self.bucket.list_uploads(&Prefix::parse("").unwrap(), None).await.unwrap().uploads;
            uploads.iter().map(|upload| upload.initiated).max().unwrap()
        }
    }

    // S126: After it was abandoned or its time is over, any node removes its parts from S3 within hours.
    #[tokio::test]
    async fn uploads_without_a_row_are_aborted_when_they_are_old() {
        let mut fixture = fixture();
        let mut records = fixture.sweep.events.subscribe();
        fixture.begin("acme/").await;
        fixture.begin("acme/deep/er/").await;
        let begun = fixture.begun().await;
        fixture.sweep.sweep(begun + 10 * DAY - 60).await;
        assert_eq!(fixture.bucket.open_uploads(), 2, "they may be under way");
        fixture.sweep.sweep(begun + 10 * DAY + 60).await;
        assert_eq!(fixture.bucket.open_uploads(), 0);
        let acme = Who::Maintenance { tenant: "acme".parse().unwrap(), user: None };
        let aborted = std::iter::from_fn(|| records.try_recv().ok()).filter(|record| record.who == acme);
        let aborted = aborted.map(|record| match &record.event {
            Event::UnknownUploadAborted { key, outcome: Outcome::Done, .. } => key.clone(),
            event => panic!("{event:?}"),
        });
        assert_eq!(aborted.collect::<Vec<_>>(), ["acme/deep/er/file", "acme/file"]);
    }

    #[tokio::test]
    async fn what_somebody_knows_or_others_began_stays() {
        let mut fixture = fixture();
        let upload = fixture.begin("acme/").await;
        let payload = ResumableUpload {
            place: MountedKey::new(Prefix::parse("acme/").unwrap(), "file").unwrap(),
            upload,
            object: NewObject::default(),
            whole: Whole::default(),
        };
        let task = Task {
            id: "1".to_owned(),
            bucket: fixture.bucket.id().clone(),
            owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
            permissions: None,
            payload: payload.into(),
        };
        let lease = Lease::new().unwrap();
        assert!(fixture.journal.enter_task(&task, &lease, Duration::ZERO).await.unwrap());
        fixture.begin("globex/").await;
        fixture.bucket.initiate_as("arn:aws:sts::111122223333:assumed-role/theirs/job");
        fixture.begin("acme/theirs/").await;
        let late = fixture.begun().await + 100 * DAY;
        fixture.sweep.sweep(late).await;
        assert_eq!(fixture.bucket.open_uploads(), 3);
        fixture.journal.set_down(true);
        fixture.sweep.sweep(late).await;
        assert_eq!(fixture.bucket.open_uploads(), 3, "nothing is known while the journal is down");
    }

    #[tokio::test]
    async fn a_role_that_does_not_allow_it_is_no_trouble() {
        let mut fixture = fixture();
        let mut records = fixture.sweep.events.subscribe();
        fixture.begin("acme/").await;
        let late = fixture.begun().await + 100 * DAY;
        for _ in 0..2 {
            let denied = Error::Forbidden { request: "AccessDenied, 1".into() };
            fixture.bucket.fail(Verb::ListUploads, Moment::Request, denied);
            fixture.sweep.sweep(late).await;
            assert_eq!((fixture.bucket.open_uploads(), fixture.sweep.refused.len()), (1, 1));
        }
        fixture.bucket.fail(Verb::ListUploads, Moment::Request, Error::Unreachable("no route".into()));
        fixture.sweep.sweep(late).await;
        for is_refused in [true, false] {
            let record = records.try_recv().unwrap();
            assert_eq!(record.who, Who::Maintenance { tenant: "acme".parse().unwrap(), user: None });
            let Event::OpenUploadsNotListed { outcome } = &record.event else { panic!("{record:?}") };
            assert_eq!(matches!(outcome, Outcome::Refused(_)), is_refused, "{outcome:?}");
        }
        assert!(records.try_recv().is_err(), "one record for all refusals");
        fixture.sweep.sweep(late).await;
        assert_eq!(fixture.bucket.open_uploads(), 0);
    }
}
