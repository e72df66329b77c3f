//! Values that must be unique among all tenants: the names of users, external IDs, and the tenant of an object. Tenants share
//! a vendor's role, but none of them may work as it.
//!
//! A file claims its values as it is read. [`conflicts`] then compares the claims of all tenants.

use super::{
    document::ConfigTable,
    problem::{Problem, Spot},
    storage::SpottedStorage,
    user_mounts::SpottedMount,
};
use crate::{
    account::{ExternalId, RoleArn},
    name::{BucketId, Prefix, TenantName, UserName},
};
use std::collections::BTreeMap;

/// A value that a tenant claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TenantClaim {
    User(UserName),
    /// The external ID of a role. Tenants may share a role, such as one of the vendor's own. But a customer who knows
    /// the common external ID of two roles could make this server reach the one in the name of the other.
    ExternalId(ExternalId, RoleArn),
    VendorRole(RoleArn),
    /// The external ID of a vendor's role.
    VendorExternalId(ExternalId),
    Prefix {
        bucket: BucketId,
        prefix: Prefix,
        /// True if other tenants that say the same may reach the same objects.
        is_shared: bool,
    },
}

/// The claims of one tenant's file, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct TenantClaims(Vec<(TenantClaim, Spot)>);

/// Two claims that exclude each other.
pub(super) struct Conflict<'a> {
    pub(super) sides: [(&'a TenantName, &'a TenantClaim); 2],
    pub(super) problem: Problem,
}

impl TenantClaims {
    /// TenantClaims a user's name, or reports that the file has it twice.
    pub(super) fn claim_user(&mut self, name: &UserName, user: &ConfigTable<'_>) {
        let (claim, spot) = (TenantClaim::User(name.clone()), user.spot("name"));
        match self.0.iter().find(|(other, _)| *other == claim) {
            Some((_, first)) => user.report().problem(&spot, name_conflict(name, first)),
            None => self.0.push((claim, spot)),
        }
    }

    pub(super) fn claim_external_id(&mut self, storage: &SpottedStorage) {
        if let (Some(role), Some(spot)) = (&storage.storage.credentials.role, &storage.external_id_spot) {
            self.0.push((TenantClaim::ExternalId(role.external_id.clone(), role.arn.clone()), spot.clone()));
        }
    }

    pub(super) fn claim_vendor_role(&mut self, storage: &SpottedStorage) {
        let vendor_role = storage.storage.credentials.role.as_ref().and_then(|role| role.via.as_ref());
        if let (Some(vendor_role), Some([arn_spot, external_id_spot])) = (vendor_role, &storage.vendor_role_spots) {
            self.0.push((TenantClaim::VendorRole(vendor_role.arn().clone()), arn_spot.clone()));
            let external_id = vendor_role.external_id().cloned().map(TenantClaim::VendorExternalId);
            self.0.extend(external_id.map(|claim| (claim, external_id_spot.clone())));
        }
    }

    pub(super) fn claim_prefix(&mut self, storage: &SpottedStorage, mount: &SpottedMount) {
        let (bucket, prefix) = (storage.storage.id.clone(), mount.mount.prefix.clone());
        let is_shared = storage.allow_shared_prefix;
        self.0.push((TenantClaim::Prefix { bucket, prefix, is_shared }, mount.spot.clone()));
    }

    pub(super) fn contains(&self, claim: &TenantClaim) -> bool {
        self.0.iter().any(|(own, _)| own == claim)
    }

    /// Returns the role with its external ID, also of a file that has errors elsewhere.
    pub(super) fn role(&self) -> Option<(&RoleArn, &ExternalId)> {
        self.0.iter().find_map(|(claim, _)| match claim {
            TenantClaim::ExternalId(id, role) => Some((role, id)),
            _ => None,
        })
    }

    /// Returns the prefixes of the mounts, also of a file that has errors elsewhere.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&BucketId, &Prefix)> {
        self.0.iter().filter_map(|(claim, _)| match claim {
            TenantClaim::Prefix { bucket, prefix, .. } => Some((bucket, prefix)),
            _ => None,
        })
    }

    /// Returns the names of the users, also of a file that has errors elsewhere.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserName> {
        self.0.iter().filter_map(|(claim, _)| if let TenantClaim::User(name) = claim { Some(name) } else { None })
    }
}

impl TenantClaim {
    /// True for a claim that many tenants share, and that another one must not have as its own.
    pub(super) const fn is_of_the_vendor(&self) -> bool {
        matches!(self, Self::VendorRole(_) | Self::VendorExternalId(_))
    }
}

fn name_conflict(name: &UserName, first: &Spot) -> String {
    format!("`{name}` is taken at {first}; names of users are unique in the server")
}

/// A claim with its tenant and its position.
type Claimant<'a> = (&'a TenantName, &'a TenantClaim, &'a Spot);

/// Returns the claims of different tenants that exclude each other. Of several conflicts of one claim it returns the
/// first.
pub(super) fn conflicts<'a>(tenants: impl Iterator<Item = (&'a TenantName, &'a TenantClaims)>) -> Vec<Conflict<'a>> {
    let own = |(tenant, claims): (&'a TenantName, &'a TenantClaims)| {
        claims.0.iter().map(move |(claim, spot)| (tenant, claim, spot))
    };
    let claimants: Vec<Claimant<'a>> = tenants.flat_map(own).collect();
    let mut found = conflicts_with_the_vendor(&claimants);
    let mut users: BTreeMap<&UserName, Claimant<'a>> = BTreeMap::new();
    let mut external_ids: BTreeMap<&ExternalId, (&RoleArn, Claimant<'a>)> = BTreeMap::new();
    // A prefix follows directly after the prefixes that contain it.
    let mut prefixes: BTreeMap<(&BucketId, &Prefix, &TenantName), (bool, Claimant<'a>)> = BTreeMap::new();
    for claimant in claimants {
        let (tenant, claim, _) = claimant;
        match claim {
            TenantClaim::User(name) => {
                let first = *users.entry(name).or_insert(claimant);
                if first.0 != tenant {
                    found.push(conflict(first, claimant, name_conflict(name, first.2)));
                }
            }
            TenantClaim::ExternalId(id, role) => {
                let (first_role, first) = *external_ids.entry(id).or_insert((role, claimant));
                if first_role != role && first.0 != tenant {
                    let message = format!("is that of another role at {}; it takes one of its own", first.2);
                    found.push(conflict(first, claimant, message));
                }
            }
            TenantClaim::Prefix { bucket, prefix, is_shared } => {
                prefixes.entry((bucket, prefix, tenant)).or_insert((*is_shared, claimant));
            }
            TenantClaim::VendorRole(_) | TenantClaim::VendorExternalId(_) => {}
        }
    }
    let mut around: Vec<(&BucketId, &Prefix, bool, Claimant<'a>)> = Vec::new();
    for ((bucket, prefix, tenant), (is_shared, claimant)) in prefixes {
        while around.pop_if(|(b, p, ..)| *b != bucket || !p.contains(prefix)).is_some() {}
        let excludes = |(_, _, outer_is_shared, outer): &&(_, _, bool, Claimant<'_>)| {
            outer.0 != tenant && !(*outer_is_shared && is_shared)
        };
        if let Some((_, outer_prefix, _, outer)) = around.iter().find(excludes) {
            let message = format!(
                "`{}` lies in `{}` of tenant `{}` ({}); it takes a prefix apart, or `allow_shared_prefix = true` in \
                 `[storage]` of both",
                prefix.as_str(),
                outer_prefix.as_str(),
                outer.0,
                outer.2
            );
            found.push(conflict(*outer, claimant, message));
        }
        around.push((bucket, prefix, is_shared, claimant));
    }
    found
}

/// Returns the roles and external IDs of tenants that are a vendor's role, or its external ID, of other tenants.
fn conflicts_with_the_vendor<'a>(claimants: &[Claimant<'a>]) -> Vec<Conflict<'a>> {
    let mut roles: BTreeMap<&RoleArn, Claimant<'a>> = BTreeMap::new();
    let mut external_ids: BTreeMap<&ExternalId, Claimant<'a>> = BTreeMap::new();
    for claimant in claimants {
        match claimant.1 {
            TenantClaim::VendorRole(arn) => {
                roles.entry(arn).or_insert(*claimant);
            }
            TenantClaim::VendorExternalId(id) => {
                external_ids.entry(id).or_insert(*claimant);
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for claimant in claimants {
        let TenantClaim::ExternalId(id, arn) = claimant.1 else { continue };
        let (role, external_id) = (roles.get(arn), external_ids.get(id));
        for (vendor, what) in [(role, "its role is"), (external_id, "is that of")] {
            if let Some(vendor) = vendor.filter(|vendor| vendor.0 != claimant.0) {
                let message = format!("{what} the vendor's role at {}; the tenant takes one of its own", vendor.2);
                found.push(conflict(*vendor, *claimant, message));
            }
        }
    }
    found
}

/// The conflict of two claims, reported at the second.
fn conflict<'a>(one: Claimant<'a>, other: Claimant<'a>, message: String) -> Conflict<'a> {
    Conflict { sides: [(one.0, one.1), (other.0, other.1)], problem: other.2.problem(message) }
}
