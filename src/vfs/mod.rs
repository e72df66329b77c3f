//! The tree that a user sees: mounts, permissions, files and directories, on objects that know nothing of them.
//! `SEMANTICS.md` states each behaviour; the tests quote it.
//!
//! One [`Vfs`] is one session's view. Each verb has a file of its own and goes the same way: what does the path mean
//! ([`Mounts::resolve`], which is the jail), may the user do that there ([`Mount::demand`]), then the storage. Requests
//! to S3 per verb are those of the design's table, and are asserted in `tests/requests.rs`.
//!
//! Invariant: no key is made here but by a mount's prefix, and no error holds one.

mod ahead;
mod append;
mod buckets;
mod directory;
mod error;
mod late;
mod metadata;
mod mkdir;
mod mounts;
mod node;
mod notes;
mod partial;
mod patch;
mod path;
mod read;
mod remove;
mod rename;
mod rmdir;
mod set_attributes;
mod stat;
#[cfg(test)]
mod tests;
mod upload;
mod write;

pub use crate::store::{Budget, Journal, Reservation};
pub use buckets::{Buckets, Scope};
pub use directory::{DirectoryHandle, Entry};
pub use error::{Error, Unsupported};
pub use metadata::{Kind, Metadata, NewAttributes, SetAttributes, Times};
pub use mounts::{InvalidMounts, Mount, Mounts, Place};
pub use node::Node;
pub use path::{InvalidPath, VirtualPath};
pub use read::ReadHandle;
pub use rename::Replace;
pub use upload::{CopyRange, WriteHandle};
pub use write::{PendingWrite, WriteOptions};

use crate::{
    account::{Tenant, User},
    store::Bucket,
};
use notes::Notes;
pub use notes::UploadPath;
use std::sync::Arc;

/// What operations on the tree answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One session's view of its user's tree. All methods take `&self` and may run at once; the order of requests that
/// touch the same path is the caller's business.
#[derive(Debug)]
pub struct Vfs {
    tenant: Arc<Tenant>,
    user: Arc<User>,
    mounts: Mounts,
    node: Arc<Node>,
    notes: Arc<Notes>,
}

impl Vfs {
    /// The tree of `user`, as one session of `node` sees it. No IO.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] when the user's mounts make no tree.
    pub fn new(user: &Arc<User>, tenant: &Arc<Tenant>, node: &Arc<Node>) -> Result<Self> {
        let mounts = Mounts::new(&user.mounts, &user.landing)?;
        let (tenant, user) = (Arc::clone(tenant), Arc::clone(user));
        let notes = Arc::new(Notes::new(Arc::clone(&node.journal), tenant.fetch_ahead));
        Ok(Self { tenant, user, mounts, node: Arc::clone(node), notes })
    }

    /// The directory in which the session starts.
    #[must_use]
    pub fn landing(&self) -> &VirtualPath {
        self.mounts.landing()
    }

    /// Reads a path as the client sent it; a relative one begins at the landing directory, and an empty one is it.
    ///
    /// # Errors
    /// [`Error::InvalidPath`].
    pub fn path(&self, raw: &[u8]) -> Result<VirtualPath> {
        Ok(self.landing().join(raw)?)
    }

    /// Whether this session is uploading a file that is to appear under `path`.
    #[must_use]
    pub fn is_uploading(&self, path: &VirtualPath) -> bool {
        self.notes.live.newest(path).is_some()
    }

    /// The storage behind `mount`, reached with credentials that are for it.
    async fn bucket(&self, mount: &Mount) -> Result<Arc<dyn Bucket>> {
        let (tenant, user) = (&self.tenant.name, &self.user.name);
        let scope = Scope { tenant, user, prefix: &mount.prefix, permissions: mount.permissions };
        Ok(self.node.buckets.bucket(scope).await?)
    }
}
