//! The buckets of all tenants, opened when they are first asked for.

use super::{Place, clients::Clients};
use crate::{
    account::TenantName,
    store::{Bucket, Error, Result, S3Bucket},
    vfs,
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::OnceCell;

/// The vfs's source of buckets: one S3 client a tenant, made lazily and kept.
#[derive(Debug)]
pub struct Buckets {
    clients: Clients,
    tenants: HashMap<TenantName, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    place: Place,
    bucket: OnceCell<Arc<S3Bucket>>,
}

impl Buckets {
    /// Takes where each tenant's files lie. Does no IO: credentials are looked for at a tenant's first request.
    #[must_use]
    pub fn new(places: HashMap<TenantName, Place>) -> Self {
        let tenants =
            places.into_iter().map(|(name, place)| (name, Tenant { place, bucket: OnceCell::new() })).collect();
        Self { clients: Clients::new(), tenants }
    }
}

#[async_trait]
impl vfs::Buckets for Buckets {
    async fn bucket(&self, tenant: &TenantName) -> Result<Arc<dyn Bucket>> {
        let Some(Tenant { place, bucket }) = self.tenants.get(tenant) else {
            return Err(Error::Credentials(format!("tenant {tenant} has no bucket")));
        };
        let bucket = bucket.get_or_init(|| self.clients.bucket(tenant.as_str(), place)).await;
        Ok(Arc::clone(bucket) as Arc<dyn Bucket>)
    }
}
