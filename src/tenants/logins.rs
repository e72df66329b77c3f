//! The users with their credentials, for `identity` alone, and the logins that it granted.
//!
//! A password check takes time, and the directory may be swapped meanwhile. So a [`GrantedLogin`] names the credential
//! that came in, and [`Tenants::confirm`] tells later whether the directory still grants the login.

use super::{KnownUser, RefusedUser, Snapshot, Tenants};
use crate::{
    account::{Credentials, PasswordHash, PublicKey, Tenant, User},
    name::{BucketId, UserName},
};
use std::sync::Arc;

/// The right to look users up with their credentials. Only [`Tenants::with_logins`] makes it, once for a directory, so
/// that the parts which hold the directory alone can't read credentials.
#[derive(Debug)]
pub struct Logins(Arc<Tenants>);

/// A user who wants to log in, as the directory was at one moment.
#[derive(Clone, Debug)]
pub struct Candidate {
    generation: u64,
    known: KnownUser,
}

/// The credential that a user logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedCredential {
    /// The password of this hash.
    Password(PasswordHash),
    /// The private half of this key.
    Key(PublicKey),
}

/// A login that a provider granted.
#[derive(Clone, Debug)]
pub struct GrantedLogin {
    /// The generation of the directory that has granted it.
    generation: u64,
    pub(crate) user: Arc<User>,
    pub(crate) tenant: Arc<Tenant>,
    /// The bucket of the tenant.
    bucket: BucketId,
    credential: UsedCredential,
}

impl GrantedLogin {
    /// Returns the bucket of the tenant.
    #[must_use]
    pub(crate) fn bucket(&self) -> &BucketId {
        &self.bucket
    }
}

/// The reason why the directory no longer grants a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The user was removed, or belongs to another tenant now.
    UserRemoved,
    /// The user or its tenant was disabled.
    Disabled,
    /// The user no longer has the credential.
    CredentialRemoved,
}

impl Logins {
    /// Returns the user of this name, whatever the tenant.
    #[must_use]
    pub fn find(&self, name: &UserName) -> Option<Candidate> {
        let directory = self.0.directory.load();
        let known = directory.users.get(name).cloned()?;
        Some(Candidate { generation: directory.generation, known })
    }

    /// Returns the part that refused files may have in a user that [`Logins::find`] doesn't find.
    #[must_use]
    pub(crate) fn find_refused(&self, name: &UserName) -> Option<RefusedUser> {
        self.0.directory.load().refused.find(name)
    }

    /// Returns the number of swaps of the directory before this moment.
    #[must_use]
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// Returns the password hashes of all users.
    #[must_use]
    pub(crate) fn password_hashes(&self) -> Vec<PasswordHash> {
        let directory = self.0.directory.load();
        directory.users.values().filter_map(|known| known.credentials.password_hash.clone()).collect()
    }
}

impl Candidate {
    /// True if neither the user nor the tenant is disabled.
    #[must_use]
    pub(crate) fn is_enabled(&self) -> bool {
        self.known.is_enabled()
    }

    /// Returns the user's credentials.
    #[must_use]
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.known.credentials
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> &KnownUser {
        &self.known
    }

    /// Grants the login. The caller has checked that the client has `credential`.
    #[must_use]
    pub fn grant(self, credential: UsedCredential) -> GrantedLogin {
        let Self { generation, known: KnownUser { user, tenant, bucket, .. } } = self;
        GrantedLogin { generation, user, tenant, bucket, credential }
    }
}

impl Tenants {
    /// Creates a directory of these tenants, and the right to read its users' credentials.
    #[must_use]
    pub fn with_logins(setups: &[super::TenantSetup]) -> (Arc<Self>, Logins) {
        let tenants = Arc::new(Self::new(setups));
        (Arc::clone(&tenants), Logins(tenants))
    }

    /// Returns the login as the directory grants it now, with the user's and the tenant's present values.
    ///
    /// # Errors
    /// The directory no longer grants it.
    pub fn confirm(&self, grant: &GrantedLogin) -> Result<GrantedLogin, Revoked> {
        let directory = self.directory.load();
        if directory.generation == grant.generation {
            return Ok(grant.clone());
        }
        directory.confirm(grant)
    }
}

impl Snapshot {
    fn confirm(&self, grant: &GrantedLogin) -> Result<GrantedLogin, Revoked> {
        let known = self.users.get(&grant.user.name).filter(|known| known.tenant.name == grant.tenant.name);
        let known = known.ok_or(Revoked::UserRemoved)?;
        if !known.is_enabled() {
            return Err(Revoked::Disabled);
        }
        if !known.has(&grant.credential) {
            return Err(Revoked::CredentialRemoved);
        }
        let candidate = Candidate { generation: self.generation, known: known.clone() };
        Ok(candidate.grant(grant.credential.clone()))
    }
}

impl KnownUser {
    fn is_enabled(&self) -> bool {
        self.user.enabled && self.tenant.enabled
    }

    fn has(&self, credential: &UsedCredential) -> bool {
        match credential {
            UsedCredential::Password(hash) => self.credentials.password_hash.as_ref() == Some(hash),
            UsedCredential::Key(key) => self.credentials.public_keys.contains(key),
        }
    }
}
