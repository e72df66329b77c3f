//! Values that must be unique among all tenants: the names of users, external IDs, and the tenant of an object.

use super::{
    document::ConfigTable,
    problem::{Report, Spot},
    storage::SpottedStorage,
    user_mounts::SpottedMount,
};
use crate::{
    account::{ExternalId, RoleArn},
    name::{BucketId, Prefix, TenantName, UserName},
};
use std::collections::{BTreeMap, btree_map::Entry};

/// Collects the claims of the tenants read so far.
#[derive(Default)]
pub(super) struct TenantClaims {
    users: BTreeMap<UserName, Spot>,
    external_ids: BTreeMap<ExternalId, (RoleArn, Spot)>,
    /// The claims by bucket and prefix, so that a prefix follows directly after the prefixes that contain it.
    prefixes: BTreeMap<(BucketId, Prefix, TenantName), PrefixClaim>,
}

/// A tenant's claim on a prefix.
struct PrefixClaim {
    allow_shared_prefix: bool,
    spot: Spot,
}

impl TenantClaims {
    /// Claims a user's name, or reports its present owner.
    pub(super) fn claim_user(&mut self, name: &UserName, user: &ConfigTable<'_>) {
        let spot = user.spot("name");
        match self.users.entry(name.clone()) {
            Entry::Vacant(vacant) => _ = vacant.insert(spot),
            Entry::Occupied(first) => {
                let message = format!("`{name}` is taken at {}; names of users are unique in the server", first.get());
                user.report().problem(&spot, message);
            }
        }
    }

    /// Claims the external ID of a role, or reports the other role that uses it. Tenants may share a role, such as one
    /// of the vendor's own. But a customer who knows the common external ID of two roles could make this server reach
    /// the one in the name of the other.
    pub(super) fn claim_external_id(&mut self, storage: &SpottedStorage, report: &Report) {
        let (Some(role), Some(spot)) = (&storage.storage.credentials.role, &storage.external_id_spot) else { return };
        match self.external_ids.entry(role.external_id.clone()) {
            Entry::Vacant(vacant) => _ = vacant.insert((role.arn.clone(), spot.clone())),
            Entry::Occupied(first) if first.get().0 == role.arn => {}
            Entry::Occupied(first) => {
                let message = format!("is that of another role at {}; it takes one of its own", first.get().1);
                report.problem(spot, message);
            }
        }
    }

    pub(super) fn claim_prefix(&mut self, tenant: &TenantName, storage: &SpottedStorage, mount: &SpottedMount) {
        let bucket = storage.storage.id.clone();
        let claim = PrefixClaim { allow_shared_prefix: storage.allow_shared_prefix, spot: mount.spot.clone() };
        self.prefixes.entry((bucket, mount.mount.prefix.clone(), tenant.clone())).or_insert(claim);
    }

    /// Reports each prefix that lies in another tenant's prefix, unless both tenants allow it.
    pub(super) fn report_overlaps(&self, report: &Report) {
        let mut around: Vec<(&(BucketId, Prefix, TenantName), &PrefixClaim)> = Vec::new();
        for (place, claim) in &self.prefixes {
            let (bucket, prefix, tenant) = place;
            while around.pop_if(|((b, p, _), _)| b != bucket || !p.contains(prefix)).is_some() {}
            let other = around.iter().find(|((_, _, owner), outer)| {
                owner != tenant && !(outer.allow_shared_prefix && claim.allow_shared_prefix)
            });
            if let Some(((_, outer_prefix, owner), outer)) = other {
                let message = format!(
                    "`{}` lies in `{}` of tenant `{owner}` ({}); it takes a prefix apart, or \
                     `allow_shared_prefix = true` in `[storage]` of both",
                    prefix.as_str(),
                    outer_prefix.as_str(),
                    outer.spot
                );
                report.problem(&claim.spot, message);
            }
            around.push((place, claim));
        }
    }
}
