//! The users of the config files.

use super::{Credential, InvalidPassword, MAX_PASSWORD_BYTES, Provider, PublicKey, Reason, Verdict, password::Checker};
use crate::{
    account::{Credentials, Tenant, User},
    name::UserName,
};
use async_trait::async_trait;
use std::{collections::HashMap, net::IpAddr, num::NonZeroUsize, sync::Arc};

/// Users with known passwords and keys.
pub struct StaticProvider {
    logins: HashMap<UserName, Login>,
    passwords: Checker,
}

/// A user, its tenant, and its credentials.
struct Login {
    user: Arc<User>,
    tenant: Arc<Tenant>,
    credentials: Arc<Credentials>,
}

impl StaticProvider {
    /// Creates a provider for `users`, each with its tenant. It checks `password_checks` passwords at a time. Of equal
    /// names the last one counts.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(
        users: impl IntoIterator<Item = (Arc<User>, Arc<Tenant>, Arc<Credentials>)>,
        password_checks: NonZeroUsize,
    ) -> Result<Self, InvalidPassword> {
        let login =
            |(user, tenant, credentials): (Arc<User>, _, _)| (user.name.clone(), Login { user, tenant, credentials });
        let logins: HashMap<_, _> = users.into_iter().map(login).collect();
        let hashes = logins.values().filter_map(|login| login.credentials.password_hash.as_ref());
        let passwords = Checker::new(hashes, password_checks)?;
        Ok(Self { logins, passwords })
    }

    /// Returns the login of `user`, if it may log in.
    fn login(&self, user: &str) -> Result<&Login, Reason> {
        let name: UserName = user.parse().map_err(|_| Reason::UnknownUser)?;
        let login = self.logins.get(&name).ok_or(Reason::UnknownUser)?;
        if login.user.enabled && login.tenant.enabled { Ok(login) } else { Err(Reason::Disabled) }
    }

    async fn by_password(&self, user: &str, password: &str) -> Result<&Login, Reason> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Reason::OverlongPassword);
        }
        let candidate = self.login(user).and_then(|login| match &login.credentials.password_hash {
            Some(hash) => Ok((login, hash)),
            None => Err(Reason::NoPassword),
        });
        // The work always comes before the answer, whatever the answer is.
        let matches = self.passwords.matches(password, candidate.ok().map(|(_, hash)| hash)).await;
        let (login, _) = candidate?;
        if matches { Ok(login) } else { Err(Reason::WrongPassword) }
    }

    fn by_key(&self, user: &str, key: &PublicKey) -> Result<&Login, Reason> {
        let login = self.login(user)?;
        if login.credentials.public_keys.contains(key) { Ok(login) } else { Err(Reason::UnknownKey) }
    }
}

#[async_trait]
impl Provider for StaticProvider {
    async fn authenticate(&self, user: &str, credential: Credential<'_>, _source: IpAddr) -> Verdict {
        let login = match credential {
            Credential::Password(password) => self.by_password(user, password).await,
            Credential::OfferedKey(key) | Credential::ProvedKey(key) => self.by_key(user, key),
        };
        match login {
            Ok(login) => Verdict::Accepted { user: Arc::clone(&login.user), tenant: Arc::clone(&login.tenant) },
            Err(reason) => Verdict::Refused { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Mounts, Permissions},
        identity::hash_password,
        name::Prefix,
    };
    use std::net::Ipv4Addr;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mallory";

    fn user(name: &str) -> User {
        User {
            name: name.parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        }
    }

    fn credentials(password: Option<&str>) -> Arc<Credentials> {
        let password_hash = password.map(|password| hash_password(password).unwrap().parse().unwrap());
        Arc::new(Credentials { password_hash, public_keys: vec![KEY.parse().unwrap()] })
    }

    fn tenant(enabled: bool) -> Arc<Tenant> {
        Arc::new(Tenant {
            name: "acme".parse().unwrap(),
            enabled,
            max_object_bytes: 1 << 30,
            fetch_ahead: true,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
        })
    }

    fn provider() -> StaticProvider {
        let disabled = User { enabled: false, ..user("disabled") };
        let users = [
            (Arc::new(user("alice")), tenant(true), credentials(Some("right"))),
            (Arc::new(user("keys-only")), tenant(true), credentials(None)),
            (Arc::new(disabled), tenant(true), credentials(Some("right"))),
            (Arc::new(user("suspended")), tenant(false), credentials(Some("right"))),
        ];
        StaticProvider::new(users, NonZeroUsize::MIN).unwrap()
    }

    async fn login(user: &str, credential: Credential<'_>) -> Result<UserName, Reason> {
        match provider().authenticate(user, credential, Ipv4Addr::LOCALHOST.into()).await {
            Verdict::Accepted { user, .. } => Ok(user.name.clone()),
            Verdict::Refused { reason } => Err(reason),
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
