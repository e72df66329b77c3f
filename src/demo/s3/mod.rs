//! A small S3 for `wharfinger demo` and for tests: s3s speaks the protocol, a flat sorted key store keeps the objects.
//!
//! It behaves as S3 does where the server relies on it: objects appear whole or not at all, conditions and checksums
//! are checked, listings sort by UTF-8 bytes, `k` may lie beside `k/b`, directory markers are objects like any other.
//! It knows no versions, tags, ACLs or creation of buckets, and of an object's headers it keeps the
//! content type and the user metadata.
//!
//! ETags are unique to each write and never look like an MD5, as those of KMS-encrypted objects: hashing would cost
//! more than everything else here together.
//!
//! ```text
//! server → gate (signature, token, policies, counts, failures) → service → objects · multipart · listing
//!        → store → memory | directory
//! ```
//!
//! Users, roles and policies are those of [`super::iam`], and are enforced: each operation has the action that S3 asks
//! for, a bucket is reached from its own account only, a missing key is a 403 to who may not list the bucket, and the
//! keys of sessions want their token until they end. The STS at the same address (`sts/`) opens the sessions.
//!
//! It listens on loopback only.

mod caller;
mod checksum;
mod data;
mod directory;
mod error;
mod files;
mod gate;
mod intake;
mod levers;
mod listing;
mod lists;
mod memory;
mod multipart;
mod objects;
mod operations;
mod record;
mod requests;
mod server;
mod service;
mod store;
mod uploads;

pub use super::sts::AssumeRoleRequest;
pub use levers::Levers;
pub use requests::Failure;
pub(super) use requests::Requests;
pub use server::{Running, S3, StartError};

use super::iam::{AccountId, Policy, Role, User};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// What the S3 is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who has access keys.
    pub users: Vec<User>,
    /// What may be assumed.
    pub roles: Vec<Role>,
    /// The buckets that exist, and whose they are. Others that a [`Storage::Directory`] holds are left as they are.
    pub buckets: Vec<(String, AccountId)>,
    /// How long sessions last, if not as long as they ask for.
    pub session_lifetime: Option<Duration>,
    /// Where the objects lie.
    pub storage: Storage,
}

impl Settings {
    /// On a free port of 127.0.0.1, with one user who may do everything in the account that owns all `buckets`.
    #[must_use]
    pub fn one_user(access_key_id: &str, secret_access_key: &str, buckets: &[&str], storage: Storage) -> Self {
        let user = User {
            account: AccountId::EXAMPLE,
            name: "everything".to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            policy: Policy::everything(),
        };
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            users: vec![user],
            roles: Vec::new(),
            buckets: buckets.iter().map(|name| ((*name).to_owned(), AccountId::EXAMPLE)).collect(),
            session_lifetime: None,
            storage,
        }
    }
}

/// Where the objects lie.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory, gone at the end.
    Memory {
        /// The most that objects, parts of open uploads and their names may take. What doesn't fit is refused.
        max_bytes: u64,
    },
    /// In a directory of its own, durably. Open multipart uploads end with the process.
    Directory(PathBuf),
}

/// A name that no other object, part or upload has had, in ascending order. The dash keeps S3 tools from taking it for
/// the MD5 of the bytes when it serves as an ETag.
pub(super) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{nanos:016x}-{:08x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The lock's content. A panic elsewhere doesn't spoil it: every critical section here leaves its data whole.
pub(super) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
