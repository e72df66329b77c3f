//! A `[[users]]` table of a tenant's file.

use super::{
    document::ConfigTable,
    login,
    storage::SpottedStorage,
    tenant_claims::TenantClaims,
    user_mounts::{self, UserMounts},
};
use crate::{
    account::{Permission, Permissions, User},
    name::{TenantName, UserName},
    tenants::UserSetup,
};
use std::sync::Arc;

/// Reads a user of `tenant`. The tenant's name and storage are `None` if they are wrong themselves.
pub(super) fn read(
    user: &mut ConfigTable<'_>,
    tenant: Option<&TenantName>,
    storage: Option<&SpottedStorage>,
    claims: &mut TenantClaims,
) -> Option<UserSetup> {
    let name: Option<UserName> = user.required("name");
    if let Some(name) = &name {
        claims.claim_user(name, user);
    }
    let enabled = user.or("enabled", true);
    let credentials = login::read(user);
    let permissions = read_permissions(user, Permissions::ALL);
    let UserMounts { spotted, mounts } = user_mounts::read(user, storage, permissions);
    if let Some(storage) = storage {
        for mount in &spotted {
            claims.claim_prefix(storage, mount);
            mount.check_policy(storage, user.report());
        }
    }
    let user = User { name: name?, tenant: tenant?.clone(), enabled, mounts: mounts? };
    Some(UserSetup { user: Arc::new(user), credentials: Arc::new(credentials) })
}

/// Returns the permissions of the table, or `default` if it has none.
pub(super) fn read_permissions(table: &mut ConfigTable<'_>, default: Permissions) -> Permissions {
    table.list::<Permission>("permissions").map_or(default, Permissions::from_iter)
}
