//! The user and the tenant of a session, as the directory has them now. A reload changes them while the session lives.
//!
//! A request takes the present values as it begins. Files that are open keep those of their OPEN.

use super::EndCause;
use crate::{
    account::{Mount, Tenant, User},
    name::{Prefix, VirtualPath},
    tenants::{GrantedLogin, Revoked, Tenants},
};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The login of a session, as the directory grants it.
#[derive(Debug)]
pub(super) struct SessionAccount {
    grant: Mutex<GrantedLogin>,
    /// Changes with the values of the user or the tenant.
    version: AtomicU64,
}

/// The mount of an open file: its entry and its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountOfFile {
    entry: VirtualPath,
    prefix: Prefix,
}

impl MountOfFile {
    fn is(&self, mount: &Mount) -> bool {
        self.entry == mount.entry && self.prefix == mount.prefix
    }
}

impl From<&Mount> for MountOfFile {
    fn from(mount: &Mount) -> Self {
        Self { entry: mount.entry.clone(), prefix: mount.prefix.clone() }
    }
}

impl SessionAccount {
    pub(super) fn new(grant: GrantedLogin) -> Self {
        Self { grant: Mutex::new(grant), version: AtomicU64::new(0) }
    }

    /// Returns the number of changes so far.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the present user and tenant.
    pub(super) fn current(&self) -> (Arc<User>, Arc<Tenant>) {
        let grant = self.grant.lock();
        (Arc::clone(&grant.user), Arc::clone(&grant.tenant))
    }

    /// Takes over the directory's values. `open` are the mounts of the open files.
    ///
    /// # Errors
    /// The cause for which the session must end.
    pub(super) fn follow(&self, tenants: &Tenants, open: &[MountOfFile]) -> Result<(), EndCause> {
        let mut grant = self.grant.lock();
        let now = tenants.confirm(&grant)?;
        let is_gone = |file: &MountOfFile| !now.user.mounts.iter().any(|mount| file.is(mount));
        if !open.is_empty() && (now.bucket() != grant.bucket() || open.iter().any(is_gone)) {
            return Err(EndCause::MountRemoved);
        }
        let is_changed = !Arc::ptr_eq(&now.user, &grant.user) || !Arc::ptr_eq(&now.tenant, &grant.tenant);
        *grant = now;
        if is_changed {
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }
}

impl From<Revoked> for EndCause {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            Revoked::UserRemoved => Self::UserRemoved,
            Revoked::Disabled => Self::Disabled,
            Revoked::CredentialRemoved => Self::CredentialRemoved,
        }
    }
}
