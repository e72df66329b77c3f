//! The tree that a user sees: mounts, permissions, files and directories, on objects that know nothing of them.
//! `SEMANTICS.md` states each behaviour; the tests quote it.
//!
//! One [`Vfs`] is one session's view. Each verb has a file of its own and goes the same way: what does the path mean
//! ([`Mounts::resolve`], which is the jail), may the user do that there ([`Mount::demand`]), then the storage. Requests
//! to S3 per verb are those of the design's table, and are asserted in `tests/requests.rs`.
//!
//! Invariant: no key is made here but by a mount's prefix, and no error holds one.

mod buckets;
mod error;
mod metadata;
mod mounts;
mod notes;
mod path;

pub use buckets::Buckets;
pub use error::{Error, Unsupported};
pub use metadata::{Kind, Metadata, NewAttributes, SetAttributes, Times};
pub use mounts::{InvalidMounts, Mount, Mounts, Place};
pub use path::{InvalidPath, VirtualPath};

/// What operations on the tree answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;
