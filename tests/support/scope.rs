//! Buckets on loopback, as config states them and as a user of a tenant gets them.

use std::sync::Arc;
use wharfinger::{
    account::{
        BaseCredentials, BucketAddress, Checksums, Credentials, ObjectSettings, PayloadSigning, Permissions, Secret,
        Storage, StorageCredentials, Tenant, User,
    },
    cloud::{BucketSource as _, S3Buckets, Scope},
    name::{BucketId, Prefix, UserName},
    store::Bucket,
    tenants::{GrantedLogin, Logins, TenantSetup, Tenants, UsedCredential, UserSetup},
};

/// Returns the bucket of `storage` as alice of acme gets it, who has all permissions below `prefix`.
pub async fn bucket(storage: Storage, prefix: &str) -> Arc<dyn Bucket> {
    let (tenant, user) = ("acme".parse().unwrap(), "alice".parse().unwrap());
    let prefix = Prefix::parse(prefix).unwrap();
    let buckets = S3Buckets::new(tenants([("acme", storage)]));
    let scope = Scope::new(&tenant, &user, &prefix, Permissions::ALL);
    buckets.bucket(scope).await.unwrap()
}

/// A directory of tenants without users.
pub fn tenants<'a>(storages: impl IntoIterator<Item = (&'a str, Storage)>) -> Arc<Tenants> {
    let setups: Vec<_> = storages.into_iter().map(|(name, storage)| setup(name, storage)).collect();
    Arc::new(Tenants::new(&setups))
}

/// A tenant without users.
pub fn setup(name: &str, storage: Storage) -> TenantSetup {
    let tenant = Tenant {
        max_object_bytes: 1 << 30,
        max_rename_objects: 100,
        partial_uploads_kept_for: None,
        ..Tenant::new(name.parse().unwrap())
    };
    TenantSetup { tenant: Arc::new(tenant), storage: Arc::new(storage), users: Vec::new() }
}

/// A bucket on loopback, accessed with an access key.
pub fn storage(bucket: &str, endpoint: &str, access_key_id: &str, secret_access_key: &str) -> Storage {
    Storage {
        id: BucketId::new(bucket, Some(endpoint)),
        prefix: Prefix::parse("").unwrap(),
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        address: BucketAddress::default(),
        path_style: true,
        expected_bucket_owner: None,
        source_vpc_endpoints: Vec::new(),
        objects: ObjectSettings::default(),
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

/// A key for users of tests. Nothing has its private half.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";

/// A tenant with this user, who has the key [`KEY`]. Its storage answers nothing.
pub fn setup_of(user: User, tenant: Tenant) -> TenantSetup {
    let credentials = Credentials { password_hash: None, public_keys: vec![KEY.parse().unwrap()] };
    TenantSetup {
        tenant: Arc::new(tenant),
        storage: Arc::new(storage("vendor", "http://127.0.0.1:1", "nobody", "secret")),
        users: vec![UserSetup { user: Arc::new(user), credentials: Arc::new(credentials) }],
    }
}

/// The login of the user with its key, as a directory with these tenants grants it.
pub fn granted(logins: &Logins, user: &UserName) -> GrantedLogin {
    logins.find(user).unwrap().grant(UsedCredential::Key(KEY.parse().unwrap()))
}
