//! The live directory of tenants and users. Every part asks it by name, so that no part keeps a copy of the config.
//!
//! [`Tenants::swap`] replaces the directory in one step: a lookup finds the old one or the new one, never a mixture. Values
//! that are equal in both keep their `Arc`, so an `Arc` that differs tells that its value changed. A session keeps the
//! `Arc`s that it began with.

use crate::{
    account::{Credentials, Storage, Tenant, User},
    name::{TenantName, UserName},
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};

/// A tenant with its storage and its users, as the config states them.
#[derive(Clone, Debug)]
pub struct TenantSetup {
    /// Its name and limits.
    pub tenant: Arc<Tenant>,
    /// Its storage.
    pub storage: Arc<Storage>,
    /// Its users. A user's name is unique among all tenants.
    pub users: Vec<UserSetup>,
}

/// A user, and the credentials that the user may log in with.
#[derive(Clone, Debug)]
pub struct UserSetup {
    /// The user.
    pub user: Arc<User>,
    /// The user's credentials.
    pub credentials: Arc<Credentials>,
}

/// The answer to a lookup of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct KnownTenant {
    /// Its name and limits.
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) storage: Arc<Storage>,
}

/// The answer to a lookup of a user.
#[derive(Clone, Debug)]
pub(crate) struct KnownUser {
    pub(crate) user: Arc<User>,
    /// The user's credentials, for `identity` alone.
    pub(crate) credentials: Arc<Credentials>,
    /// The user's tenant.
    pub(crate) tenant: Arc<Tenant>,
}

/// The live directory. Lookups take no lock.
#[derive(Debug)]
pub struct Tenants {
    directory: ArcSwap<Snapshot>,
}

#[derive(Debug, Default)]
struct Snapshot {
    generation: u64,
    tenants: HashMap<TenantName, KnownTenant>,
    users: HashMap<UserName, KnownUser>,
}

impl Tenants {
    /// A directory of these tenants. Of equal names the last one counts.
    #[must_use]
    pub fn new(setups: &[TenantSetup]) -> Self {
        Self { directory: ArcSwap::from_pointee(Snapshot::default().followed_by(setups)) }
    }

    /// Replaces all tenants and users.
    pub fn swap(&self, setups: &[TenantSetup]) {
        self.directory.rcu(|directory| directory.followed_by(setups));
    }

    /// The number of swaps before this moment.
    #[must_use]
    pub(crate) fn generation(&self) -> u64 {
        self.directory.load().generation
    }

    #[must_use]
    pub(crate) fn tenant(&self, name: &TenantName) -> Option<KnownTenant> {
        self.directory.load().tenants.get(name).cloned()
    }

    /// The user of this name, whatever the tenant.
    #[must_use]
    pub(crate) fn user(&self, name: &UserName) -> Option<KnownUser> {
        self.directory.load().users.get(name).cloned()
    }

    /// All tenants, in the order of their names.
    #[must_use]
    pub(crate) fn tenants(&self) -> Vec<KnownTenant> {
        let mut tenants: Vec<_> = self.directory.load().tenants.values().cloned().collect();
        tenants.sort_by(|one, other| one.tenant.name.cmp(&other.tenant.name));
        tenants
    }

    /// All users, in no order.
    #[must_use]
    pub(crate) fn users(&self) -> Vec<KnownUser> {
        self.directory.load().users.values().cloned().collect()
    }
}

impl Snapshot {
    /// The next directory. It takes over the `Arc`s of equal values.
    fn followed_by(&self, setups: &[TenantSetup]) -> Self {
        let mut next = Self { generation: self.generation.wrapping_add(1), ..Self::default() };
        for setup in setups {
            let known = self.tenants.get(&setup.tenant.name);
            let tenant = reused(known.map(|known| &known.tenant), &setup.tenant);
            let storage = reused(known.map(|known| &known.storage), &setup.storage);
            for UserSetup { user, credentials } in &setup.users {
                let known = self.users.get(&user.name);
                let user = reused(known.map(|known| &known.user), user);
                let credentials = reused(known.map(|known| &known.credentials), credentials);
                let tenant = Arc::clone(&tenant);
                next.users.insert(user.name.clone(), KnownUser { user, credentials, tenant });
            }
            next.tenants.insert(tenant.name.clone(), KnownTenant { tenant, storage });
        }
        next
    }
}

/// The `Arc` of the former value if it equals the new one.
fn reused<T: PartialEq>(former: Option<&Arc<T>>, new: &Arc<T>) -> Arc<T> {
    Arc::clone(former.filter(|former| former == &new).unwrap_or(new))
}

#[cfg(test)]
mod tests;
