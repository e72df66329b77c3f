//! The tree that a user sees: mounts, permissions, files and directories, on objects that know nothing of them.
//! `SEMANTICS.md` states each behaviour; the tests quote it.
//!
//! One [`Vfs`] is one session's view. Each verb has a file of its own and goes the same way: what does the path mean
//! ([`Place`], which is the jail), may the user do that there ([`Mount::demand`]), then the storage. Requests
//! to S3 per verb are those of the design's table, and are asserted in `tests/requests.rs`.
//!
//! Invariant: no key is made here but by a mount's prefix, and no error holds one.

mod ahead;
mod attribute_writer;
mod buckets;
mod cache;
mod claims;
mod create;
mod directories;
mod directory;
mod error;
mod failure_observer;
mod late;
mod lease;
mod listed_uploads;
mod locks;
mod markers;
mod metadata;
mod mkdir;
mod mounts;
mod node;
mod notes;
mod outage;
mod partial;
mod patch;
mod read;
mod remove;
mod rename;
mod renamed_times;
mod rmdir;
mod room;
mod set_attributes;
mod slash;
mod stat;
#[cfg(test)]
mod tests;
mod update;
mod upload;
mod write;

pub use crate::store::{Budget, Journal, Reservation};
pub use buckets::{Buckets, Scope};
pub use create::Created;
pub use directory::{DirectoryHandle, Entry};
#[cfg(test)]
pub(crate) use error::samples;
pub use error::{Error, ErrorKind, Unsupported};
pub use metadata::{Kind, Metadata, NewAttributes, SetAttributes, Times};
pub use mounts::{MountNumber, Place};
pub use node::Node;
pub use read::ReadHandle;
pub use rename::Replace;
pub use slash::{ends_in_dots, names_a_directory};
pub use update::{OpenedUpdate, Update};
pub use upload::{CopyRange, WriteHandle};
use write::Writable;
pub use write::{PendingWrite, WriteOptions};

use crate::{
    account::{Mount, Tenant, User},
    name::VirtualPath,
    store::{Bucket, Owner},
};
use cache::{Change, CredentialScope, SessionId};
use late::Named;
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
    node: Arc<Node>,
    notes: Arc<Notes>,
    session: SessionId,
}

impl Vfs {
    /// The tree of `user`, as one session of `node` sees it. No IO.
    #[must_use]
    pub fn new(user: &Arc<User>, tenant: &Arc<Tenant>, node: &Arc<Node>) -> Self {
        let (tenant, user) = (Arc::clone(tenant), Arc::clone(user));
        let notes = Arc::new(Notes::new(Arc::clone(node), &tenant));
        Self { tenant, user, node: Arc::clone(node), notes, session: SessionId::new() }
    }

    /// The directory in which the session starts.
    #[must_use]
    pub fn landing(&self) -> &VirtualPath {
        self.user.mounts.landing()
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

    /// Remembers that a file of so many bytes could not be stored, for the STATs of this session.
    pub async fn note_failed_upload(&self, path: &VirtualPath, bytes: u64) {
        self.with_failed_uploads(path, |vfs, file| vfs.node.cache.failed.note(file.at(), vfs.session, bytes)).await;
    }

    /// Forgets that an upload of this session failed: it begins to upload the file again.
    pub async fn forget_failed_upload(&self, path: &VirtualPath) {
        self.with_failed_uploads(path, |vfs, file| vfs.node.cache.failed.begin(file.at(), vfs.session)).await;
    }

    /// True if a file of this size would be taken for one that this session could not store, a minute ago at most. No longer
    /// once any session of the node has stored or removed the file.
    pub async fn looks_like_failed_upload(&self, path: &VirtualPath, bytes: u64) -> bool {
        let looks = |vfs: &Self, file: Named<'_>| vfs.node.cache.failed.looks_like(file.at(), vfs.session, bytes);
        self.with_failed_uploads(path, looks).await.unwrap_or_default()
    }

    async fn with_failed_uploads<T>(&self, path: &VirtualPath, act: impl FnOnce(&Self, Named<'_>) -> T) -> Option<T> {
        let Ok(Place::Object { mount, key }) = self.resolve(path) else { return None };
        let bucket = self.bucket(mount).await.ok()?;
        let scope = self.scope(mount);
        Some(act(self, Named { path, scope: &scope, bucket: &*bucket, key: &key }))
    }

    /// The tenant and the user, as the journal names them.
    fn owner(&self) -> Owner {
        Owner { tenant: self.tenant.name.clone(), user: self.user.name.clone() }
    }

    /// All that the credentials for `mount` depend on.
    fn scope(&self, mount: &Mount) -> Arc<CredentialScope> {
        let (tenant, user) = (self.tenant.name.clone(), self.user.name.clone());
        Arc::new(CredentialScope { tenant, user, prefix: mount.prefix.clone(), permissions: mount.permissions })
    }

    /// Takes note of a change, before the request is answered.
    fn changed(&self, file: Named<'_>, change: Change) {
        self.node.cache.changed(file.bucket.id(), file.key, change);
    }

    /// The storage behind `mount`, reached with credentials that are for it.
    async fn bucket(&self, mount: &Mount) -> Result<Arc<dyn Bucket>> {
        let (tenant, user) = (&self.tenant.name, &self.user.name);
        let scope = Scope { tenant, user, prefix: &mount.prefix, permissions: mount.permissions };
        Ok(self.node.buckets.bucket(scope).await?)
    }
}
