//! The tenants that the server serves, as their files stated them when they were last without a problem.

use super::{
    problem::Problem,
    tenant_claims::{TenantClaims, conflicts},
};
use crate::{
    name::{TenantName, UserName},
    tenants::TenantSetup,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

/// The tenants, by name. No two of them exclude each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServedTenants(BTreeMap<TenantName, Arc<ServedTenant>>);

/// A tenant, as its file states it.
#[derive(Debug)]
pub(super) struct ServedTenant {
    pub(super) path: PathBuf,
    pub(super) setup: TenantSetup,
    pub(super) claims: TenantClaims,
}

/// A tenant's file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedTenant {
    pub(crate) path: PathBuf,
    /// The tenant, unless the file's name can't be one.
    pub(crate) name: Option<TenantName>,
    /// The users that the file names, as far as it could be read.
    pub(crate) users: Vec<UserName>,
    pub(crate) problems: Vec<Problem>,
    /// False if the file isn't TOML, or can't be read. It may then have users that nothing knows of.
    pub(crate) is_toml: bool,
    /// True if an earlier version of the file is in force.
    pub(crate) is_served: bool,
}

impl ServedTenants {
    pub(super) fn insert(&mut self, name: TenantName, tenant: ServedTenant) {
        self.0.insert(name, Arc::new(tenant));
    }

    pub(super) fn insert_shared(&mut self, name: TenantName, tenant: &Arc<ServedTenant>) {
        self.0.insert(name, Arc::clone(tenant));
    }

    pub(super) fn get(&self, name: &TenantName) -> Option<&Arc<ServedTenant>> {
        self.0.get(name)
    }

    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &TenantName> {
        self.0.keys()
    }

    /// Returns what the files state, in the order of the tenants' names.
    #[must_use]
    pub(crate) fn setups(&self) -> Vec<TenantSetup> {
        self.0.values().map(|tenant| tenant.setup.clone()).collect()
    }

    /// Completes these tenants, which were read without problems, with the `former` versions of the others, and puts
    /// back the former version of each tenant that excludes another one. Returns the tenants that were put back.
    ///
    /// Many tenants share a vendor's role. Of two tenants of which one works as the vendor's role of the other, the other stays
    /// unless the first was there before.
    ///
    /// Each round puts back at least one tenant. A former version may exclude a tenant that was right in the round
    /// before, so that there is another one.
    pub(super) fn resolve_conflicts(&mut self, former: &Self) -> Vec<RefusedTenant> {
        let mut refused: BTreeMap<TenantName, (Arc<ServedTenant>, Vec<Problem>)> = BTreeMap::new();
        let mut read: BTreeSet<TenantName> = self.0.keys().cloned().collect();
        for (name, tenant) in &former.0 {
            self.0.entry(name.clone()).or_insert_with(|| Arc::clone(tenant));
        }
        loop {
            let mut problems: BTreeMap<TenantName, Vec<Problem>> = BTreeMap::new();
            for conflict in conflicts(self.0.iter().map(|(name, tenant)| (name, &tenant.claims))) {
                let [one, other] = conflict.sides.map(|(name, claim)| {
                    let is_new = read.contains(name);
                    let had_it = !is_new || former.get(name).is_some_and(|tenant| tenant.claims.contains(claim));
                    (name, is_new, had_it, claim.is_of_the_vendor())
                });
                for ((name, is_new, had_it, is_shared), (_, _, other_had_it, _)) in [(one, other), (other, one)] {
                    if is_new && (other_had_it || !had_it && !is_shared) {
                        problems.entry(name.clone()).or_default().push(conflict.problem.clone());
                    }
                }
            }
            if problems.is_empty() {
                break;
            }
            for (name, problems) in problems {
                read.remove(&name);
                let tenant = match former.get(&name) {
                    Some(tenant) => self.0.insert(name.clone(), Arc::clone(tenant)),
                    None => self.0.remove(&name),
                };
                refused.extend(tenant.map(|tenant| (name, (tenant, problems))));
            }
        }
        let refused = refused.into_iter().map(|(name, (tenant, problems))| RefusedTenant {
            path: tenant.path.clone(),
            users: tenant.claims.users().cloned().collect(),
            problems,
            is_toml: true,
            is_served: former.get(&name).is_some(),
            name: Some(name),
        });
        refused.collect()
    }
}
