//! The vfs's source of buckets: what turns a user's mount into storage, without the vfs knowing of credentials or
//! clients.

use crate::{
    account::Permissions,
    name::{BucketId, Prefix, TenantName, UserName},
    store,
};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// Who wants to reach what, and for which purposes: all that credentials may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Whose bucket.
    pub tenant: &'a TenantName,
    /// Which of its users.
    pub user: &'a UserName,
    /// The prefix of the mount: nothing outside it will be asked for.
    pub prefix: &'a Prefix,
    /// What the user may do there.
    pub permissions: Permissions,
}

/// Where the tree's storage comes from. `cloud` implements it; tests hand out a bucket in memory.
#[async_trait]
pub trait Buckets: Send + Sync + fmt::Debug {
    /// The bucket for `scope`, ready to use. Called for each operation, so it is cheap when nothing changed.
    ///
    /// # Errors
    /// [`store::Error::Credentials`] when the tenant has no storage or no credentials can be had for it.
    async fn bucket(&self, scope: Scope<'_>) -> store::Result<Arc<dyn store::Bucket>>;

    /// The id of a tenant's bucket. Needs no credentials and makes no request.
    ///
    /// # Errors
    /// [`store::Error::Credentials`] when the tenant has no storage.
    fn id(&self, tenant: &TenantName) -> store::Result<BucketId>;
}
