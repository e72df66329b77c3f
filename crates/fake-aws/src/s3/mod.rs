//! S3: s3s implements the protocol, and a flat sorted key store keeps the objects.
//!
//! Objects appear whole or not at all, conditions and checksums are checked, and listings sort by UTF-8 bytes. `k` and
//! `k/b` can coexist, and directory markers are ordinary objects. It has no versions, ACLs or creation of buckets. Of an
//! object's headers it keeps only the content type, the user metadata, the tags and the encryption.
//!
//! ETags are unique to each write and never look like an MD5, like those of KMS-encrypted objects. Hashing would cost
//! more than the rest of this S3 together.
//!
//! ```text
//! gate (signature, token, policies, counts, failures) → service → objects · multipart · listing
//! → store → memory | directory
//! ```
//!
//! Users, roles and policies come from [`iam`](crate::iam), and are enforced. Each operation requires the action that S3
//! requires. A bucket is reachable only from its own account, unless it is public. An access point is reachable from its
//! own account, and from those that its policy allows. Its alias stands in the bucket's place down to the store, and its
//! ARN in policies. A missing key is a 403 to callers who may not list the bucket. Session keys require their token until
//! they expire. The STS at the same address (`sts/`) opens the sessions.

mod body;
mod bucket;
mod caller;
mod checksum;
mod data;
mod direct;
mod directory;
mod encryption;
mod error;
mod files;
mod gate;
mod host;
mod kms;
mod listing;
mod lists;
mod memory;
mod multipart;
mod objects;
mod operations;
mod record;
mod service;
mod storage;
mod store;
mod tagging;
mod tags;
mod uploads;

pub use bucket::BucketSettings;
pub use directory::UnusableDirectory;
pub use storage::StorageKind;

pub(crate) use error::Error;
pub(crate) use gate::Gate;
pub(crate) use host::HostNames;
pub(crate) use kms::KmsKeys;
pub(crate) use service::Service;
