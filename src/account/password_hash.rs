//! A parsed password hash from the config: a PHC string of argon2id. `identity` checks passwords against it.

use argon2::{
    Params, Version,
    password_hash::phc::{Output, Salt},
};
use std::{fmt, str::FromStr, sync::Arc};

// Bounds on the cost of a hash in the config: a login causes this cost before its user is proved.
pub(crate) const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
pub(crate) const MAX_LANES: u32 = 16;

const ALGORITHM: &str = "argon2id";

/// The reason why a text is no acceptable password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPasswordHash {
    /// The text is no PHC string of argon2id with a salt and a hash.
    #[error("this is no argon2id hash (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`); `wharfinger hash-password` makes one")]
    NotArgon2id,
    /// A login would cost too much.
    #[error(
        "this hash costs too much: at most m={MAX_MEMORY_KIB}, t={MAX_PASSES} and p={MAX_LANES} are taken; \
         `wharfinger hash-password` makes a right one"
    )]
    TooCostly,
}

/// A complete argon2id hash of bounded cost. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<Argon2id>);

/// The parts of a PHC string of argon2id.
#[derive(PartialEq, Eq)]
pub(crate) struct Argon2id {
    pub(crate) version: Version,
    pub(crate) params: Params,
    pub(crate) salt: Salt,
    pub(crate) output: Output,
}

impl PasswordHash {
    pub(crate) fn argon2id(&self) -> &Argon2id {
        &self.0
    }
}

impl From<Argon2id> for PasswordHash {
    fn from(parts: Argon2id) -> Self {
        Self(Arc::new(parts))
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidPasswordHash;

    fn from_str(text: &str) -> Result<Self, InvalidPasswordHash> {
        let not_argon2id = InvalidPasswordHash::NotArgon2id;
        let hash = argon2::PasswordHash::new(text).map_err(|_| not_argon2id)?;
        let (ALGORITHM, Some(salt), Some(output)) = (hash.algorithm.as_str(), hash.salt, hash.hash) else {
            return Err(not_argon2id);
        };
        let params = Params::try_from(&hash).map_err(|_| not_argon2id)?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Err(InvalidPasswordHash::TooCostly);
        }
        let version = hash.version.map(Version::try_from).transpose().map_err(|_| not_argon2id)?;
        Ok(Argon2id { version: version.unwrap_or_default(), params, salt, output }.into())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidPasswordHash::*, *};

    const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";

    #[test]
    fn only_complete_affordable_argon2id_hashes_are_valid() {
        assert!(CHEAP.parse::<PasswordHash>().is_ok());
        for (bad, error) in [
            ("secret", NotArgon2id),
            ("", NotArgon2id),
            ("$2b$12$abcdefghijklmnopqrstuv", NotArgon2id),
            ("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", NotArgon2id),
            ("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", NotArgon2id),
            ("$argon2id$v=20$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", NotArgon2id),
            ("$argon2id$v=19$m=4000000,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", TooCostly),
            ("$argon2id$v=19$m=64,t=1000,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", TooCostly),
        ] {
            assert_eq!(bad.parse::<PasswordHash>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_hash_is_never_printed() {
        let hash = CHEAP.parse::<PasswordHash>().unwrap();
        assert_eq!(format!("{hash:?} {hash:#?}"), "PasswordHash(…) PasswordHash(…)");
    }
}
