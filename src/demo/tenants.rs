//! The demo's tenants. acme with alice has a prefix of the vendor's bucket. globex with bob has a bucket in its own
//! account. Sessions of both use roles.

use super::{
    REGION,
    accounts::{Account, GLOBEX, SERVER_ACCESS_KEY_ID, SERVER_SECRET_ACCESS_KEY, VENDOR},
};
use crate::{
    account::{
        BaseCredentials, BucketAddress, Checksums, Credentials, Mounts, ObjectSettings, PayloadSigning, Permissions,
        PublicKey, Role, Storage, StorageCredentials, Tenant, User,
    },
    identity::hash_password,
    name::{BucketId, Prefix, TenantName},
    tenants::{TenantSetup, UserSetup},
};
use std::sync::Arc;

/// Both tenants, with their S3 and STS at `endpoint`. Their users may also log in with `keys`.
pub(crate) fn tenants(endpoint: &str, keys: &[PublicKey]) -> anyhow::Result<Vec<TenantSetup>> {
    [("acme", "alice", &VENDOR, "tenants/acme/"), ("globex", "bob", &GLOBEX, "")]
        .into_iter()
        .map(|(name, user, account, prefix)| {
            let name: TenantName = name.parse()?;
            Ok(TenantSetup {
                users: vec![login(user, &name, prefix, keys)?],
                tenant: Arc::new(Tenant::new(name)),
                storage: Arc::new(storage(account, Prefix::parse(prefix)?, endpoint)?),
            })
        })
        .collect()
}

fn login(user: &str, tenant: &TenantName, prefix: &str, keys: &[PublicKey]) -> anyhow::Result<UserSetup> {
    let password_hash = Some(hash_password(&format!("{user}-demo"))?.parse()?);
    let credentials = Credentials { password_hash, public_keys: keys.to_vec() };
    let user = User {
        name: user.parse()?,
        tenant: tenant.clone(),
        enabled: true,
        mounts: Mounts::at_root(Prefix::parse(prefix)?, Permissions::ALL),
    };
    Ok(UserSetup { user: Arc::new(user), credentials: Arc::new(credentials) })
}

fn storage(account: &Account, prefix: Prefix, endpoint: &str) -> anyhow::Result<Storage> {
    Ok(Storage {
        // The id doesn't depend on the endpoint: the S3's port changes with each start.
        id: BucketId::in_store("demo", account.bucket),
        prefix,
        bucket: account.bucket.to_owned(),
        region: REGION.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        address: BucketAddress::default(),
        path_style: true,
        expected_bucket_owner: Some(account.id().to_owned()),
        source_vpc_endpoints: Vec::new(),
        objects: ObjectSettings::default(),
        payload_signing: PayloadSigning::default(),
        checksums: Checksums::default(),
        credentials: StorageCredentials {
            base: BaseCredentials::Static {
                access_key_id: SERVER_ACCESS_KEY_ID.to_owned(),
                secret_access_key: SERVER_SECRET_ACCESS_KEY.to_owned().into(),
            },
            role: Some(Role {
                arn: account.role_arn().parse()?,
                external_id: account.external_id.parse()?,
                sts_endpoint: Some(endpoint.to_owned()),
                session_tags: false,
                source_identity: false,
                accept_without_external_id: false,
                via: None,
            }),
        },
    })
}
