//! Passwords: made and checked as argon2id hashes in the PHC string format.
//!
//! A check takes memory and CPU on purpose, before anybody has proved anything. So it runs on a bounded number of
//! threads, and takes the same work whether there is a hash to check against or not.

use argon2::{
    Argon2, Params,
    password_hash::{
        self, PasswordHasher as _, PasswordVerifier as _,
        phc::{Output, ParamsString, Salt},
    },
};
use std::{collections::BTreeMap, str::FromStr, sync::Arc, thread};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The longest password, in bytes. Longer ones can't be set, so a login with one is refused without any work.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

// Bounds on what a hash in the config may cost: one login takes this much before it is known to be anybody's.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

const ALGORITHM: &str = "argon2id";

/// A password, or a hash of one, that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Nothing was given.
    #[error("the password is empty")]
    Empty,
    /// It exceeds [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The text is no PHC string of argon2id with salt and hash.
    #[error("this is no argon2id hash (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`); `wharfinger hash-password` makes one")]
    NotArgon2id,
    /// A login would cost too much.
    #[error(
        "this hash costs too much: at most m={MAX_MEMORY_KIB}, t={MAX_PASSES} and p={MAX_LANES} are taken; \
         `wharfinger hash-password` makes a right one"
    )]
    TooCostly,
    /// The system gave no random salt, or no memory.
    #[error("the password could not be hashed: {0}")]
    Unhashed(password_hash::Error),
}

/// Hashes `password` with argon2id under a new salt: 19 MiB of memory, two passes, one lane (OWASP's recommendation).
///
/// Takes tens of milliseconds of CPU.
///
/// # Errors
/// An empty or overlong password, or a system without randomness or memory.
pub fn hash_password(password: &str) -> Result<String, InvalidPassword> {
    match password.len() {
        0 => Err(InvalidPassword::Empty),
        1..=MAX_PASSWORD_BYTES => {
            let hash: argon2::PasswordHash =
                Argon2::default().hash_password(password.as_bytes()).map_err(InvalidPassword::Unhashed)?;
            Ok(hash.to_string())
        }
        _ => Err(InvalidPassword::TooLong),
    }
}

/// A hash that a password can be checked against: argon2id, complete, and of bounded cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash(Arc<argon2::PasswordHash>);

impl FromStr for PasswordHash {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        let hash = argon2::PasswordHash::new(text).map_err(|_| InvalidPassword::NotArgon2id)?;
        if hash.algorithm.as_str() != ALGORITHM || hash.salt.is_none() || hash.hash.is_none() {
            return Err(InvalidPassword::NotArgon2id);
        }
        let cost = Params::try_from(&hash).map_err(|_| InvalidPassword::NotArgon2id)?;
        if cost.m_cost() > MAX_MEMORY_KIB || cost.t_cost() > MAX_PASSES || cost.p_cost() > MAX_LANES {
            return Err(InvalidPassword::TooCostly);
        }
        Ok(Self(Arc::new(hash)))
    }
}

impl PasswordHash {
    fn matches(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), self.0.as_ref()).is_ok()
    }
}

/// Checks passwords, a few at a time.
pub struct Checker {
    permits: Arc<Semaphore>,
    decoy: PasswordHash,
}

impl Checker {
    /// A checker for users with `hashes`: where there is none, it does the work that most of these take.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn new<'a>(hashes: impl Iterator<Item = &'a PasswordHash>) -> Result<Self, InvalidPassword> {
        // Half of the cores, so that a flood of logins leaves the other half to those who are in.
        let threads = thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        Ok(Self { permits: Arc::new(Semaphore::new(threads)), decoy: decoy(hashes)? })
    }

    /// Whether `password` is the one of `hash`. Without a hash it never is, after the same work.
    pub async fn matches(&self, password: &str, hash: Option<&PasswordHash>) -> bool {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).clone();
        let password = Zeroizing::new(password.to_owned());
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return false };
        let check = move || {
            // Held by the work itself: the caller may be gone long before it ends.
            let _permit = permit;
            hash.matches(&password)
        };
        tokio::task::spawn_blocking(check).await.is_ok_and(|matches| matches) && known
    }
}

/// A hash that no password has, as costly as the most usual of `hashes`.
fn decoy<'a>(hashes: impl Iterator<Item = &'a PasswordHash>) -> Result<PasswordHash, InvalidPassword> {
    let mut counts = BTreeMap::<_, (u32, ParamsString)>::new();
    for PasswordHash(hash) in hashes {
        counts.entry(hash.params.as_str()).or_insert_with(|| (0, hash.params.clone())).0 += 1;
    }
    let usual = counts.into_values().max_by_key(|(count, _)| *count).map(|(_, params)| params);
    let params = match usual {
        Some(params) => params,
        None => ParamsString::try_from(&Params::DEFAULT).map_err(InvalidPassword::Unhashed)?,
    };
    let mut random = [0; 48];
    let unhashed = |_| InvalidPassword::Unhashed(password_hash::Error::Crypto);
    getrandom::fill(&mut random).map_err(unhashed)?;
    let (salt, output) = random.split_at(16);
    let algorithm = ALGORITHM.parse().map_err(|_| InvalidPassword::NotArgon2id)?;
    let hash = argon2::PasswordHash {
        algorithm,
        version: Some(argon2::Version::V0x13.into()),
        params,
        salt: Some(Salt::new(salt).map_err(|_| InvalidPassword::NotArgon2id)?),
        hash: Some(Output::new(output).map_err(|_| InvalidPassword::NotArgon2id)?),
    };
    Ok(PasswordHash(Arc::new(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";

    #[test]
    fn a_hash_is_of_its_password_only() {
        let hash: PasswordHash = hash_password("alice-demo").unwrap().parse().unwrap();
        assert!(hash.matches("alice-demo"));
        assert!(!hash.matches("alice-demo "));
        assert_ne!(hash_password("alice-demo").unwrap(), hash_password("alice-demo").unwrap(), "salted");
    }

    #[test]
    fn passwords_that_could_never_log_in_are_not_hashed() {
        assert_eq!(hash_password(""), Err(InvalidPassword::Empty));
        assert_eq!(hash_password(&"x".repeat(MAX_PASSWORD_BYTES + 1)), Err(InvalidPassword::TooLong));
    }

    #[test]
    fn only_complete_affordable_argon2id_hashes_are_taken() {
        assert!(CHEAP.parse::<PasswordHash>().is_ok());
        for (bad, error) in [
            ("secret", InvalidPassword::NotArgon2id),
            ("", InvalidPassword::NotArgon2id),
            ("$2b$12$abcdefghijklmnopqrstuv", InvalidPassword::NotArgon2id),
            ("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", InvalidPassword::NotArgon2id),
            ("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", InvalidPassword::NotArgon2id),
            ("$argon2id$v=19$m=4000000,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", InvalidPassword::TooCostly),
            ("$argon2id$v=19$m=64,t=1000,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBA", InvalidPassword::TooCostly),
        ] {
            assert_eq!(bad.parse::<PasswordHash>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn the_decoy_costs_what_most_users_cost() {
        let cheap: PasswordHash = CHEAP.parse().unwrap();
        let usual: PasswordHash = hash_password("x").unwrap().parse().unwrap();
        let params = |hash: &PasswordHash| Params::try_from(&*hash.0).unwrap();
        assert_eq!(params(&decoy([&cheap, &cheap, &usual].into_iter()).unwrap()), params(&cheap));
        assert_eq!(params(&decoy(std::iter::empty()).unwrap()), params(&usual));
    }

    #[tokio::test]
    async fn without_a_hash_nothing_matches() {
        let checker = Checker::new(std::iter::empty()).unwrap();
        assert!(!checker.matches("x", None).await);
        let hash = hash_password("x").unwrap().parse().unwrap();
        assert!(checker.matches("x", Some(&hash)).await);
        assert!(!checker.matches("y", Some(&hash)).await);
    }
}
