//! A small S3 for `wharfinger demo` and for tests: s3s implements the protocol, and a flat sorted key store keeps the
//! objects.
//!
//! It behaves as S3 does where the server relies on it. Objects appear whole or not at all, conditions and checksums
//! are checked, and listings sort by UTF-8 bytes. `k` and `k/b` can coexist, and directory markers are ordinary
//! objects. It has no versions, tags, ACLs or creation of buckets. Of an object's headers it keeps only the content
//! type and the user metadata.
//!
//! ETags are unique to each write and never look like an MD5, like those of KMS-encrypted objects. Hashing would cost
//! more than the rest of this S3 together.
//!
//! ```text
//! server → gate (signature, token, policies, counts, failures) → service → objects · multipart · listing
//!        → store → memory | directory
//! ```
//!
//! Users, roles and policies come from [`super::iam`], and are enforced. Each operation requires the action that S3
//! requires. A bucket is reachable only from its own account. A missing key is a 403 to callers who may not list the
//! bucket. Session keys require their token until they expire. The STS at the same address (`sts/`) opens the sessions.
//!
//! It listens on loopback only.

mod body;
mod caller;
mod checksum;
mod data;
mod directory;
mod error;
mod files;
mod gate;
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
pub(crate) use requests::Requests;
pub use server::{Running, S3, StartError};

use super::iam::{AccountId, IamRole, IamUser, Policy};
use crate::clock;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

/// Settings of the S3.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Users with access keys.
    pub users: Vec<IamUser>,
    /// Roles that callers may assume.
    pub roles: Vec<IamRole>,
    /// Buckets that exist, with their owners. A [`StorageKind::Directory`] may hold other buckets, which stay
    /// untouched.
    pub buckets: Vec<(String, AccountId)>,
    /// Lifetime of all sessions. `None` grants the lifetime that the caller asks for.
    pub session_lifetime: Option<Duration>,
    /// Storage of the objects.
    pub storage: StorageKind,
}

impl S3Settings {
    /// Settings on a free port of 127.0.0.1. One user may do everything in the account that owns all `buckets`.
    #[must_use]
    pub fn one_user(access_key_id: &str, secret_access_key: &str, buckets: &[&str], storage: StorageKind) -> Self {
        let user = IamUser {
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

/// Storage of the objects.
#[derive(Clone, Debug)]
pub enum StorageKind {
    /// In memory. The objects end with the process.
    Memory {
        /// Limit on objects, parts of open uploads and their names, in bytes. Writes beyond it are refused.
        max_bytes: u64,
    },
    /// Durably, in a directory of its own. Open multipart uploads end with the process.
    Directory(PathBuf),
}

/// Returns a unique name for an object, part or upload. Names ascend. Because of the dash, S3 tools don't mistake the
/// name for an MD5 when it serves as an ETag.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:016x}-{:08x}", COUNT.fetch_add(1, Ordering::Relaxed))
}
