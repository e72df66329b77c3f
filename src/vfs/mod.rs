//! A user's tree: mounts, permissions, files and directories, on top of plain objects. `SEMANTICS.md` states each
//! behaviour; the tests quote it.
//!
//! One [`Vfs`] is one session's view. Each operation has a file of its own and takes the same steps: it resolves the
//! path to a [`Place`] (the jail), checks the permission ([`Mount::demand`]), then uses the storage. The design's table
//! lists the S3 requests of each operation, and `tests/requests.rs` asserts them.
//!
//! Invariant: this module makes keys only from a mount's prefix, and no error holds a key.

mod attribute_writer;
mod cache;
mod create;
mod directory;
mod directory_attributes;
mod error;
mod failure_observer;
mod file_attributes;
mod former_attributes;
mod interrupted;
mod listed_uploads;
mod markers;
mod metadata;
mod mkdir;
mod mounts;
mod name_check;
mod node;
mod open_uploads;
mod prefetch;
mod read;
mod remove;
mod rename;
mod replace;
mod rmdir;
mod session_observer;
mod session_state;
mod set_attributes;
mod slash;
mod stat;
#[cfg(test)]
mod tests;
mod update;
mod upload;
mod write;

pub(crate) use crate::memory::{ConnectionMemory, MemoryUsage};
pub use crate::{
    journal::Journal,
    store::LeftoverObserver,
    upload::{Publication, Published},
};
pub(crate) use create::CreateOutcome;
pub use directory::{DirectoryHandle, Entry};
#[cfg(test)]
pub(crate) use error::samples;
pub use error::{Error, ErrorKind, Result, Unsupported};
pub use metadata::{Kind, Metadata, NewAttributes, SetAttributes, Times};
pub(crate) use mounts::{MountNumber, Place};
pub use node::Node;
pub use read::ReadHandle;
pub use replace::Replace;
pub use session_observer::SessionObserver;
pub(crate) use update::{Update, UpdateOutcome};
pub use upload::{ClosedUpload, CopyRange, PendingWrite, WriteHandle, WriteOptions};

use crate::{
    account::{Mount, Tenant, User},
    cloud::{Scope, SessionPacers},
    journal::Owner,
    name::VirtualPath,
    objects::SessionId,
    store::{Bucket, NoObserver},
};
use cache::{Change, CredentialScope, FailedUploads, ScopedName};
use file_attributes::NamedObject;
pub(crate) use open_uploads::UploadPath;
use session_state::SessionState;
use std::sync::Arc;

/// One session's view of its user's tree. All methods take `&self` and may run concurrently. The caller orders requests
/// that touch the same path.
#[derive(Debug)]
pub struct Vfs {
    tenant: Arc<Tenant>,
    user: Arc<User>,
    node: Arc<Node>,
    session: Arc<SessionState>,
    session_id: SessionId,
    rates: Option<Arc<SessionPacers>>,
}

impl Vfs {
    /// Creates the tree of `user` for one session of `node`. Does no IO.
    #[must_use]
    pub fn new(user: &Arc<User>, tenant: &Arc<Tenant>, node: &Arc<Node>) -> Self {
        Self::observed("".into(), user, tenant, node, Arc::new(NoObserver))
    }

    /// The same with the session's id in its records, and an observer of its uploads.
    #[must_use]
    pub(crate) fn observed(
        session: Arc<str>,
        user: &Arc<User>,
        tenant: &Arc<Tenant>,
        node: &Arc<Node>,
        observer: Arc<dyn SessionObserver>,
    ) -> Self {
        let (tenant, user) = (Arc::clone(tenant), Arc::clone(user));
        let session = Arc::new(SessionState::new(session, Arc::clone(node), &tenant, observer));
        Self { tenant, user, node: Arc::clone(node), session, session_id: SessionId::new(), rates: None }
    }

    /// The same with the rates that the session's requests to S3 keep to.
    #[must_use]
    pub(crate) fn paced_by(self, rates: Arc<SessionPacers>) -> Self {
        Self { rates: Some(rates), ..self }
    }

    /// Returns the same session's view for changed values of its user and tenant. Both views share the session's
    /// state. Open files keep the values of their OPEN.
    #[must_use]
    pub(crate) fn with_account(&self, user: Arc<User>, tenant: Arc<Tenant>) -> Self {
        let (node, session) = (Arc::clone(&self.node), Arc::clone(&self.session));
        session.prefetch.set_enabled(tenant.fetch_ahead);
        Self { tenant, user, node, session, session_id: self.session_id, rates: self.rates.clone() }
    }

    /// Returns the mount that holds `path`, if any.
    #[must_use]
    pub(crate) fn mount_of(&self, path: &VirtualPath) -> Option<&Mount> {
        self.user.mounts.covering(path)
    }

    /// Returns the number of the mount of `path`, if any.
    #[must_use]
    pub(crate) fn mount_number(&self, path: &VirtualPath) -> Option<MountNumber> {
        self.user.mounts.position(path).map(MountNumber)
    }

    /// Resolves `path` for this user.
    ///
    /// # Errors
    /// [`Error::InvalidPath`]: the path with its mount's prefix is too long for S3.
    fn resolve(&self, path: &VirtualPath) -> Result<Place<'_>> {
        Ok(mounts::resolve(&self.user.mounts, path)?)
    }

    /// Returns the directory in which the session starts.
    #[must_use]
    pub(crate) fn landing(&self) -> &VirtualPath {
        self.user.mounts.landing()
    }

    /// Parses a path from the client. A relative path starts at the landing directory, and an empty path means that
    /// directory.
    ///
    /// # Errors
    /// [`Error::InvalidPath`].
    pub(crate) fn path(&self, raw: &[u8]) -> Result<VirtualPath> {
        Ok(self.landing().join(raw)?)
    }

    /// True if this session is uploading a file that will appear under `path`.
    #[must_use]
    pub(crate) fn is_uploading(&self, path: &VirtualPath) -> bool {
        self.session.open_uploads.newest(path).is_some()
    }

    /// Waits for the end of this session's upload of `path`: its CLOSE was carried out, or its client left.
    pub(crate) async fn upload_end(&self, path: &VirtualPath) {
        self.session.open_uploads.end(path).await;
    }

    /// Records that this session failed to store a file of `bytes` bytes, for its later STATs.
    pub(crate) async fn note_failed_upload(&self, path: &VirtualPath, bytes: u64) {
        self.with_failed_uploads(path, |uploads, name| uploads.note(name, self.session_id, bytes)).await;
    }

    /// Deletes the record of this session's failed upload, because it uploads the file again.
    pub(crate) async fn forget_failed_upload(&self, path: &VirtualPath) {
        self.with_failed_uploads(path, |uploads, name| uploads.begin(name, self.session_id)).await;
    }

    /// True if a file of this size looks like one that this session failed to store within the last minute. False once
    /// any session of the node has stored or removed the file.
    pub(crate) async fn looks_like_failed_upload(&self, path: &VirtualPath, bytes: u64) -> bool {
        let looks = self.with_failed_uploads(path, |uploads, name| uploads.looks_like(name, self.session_id, bytes));
        looks.await.unwrap_or_default()
    }

    async fn with_failed_uploads<T>(
        &self,
        path: &VirtualPath,
        act: impl FnOnce(&FailedUploads, ScopedName<'_>) -> T,
    ) -> Option<T> {
        let Ok(Place::Object { mount, key }) = self.resolve(path) else { return None };
        let bucket = self.bucket(mount).await.ok()?;
        let scope = self.scope(mount);
        let name = ScopedName { scope: &scope, bucket: bucket.id(), key: &key };
        Some(act(&self.node.cache.failed_uploads, name))
    }

    /// Returns the tenant and the user, as the journal stores them.
    fn owner(&self) -> Owner {
        Owner { tenant: self.tenant.name.clone(), user: self.user.name.clone() }
    }

    /// Returns the values that the credentials for `mount` depend on.
    fn scope(&self, mount: &Mount) -> Arc<CredentialScope> {
        let (tenant, user) = (self.tenant.name.clone(), self.user.name.clone());
        Arc::new(CredentialScope { tenant, user, prefix: mount.prefix.clone(), permissions: mount.permissions })
    }

    /// Records a change in the cache, before the request is answered.
    fn changed(&self, file: NamedObject<'_>, change: Change) {
        self.node.cache.changed(file.bucket.id(), file.key, change);
    }

    /// Records that this session stored an object other than by an upload, which ends an outage and denials.
    fn note_stored(&self, named: NamedObject<'_>) {
        self.node.cache.outages.end(named.bucket.id(), named.scope);
        self.session.denials.end(named.bucket.id(), named.scope);
    }

    /// Returns the bucket of `mount`, with credentials for that mount.
    async fn bucket(&self, mount: &Mount) -> Result<Arc<dyn Bucket>> {
        let (tenant, user) = (&self.tenant.name, &self.user.name);
        let scope = Scope::new(tenant, user, &mount.prefix, mount.permissions).paced_by(self.rates.as_ref());
        Ok(self.node.buckets.bucket(scope).await?)
    }
}
