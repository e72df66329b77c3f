//! Who began what was cut off, and the bucket as they reach it: what is put right for a user is put right with the
//! credentials of that user's mount, which reach nothing else.

use crate::{
    account::{Permission, Permissions, User},
    name::{BucketId, Prefix, UserName},
    store::{self, Bucket, Owner},
    vfs::{Buckets, Scope},
};
use std::{collections::HashMap, sync::Arc};

/// Everybody who is in the config.
#[derive(Debug)]
pub(super) struct Beginners {
    buckets: Arc<dyn Buckets>,
    users: HashMap<UserName, Arc<User>>,
}

/// Something that was begun through a mount.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    /// Who began it.
    pub(super) owner: &'a Owner,
    /// The mount's prefix.
    pub(super) mount: &'a Prefix,
    /// The bucket then.
    pub(super) bucket: &'a BucketId,
    /// What it takes to bring it to its end, whatever the user may begin now.
    pub(super) needs: Permission,
}

/// Why there is no bucket.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoBucket {
    /// Nothing but another config brings it back.
    #[error("{0}")]
    Gone(&'static str),
    /// It may be there later.
    #[error(transparent)]
    Failed(#[from] store::Error),
}

impl Beginners {
    pub(super) fn new(buckets: Arc<dyn Buckets>, users: impl IntoIterator<Item = Arc<User>>) -> Self {
        Self { buckets, users: users.into_iter().map(|user| (user.name.clone(), user)).collect() }
    }

    /// The bucket, with the credentials of who began it, if the mount that it was begun in is still there.
    ///
    /// # Errors
    /// [`NoBucket`].
    pub(super) async fn bucket(&self, begun: Begun<'_>) -> Result<Arc<dyn Bucket>, NoBucket> {
        let user = begun.owner.user.parse::<UserName>().ok().and_then(|name| self.users.get(&name));
        let user = user.filter(|user| user.tenant.as_str() == begun.owner.tenant);
        let user = user.ok_or(NoBucket::Gone("the user who began it isn't in the config any more"))?;
        let mount = user.mounts.iter().find(|mount| mount.prefix == *begun.mount);
        let mount = mount.ok_or(NoBucket::Gone("the mount that it was begun in isn't in the config any more"))?;
        let scope = Scope {
            tenant: &user.tenant,
            user: &user.name,
            prefix: begun.mount,
            permissions: with(begun.needs, mount.permissions),
        };
        let bucket = self.buckets.bucket(scope).await?;
        if bucket.id() == begun.bucket { Ok(bucket) } else { Err(NoBucket::Gone("the tenant has another bucket now")) }
    }
}

fn with(needed: Permission, permissions: Permissions) -> Permissions {
    Permission::ALL.into_iter().filter(|one| *one == needed || permissions.contains(*one)).collect()
}

/// Everybody's bucket in memory, for tests of what is put right there.
#[cfg(test)]
pub(super) mod fixture {
    use super::*;
    use crate::{account::Mounts, name::TenantName, store::MemoryBucket};

    #[derive(Debug)]
    struct OneBucket {
        bucket: Arc<MemoryBucket>,
        needs: Permission,
    }

    #[async_trait::async_trait]
    impl Buckets for OneBucket {
        async fn bucket(&self, scope: Scope<'_>) -> store::Result<Arc<dyn Bucket>> {
            assert_eq!((scope.user.as_str(), scope.prefix.as_str()), ("alice", "acme/"));
            assert!(scope.permissions.contains(self.needs));
            Ok(Arc::clone(&self.bucket) as Arc<dyn Bucket>)
        }

        fn id(&self, _: &TenantName) -> store::Result<BucketId> {
            Ok(self.bucket.id().clone())
        }
    }

    /// alice of acme alone, who may only read in `acme/`. Whatever is put right for her takes the permission `needs`.
    pub(in crate::app) fn alice(bucket: &Arc<MemoryBucket>, needs: Permission) -> Arc<Beginners> {
        let alice = User {
            name: "alice".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), [Permission::Read].into_iter().collect()),
        };
        Arc::new(Beginners::new(Arc::new(OneBucket { bucket: Arc::clone(bucket), needs }), [Arc::new(alice)]))
    }
}
