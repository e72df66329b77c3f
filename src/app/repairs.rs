//! Repairs interrupted renames of directories. A kill of this process before its last start, the end of another node,
//! or storage that didn't answer may have interrupted them. Every node looks for them, and a lease ensures that one
//! node repairs each.

use super::owner_lookup::{EntryMount, NoBucket, OwnerLookup};
use crate::{
    account::Permission,
    events::{Event, Events, Outcome, Who},
    journal::{DirectoryRename, Journal, Lease, RenamePhase, Task, TaskKind},
    objects,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The maximum time until an interrupted rename is found, beside the minute of its lease.
const INTERVAL: Duration = Duration::from_secs(20);
/// The time after which a repair that needs an operator is tried again.
const LATER: Duration = Duration::from_hours(1);

/// The task that repairs interrupted renames.
pub(super) struct Repairs {
    journal: Arc<dyn Journal>,
    owners: Arc<OwnerLookup>,
    events: Events,
}

impl Repairs {
    pub(super) fn new(journal: Arc<dyn Journal>, owners: Arc<OwnerLookup>, events: Events) -> Self {
        Self { journal, owners, events }
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
        loop {
            let Ok(lease) = Lease::new() else { return };
            let next = self.journal.take_next_task(TaskKind::DirectoryRename, &lease, Duration::ZERO).await;
            let Some(rename) = next.ok().flatten().and_then(Task::directory_rename) else { return };
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
        let Task { owner, permissions, bucket, payload, .. } = rename;
        let (prefix, permissions, needs) = (payload.names.mount(), *permissions, Permission::Rename);
        let mount = EntryMount { owner, prefix, bucket, permissions, needs };
        let bucket = match self.owners.bucket(mount).await {
            Ok(bucket) => bucket,
            Err(NoBucket::Failed(error)) => return Err(error.into()),
            Err(error @ (NoBucket::UnknownTenant | NoBucket::Gone(_))) => {
                // Only another config changes this.
                let later = Lease { term: LATER, ..lease.clone() };
                let payload = payload.clone().into();
                let _ = self.journal.hold_task(&rename.id, &payload, &later, Duration::ZERO).await;
                return Err(error.into());
            }
        };
        Ok(objects::repair_rename(&*bucket, &self.journal, rename, lease).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Permissions,
        app::owner_lookup::fixture::alice,
        journal::{MemoryJournal, Owner, RenamePhase, RenamedNames, TaskJournal as _},
        name::Prefix,
        store::Bucket as _,
        testing::MemoryBucket,
    };

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
        let repairs = || {
            let journal = Arc::clone(&journal) as Arc<dyn Journal>;
            Repairs::new(journal, alice(&bucket, Permission::Rename), Events::new("node"))
        };
        let (one, other) = (repairs(), repairs());
        tokio::join!(one.repair_all(), other.repair_all());
        assert_eq!(bucket.keys(), ["acme/new/a", "acme/new/b"]);
        assert!(journal.renames().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rename_of_a_user_who_is_in_no_config_is_finished() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        interrupted_rename("mallory", Some(Permissions::NONE), &bucket, &journal).await;
        let shared = Arc::clone(&journal) as Arc<dyn Journal>;
        let events = Events::new("node");
        let mut records = events.subscribe();
        Repairs::new(shared, alice(&bucket, Permission::Rename), events).repair_all().await;
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
        let shared = Arc::clone(&journal) as Arc<dyn Journal>;
        let events = Events::new("node");
        let mut records = events.subscribe();
        Repairs::new(shared, alice(&bucket, Permission::Rename), events).repair_all().await;
        assert_eq!(bucket.keys().len(), 3);
        assert_eq!(journal.renames().len(), 1);
        let record = records.try_recv().unwrap();
        assert!(matches!(record.event, Event::RenameRepaired { outcome: Outcome::Failed(_), .. }), "{record:?}");
        let again = journal.take_next_task(TaskKind::DirectoryRename, &Lease::new().unwrap(), Duration::ZERO).await;
        assert_eq!(again, Ok(None), "not again at once");
    }
}
