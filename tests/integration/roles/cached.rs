//! Clients of sessions with a role: how long they serve, and that a changed storage is used at once.

use super::{S3Buckets, TenantAccount, Way, scope};
use std::time::Duration;
use wharfinger::{
    cloud::{Bounds, BucketSource as _, Scope},
    name::Prefix,
    store::ListScope,
};

#[tokio::test]
async fn a_client_in_use_outlives_its_place_in_the_cache() {
    let account = TenantAccount::open().await;
    let bounds = Bounds { idle: Duration::ZERO, ..Bounds::default() };
    let buckets = S3Buckets::with_bounds(scope::tenants([("acme", account.storage())]), bounds);
    let way = Way::new("acme", "alice", "in/");
    let Way { tenant, user, prefix, permissions } = &way;
    let in_use = buckets.bucket(Scope::new(tenant, user, prefix, *permissions)).await.unwrap();
    assert_eq!(account.asked(), 1);
    way.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 2, "idle clients are dropped at once");
    in_use.list(ListScope::Below(prefix), None, 1).await.unwrap();
    assert_eq!(account.asked(), 2);
}

#[tokio::test]
async fn a_changed_storage_is_used_from_the_next_operation_on() {
    let account = TenantAccount::open().await;
    let tenants = scope::tenants([("acme", account.storage())]);
    let buckets = S3Buckets::new(std::sync::Arc::clone(&tenants));
    let way = Way::new("acme", "alice", "in/");
    way.go(&buckets).await.unwrap();
    tenants.swap(&[scope::setup("acme", account.storage())]);
    way.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 1, "the storage is the same");
    let mut changed = account.storage();
    changed.credentials.role.as_mut().unwrap().external_id = "wh-another".parse().unwrap();
    tenants.swap(&[scope::setup("acme", changed)]);
    way.go(&buckets).await.unwrap_err();
    tenants.swap(&[scope::setup("acme", account.storage())]);
    way.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 3);
    tenants.swap(&[]);
    way.go(&buckets).await.unwrap_err();
    assert_eq!(account.asked(), 3, "the tenant is gone");
}

#[tokio::test]
async fn a_mount_outside_the_prefix_that_the_tenant_has_now_is_refused() {
    let account = TenantAccount::open().await;
    let tenants = scope::tenants([("acme", account.storage())]);
    let buckets = S3Buckets::new(std::sync::Arc::clone(&tenants));
    let way = Way::new("acme", "alice", "in/");
    way.go(&buckets).await.unwrap();
    let mut moved = account.storage();
    moved.prefix = Prefix::parse("elsewhere/").unwrap();
    tenants.swap(&[scope::setup("acme", moved)]);
    let error = way.go(&buckets).await.unwrap_err().to_string();
    assert!(error.contains("outside the prefix that tenant acme has now"), "{error}");
    assert_eq!(account.asked(), 1, "no role is assumed for it");
}
