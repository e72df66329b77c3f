//! Repairs interrupted renames. A kill of this process before its last start, the end of another node,
//! or storage that didn't answer may have interrupted them. Every node looks for them, and a lease ensures that one
//! node repairs each.

use super::owner_lookup::{EntryMount, NoBucket, OwnerLookup};
use crate::{
    account::Permission,
    events::{Event, Events, Outcome, Who},
    journal::{
        DirectoryRename, FileRename, Journal, Lease, LeaseEnd, RenamePhase, RenamedNames, Task, TaskKind, TaskPayload,
    },
    objects,
    store::Bucket,
    vfs::Node,
};
use anyhow::{Context as _, anyhow};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// The maximum time until an interrupted rename is found, beside the minute of its lease.
const INTERVAL: Duration = Duration::from_secs(20);
/// The time after which a repair that needs an operator is tried again.
const LATER: Duration = Duration::from_hours(1);
/// The time that the repair of a file may take. The lease lasts longer.
const FILE_LIMIT: Duration = Duration::from_secs(40);
/// The time that it may take from its claim on the names. The claim lasts longer, even if the journal can't renew it.
const CLAIM_LIMIT: Duration = Duration::from_secs(15);

/// The task that repairs interrupted renames.
pub(super) struct Repairs {
    journal: Arc<dyn Journal>,
    owners: Arc<OwnerLookup>,
    /// The repair of a file claims its names, as the sessions of the node do.
    node: Arc<Node>,
    events: Events,
}

impl Repairs {
    pub(super) fn new(journal: Arc<dyn Journal>, owners: Arc<OwnerLookup>, node: Arc<Node>, events: Events) -> Self {
        Self { journal, owners, node, events }
    }

    /// Runs a pass every 20 seconds. Cancel-safe: a later pass or another node finishes an interrupted repair.
    pub(super) async fn run(self) {
        loop {
            self.repair_all().await;
            sleep(INTERVAL).await;
        }
    }

    /// Repairs the renames that no node holds. Does nothing while the journal doesn't answer.
    async fn repair_all(&self) {
        self.repair_directories().await;
        self.repair_files().await;
    }

    async fn repair_files(&self) {
        let (mut tried, mut failed_tenants) = (HashSet::new(), HashSet::new());
        loop {
            let Ok(lease) = Lease::new() else { return };
            let certain_until = LeaseEnd::after(FILE_LIMIT);
            let next = self.journal.take_next_task(TaskKind::FileRename, &lease, Duration::ZERO).await;
            let Some(rename) = next.ok().flatten().and_then(Task::file_rename) else { return };
            if !tried.insert(rename.id.clone()) {
                return;
            }
            // The others of a tenant whose storage doesn't answer wait for a later pass, so that no other tenant does.
            if failed_tenants.contains(&rename.owner.tenant) {
                continue;
            }
            let repairing = timeout(FILE_LIMIT, self.repair_file(&rename, &lease, certain_until));
            let repaired = repairing.await.unwrap_or_else(|_| Err(anyhow!("no answer for {} s", FILE_LIMIT.as_secs())));
            let (removed, outcome) = match repaired {
                // The crash came before the copy or after the deletion, or a client replaced one of the files since.
                Ok(false) => continue,
                Ok(true) => (1, Outcome::Done),
                Err(error) => {
                    failed_tenants.insert(rename.owner.tenant.clone());
                    (0, Outcome::Failed(format!("{error:#}")))
                }
            };
            let Task { id, owner, bucket, payload: FileRename { names }, .. } = rename;
            let (source, target) = (names.source_name().to_owned(), names.target_name().to_owned());
            let (who, phase) = (Who::Maintenance { tenant: owner.tenant, user: Some(owner.user) }, "Copied");
            self.events.record(who, Event::RenameRepaired { id, bucket, source, target, phase, removed, outcome });
        }
    }

    /// Finishes the rename of a file. Returns true if the source was deleted.
    async fn repair_file(
        &self,
        rename: &Task<FileRename>,
        lease: &Lease,
        certain_until: LeaseEnd,
    ) -> anyhow::Result<bool> {
        let names = &rename.payload.names;
        let bucket = self.bucket(rename, names, lease).await?;
        let (source, target) = (names.source_file(), names.target_file());
        let claim = self.node.claim_both(bucket.id(), source, target).await?;
        let claim = claim.context("the ledger doesn't confirm the claim on the names")?;
        let certain_until = certain_until.min(LeaseEnd::after(CLAIM_LIMIT));
        let repaired = objects::repair_file_rename(&*bucket, &*self.journal, rename, certain_until).await;
        drop(claim);
        let is_finished = repaired?;
        if is_finished {
            self.node.note_renamed(bucket.id(), source, target);
        }
        let ended = self.journal.end_task(&rename.id, Some(lease)).await;
        if !is_finished {
            ended?;
        }
        // A repair that deleted the source is recorded now: the next one, if its row remains, finds nothing to do.
        Ok(is_finished)
    }

    async fn repair_directories(&self) {
        let mut tried = HashSet::new();
        loop {
            let Ok(lease) = Lease::new() else { return };
            let next = self.journal.take_next_task(TaskKind::DirectoryRename, &lease, Duration::ZERO).await;
            let Some(rename) = next.ok().flatten().and_then(Task::directory_rename) else { return };
            // The storage of a tenant may take longer than a lease to fail. Others wait for the end of the pass.
            if !tried.insert(rename.id.clone()) {
                return;
            }
            let (removed, outcome) = match self.repair(&rename, &lease).await {
                Ok(removed) => (removed, Outcome::Done),
                Err(error) => (0, Outcome::Failed(format!("{error:#}"))),
            };
            self.record(rename, removed, outcome);
        }
    }

    fn record(&self, rename: Task<DirectoryRename>, removed: usize, outcome: Outcome) {
        let Task { id, owner, bucket, payload: DirectoryRename { names, phase }, .. } = rename;
        let (source, target) = (names.source_name().to_owned(), names.target_name().to_owned());
        let who = Who::Maintenance { tenant: owner.tenant, user: Some(owner.user) };
        let phase = match phase {
            RenamePhase::Entered => "Entered",
            RenamePhase::Copying => "Copying",
            RenamePhase::Deleting => "Deleting",
        };
        self.events.record(who, Event::RenameRepaired { id, bucket, source, target, phase, removed, outcome });
    }

    async fn repair(&self, rename: &Task<DirectoryRename>, lease: &Lease) -> anyhow::Result<usize> {
        let bucket = self.bucket(rename, &rename.payload.names, lease).await?;
        Ok(objects::repair_rename(&*bucket, &self.journal, rename, lease).await?)
    }

    /// The bucket of a rename. If only another config can change that there is none, the row is left alone for a while.
    async fn bucket<P: Clone + Into<TaskPayload>>(
        &self,
        rename: &Task<P>,
        names: &RenamedNames,
        lease: &Lease,
    ) -> anyhow::Result<Arc<dyn Bucket>> {
        let Task { owner, permissions, bucket, payload, .. } = rename;
        let (prefix, permissions, needs) = (names.mount(), *permissions, Permission::Rename);
        match self.owners.bucket(EntryMount { owner, prefix, bucket, permissions, needs }).await {
            Ok(bucket) => Ok(bucket),
            Err(NoBucket::Failed(error)) => Err(error.into()),
            Err(error @ (NoBucket::UnknownTenant | NoBucket::Gone(_))) => {
                // Only another config changes this.
                let later = Lease { term: LATER, ..lease.clone() };
                let payload = payload.clone().into();
                let _ = self.journal.hold_task(&rename.id, &payload, &later, Duration::ZERO).await;
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Permissions,
        app::owner_lookup::fixture::{alice, node},
        journal::{ClaimJournal as _, MemoryJournal, Owner, RenamePhase, RenamedNames, TaskJournal as _},
        name::{Key, Prefix},
        store::NewObject,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    fn repairs(bucket: &Arc<MemoryBucket>, journal: &Arc<MemoryJournal>, events: Events) -> Repairs {
        let journal = Arc::clone(journal) as Arc<dyn Journal>;
        let (owners, node) = (alice(bucket, Permission::Rename), node(bucket, &journal));
        Repairs::new(journal, owners, node, events)
    }

    /// Adds a rename of `user` that no node works on. Its copies are made and its source is half deleted.
    async fn interrupted_rename(
        user: &str,
        permissions: Option<Permissions>,
        bucket: &MemoryBucket,
        journal: &MemoryJournal,
    ) {
        for key in ["acme/new/a", "acme/old/b", "acme/new/b"] {
            bucket.insert(key, "x");
        }
        let names = RenamedNames::new(Prefix::parse("acme/").unwrap(), "old", "new").unwrap();
        let rename = Task {
            id: user.to_owned(),
            bucket: bucket.id().clone(),
            owner: Owner { tenant: "acme".parse().unwrap(), user: user.parse().unwrap() },
            permissions,
            payload: DirectoryRename { names, phase: RenamePhase::Deleting }.into(),
        };
        let lease = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
        assert!(journal.enter_task(&rename, &lease, Duration::ZERO).await.unwrap());
    }

    // S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
    #[tokio::test(start_paused = true)]
    async fn an_interrupted_rename_is_finished_by_the_next_node() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_rename("alice", None, &bucket, &journal).await;
        let [one, other] = [(); 2].map(|()| repairs(&bucket, &journal, Events::new("node")));
        tokio::join!(one.repair_all(), other.repair_all());
        assert_eq!(bucket.keys(), ["acme/new/a", "acme/new/b"]);
        assert!(journal.renames().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rename_of_a_user_who_is_in_no_config_is_finished() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_rename("mallory", Some(Permissions::NONE), &bucket, &journal).await;
        let events = Events::new("node");
        let mut records = events.subscribe();
        repairs(&bucket, &journal, events).repair_all().await;
        assert_eq!(bucket.keys(), ["acme/new/a", "acme/new/b"]);
        assert!(journal.renames().is_empty());
        let record = records.try_recv().unwrap();
        let mallory = Who::Maintenance { tenant: "acme".parse().unwrap(), user: Some("mallory".parse().unwrap()) };
        assert_eq!(record.who, mallory);
        assert!(matches!(record.event, Event::RenameRepaired { removed: 1, outcome: Outcome::Done, .. }), "{record:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_the_config_no_more_is_waited_for() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_rename("mallory", None, &bucket, &journal).await;
        let events = Events::new("node");
        let mut records = events.subscribe();
        repairs(&bucket, &journal, events).repair_all().await;
        assert_eq!(bucket.keys().len(), 3);
        assert_eq!(journal.renames().len(), 1);
        let record = records.try_recv().unwrap();
        assert!(matches!(record.event, Event::RenameRepaired { outcome: Outcome::Failed(_), .. }), "{record:?}");
        let again = journal.take_next_task(TaskKind::DirectoryRename, &Lease::new().unwrap(), Duration::ZERO).await;
        assert_eq!(again, Ok(None), "not again at once");
    }

    /// Adds the rename of `acme/old` to `acme/new`, which no node works on.
    async fn interrupted_file_rename(bucket: &MemoryBucket, journal: &MemoryJournal, is_copied: bool) {
        interrupted_file_rename_of(bucket, journal, is_copied, "5eed").await;
    }

    async fn interrupted_file_rename_of(bucket: &MemoryBucket, journal: &MemoryJournal, is_copied: bool, id: &str) {
        let stored = bucket.insert("acme/old", "x");
        if is_copied {
            let token = format!("{id}.{}.{:016x}", stored.pin.etag.0.trim_matches('"'), 0);
            bucket.insert_with("acme/new", "x", [(NewObject::TOKEN.to_owned(), token)].into());
        }
        let names = RenamedNames::new(Prefix::parse("acme/").unwrap(), "old", "new").unwrap();
        let task = Task {
            id: id.to_owned(),
            bucket: bucket.id().clone(),
            owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
            permissions: Some(Permissions::NONE),
            payload: FileRename { names }.into(),
        };
        let lease = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
        assert!(journal.enter_claimed_task(&task, &lease).await.unwrap());
    }

    // S190: After a crash at any moment the RENAME of a file is finished, if its copy was made and neither file was changed …
    #[tokio::test(start_paused = true)]
    async fn the_rename_of_a_file_is_finished_and_recorded_once() {
        for is_copied in [true, false] {
            let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
            interrupted_file_rename(&bucket, &journal, is_copied).await;
            let events = Events::new("node");
            let mut records = events.subscribe();
            let [one, other] = [(); 2].map(|()| repairs(&bucket, &journal, events.clone()));
            tokio::join!(one.repair_all(), other.repair_all());
            assert_eq!(bucket.keys(), [if is_copied { "acme/new" } else { "acme/old" }]);
            assert!(journal.tasks().is_empty());
            let record = records.try_recv().ok();
            let is_recorded = record.as_ref().is_some_and(|record| {
                matches!(
                    record.event,
                    Event::RenameRepaired { removed: 1, outcome: Outcome::Done, phase: "Copied", .. }
                )
            });
            assert_eq!(is_recorded, is_copied, "{record:?}");
            assert!(records.try_recv().is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_repair_of_a_file_waits_for_the_session_that_has_its_name() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_file_rename(&bucket, &journal, true).await;
        let repairs = repairs(&bucket, &journal, Events::new("node"));
        let names = RenamedNames::new(Prefix::parse("acme/").unwrap(), "old", "new").unwrap();
        let claim = repairs.node.claim_both(bucket.id(), names.source_file(), names.target_file()).await.unwrap();
        repairs.repair_all().await;
        assert_eq!(bucket.keys(), ["acme/new", "acme/old"]);
        assert_eq!(journal.tasks().len(), 1, "it is tried again");
        drop(claim);
        tokio::time::advance(Duration::from_mins(2)).await;
        repairs.repair_all().await;
        assert_eq!(bucket.keys(), ["acme/new"]);
        assert!(journal.tasks().is_empty());
    }

    /// A client on another node may remove the target of the interrupted rename, or rename it back.
    #[tokio::test(start_paused = true)]
    async fn the_repair_of_a_file_waits_for_other_nodes_that_have_one_of_its_names() {
        for taken in ["old", "new"] {
            let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::shared()));
            interrupted_file_rename(&bucket, &journal, true).await;
            journal
                .end_claim(bucket.id(), &key("old"), &Lease { holder: "gone".into(), term: Duration::ZERO })
                .await
                .unwrap();
            let other = Lease { term: Duration::from_mins(1), ..Lease::new().unwrap() };
            assert!(journal.claim(bucket.id(), &key(taken), &other).await.unwrap());
            let repairs = repairs(&bucket, &journal, Events::new("node"));
            repairs.repair_all().await;
            assert_eq!(bucket.keys(), ["acme/new", "acme/old"], "{taken} is another node's");
            tokio::time::advance(Duration::from_mins(3)).await;
            repairs.repair_all().await;
            assert_eq!(bucket.keys(), ["acme/new"], "{taken}");
        }
    }

    /// The storage of one tenant may take so long to fail that leases end meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_although_no_repair_succeeds() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        for id in ["1", "2", "3"] {
            interrupted_file_rename_of(&bucket, &journal, true, id).await;
        }
        let _hold = bucket.hold(Verb::Head, Moment::Request);
        let pass = repairs(&bucket, &journal, Events::new("node"));
        timeout(Duration::from_mins(10), pass.repair_all()).await.unwrap();
        assert_eq!(journal.tasks().len(), 3);
    }

    fn key(name: &str) -> Key {
        Prefix::parse("acme/").unwrap().key(name).unwrap()
    }
}
