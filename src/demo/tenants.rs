//! The demo's tenants: acme with alice, globex with bob, each in a prefix of the vendor's bucket.

use super::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY};
use crate::{
    account::{self, DEFAULT_MAX_OBJECT_BYTES, Mount, Permissions, TenantName, User},
    cloud::{Base, Checksums, Credentials, PayloadSigning, Place},
    config::Tenant,
    identity::hash_password,
};
use std::sync::Arc;

/// Both tenants, whose bucket is found at `endpoint`. Their users may log in with `keys` too.
pub fn tenants(endpoint: &str, keys: &[String]) -> anyhow::Result<Vec<Tenant>> {
    [("acme", "alice"), ("globex", "bob")].into_iter().map(|(name, user)| tenant(name, user, endpoint, keys)).collect()
}

fn tenant(name: &str, user: &str, endpoint: &str, keys: &[String]) -> anyhow::Result<Tenant> {
    let name: TenantName = name.parse()?;
    let user = User {
        name: user.parse()?,
        tenant: name.clone(),
        enabled: true,
        password_hash: Some(hash_password(&format!("{user}-demo"))?),
        public_keys: keys.to_vec(),
        landing: "/".to_owned(),
        mounts: vec![Mount {
            entry: "/".to_owned(),
            prefix: format!("tenants/{name}/"),
            permissions: Permissions::ALL,
        }],
    };
    Ok(Tenant {
        account: Arc::new(account::Tenant { name, enabled: true, max_object_bytes: DEFAULT_MAX_OBJECT_BYTES }),
        place: Place {
            bucket: BUCKET.to_owned(),
            region: REGION.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            path_style: true,
            kms_key: None,
            expected_bucket_owner: None,
            storage_class: None,
            payload_signing: PayloadSigning::default(),
            checksums: Checksums::default(),
            credentials: Credentials {
                base: Base::Static {
                    access_key_id: ACCESS_KEY_ID.to_owned(),
                    secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
                },
                role: None,
            },
        },
        users: vec![Arc::new(user)],
    })
}
