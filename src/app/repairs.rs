//! Puts right what renames of directories left that were cut off: by a kill of this process before it was started again,
//! by another node's end, or by storage that didn't answer. Every node looks, and a lease sees to it that one repairs.

use crate::{
    account::{Permission, Permissions, User, UserName},
    store::{self, Bucket, Journal, Lease, Prefix, TreeRename},
    vfs::{Buckets, Scope},
};
use anyhow::Context as _;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a rename that was cut off waits at most, beside its lease's minute.
const INTERVAL: Duration = Duration::from_secs(20);
/// What needs an operator is tried again after so long.
const LATER: Duration = Duration::from_hours(1);

/// Who repairs.
pub(super) struct Repairs {
    journal: Arc<dyn Journal>,
    buckets: Arc<dyn Buckets>,
    users: HashMap<UserName, Arc<User>>,
}

impl Repairs {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        buckets: Arc<dyn Buckets>,
        users: impl IntoIterator<Item = Arc<User>>,
    ) -> Self {
        let users = users.into_iter().map(|user| (user.name.clone(), user)).collect();
        Self { journal, buckets, users }
    }

    /// Looks now and then, until it is told to stop. What is being repaired then is left to the next who looks.
    pub(super) async fn run(self, stop: CancellationToken) {
        let looking = async {
            loop {
                self.repair_all().await;
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = looking => {}
            () = stop.cancelled() => {}
        }
    }

    /// Repairs what nobody holds. While the journal is down there is nothing to be known.
    async fn repair_all(&self) {
        loop {
            let Ok(lease) = Lease::new() else { return };
            let Ok(Some(rename)) = self.journal.take_rename(&lease).await else { return };
            let TreeRename { id, owner, bucket, source_name: source, target_name: target, phase, .. } = &rename;
            let (tenant, user) = (&owner.tenant, &owner.user);
            match self.repair(&rename, &lease).await {
                Ok(removed) => {
                    info!(id, tenant, user, %bucket, source, target, ?phase, removed, "a rename that was cut off is put right");
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(id, tenant, user, %bucket, source, target, ?phase, error, "a rename that was cut off can't be put right yet");
                }
            }
        }
    }

    async fn repair(&self, rename: &TreeRename, lease: &Lease) -> anyhow::Result<usize> {
        let bucket = match self.bucket(rename).await {
            Ok(bucket) => bucket,
            Err(error) => {
                // Nothing but another config changes that.
                let later = Lease { term: LATER, ..lease.clone() };
                let _ = self.journal.hold_rename(rename, &later).await;
                return Err(error);
            }
        };
        Ok(store::repair_rename(&*bucket, &*self.journal, rename, lease).await?)
    }

    /// The bucket, with the credentials of who began the rename, if the mount that it was begun in is still there.
    async fn bucket(&self, rename: &TreeRename) -> anyhow::Result<Arc<dyn Bucket>> {
        let name: UserName = rename.owner.user.parse()?;
        let user = self.users.get(&name).filter(|user| user.tenant.as_str() == rename.owner.tenant);
        let user = user.context("the user who began it isn't in the config any more")?;
        let mount = user.mounts.iter().find(|mount| mount.prefix == rename.mount.as_str());
        let mount = mount.context("the user's mount that it was begun in isn't in the config any more")?;
        let scope = Scope {
            tenant: &user.tenant,
            user: &user.name,
            prefix: &Prefix::parse(&mount.prefix)?,
            permissions: with_rename(mount.permissions),
        };
        let bucket = self.buckets.bucket(scope).await?;
        anyhow::ensure!(*bucket.id() == rename.bucket, "the tenant has another bucket now");
        Ok(bucket)
    }
}

/// What was begun is brought to its end, whatever the user may begin now.
fn with_rename(permissions: Permissions) -> Permissions {
    let needed = |permission: &Permission| *permission == Permission::Rename || permissions.contains(*permission);
    Permission::ALL.into_iter().filter(needed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Mount,
        store::{MemoryBucket, MemoryJournal, Owner, RenameJournal as _, RenamePhase},
    };

    #[derive(Debug)]
    struct OneBucket(Arc<MemoryBucket>);

    #[async_trait::async_trait]
    impl Buckets for OneBucket {
        async fn bucket(&self, scope: Scope<'_>) -> store::Result<Arc<dyn Bucket>> {
            assert!(scope.permissions.contains(Permission::Rename));
            Ok(Arc::clone(&self.0) as Arc<dyn Bucket>)
        }
    }

    fn alice() -> Arc<User> {
        Arc::new(User {
            name: "alice".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            password_hash: None,
            public_keys: Vec::new(),
            landing: "/".to_owned(),
            mounts: vec![Mount {
                entry: "/".to_owned(),
                prefix: "acme/".to_owned(),
                permissions: [Permission::Read].into_iter().collect(),
            }],
        })
    }

    /// A rename of `user` whose copies were made and whose source is half deleted, and nobody at work on it.
    async fn cut_off(user: &str, bucket: &MemoryBucket, journal: &MemoryJournal) {
        for key in ["acme/new/a", "acme/old/b", "acme/new/b"] {
            bucket.insert(key, "x");
        }
        let rename = TreeRename {
            id: user.to_owned(),
            bucket: bucket.id().clone(),
            owner: Owner { tenant: "acme".to_owned(), user: user.to_owned() },
            mount: Prefix::parse("acme/").unwrap(),
            source_name: "old".to_owned(),
            target_name: "new".to_owned(),
            phase: RenamePhase::Deleting,
        };
        let lease = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
        assert!(journal.enter_rename(&rename, &lease).await.unwrap());
    }

    // S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
    #[tokio::test(start_paused = true)]
    async fn what_was_cut_off_is_finished_by_who_starts_next() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        cut_off("alice", &bucket, &journal).await;
        let repairs = || {
            let journal = Arc::clone(&journal) as Arc<dyn Journal>;
            Repairs::new(journal, Arc::new(OneBucket(Arc::clone(&bucket))), [alice()])
        };
        let (one, other) = (repairs(), repairs());
        tokio::join!(one.repair_all(), other.repair_all());
        assert_eq!(bucket.keys(), ["acme/new/a", "acme/new/b"]);
        assert!(journal.renames().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_the_config_no_more_is_waited_for() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        cut_off("mallory", &bucket, &journal).await;
        let shared = Arc::clone(&journal) as Arc<dyn Journal>;
        Repairs::new(shared, Arc::new(OneBucket(Arc::clone(&bucket))), [alice()]).repair_all().await;
        assert_eq!(bucket.keys().len(), 3);
        assert_eq!(journal.renames().len(), 1);
        assert_eq!(journal.take_rename(&Lease::new().unwrap()).await.unwrap(), None, "not again at once");
    }
}
