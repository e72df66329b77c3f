//! The users of the config files.

use super::{
    Credential, InvalidPassword, InvalidPublicKey, MAX_PASSWORD_BYTES, PasswordHash, Provider, PublicKey, Reason,
    Verdict, password::Checker,
};
use crate::{
    account::{Tenant, User},
    name::UserName,
};
use async_trait::async_trait;
use std::{collections::HashMap, net::IpAddr, num::NonZeroUsize, sync::Arc};

/// Users whose passwords and keys are known beforehand.
pub struct StaticProvider {
    logins: HashMap<UserName, Login>,
    passwords: Checker,
}

/// A user, with what the config says of it parsed.
struct Login {
    user: Arc<User>,
    tenant: Arc<Tenant>,
    password: Option<PasswordHash>,
    keys: Vec<PublicKey>,
}

/// A user that can't be set up. `config` refuses such users earlier, with file and line.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLogin {
    /// The password hash doesn't parse.
    #[error("password hash of user `{0}`")]
    Password(UserName, #[source] InvalidPassword),
    /// A public key doesn't parse.
    #[error("public key of user `{0}`")]
    PublicKey(UserName, #[source] InvalidPublicKey),
    /// The system gives no random bytes.
    #[error("password checking")]
    Checker(#[source] InvalidPassword),
}

impl StaticProvider {
    /// A provider for `users`, each with its tenant, which checks `password_checks` passwords at a time. Of equal names
    /// the last one counts.
    ///
    /// # Errors
    /// A hash or a key that doesn't parse.
    pub fn new(
        users: impl IntoIterator<Item = (Arc<User>, Arc<Tenant>)>,
        password_checks: NonZeroUsize,
    ) -> Result<Self, InvalidLogin> {
        let logins = users
            .into_iter()
            .map(|(user, tenant)| Ok((user.name.clone(), Login::new(user, tenant)?)))
            .collect::<Result<HashMap<_, _>, InvalidLogin>>()?;
        let hashes = logins.values().filter_map(|login| login.password.as_ref());
        let passwords = Checker::new(hashes, password_checks).map_err(InvalidLogin::Checker)?;
        Ok(Self { logins, passwords })
    }

    /// Who `user` is, if it may log in.
    fn login(&self, user: &str) -> Result<&Login, Reason> {
        let name: UserName = user.parse().map_err(|_| Reason::UnknownUser)?;
        let login = self.logins.get(&name).ok_or(Reason::UnknownUser)?;
        if login.user.enabled && login.tenant.enabled { Ok(login) } else { Err(Reason::Disabled) }
    }

    async fn by_password(&self, user: &str, password: &str) -> Result<&Login, Reason> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Reason::OverlongPassword);
        }
        let candidate = self.login(user).and_then(|login| match &login.password {
            Some(hash) => Ok((login, hash)),
            None => Err(Reason::NoPassword),
        });
        // The work comes before the answer, whatever the answer is.
        let matches = self.passwords.matches(password, candidate.ok().map(|(_, hash)| hash)).await;
        let (login, _) = candidate?;
        if matches { Ok(login) } else { Err(Reason::WrongPassword) }
    }

    fn by_key(&self, user: &str, key: &PublicKey) -> Result<&Login, Reason> {
        let login = self.login(user)?;
        if login.keys.contains(key) { Ok(login) } else { Err(Reason::UnknownKey) }
    }
}

impl Login {
    fn new(user: Arc<User>, tenant: Arc<Tenant>) -> Result<Self, InvalidLogin> {
        let password = user.password_hash.as_deref().map(str::parse).transpose();
        let keys = user.public_keys.iter().map(|line| line.parse()).collect::<Result<_, _>>();
        Ok(Self {
            password: password.map_err(|e| InvalidLogin::Password(user.name.clone(), e))?,
            keys: keys.map_err(|e| InvalidLogin::PublicKey(user.name.clone(), e))?,
            user,
            tenant,
        })
    }
}

#[async_trait]
impl Provider for StaticProvider {
    async fn authenticate(&self, user: &str, credential: Credential<'_>, _source: IpAddr) -> Verdict {
        let login = match credential {
            Credential::Password(password) => self.by_password(user, password).await,
            Credential::PublicKey(key) => self.by_key(user, key),
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

    fn user(name: &str, password: Option<&str>) -> User {
        User {
            name: name.parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            password_hash: password.map(|p| hash_password(p).unwrap()),
            public_keys: vec![KEY.into()],
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        }
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
        let users = [
            (Arc::new(user("alice", Some("right"))), tenant(true)),
            (Arc::new(user("keys-only", None)), tenant(true)),
            (Arc::new(User { enabled: false, ..user("disabled", Some("right")) }), tenant(true)),
            (Arc::new(user("suspended", Some("right"))), tenant(false)),
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
        assert!(login("alice", Credential::PublicKey(&key)).await.is_ok());
        for (name, key, reason) in [
            ("alice", &other, Reason::UnknownKey),
            ("disabled", &key, Reason::Disabled),
            ("suspended", &key, Reason::Disabled),
            ("nobody", &key, Reason::UnknownUser),
        ] {
            assert_eq!(login(name, Credential::PublicKey(key)).await, Err(reason), "{name}");
        }
    }

    #[test]
    fn a_user_that_does_not_parse_is_named() {
        let broken = User { public_keys: vec!["nonsense".into()], ..user("alice", None) };
        let error = StaticProvider::new([(Arc::new(broken), tenant(true))], NonZeroUsize::MIN).err().unwrap();
        assert_eq!(error.to_string(), "public key of user `alice`");
    }
}
