//! Buckets as a user of a tenant gets them.

use std::sync::Arc;
use wharfinger::{
    account::Permissions,
    cloud::{Buckets, Place},
    store::{Bucket, Prefix},
    vfs::{Buckets as _, Scope},
};

/// The bucket of `place` as alice of acme, who may do everything below `prefix`, gets it.
pub async fn bucket(place: Place, prefix: &str) -> Arc<dyn Bucket> {
    let (tenant, user) = ("acme".parse().unwrap(), "alice".parse().unwrap());
    let prefix = Prefix::parse(prefix).unwrap();
    let buckets = Buckets::new([("acme".parse().unwrap(), place)].into());
    let scope = Scope { tenant: &tenant, user: &user, prefix: &prefix, permissions: Permissions::ALL };
    buckets.bucket(scope).await.unwrap()
}
