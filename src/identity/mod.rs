//! Who are you? A [`Provider`] takes what a client presents and says which user that is, or refuses.
//!
//! Knows nothing of SSH: keys come as parsed [`PublicKey`]s, whose possession the caller has proved. A refusal never
//! tells the client why: unknown, wrong and disabled cost the same work and look the same.

mod check_memory;
mod password;
mod static_provider;

pub use password::{InvalidPassword, MAX_PASSWORD_BYTES, hash_password};
pub use static_provider::StaticProvider;

pub use crate::account::PublicKey;
use crate::account::{Tenant, User};
use async_trait::async_trait;
use std::{fmt, net::IpAddr, sync::Arc};

/// Decides who may log in.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Decides on one credential that `source` presented for the login `user`, which is whatever the client sent.
    ///
    /// A public key is also asked about before its possession was proved; the answer must not depend on which.
    async fn authenticate(&self, user: &str, credential: Credential<'_>, source: IpAddr) -> Verdict;
}

/// What a client presents.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A password, in clear.
    Password(&'a str),
    /// A public key.
    PublicKey(&'a PublicKey),
}

impl Credential<'_> {
    /// The method's name in SSH and in the log.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::PublicKey(_) => "publickey",
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
pub enum Verdict {
    /// The credential is this user's.
    Accepted {
        /// Who logs in.
        user: Arc<User>,
        /// The tenant that the user belongs to.
        tenant: Arc<Tenant>,
    },
    /// It is nobody's, or its owner may not log in.
    Refused {
        /// Why, for the log only.
        reason: Reason,
    },
}

/// Why a login was refused: for the operator, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No user has this name.
    UnknownUser,
    /// The user, or the tenant, is disabled.
    Disabled,
    /// The user has no password.
    NoPassword,
    /// The password is another.
    WrongPassword,
    /// The password is longer than any that can be set.
    OverlongPassword,
    /// The key is none of the user's.
    UnknownKey,
}

impl Reason {
    /// The words for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown user",
            Self::Disabled => "user or tenant disabled",
            Self::NoPassword => "user has no password",
            Self::WrongPassword => "wrong password",
            Self::OverlongPassword => "overlong password",
            Self::UnknownKey => "unknown key",
        }
    }
}
