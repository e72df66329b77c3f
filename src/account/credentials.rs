//! The things that a user may log in with. `identity` alone reads them: a session knows its user without them.

use super::{PasswordHash, PublicKey};

/// The credentials of one user, parsed when the config was read. `Debug` shows no password hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `None` where passwords are not accepted.
    pub password_hash: Option<PasswordHash>,
    /// The keys that get the user in.
    pub public_keys: Vec<PublicKey>,
}
