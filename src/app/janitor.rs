//! Aborts, in S3, interrupted uploads that no session resumed in time: S3 bills their parts until then. Every node
//! looks for them, and a lease ensures that one node aborts each. The janitor also deletes the rows of claims and locks
//! that killed nodes left in a shared journal.
//!
//! Invariant: the row of an upload stays while its tenant may come back to the config, because only the row tells which
//! upload to abort.

use super::owner_lookup::{EntryMount, NoBucket, OwnerLookup};
use crate::{
    account::Permission,
    events::{Event, Events, Outcome, Who},
    journal::{Journal, Lease, ResumableUpload, Task, TaskKind},
    name::TenantName,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::info;

/// The interval between two passes.
const INTERVAL: Duration = Duration::from_mins(1);
/// The janitor aborts only uploads that no session has held for this long, because an uploading session may have lost
/// contact with the journal for a while. It retries a failed abort after the same time.
const FREE_FOR: Duration = Duration::from_hours(1);

/// The time without a tenant in the config after which the janitor deletes the rows of the tenant's uploads. It
/// outlasts every repair of a broken config file.
const TENANT_ABSENT_FOR: Duration = Duration::from_hours(30 * 24);

/// The janitor looks again at the rows of an absent tenant after this time.
const ABSENT_RETRY: Duration = Duration::from_hours(24);

/// The time for which a row of a claim or a lock stays after its lease ended. The clocks of two nodes differ by less.
const LEASE_ENDED_FOR: Duration = Duration::from_hours(1);

/// The task that aborts interrupted uploads and deletes the rows of killed nodes.
pub(super) struct Janitor {
    journal: Arc<dyn Journal>,
    owners: Arc<OwnerLookup>,
    events: Events,
    /// The tenants that have uploads and aren't in the config, with the time since when this node has missed each. A
    /// restart begins anew.
    absent: HashMap<TenantName, Instant>,
}

/// The absence of a tenant from the config. A tenant has one record of it, however many uploads it has.
enum Absence {
    /// It has no record yet.
    New,
    Recorded,
    /// It lasts so long that the tenant will not come back.
    ForGood,
}

impl Janitor {
    pub(super) fn new(journal: Arc<dyn Journal>, owners: Arc<OwnerLookup>, events: Events) -> Self {
        Self { journal, owners, events, absent: HashMap::new() }
    }

    /// Runs a pass every minute. Cancel-safe: a later pass or another node finishes an interrupted abort.
    pub(super) async fn run(mut self) {
        loop {
            self.clear().await;
            self.drop_ended_leases().await;
            sleep(INTERVAL).await;
        }
    }

    /// Deletes rows of killed nodes, up to 1,000 a pass. After an error the next pass or another node deletes them.
    async fn drop_ended_leases(&self) {
        if !self.journal.is_shared() {
            return;
        }
        let claims = self.journal.drop_ended_claims(LEASE_ENDED_FOR).await.unwrap_or_default();
        let locks = self.journal.drop_ended_locks(LEASE_ENDED_FOR).await.unwrap_or_default();
        if claims + locks > 0 {
            info!(claims, locks, "rows of killed nodes deleted");
        }
    }

    /// Aborts uploads that no session holds or resumed in time. Does nothing while the journal doesn't answer.
    async fn clear(&mut self) {
        self.absent.retain(|tenant, _| !self.owners.knows(tenant));
        loop {
            let Ok(lease) = Lease::new() else { return };
            let Ok(Some(next)) = self.journal.take_next_task(TaskKind::Upload, &lease, FREE_FOR).await else { return };
            let Some(upload) = next.upload() else { return };
            // A failure keeps the row, and the janitor takes it again later.
            let outcome = match self.abort(&upload).await {
                Ok(()) => Outcome::Done,
                Err(error @ NoBucket::UnknownTenant) => match self.note_absence(&upload.owner.tenant) {
                    Absence::ForGood => Outcome::Refused(error.to_string()),
                    Absence::Recorded => {
                        self.postpone(&upload, &lease).await;
                        continue;
                    }
                    Absence::New => {
                        self.postpone(&upload, &lease).await;
                        Outcome::Failed(error.to_string())
                    }
                },
                Err(error @ NoBucket::Gone(_)) => Outcome::Refused(error.to_string()),
                Err(error @ NoBucket::Failed(_)) => Outcome::Failed(error.to_string()),
            };
            let is_over = !matches!(outcome, Outcome::Failed(_));
            self.record(&upload, outcome);
            if is_over {
                // If the journal stops answering here, another pass will find that the upload is already gone.
                let _ = self.journal.end_task(&upload.id, None).await;
            }
        }
    }

    /// Notes that the tenant isn't in the config.
    fn note_absence(&mut self, tenant: &TenantName) -> Absence {
        match self.absent.get(tenant) {
            Some(since) if since.elapsed() >= TENANT_ABSENT_FOR => Absence::ForGood,
            Some(_) => Absence::Recorded,
            None => {
                self.absent.insert(tenant.clone(), Instant::now());
                Absence::New
            }
        }
    }

    /// Leaves the row of an absent tenant's upload alone for a day. If the journal doesn't answer, the row waits for an
    /// hour.
    async fn postpone(&self, upload: &Task<ResumableUpload>, lease: &Lease) {
        let later = Lease { term: ABSENT_RETRY.saturating_sub(FREE_FOR), ..lease.clone() };
        let payload = upload.payload.clone().into();
        let _ = self.journal.hold_task(&upload.id, &payload, &later, Duration::ZERO).await;
    }

    fn record(&self, upload: &Task<ResumableUpload>, outcome: Outcome) {
        let Task { id, owner, bucket, payload: ResumableUpload { place, whole, .. }, .. } = upload;
        let who = Who::Maintenance { tenant: owner.tenant.clone(), user: Some(owner.user.clone()) };
        let (id, bucket, name, bytes) = (id.clone(), bucket.clone(), place.name().to_owned(), whole.bytes);
        self.events.record(who, Event::InterruptedUploadAborted { id, bucket, name, bytes, outcome });
    }

    async fn abort(&self, task: &Task<ResumableUpload>) -> Result<(), NoBucket> {
        let Task { owner, bucket, permissions, payload: ResumableUpload { place, upload, .. }, .. } = task;
        let (permissions, needs) = (*permissions, Permission::Write);
        let mount = EntryMount { owner, prefix: place.mount(), bucket, permissions, needs };
        let bucket = self.owners.bucket(mount).await?;
        Ok(bucket.abort_upload(place.key(), upload).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Permissions,
        app::owner_lookup::fixture::{acme, alice},
        journal::{ClaimJournal as _, LockJournal as _, LockOutcome, MemoryJournal, Owner, TaskJournal as _, Whole},
        name::{MountedKey, Prefix},
        store::{Bucket as _, Error, NewObject},
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    fn janitor(bucket: &Arc<MemoryBucket>, journal: &Arc<MemoryJournal>) -> Janitor {
        Janitor::new(Arc::clone(journal) as Arc<dyn Journal>, alice(bucket, Permission::Write), Events::new("node"))
    }

    /// Adds an upload of `user` that was interrupted a moment ago and can be resumed for a day.
    async fn interrupted_upload(
        user: &str,
        permissions: Option<Permissions>,
        bucket: &MemoryBucket,
        journal: &MemoryJournal,
    ) {
        let mount = Prefix::parse("acme/").unwrap();
        let place = MountedKey::new(mount, user).unwrap();
        let upload = bucket.create_upload(place.key(), &NewObject::default()).await.unwrap();
        let owner = Owner { tenant: "acme".parse().unwrap(), user: user.parse().unwrap() };
        let (object, whole) = (NewObject::default(), Whole::default());
        let payload = ResumableUpload { place, upload, object, whole }.into();
        let task = Task { id: user.to_owned(), bucket: bucket.id().clone(), owner, permissions, payload };
        let lease = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
        assert!(journal.enter_task(&task, &lease, Duration::from_hours(24)).await.unwrap());
    }

    // S126: After it was abandoned or its time is over, any node removes its parts from S3 within hours.
    #[tokio::test(start_paused = true)]
    async fn expired_and_abandoned_uploads_are_aborted_and_their_rows_deleted() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_upload("alice", None, &bucket, &journal).await;
        let (mut one, mut other) = (janitor(&bucket, &journal), janitor(&bucket, &journal));
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 1, "its time is not over");
        tokio::time::advance(Duration::from_hours(25)).await;
        tokio::join!(one.clear(), other.clear());
        assert_eq!((bucket.open_uploads(), bucket.count(Verb::AbortUpload)), (0, 1));
        assert!(journal.uploads().is_empty());

        interrupted_upload("alice", None, &bucket, &journal).await;
        journal.abandon_tasks(TaskKind::Upload, &journal.tasks()[0].subject()).await.unwrap();
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 1, "who uploads it may not have heard of that");
        tokio::time::advance(FREE_FOR).await;
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 0);
        assert!(journal.uploads().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_of_a_user_who_is_in_no_config_is_aborted() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_upload("mallory", Some(Permissions::NONE), &bucket, &journal).await;
        tokio::time::advance(Duration::from_hours(25)).await;
        janitor(&bucket, &journal).clear().await;
        assert_eq!((bucket.open_uploads(), bucket.count(Verb::AbortUpload)), (0, 1));
        assert!(journal.uploads().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_of_a_tenant_that_is_in_no_config_waits_for_the_tenant() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_upload("alice", None, &bucket, &journal).await;
        journal.abandon_tasks(TaskKind::Upload, &journal.tasks()[0].subject()).await.unwrap();
        let mut janitor = janitor(&bucket, &journal);
        let (tenants, mut records) = (Arc::clone(&janitor.owners.tenants), janitor.events.subscribe());
        bucket.fail(Verb::AbortUpload, Moment::Request, Error::Forbidden { request: "AccessDenied".into() });
        let day = Duration::from_hours(24);
        for (setups, days) in [(vec![], 29), (vec![acme()], 0), (vec![], 29)] {
            tenants.swap(&setups);
            for number in 0..=days {
                tokio::time::advance(day).await;
                janitor.clear().await;
                if number == 0 {
                    let record = records.try_recv().unwrap();
                    let Event::InterruptedUploadAborted { outcome, .. } = &record.event else { panic!("{record:?}") };
                    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
                }
                janitor.clear().await;
                assert!(records.try_recv().is_err(), "one record for one absence, and not again within the hour");
            }
            assert_eq!((bucket.open_uploads(), journal.uploads().len()), (1, 1));
        }
        assert_eq!(bucket.count(Verb::AbortUpload), 1, "the tenant came back for one day");
        tokio::time::advance(day).await;
        janitor.clear().await;
        let record = records.try_recv().unwrap();
        let is_refused = matches!(record.event, Event::InterruptedUploadAborted { outcome: Outcome::Refused(_), .. });
        assert!(is_refused, "{record:?}");
        assert!(journal.uploads().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_absent_tenant_has_one_record_and_its_rows_are_read_once_a_day() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        for user in ["alice", "bob", "carol"] {
            interrupted_upload(user, None, &bucket, &journal).await;
        }
        tokio::time::advance(Duration::from_hours(25)).await;
        let mut janitor = janitor(&bucket, &journal);
        let mut records = janitor.events.subscribe();
        janitor.owners.tenants.swap(&[]);
        for hour in 0..=48 {
            journal.asked();
            janitor.clear().await;
            assert_eq!(records.try_recv().is_ok(), hour == 0, "{hour}");
            assert!(records.try_recv().is_err(), "one record for all rows");
            let taken = journal.asked().iter().filter(|asked| **asked == "take_next_task").count() - 1;
            assert_eq!(taken, if hour % 24 == 0 { 3 } else { 0 }, "{hour}");
            tokio::time::advance(Duration::from_hours(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_killed_nodes_left_are_deleted_an_hour_after_their_leases_ended() {
        for (journal, is_shared) in [(MemoryJournal::shared(), true), (MemoryJournal::default(), false)] {
            let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(journal));
            let key = |name: &str| Prefix::parse("acme/").unwrap().key(name).unwrap();
            let mut lease = Lease::new().unwrap();
            let term = lease.term;
            for name in ["killed", "alive"] {
                assert!(journal.claim(bucket.id(), &key(name), &lease).await.unwrap());
                assert_eq!(journal.lock(bucket.id(), &key(name), &lease).await, Ok(LockOutcome::Ours));
                lease.term += Duration::from_secs(1);
            }
            let janitor = tokio::spawn(janitor(&bucket, &journal).run());
            tokio::time::sleep(term + Duration::from_secs(3_599)).await;
            assert_eq!((journal.claims(), journal.locks()), (2, 2));
            journal.asked();
            tokio::time::sleep(Duration::from_millis(1_001)).await;
            let left = if is_shared { 1 } else { 2 };
            assert_eq!((journal.claims(), journal.locks()), (left, left));
            assert_eq!(journal.asked().contains(&"drop_ended_locks"), is_shared);
            janitor.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_aborted_is_tried_again_an_hour_later() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        for user in ["alice", "mallory"] {
            interrupted_upload(user, None, &bucket, &journal).await;
        }
        tokio::time::advance(Duration::from_hours(25)).await;
        let mut janitor = janitor(&bucket, &journal);
        let mut records = janitor.events.subscribe();
        bucket.fail(Verb::AbortUpload, Moment::Request, Error::Forbidden { request: "AccessDenied".into() });
        janitor.clear().await;
        janitor.clear().await;
        assert_eq!((bucket.open_uploads(), bucket.count(Verb::AbortUpload)), (2, 1));
        assert_eq!(journal.uploads().len(), 1, "who isn't in the config has no bucket");
        let outcomes = std::iter::from_fn(|| records.try_recv().ok()).map(|record| match &record.event {
            Event::InterruptedUploadAborted { name, outcome, .. } => (name.clone(), outcome.clone()),
            event => panic!("{event:?}"),
        });
        let mut outcomes: Vec<_> = outcomes.collect();
        outcomes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let [(alice, Outcome::Failed(error)), (mallory, Outcome::Refused(_))] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert_eq!((alice.as_str(), mallory.as_str()), ("alice", "mallory"));
        assert!(error.contains("AccessDenied"), "{error}");
        tokio::time::advance(2 * FREE_FOR).await;
        janitor.clear().await;
        assert_eq!(bucket.open_uploads(), 1);
        assert!(journal.uploads().is_empty());
    }
}
