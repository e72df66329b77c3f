//! Who began what was cut off, and the bucket as they reach it: what is put right for a user is put right with the
//! credentials of that user's mount, which reach nothing else.

use crate::{
    account::{Permission, Permissions, User, UserName},
    store::{Bucket, BucketId, Owner, Prefix},
    vfs::{Buckets, Scope},
};
use anyhow::Context as _;
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

impl Beginners {
    pub(super) fn new(buckets: Arc<dyn Buckets>, users: impl IntoIterator<Item = Arc<User>>) -> Self {
        Self { buckets, users: users.into_iter().map(|user| (user.name.clone(), user)).collect() }
    }

    /// The bucket, with the credentials of who began it, if the mount that it was begun in is still there.
    pub(super) async fn bucket(&self, begun: Begun<'_>) -> anyhow::Result<Arc<dyn Bucket>> {
        let name: UserName = begun.owner.user.parse()?;
        let user = self.users.get(&name).filter(|user| user.tenant.as_str() == begun.owner.tenant);
        let user = user.context("the user who began it isn't in the config any more")?;
        let mount = user.mounts.iter().find(|mount| mount.prefix == begun.mount.as_str());
        let mount = mount.context("the user's mount that it was begun in isn't in the config any more")?;
        let scope = Scope {
            tenant: &user.tenant,
            user: &user.name,
            prefix: &Prefix::parse(&mount.prefix)?,
            permissions: with(begun.needs, mount.permissions),
        };
        let bucket = self.buckets.bucket(scope).await?;
        anyhow::ensure!(bucket.id() == begun.bucket, "the tenant has another bucket now");
        Ok(bucket)
    }
}

fn with(needed: Permission, permissions: Permissions) -> Permissions {
    Permission::ALL.into_iter().filter(|one| *one == needed || permissions.contains(*one)).collect()
}
