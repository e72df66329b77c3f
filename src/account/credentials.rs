//! A user's credentials. Only `identity` reads them: a session knows its user without them.

use super::{PasswordHash, PublicKey};

/// The parsed credentials of one user. `Debug` shows no password hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `None` if the user can't log in with a password.
    pub password_hash: Option<PasswordHash>,
    /// The public keys that the user can log in with.
    pub public_keys: Vec<PublicKey>,
}
