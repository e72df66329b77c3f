//! The vfs's source of buckets: what turns a tenant into storage, without the vfs knowing of credentials or clients.

use crate::{account::TenantName, store};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// Where the tree's storage comes from. `cloud` implements it; tests hand out a bucket in memory.
#[async_trait]
pub trait Buckets: Send + Sync + fmt::Debug {
    /// The bucket of `tenant`, ready to use. Called for each operation, so it is cheap when nothing changed.
    ///
    /// # Errors
    /// [`store::Error::Credentials`] when the tenant has no storage or no credentials can be had for it.
    async fn bucket(&self, tenant: &TenantName) -> store::Result<Arc<dyn store::Bucket>>;
}
