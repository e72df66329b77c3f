//! A small S3 for `wharfinger demo` and for tests: s3s speaks the protocol, a flat sorted key store keeps the objects.
//!
//! It behaves as S3 does where the server relies on it: objects appear whole or not at all, conditions and checksums
//! are checked, listings sort by UTF-8 bytes, `k` may lie beside `k/b`, directory markers are objects like any other.
//! It knows no versions, tags, ACLs, `UploadPartCopy` or creation of buckets, and of an object's headers it keeps the
//! content type and the user metadata.
//!
//! ETags are unique to each write and never look like an MD5, as those of KMS-encrypted objects: hashing would cost
//! more than everything else here together.
//!
//! ```text
//! server → auth (signature, counts, failures) → service → objects · multipart · listing → store → memory | directory
//! ```
//!
//! It listens on loopback only.

mod auth;
mod checksum;
mod data;
mod directory;
mod error;
mod files;
mod intake;
mod listing;
mod lists;
mod memory;
mod multipart;
mod objects;
mod record;
mod requests;
mod server;
mod service;
mod store;
mod uploads;

pub use requests::Failure;
pub use server::{Running, S3, StartError};

use std::{net::SocketAddr, path::PathBuf};

/// What the S3 is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Pairs of access key and secret.
    pub credentials: Vec<(String, String)>,
    /// The buckets that exist. A [`Storage::Directory`] adds those that it holds already.
    pub buckets: Vec<String>,
    /// Where the objects lie.
    pub storage: Storage,
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
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{nanos:016x}-{:08x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The lock's content. A panic elsewhere doesn't spoil it: every critical section here leaves its data whole.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
