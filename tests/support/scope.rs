//! Buckets on loopback, as config states them and as a user of a tenant gets them.

use std::sync::Arc;
use wharfinger::{
    account::{BaseCredentials, Checksums, PayloadSigning, Permissions, Secret, Storage, StorageCredentials},
    cloud::Buckets,
    name::{BucketId, Prefix},
    store::Bucket,
    vfs::{Buckets as _, Scope},
};

/// Returns the bucket of `storage` as alice of acme gets it, who has all permissions below `prefix`.
pub async fn bucket(storage: Storage, prefix: &str) -> Arc<dyn Bucket> {
    let (tenant, user) = ("acme".parse().unwrap(), "alice".parse().unwrap());
    let prefix = Prefix::parse(prefix).unwrap();
    let buckets = Buckets::new([("acme".parse().unwrap(), storage)].into());
    let scope = Scope { tenant: &tenant, user: &user, prefix: &prefix, permissions: Permissions::ALL };
    buckets.bucket(scope).await.unwrap()
}

/// A bucket on loopback, accessed with an access key.
pub fn storage(bucket: &str, endpoint: &str, access_key_id: &str, secret_access_key: &str) -> Storage {
    Storage {
        id: BucketId::new(bucket, Some(endpoint)),
        prefix: Prefix::parse("").unwrap(),
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        path_style: true,
        kms_key: None,
        expected_bucket_owner: None,
        storage_class: None,
        payload_signing: PayloadSigning::default(),
        checksums: Checksums::default(),
        credentials: StorageCredentials {
            base: BaseCredentials::Static {
                access_key_id: access_key_id.to_owned(),
                secret_access_key: Secret::from(secret_access_key.to_owned()),
            },
            role: None,
        },
    }
}
