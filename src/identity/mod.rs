//! Decides on a user's credentials: a [`Provider`] takes a credential from a client and returns its user, or a refusal.
//!
//! It doesn't depend on SSH: keys are parsed [`PublicKey`]s, and the caller has checked that the client possesses them.
//! A refusal never reveals its reason to the client: unknown, wrong and disabled cost the same work and look the same.

mod check_memory;
mod password;
mod static_provider;

pub use password::{InvalidPassword, MAX_PASSWORD_BYTES, check_bytes, hash_password};
pub use static_provider::StaticProvider;

pub use crate::account::PublicKey;
use crate::{name::LoginName, tenants::GrantedLogin};
use async_trait::async_trait;
use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

/// Decides on the credentials of users.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Decides on one credential that `source` presented for the login `name`. A name that no user can have is refused
    /// like an unknown one, after the same work.
    ///
    /// A key that is only offered gets the same answer as one that is proved: clients sign only with a key that the
    /// server takes. It is no login, so that a provider must neither count it nor act on it.
    async fn authenticate(&self, name: &LoginName, credential: Credential<'_>, source: IpAddr) -> ProviderAnswer;
}

/// A client's credential.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A password, in clear.
    Password(&'a str),
    /// A public key that the client offers and has not signed with.
    OfferedKey(&'a PublicKey),
    /// A public key whose private half the client has proved to possess.
    ProvedKey(&'a PublicKey),
}

impl Credential<'_> {
    /// Returns the method's name in SSH and in the log.
    #[must_use]
    pub(crate) const fn method(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::OfferedKey(_) | Self::ProvedKey(_) => "publickey",
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

/// The answer of a [`Provider`].
#[derive(Clone, Debug)]
pub enum ProviderAnswer {
    /// The credential is one of the user's. The directory may have changed during the check, so that the caller must
    /// ask it for confirmation before it lets the user in.
    Accepted(GrantedLogin),
    /// The credential belongs to no user, or its user may not log in.
    Refused {
        /// The reason, for the log only.
        reason: Reason,
    },
}

/// The reason why a login was refused: for the operator, never for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No user has this name.
    UnknownUser,
    /// No user has this name, but a tenant's file that the config refused has one.
    RefusedFile(Arc<str>),
    /// No user has this name, but tenants' files that can't be read may have one.
    UnreadableFiles(Arc<str>),
    /// The user, or the tenant, is disabled.
    Disabled,
    /// The user has no password.
    NoPassword,
    /// The password is wrong.
    WrongPassword,
    /// The password is longer than any valid password.
    OverlongPassword,
    /// The user doesn't have this key.
    UnknownKey,
}

impl Reason {
    /// Returns the words for the log.
    #[must_use]
    pub(crate) fn text(&self) -> Cow<'static, str> {
        let text = match self {
            Self::RefusedFile(file) => {
                return format!("unknown user: {file} has one of this name, and has a problem").into();
            }
            Self::UnreadableFiles(files) => {
                return format!("unknown user; these files have problems and may have one: {files}").into();
            }
            Self::UnknownUser => "unknown user",
            Self::Disabled => "user or tenant disabled",
            Self::NoPassword => "user has no password",
            Self::WrongPassword => "wrong password",
            Self::OverlongPassword => "overlong password",
            Self::UnknownKey => "unknown key",
        };
        text.into()
    }
}
