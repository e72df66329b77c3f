//! Returns the bucket of a journal entry, with credentials for the entry's mount alone. The owner's session is over,
//! and the owner may be in no config file. The entry therefore contains the mount that it was made through, and its
//! permissions.
//!
//! Invariant: the mount lies below the tenant's prefix, and the bucket is the one that the entry names.

use crate::{
    account::{Permission, Permissions},
    cloud::{BucketSource, Scope},
    journal::Owner,
    name::{BucketId, Prefix, TenantName},
    store::{self, Bucket},
    tenants::Tenants,
};
use std::sync::Arc;

/// Finds the buckets of journal entries.
#[derive(Debug)]
pub(super) struct OwnerLookup {
    buckets: Arc<dyn BucketSource>,
    pub(super) tenants: Arc<Tenants>,
}

/// The mount of a journal entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryMount<'a> {
    pub(super) owner: &'a Owner,
    pub(super) prefix: &'a Prefix,
    /// The bucket at the time of the entry.
    pub(super) bucket: &'a BucketId,
    /// The owner's permissions at the time of the entry. `None` if an earlier version made the entry.
    pub(super) permissions: Option<Permissions>,
    /// The permission that is needed to finish or abort the entry's work, even if the owner lacks it.
    pub(super) needs: Permission,
}

/// The reason why the bucket can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoBucket {
    /// The config has no such tenant. It may come back: a tenant whose file is broken is absent for a while.
    #[error("the tenant isn't in the config any more")]
    UnknownTenant,
    /// The bucket is gone until the config changes.
    #[error("{0}")]
    Gone(&'static str),
    /// The bucket may be available later.
    #[error(transparent)]
    Failed(#[from] store::Error),
}

impl OwnerLookup {
    pub(super) fn new(buckets: Arc<dyn BucketSource>, tenants: Arc<Tenants>) -> Self {
        Self { buckets, tenants }
    }

    /// Returns the bucket, with the credentials of the entry's owner for the entry's mount.
    ///
    /// # Errors
    /// [`NoBucket`].
    pub(super) async fn bucket(&self, mount: EntryMount<'_>) -> Result<Arc<dyn Bucket>, NoBucket> {
        let Owner { tenant, user } = mount.owner;
        if !self.tenants.prefix(tenant).ok_or(NoBucket::UnknownTenant)?.contains(mount.prefix) {
            return Err(NoBucket::Gone("the tenant's prefix doesn't hold the mount any more"));
        }
        let permissions = mount.permissions.map_or_else(|| self.configured(mount), Ok)?.with(mount.needs);
        let scope = Scope::new(tenant, user, mount.prefix, permissions);
        let bucket = self.buckets.bucket(scope).await?;
        if bucket.id() == mount.bucket { Ok(bucket) } else { Err(NoBucket::Gone("the tenant has another bucket now")) }
    }

    /// True if the config has the tenant now.
    pub(super) fn knows(&self, tenant: &TenantName) -> bool {
        self.tenants.prefix(tenant).is_some()
    }

    /// Returns the permissions that the config grants the owner in the mount. Entries of earlier versions need them.
    fn configured(&self, entry: EntryMount<'_>) -> Result<Permissions, NoBucket> {
        let Owner { tenant, user } = entry.owner;
        let user = self.tenants.user_of(tenant, user);
        let user = user.ok_or(NoBucket::Gone("the user who began it isn't in the config any more"))?;
        let mount = user.mounts.iter().find(|mount| mount.prefix == *entry.prefix);
        let mount = mount.ok_or(NoBucket::Gone("the mount that it was begun in isn't in the config any more"))?;
        Ok(mount.permissions)
    }
}

/// The bucket of acme in memory, for tests of maintenance work.
#[cfg(test)]
pub(super) mod fixture {
    use super::*;
    use crate::{
        account::{Mounts, Storage, Tenant, User},
        journal::Journal,
        memory::Budget,
        tenants::{TenantSetup, UserSetup},
        testing::MemoryBucket,
        vfs::Node,
    };

    /// A source of buckets that returns acme's bucket for the prefix `acme/` only.
    #[derive(Debug)]
    pub(super) struct AcmeBuckets {
        pub(super) bucket: Arc<MemoryBucket>,
        pub(super) needs: Permission,
        /// The user and the permissions of each request for the bucket.
        pub(super) asked: parking_lot::Mutex<Vec<(String, Permissions)>>,
    }

    #[async_trait::async_trait]
    impl BucketSource for AcmeBuckets {
        async fn bucket(&self, scope: Scope<'_>) -> store::Result<Arc<dyn Bucket>> {
            assert_eq!((scope.tenant.as_str(), scope.prefix.as_str()), ("acme", "acme/"));
            assert!(scope.permissions.contains(self.needs));
            self.asked.lock().push((scope.user.to_string(), scope.permissions));
            Ok(Arc::clone(&self.bucket) as Arc<dyn Bucket>)
        }

        fn id(&self, _: &TenantName) -> store::Result<BucketId> {
            Ok(self.bucket.id().clone())
        }
    }

    /// Returns the lookup for a config with one user, alice of acme, who may only read in `acme/`. All work for her
    /// needs the permission `needs`.
    pub(in crate::app) fn alice(bucket: &Arc<MemoryBucket>, needs: Permission) -> Arc<OwnerLookup> {
        let asked = parking_lot::Mutex::default();
        Arc::new(lookup(&Arc::new(AcmeBuckets { bucket: Arc::clone(bucket), needs, asked })))
    }

    /// Returns a node without sessions.
    pub(in crate::app) fn node(bucket: &Arc<MemoryBucket>, journal: &Arc<dyn Journal>) -> Arc<Node> {
        let (bucket, asked) = (Arc::clone(bucket), parking_lot::Mutex::default());
        let buckets = AcmeBuckets { bucket, needs: Permission::Rename, asked };
        Node::new(Arc::new(buckets), Budget::new(1 << 20), Arc::clone(journal))
    }

    pub(super) fn lookup(buckets: &Arc<AcmeBuckets>) -> OwnerLookup {
        OwnerLookup::new(Arc::clone(buckets) as Arc<dyn BucketSource>, Arc::new(Tenants::new(&[acme()])))
    }

    /// Returns the tenant acme with its user alice.
    pub(in crate::app) fn acme() -> TenantSetup {
        let prefix = Prefix::parse("acme/").unwrap();
        let alice = User {
            name: "alice".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            mounts: Mounts::at_root(prefix, [Permission::Read].into_iter().collect()),
        };
        let alice = UserSetup { user: Arc::new(alice), credentials: Arc::default() };
        let tenant = Tenant {
            max_object_bytes: 1 << 30,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
            ..Tenant::new("acme".parse().unwrap())
        };
        let storage = Arc::new(Storage::of_a_test("acme/"));
        TenantSetup { tenant: Arc::new(tenant), storage, users: vec![alice] }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        fixture::{AcmeBuckets, lookup},
        *,
    };
    use crate::testing::MemoryBucket;

    const READ: Permissions = Permissions::NONE.with(Permission::Read);
    const LIST: Permissions = Permissions::NONE.with(Permission::List);

    /// Looks up the mount `prefix` of an entry of `user` of `tenant`. Returns the permissions of the credentials.
    async fn look(
        tenant: &str,
        user: &str,
        prefix: &str,
        permissions: Option<Permissions>,
    ) -> Result<Permissions, String> {
        let owner = Owner { tenant: tenant.parse().unwrap(), user: user.parse().unwrap() };
        let (prefix, needs) = (Prefix::parse(prefix).unwrap(), Permission::Write);
        let bucket = Arc::new(MemoryBucket::new());
        let buckets = Arc::new(AcmeBuckets { bucket, needs, asked: parking_lot::Mutex::default() });
        let bucket = buckets.bucket.id();
        let mount = EntryMount { owner: &owner, prefix: &prefix, bucket, permissions, needs };
        lookup(&buckets).bucket(mount).await.map_err(|error| error.to_string())?;
        let asked = buckets.asked.lock();
        let [(of, permissions)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(of, user);
        Ok(*permissions)
    }

    #[tokio::test]
    async fn the_entry_says_which_permissions_its_mount_had_whatever_the_config_says() {
        for user in ["alice", "mallory"] {
            assert_eq!(look("acme", user, "acme/", Some(LIST)).await, Ok(LIST.with(Permission::Write)), "{user}");
        }
    }

    #[tokio::test]
    async fn an_entry_of_an_earlier_version_has_the_permissions_that_the_config_gives_its_owner() {
        assert_eq!(look("acme", "alice", "acme/", None).await, Ok(READ.with(Permission::Write)));
        for (user, prefix, reason) in [
            ("mallory", "acme/", "the user who began it isn't in the config any more"),
            ("alice", "acme/in/", "the mount that it was begun in isn't in the config any more"),
        ] {
            assert_eq!(look("acme", user, prefix, None).await, Err(reason.to_owned()));
        }
    }

    #[tokio::test]
    async fn an_entry_reaches_nothing_outside_its_tenant() {
        for (tenant, prefix, reason) in [
            ("globex", "acme/", "the tenant isn't in the config any more"),
            ("acme", "", "the tenant's prefix doesn't hold the mount any more"),
            ("acme", "globex/", "the tenant's prefix doesn't hold the mount any more"),
        ] {
            for permissions in [None, Some(READ)] {
                assert_eq!(look(tenant, "alice", prefix, permissions).await, Err(reason.to_owned()));
            }
        }
    }

    #[tokio::test]
    async fn an_entry_of_another_bucket_is_refused() {
        let buckets = Arc::new(AcmeBuckets {
            bucket: Arc::new(MemoryBucket::new()),
            needs: Permission::Write,
            asked: parking_lot::Mutex::default(),
        });
        let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
        let (prefix, former) = (Prefix::parse("acme/").unwrap(), BucketId::new("former", None));
        let (permissions, needs) = (Some(READ), Permission::Write);
        let mount = EntryMount { owner: &owner, prefix: &prefix, bucket: &former, permissions, needs };
        let error = lookup(&buckets).bucket(mount).await.unwrap_err();
        assert_eq!(error.to_string(), "the tenant has another bucket now");
    }
}
