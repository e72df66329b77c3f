//! Hashes and checks passwords with argon2id, in the PHC string format.
//!
//! A check takes memory and CPU on purpose, before the client has proved its identity. Therefore the number of
//! concurrent checks and their memory are bounded, and each check reuses the buffer of an earlier one. A check does the
//! same work whether a hash exists or not.

use super::check_memory::CheckMemory;
use crate::account::{PasswordHash, password_hash::Argon2id};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self, PasswordHasher as _,
        phc::{Output, Salt},
    },
};
use parking_lot::RwLock;
use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};
use tokio::sync::Semaphore;
use tracing::warn;
use zeroize::Zeroizing;

/// The maximum length of a password, in bytes. No user has a longer one, so a login with one is refused without any
/// work.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// The length of the decoy's salt.
const SALT_BYTES: usize = 16;

/// The reason why a password is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// The password is empty.
    #[error("the password is empty")]
    Empty,
    /// The password exceeds [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The system returned no random salt, or no memory.
    #[error("the password could not be hashed: {0}")]
    Unhashed(password_hash::Error),
}

/// Hashes `password` with argon2id and a new salt: 19 MiB of memory, two passes, one lane (OWASP's recommendation).
///
/// Takes tens of milliseconds of CPU.
///
/// # Errors
/// The password is empty or too long, or the system has no randomness or memory.
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

/// Returns the memory of a check, in blocks of 1 KiB. All lanes share it.
fn blocks(hash: &PasswordHash) -> usize {
    hash.argon2id().params.block_count()
}

/// True if `password` matches `hash`. `memory` has at least [`blocks`] blocks; their content doesn't matter.
fn matches(hash: &PasswordHash, password: &str, memory: &mut [Block]) -> bool {
    let Argon2id { version, params, salt, output } = hash.argon2id();
    let argon2 = Argon2::new(Algorithm::Argon2id, *version, params.clone());
    let mut computed = [0; Output::MAX_LENGTH];
    let Some(computed) = computed.get_mut(..output.len()) else { return false };
    if argon2.hash_password_into_with_memory(password.as_bytes(), salt, computed, memory).is_err() {
        return false;
    }
    // `Output` compares in constant time.
    Output::new(computed).is_ok_and(|computed| computed == *output)
}

/// Returns the memory that `concurrent` checks of passwords may need at a time, in bytes, if the users have `hashes`.
#[must_use]
pub fn check_bytes<'a>(hashes: impl IntoIterator<Item = &'a PasswordHash>, concurrent: NonZeroUsize) -> u64 {
    // Without hashes a check does the work of a usual one.
    let largest = hashes.into_iter().map(blocks).max().unwrap_or_else(|| Params::default().block_count());
    (largest as u64).saturating_mul(Block::SIZE as u64).saturating_mul(concurrent.get() as u64)
}

/// More blocks than any number of checks need, and fewer than a semaphore has permits.
const MAX_BLOCKS: u32 = u32::MAX >> 3;

/// Checks a bounded number of passwords at a time.
pub(crate) struct Checker {
    permits: Arc<Semaphore>,
    memory: Arc<CheckMemory>,
    decoy: RwLock<PasswordHash>,
}

impl Checker {
    /// Creates a checker of `concurrent` passwords at a time. `hashes` are those of all users: for a user without a
    /// hash, a check does the work that most of these take.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new(hashes: &[PasswordHash], concurrent: NonZeroUsize) -> Result<Self, InvalidPassword> {
        let permits = Arc::new(Semaphore::new(concurrent.get().min(Semaphore::MAX_PERMITS)));
        let memory = Arc::new(CheckMemory::new(MAX_BLOCKS));
        Ok(Self { permits, memory, decoy: RwLock::new(decoy(hashes)?) })
    }

    /// Limits the memory of all checks together to `bytes`.
    pub(crate) fn within(self, bytes: u64) -> Self {
        let blocks = u32::try_from(bytes / Block::SIZE as u64).unwrap_or(MAX_BLOCKS).min(MAX_BLOCKS);
        Self { memory: Arc::new(CheckMemory::new(blocks)), ..self }
    }

    /// The memory of the checks.
    pub(super) fn memory(&self) -> &CheckMemory {
        &self.memory
    }

    /// From now on, checks without a hash do the work that most of `hashes` take. Without randomness they do as before.
    pub(crate) fn imitate(&self, hashes: &[PasswordHash]) {
        if let Ok(decoy) = decoy(hashes) {
            *self.decoy.write() = decoy;
        }
    }

    /// True if checks without a hash do the work of `hash`.
    #[cfg(test)]
    pub(super) fn imitates(&self, hash: &PasswordHash) -> bool {
        self.decoy.read().argon2id().params == hash.argon2id().params
    }

    /// True if `password` matches `hash`. Without a hash it returns false after the same work.
    pub(crate) async fn matches(&self, password: &str, hash: Option<&PasswordHash>) -> bool {
        let known = hash.is_some();
        let hash = hash.cloned().unwrap_or_else(|| self.decoy.read().clone());
        let password = Zeroizing::new(password.to_owned());
        let memory = Arc::clone(&self.memory);
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return false };
        let Some(admitted) = memory.admit(blocks(&hash)).await else { return false };
        let check = move || {
            // The work itself holds the permits: the caller may be gone long before the work ends.
            let _permits = (permit, admitted);
            memory.lend(blocks(&hash), |blocks| matches(&hash, &password, blocks)).unwrap_or_else(|error| {
                warn!(%error, "no memory to check a password");
                false
            })
        };
        tokio::task::spawn_blocking(check).await.is_ok_and(|matches| matches) && known
    }
}

/// Returns a hash that no password matches, as costly as the most common of `hashes`.
fn decoy(hashes: &[PasswordHash]) -> Result<PasswordHash, InvalidPassword> {
    let mut counts = BTreeMap::<_, (u32, Params)>::new();
    for hash in hashes {
        let params = &hash.argon2id().params;
        let cost = (params.m_cost(), params.t_cost(), params.p_cost());
        counts.entry(cost).or_insert_with(|| (0, params.clone())).0 += 1;
    }
    let usual = counts.into_values().max_by_key(|(count, _)| *count).map(|(_, params)| params);
    let params = usual.unwrap_or_default();
    let mut random = [0; SALT_BYTES + Output::MAX_LENGTH];
    let unhashed = || InvalidPassword::Unhashed(password_hash::Error::Crypto);
    getrandom::fill(&mut random).map_err(|_| unhashed())?;
    let (salt, output) = random.split_at(SALT_BYTES);
    let output = output.get(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)).unwrap_or(output);
    let salt = Salt::new(salt).map_err(|_| unhashed())?;
    let output = Output::new(output).map_err(|_| unhashed())?;
    Ok(Argon2id { version: Version::default(), params, salt, output }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::password_hash::{MAX_LANES, MAX_MEMORY_KIB};

    const CHEAP: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";

    #[test]
    fn a_hash_is_of_its_password_only() {
        let hash: PasswordHash = hash_password("alice-demo").unwrap().parse().unwrap();
        let mut memory = vec![Block::new(); blocks(&hash)];
        // The second check finds the first one's data in the memory.
        assert!(matches(&hash, "alice-demo", &mut memory) && matches(&hash, "alice-demo", &mut memory));
        assert!(!matches(&hash, "alice-demo ", &mut memory));
        assert_ne!(hash_password("alice-demo").unwrap(), hash_password("alice-demo").unwrap(), "salted");
    }

    #[test]
    fn passwords_that_could_never_log_in_are_not_hashed() {
        assert_eq!(hash_password(""), Err(InvalidPassword::Empty));
        assert_eq!(hash_password(&"x".repeat(MAX_PASSWORD_BYTES + 1)), Err(InvalidPassword::TooLong));
    }

    #[test]
    fn the_decoy_costs_what_most_users_cost() {
        let cheap: PasswordHash = CHEAP.parse().unwrap();
        let usual: PasswordHash = hash_password("x").unwrap().parse().unwrap();
        let params = |hash: &PasswordHash| hash.argon2id().params.clone();
        assert_eq!(params(&decoy(&[cheap.clone(), cheap.clone(), usual.clone()]).unwrap()), params(&cheap));
        let none = params(&decoy(&[]).unwrap());
        assert_eq!((none.block_count(), none.t_cost()), (blocks(&usual), params(&usual).t_cost()));
    }

    fn checker(concurrent: usize) -> Checker {
        Checker::new(&[], NonZeroUsize::new(concurrent).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn without_a_hash_nothing_matches() {
        let checker = checker(1);
        assert!(!checker.matches("x", None).await);
        let hash = hash_password("x").unwrap().parse().unwrap();
        assert!(checker.matches("x", Some(&hash)).await);
        assert!(!checker.matches("y", Some(&hash)).await);
    }

    /// Issue 12.6: one buffer for each permit, whatever the number of tries. An allocator would keep 19 MiB for each
    /// thread.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_memory_of_checks_is_that_of_as_many_as_run_at_a_time() {
        let checker = Arc::new(checker(2));
        let tries: Vec<_> = (0..40)
            .map(|_| {
                let checker = Arc::clone(&checker);
                tokio::spawn(async move { checker.matches("x", None).await })
            })
            .collect();
        for tried in tries {
            assert!(!tried.await.unwrap());
        }
        let kept = checker.memory.idle_blocks();
        assert!((1..=2).contains(&kept.len()), "{kept:?}");
        assert!(kept.iter().all(|blocks| *blocks == super::blocks(&checker.decoy.read())), "{kept:?}");
    }

    /// Issue 12.6: the largest accepted hashes, and those with many lanes, use the same buffers.
    #[tokio::test]
    async fn costly_hashes_and_those_of_many_lanes_share_the_buffers() {
        let checker = checker(1);
        for (memory_kib, lanes) in [(MAX_MEMORY_KIB, 1), (8 * MAX_LANES, MAX_LANES), (19 * 1024, 4)] {
            let params = Params::new(memory_kib, 1, lanes, None).unwrap();
            let made = Argon2::from(params).hash_password(b"right").unwrap();
            let hash: PasswordHash = made.to_string().parse().unwrap();
            assert!(checker.matches("right", Some(&hash)).await, "m={memory_kib}, p={lanes}");
            assert!(!checker.matches("wrong", Some(&hash)).await, "m={memory_kib}, p={lanes}");
        }
        let largest = usize::try_from(MAX_MEMORY_KIB).unwrap();
        assert_eq!(checker.memory.idle_blocks(), [largest]);
    }

    #[test]
    fn checks_need_as_much_as_the_largest_hash() {
        let (cheap, two): (PasswordHash, _) = (CHEAP.parse().unwrap(), NonZeroUsize::new(2).unwrap());
        assert_eq!(check_bytes([&cheap], two), 2 * 64 * 1024);
        let usual = hash_password("x").unwrap().parse().unwrap();
        assert_eq!(check_bytes([&usual, &cheap], two), 38 << 20);
        assert_eq!(check_bytes([], NonZeroUsize::MIN), 19 << 20);
    }
}
