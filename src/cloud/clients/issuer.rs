//! The issuer of a tenant's role: STS, asked with the server's own credentials or with those of the vendor's role.

use super::Identity;
use crate::{
    account::Role,
    cloud::assume_role::{AssumedRole, Assumption, RoleIssuer},
    name::TenantName,
    shares::Shares,
};
use aws_sdk_sts::Client;
use std::sync::Arc;

/// Returns the issuer of `role`, which `own` asks for, or the vendor's role. `sts` makes a client that signs with an identity.
/// Each request for the vendor's role takes one of the `permits`.
pub(in crate::cloud) fn issuer(
    tenant: &TenantName,
    role: &Role,
    own: Identity,
    permits: &Arc<Shares<TenantName>>,
    sts: impl Fn(Identity) -> Client,
) -> RoleIssuer {
    let own = RoleIssuer::new(sts(own));
    let Some(vendor) = &role.via else { return own };
    let session = AssumedRole::new(own, Assumption::of_vendor(tenant, vendor, role), Arc::clone(permits));
    RoleIssuer::chained(sts(Identity::session(session.clone())), session)
}
