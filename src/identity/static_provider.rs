//! The users of the config files.

use super::{
    Credential, InvalidPassword, MAX_PASSWORD_BYTES, Provider, ProviderAnswer, PublicKey, Reason, password::Checker,
};
use crate::{
    name::LoginName,
    tenants::{Candidate, GrantedLogin, Logins, RefusedUser, UsedCredential},
};
use async_trait::async_trait;
use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
};

/// Checks passwords and keys of the users of the live directory.
pub struct StaticProvider {
    logins: Logins,
    passwords: Checker,
    /// The generation of the directory that the checks of unknown users imitate.
    imitated: AtomicU64,
}

impl StaticProvider {
    /// Creates a provider for the users of `logins`. It checks `password_checks` passwords at a time.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(logins: Logins, password_checks: NonZeroUsize) -> Result<Self, InvalidPassword> {
        let imitated = AtomicU64::new(logins.generation());
        let passwords = Checker::new(&logins.password_hashes(), password_checks)?;
        Ok(Self { logins, passwords, imitated })
    }

    /// Limits the memory of all password checks together to `bytes`. A check that needs more runs alone.
    #[must_use]
    pub(crate) fn within(self, bytes: u64) -> Self {
        Self { passwords: self.passwords.within(bytes), ..self }
    }

    /// Returns the memory of the password checks, in bytes.
    #[must_use]
    pub(crate) fn check_bytes(&self) -> u64 {
        self.passwords.memory().bytes()
    }

    /// Returns the memory of password checks that stays idle to the system. Never ends.
    pub(crate) async fn release_idle(&self) {
        self.passwords.memory().release_idle().await;
    }

    /// Returns the user of this name, if it may log in.
    fn user(&self, name: &LoginName) -> Result<Candidate, Reason> {
        let name = name.user().ok_or(Reason::UnknownUser)?;
        let candidate = self.logins.find(name).ok_or_else(|| match self.logins.find_refused(name) {
            Some(RefusedUser::Named(file)) => Reason::RefusedFile(file),
            Some(RefusedUser::Perhaps(files)) => Reason::UnreadableFiles(files),
            None => Reason::UnknownUser,
        })?;
        if candidate.is_enabled() { Ok(candidate) } else { Err(Reason::Disabled) }
    }

    async fn by_password(&self, name: &LoginName, password: &str) -> Result<GrantedLogin, Reason> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Reason::OverlongPassword);
        }
        let generation = self.logins.generation();
        if self.imitated.swap(generation, Ordering::Relaxed) != generation {
            self.passwords.imitate(&self.logins.password_hashes());
        }
        let candidate = self.user(name).and_then(|candidate| match candidate.credentials().password_hash.clone() {
            Some(hash) => Ok((candidate, hash)),
            None => Err(Reason::NoPassword),
        });
        // The work always comes before the answer, whatever the answer is.
        let hash = candidate.as_ref().ok().map(|(_, hash)| hash);
        let matches = self.passwords.matches(password, hash).await;
        let (candidate, hash) = candidate?;
        if matches { Ok(candidate.grant(UsedCredential::Password(hash))) } else { Err(Reason::WrongPassword) }
    }

    fn by_key(&self, name: &LoginName, key: &PublicKey) -> Result<GrantedLogin, Reason> {
        let candidate = self.user(name)?;
        let is_known = candidate.credentials().public_keys.contains(key);
        if is_known { Ok(candidate.grant(UsedCredential::Key(key.clone()))) } else { Err(Reason::UnknownKey) }
    }
}

#[async_trait]
impl Provider for StaticProvider {
    async fn authenticate(&self, name: &LoginName, credential: Credential<'_>, _source: IpAddr) -> ProviderAnswer {
        let grant = match credential {
            Credential::Password(password) => self.by_password(name, password).await,
            Credential::OfferedKey(key) | Credential::ProvedKey(key) => self.by_key(name, key),
        };
        grant.map_or_else(|reason| ProviderAnswer::Refused { reason }, ProviderAnswer::Accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Credentials, Mounts, PasswordHash, Permissions, Storage, Tenant, User},
        identity::hash_password,
        name::{Prefix, UserName},
        tenants::{TenantSetup, Tenants, UserSetup},
    };
    use std::{net::Ipv4Addr, sync::Arc};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";
    const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mallory";

    fn user(name: &str, tenant: &str, password: Option<&str>) -> UserSetup {
        let user = User {
            name: name.parse().unwrap(),
            tenant: tenant.parse().unwrap(),
            enabled: name != "disabled",
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        };
        let password_hash = password.map(|password| hash_password(password).unwrap().parse().unwrap());
        let credentials = Credentials { password_hash, public_keys: vec![KEY.parse().unwrap()] };
        UserSetup { user: Arc::new(user), credentials: Arc::new(credentials) }
    }

    fn tenant(name: &str, enabled: bool, users: Vec<UserSetup>) -> TenantSetup {
        let tenant = Tenant {
            enabled,
            max_object_bytes: 1 << 30,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
            ..Tenant::new(name.parse().unwrap())
        };
        let storage = Arc::new(Storage::of_a_test("acme/"));
        TenantSetup { tenant: Arc::new(tenant), storage, users }
    }

    fn provider() -> (StaticProvider, Arc<Tenants>) {
        let users = vec![
            user("alice", "acme", Some("right")),
            user("keys-only", "acme", None),
            user("disabled", "acme", Some("right")),
        ];
        let suspended = vec![user("suspended", "globex", Some("right"))];
        let setups = [tenant("acme", true, users), tenant("globex", false, suspended)];
        let (tenants, logins) = Tenants::with_logins(&setups);
        (StaticProvider::new(logins, NonZeroUsize::MIN).unwrap(), tenants)
    }

    #[tokio::test]
    async fn a_swap_of_the_directory_counts_from_the_next_login_on() {
        let (provider, tenants) = provider();
        let alice = async |password| {
            let name = LoginName::new("alice");
            let verdict = provider.authenticate(&name, Credential::Password(password), Ipv4Addr::LOCALHOST.into());
            matches!(verdict.await, ProviderAnswer::Accepted(_))
        };
        assert!(alice("right").await);
        tenants.swap(&[tenant("acme", true, vec![user("alice", "acme", Some("new"))])]);
        assert!(!alice("right").await && alice("new").await);
        let cheap: PasswordHash = CHEAP.parse().unwrap();
        let credentials = Arc::new(Credentials { password_hash: Some(cheap.clone()), public_keys: Vec::new() });
        let alice_of = UserSetup { credentials, ..user("alice", "acme", None) };
        tenants.swap(&[tenant("acme", true, vec![alice_of])]);
        assert!(!alice("right").await);
        assert!(provider.passwords.imitates(&cheap), "unknown users take the work that most users take now");
    }

    async fn login(user: &str, credential: Credential<'_>) -> Result<UserName, Reason> {
        match provider().0.authenticate(&LoginName::new(user), credential, Ipv4Addr::LOCALHOST.into()).await {
            ProviderAnswer::Accepted(grant) => Ok(grant.user.name.clone()),
            ProviderAnswer::Refused { reason } => Err(reason),
        }
    }

    #[tokio::test]
    async fn passwords() {
        assert_eq!(login("alice", Credential::Password("right")).await.unwrap().as_str(), "alice");
        let overlong = "x".repeat(MAX_PASSWORD_BYTES + 1);
        for (name, password, reason) in [
            ("alice", "wrong", Reason::WrongPassword),
            ("alice", "", Reason::WrongPassword),
            ("alice", &overlong, Reason::OverlongPassword),
            ("keys-only", "right", Reason::NoPassword),
            ("disabled", "right", Reason::Disabled),
            ("suspended", "right", Reason::Disabled),
            ("nobody", "right", Reason::UnknownUser),
            ("../alice\n", "right", Reason::UnknownUser),
            ("", "", Reason::UnknownUser),
        ] {
            assert_eq!(login(name, Credential::Password(password)).await, Err(reason), "{name:?}");
        }
    }

    #[tokio::test]
    async fn public_keys() {
        let (key, other) = (KEY.parse().unwrap(), OTHER.parse().unwrap());
        assert!(login("alice", Credential::ProvedKey(&key)).await.is_ok());
        for (name, key, reason) in [
            ("alice", &other, Reason::UnknownKey),
            ("disabled", &key, Reason::Disabled),
            ("suspended", &key, Reason::Disabled),
            ("nobody", &key, Reason::UnknownUser),
        ] {
            assert_eq!(login(name, Credential::ProvedKey(key)).await, Err(reason), "{name}");
        }
    }
}
