//! The source of buckets: it turns a user's mount into storage, and hides credentials and clients from all who ask.

use crate::{
    account::Permissions,
    name::{BucketId, Prefix, TenantName, UserName},
    policy::SessionPacers,
    store,
};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// The tenant, user, mount and permissions that credentials may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The tenant that the bucket belongs to.
    pub tenant: &'a TenantName,
    /// The tenant's user.
    pub user: &'a UserName,
    /// The prefix of the mount. Nothing outside it is requested.
    pub prefix: &'a Prefix,
    /// The user's permissions in the mount.
    pub permissions: Permissions,
    /// The rates of the session that asks, if one does.
    pub(crate) rates: Option<&'a Arc<SessionPacers>>,
}

impl<'a> Scope<'a> {
    /// The scope of requests that no session makes.
    #[must_use]
    pub fn new(tenant: &'a TenantName, user: &'a UserName, prefix: &'a Prefix, permissions: Permissions) -> Self {
        Self { tenant, user, prefix, permissions, rates: None }
    }

    /// The same for the requests of a session, which keep to its rates.
    pub(crate) fn paced_by(self, rates: Option<&'a Arc<SessionPacers>>) -> Self {
        Self { rates, ..self }
    }
}

/// The source of buckets. [`S3Buckets`](super::S3Buckets) implements it; tests use a bucket in memory.
#[async_trait]
pub trait BucketSource: Send + Sync + fmt::Debug {
    /// Returns the bucket for `scope`, ready to use. Called for each operation, so it is cheap if nothing changed.
    ///
    /// # Errors
    /// [`store::Error::Credentials`] if the tenant has no storage, or no credentials can be obtained for it.
    async fn bucket(&self, scope: Scope<'_>) -> store::Result<Arc<dyn store::Bucket>>;

    /// Returns the id of a tenant's bucket. Needs no credentials and makes no request.
    ///
    /// # Errors
    /// [`store::Error::Credentials`] if the tenant has no storage.
    fn id(&self, tenant: &TenantName) -> store::Result<BucketId>;
}
