//! The roles that STS grants without their external ID, and the tenants that use one.
//!
//! A verdict belongs to a role, and the directory says at each question which tenants use it. So a reload that changes a
//! tenant's role, or lets it accept an open one, counts at once.

use super::{KnownTenant, Tenants};
use crate::{
    account::{OpenBy, ProbedRole},
    name::TenantName,
};
use std::{collections::HashMap, sync::Arc};

/// The verdicts on the roles that are open.
pub(super) type OpenVerdicts = HashMap<ProbedRole, OpenBy>;

/// A role that a tenant uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedRole {
    pub(crate) tenant: TenantName,
    pub(crate) role: ProbedRole,
    /// True if the tenant's file accepts that it is open.
    pub(crate) accepts_open: bool,
}

/// A tenant whose role is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenRole {
    pub(crate) tenant: TenantName,
    pub(crate) role: ProbedRole,
    pub(crate) open_by: OpenBy,
    /// True if the tenant's file accepts it. Else the tenant's users can't log in.
    pub(crate) is_accepted: bool,
}

impl Tenants {
    /// Replaces the roles that are open.
    pub fn set_open_roles(&self, open: HashMap<ProbedRole, OpenBy>) {
        self.open_roles.store(Arc::new(open));
    }

    /// The role of a tenant, if it is open.
    #[must_use]
    pub(crate) fn open_role(&self, tenant: &TenantName) -> Option<OpenRole> {
        let open = self.open_roles.load();
        if open.is_empty() {
            return None;
        }
        self.directory.load().tenants.get(tenant).and_then(|known| known.open_role(&open))
    }

    /// All tenants whose roles are open, in the order of their names.
    #[must_use]
    pub(crate) fn open_roles(&self) -> Vec<OpenRole> {
        let open = self.open_roles.load();
        if open.is_empty() {
            return Vec::new();
        }
        let directory = self.directory.load();
        let mut tenants: Vec<_> = directory.tenants.values().filter_map(|known| known.open_role(&open)).collect();
        tenants.sort_by(|one, other| one.tenant.cmp(&other.tenant));
        tenants
    }

    /// The roles of all tenants that have one, in the order of the tenants' names.
    #[must_use]
    pub(crate) fn used_roles(&self) -> Vec<UsedRole> {
        let directory = self.directory.load();
        let mut roles: Vec<_> = directory.tenants.values().filter_map(KnownTenant::used_role).collect();
        roles.sort_by(|one, other| one.tenant.cmp(&other.tenant));
        roles
    }
}

impl KnownTenant {
    fn used_role(&self) -> Option<UsedRole> {
        let role = self.storage.credentials.role.as_ref()?;
        Some(UsedRole {
            tenant: self.tenant.name.clone(),
            role: ProbedRole::new(role, &self.storage.region),
            accepts_open: role.accept_without_external_id,
        })
    }

    fn open_role(&self, open: &OpenVerdicts) -> Option<OpenRole> {
        let UsedRole { tenant, role, accepts_open } = self.used_role()?;
        let open_by = *open.get(&role)?;
        Some(OpenRole { tenant, role, open_by, is_accepted: accepts_open })
    }
}
