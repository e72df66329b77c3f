//! The live directory of tenants and users. Every part asks it by name, so that no part keeps a copy of the config.
//!
//! [`Tenants::swap`] replaces the directory in one step: a lookup finds the old one or the new one, never a mixture.
//! Values that are equal in both keep their `Arc`, so an `Arc` that differs tells that its value changed. A session
//! keeps the `Arc`s that it began with.
//!
//! Each part gets only the facts that it needs: [`Logins`] alone reveals credentials, and `identity` alone has it.

mod changes;
mod logins;
mod open_roles;
mod refused_files;

pub(crate) use changes::Changes;
pub use changes::DirectoryChanges;
pub use logins::{Candidate, GrantedLogin, Logins, Revoked, UsedCredential};
pub(crate) use open_roles::{OpenRole, UsedRole};
pub use refused_files::RefusedFiles;
pub(crate) use refused_files::RefusedUser;

use crate::{
    account::{Credentials, Storage, Tenant, User},
    name::{BucketId, Prefix, TenantName, UserName},
};
use arc_swap::ArcSwap;
use open_roles::OpenVerdicts;
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

/// A tenant of the directory.
#[derive(Clone, Debug)]
struct KnownTenant {
    tenant: Arc<Tenant>,
    storage: Arc<Storage>,
}

/// A user of the directory.
#[derive(Clone, Debug)]
struct KnownUser {
    user: Arc<User>,
    credentials: Arc<Credentials>,
    tenant: Arc<Tenant>,
    /// The bucket of the tenant.
    bucket: BucketId,
}

/// The live directory. Lookups take no lock.
#[derive(Debug)]
pub struct Tenants {
    directory: ArcSwap<Snapshot>,
    open_roles: ArcSwap<OpenVerdicts>,
}

#[derive(Debug, Default)]
struct Snapshot {
    generation: u64,
    tenants: HashMap<TenantName, KnownTenant>,
    users: HashMap<UserName, KnownUser>,
    refused: Arc<RefusedFiles>,
}

impl Tenants {
    /// A directory of these tenants. Of equal names the last one counts.
    #[must_use]
    pub fn new(setups: &[TenantSetup]) -> Self {
        let directory = ArcSwap::from_pointee(Snapshot::default().followed_by(setups));
        Self { directory, open_roles: ArcSwap::default() }
    }

    /// Replaces all tenants and users, and returns the differences.
    pub fn swap(&self, setups: &[TenantSetup]) -> DirectoryChanges {
        self.swap_with(setups, RefusedFiles::default())
    }

    /// Like [`Tenants::swap`]. `refused` are the files that aren't among the tenants.
    pub(crate) fn swap_with(&self, setups: &[TenantSetup], refused: RefusedFiles) -> DirectoryChanges {
        let (refused, mut swapped) = (Arc::new(refused), None);
        let former = self.directory.rcu(|directory| {
            let next = Snapshot { refused: Arc::clone(&refused), ..directory.followed_by(setups) };
            Arc::clone(swapped.insert(Arc::new(next)))
        });
        swapped.map(|next| DirectoryChanges::between(&former, &next)).unwrap_or_default()
    }

    /// The number of swaps before this moment.
    #[must_use]
    fn generation(&self) -> u64 {
        self.directory.load().generation
    }

    /// The storage of a tenant.
    #[must_use]
    pub(crate) fn storage(&self, tenant: &TenantName) -> Option<Arc<Storage>> {
        self.directory.load().tenants.get(tenant).map(|known| Arc::clone(&known.storage))
    }

    /// The prefix below which a tenant's mounts lie.
    #[must_use]
    pub(crate) fn prefix(&self, tenant: &TenantName) -> Option<Prefix> {
        self.directory.load().tenants.get(tenant).map(|known| known.storage.prefix.clone())
    }

    /// The user of this name, if it belongs to the tenant.
    #[must_use]
    pub(crate) fn user_of(&self, tenant: &TenantName, user: &UserName) -> Option<Arc<User>> {
        let directory = self.directory.load();
        let known = directory.users.get(user).filter(|known| known.tenant.name == *tenant);
        known.map(|known| Arc::clone(&known.user))
    }

    /// All tenants, in the order of their names.
    #[must_use]
    pub(crate) fn tenants(&self) -> Vec<Arc<Tenant>> {
        let mut tenants: Vec<_> =
            self.directory.load().tenants.values().map(|known| Arc::clone(&known.tenant)).collect();
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        tenants
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
                let (tenant, bucket) = (Arc::clone(&tenant), storage.id.clone());
                next.users.insert(user.name.clone(), KnownUser { user, credentials, tenant, bucket });
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
