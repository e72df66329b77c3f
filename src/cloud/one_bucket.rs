//! A source of buckets for tests. It has one bucket, whatever the tenant, user and mount.

use super::{BucketSource, Scope};
use crate::{
    name::{BucketId, TenantName},
    store::{self, Bucket},
};
use async_trait::async_trait;
use std::sync::Arc;

/// A source that returns the same bucket for every scope. Its credentials jail no user.
#[derive(Debug)]
pub struct OneBucket(Arc<dyn Bucket>);

impl OneBucket {
    /// Creates a source of `bucket`.
    pub fn new(bucket: Arc<dyn Bucket>) -> Self {
        Self(bucket)
    }
}

#[async_trait]
impl BucketSource for OneBucket {
    async fn bucket(&self, _: Scope<'_>) -> store::Result<Arc<dyn Bucket>> {
        Ok(Arc::clone(&self.0))
    }

    fn id(&self, _: &TenantName) -> store::Result<BucketId> {
        Ok(self.0.id().clone())
    }
}
