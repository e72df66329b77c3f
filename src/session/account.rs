//! The user and the tenant of a session, as the directory has them now. A reload changes them while the session lives.
//!
//! A request takes the present values as it begins. Files that are open keep those of their OPEN.

use super::EndCause;
use crate::{
    account::{Mount, Tenant, User},
    name::{BucketId, Prefix, VirtualPath},
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

/// The mount of an open file: its entry, and the place in storage that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountOfFile {
    entry: VirtualPath,
    bucket: BucketId,
    prefix: Prefix,
}

impl MountOfFile {
    /// The bucket is the tenant's at the time of the OPEN.
    pub(super) fn new(mount: &Mount, bucket: BucketId) -> Self {
        Self { entry: mount.entry.clone(), bucket, prefix: mount.prefix.clone() }
    }

    /// True if `mount`, in a tenant's `bucket`, has the same entry and leads to the same place.
    pub(super) fn is(&self, mount: &Mount, bucket: &BucketId) -> bool {
        self.entry == mount.entry && self.bucket == *bucket && self.prefix == mount.prefix
    }

    fn is_granted_by(&self, grant: &GrantedLogin) -> bool {
        grant.user.mounts.iter().any(|mount| self.is(mount, grant.bucket()))
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

    /// Returns the present user and tenant, and the tenant's bucket.
    pub(super) fn current(&self) -> (Arc<User>, Arc<Tenant>, BucketId) {
        let grant = self.grant.lock();
        (Arc::clone(&grant.user), Arc::clone(&grant.tenant), grant.bucket().clone())
    }

    /// True if `path` still leads to the mount of a file. A mount above it may be covered by a new one.
    pub(super) fn leads_to(&self, path: &VirtualPath, mount: &MountOfFile) -> bool {
        let grant = self.grant.lock();
        grant.user.mounts.covering(path).is_some_and(|covering| mount.is(covering, grant.bucket()))
    }

    /// Takes over the directory's values. `open` are the mounts of the open files.
    ///
    /// # Errors
    /// The cause for which the session must end.
    pub(super) fn follow<'a>(
        &self,
        tenants: &Tenants,
        open: impl IntoIterator<Item = &'a MountOfFile>,
    ) -> Result<(), EndCause> {
        let mut grant = self.grant.lock();
        let now = tenants.confirm(&grant)?;
        if !open.into_iter().all(|file| file.is_granted_by(&now)) {
            return Err(EndCause::MountRemoved);
        }
        let is_changed = !Arc::ptr_eq(&now.user, &grant.user)
            || !Arc::ptr_eq(&now.tenant, &grant.tenant)
            || now.bucket() != grant.bucket();
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
