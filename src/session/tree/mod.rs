//! A session's view of its user's tree. The vfs is private to it: each verb leaves its record.

mod change;
mod open;
mod transfer;

pub use change::TreeChange;
pub use open::WriteOpening;
pub(super) use transfer::OpenTransfer;

use super::{Traffic, account::MountOfFile, audit::SessionAudit, registry::SessionEntry};
use crate::{
    account::Permission,
    events::{Event, Events, SessionUser},
    name::{BucketId, VirtualPath},
    vfs::{Error, Metadata, MountNumber, Result, Vfs},
};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use tokio::time::Instant;

/// A user's tree, as one channel of its session uses it. Its open files share it.
///
/// Records name requests as SFTP does, whatever the protocol.
#[derive(Debug)]
pub struct SessionTree {
    view: Mutex<AccountView>,
    pub(super) audit: SessionAudit,
    pub(super) entry: Arc<SessionEntry>,
    traffic: Arc<Traffic>,
}

/// The vfs for one version of the session's account.
#[derive(Clone, Debug)]
pub(in crate::session) struct AccountView {
    pub(super) version: u64,
    pub(super) vfs: Arc<Vfs>,
    /// The bucket of the tenant.
    pub(super) bucket: BucketId,
}

impl AccountView {
    /// Returns the mount that holds `path`, if any.
    pub(super) fn mount_of(&self, path: &VirtualPath) -> Option<MountOfFile> {
        self.vfs.mount_of(path).map(|mount| MountOfFile::new(mount, self.bucket.clone()))
    }
}

/// The tree of a channel that is open. Dropping it records the end of the channel's session. Files may still be open
/// then: a CLOSE that has arrived is carried out.
#[derive(Debug)]
pub struct OpenTree {
    tree: Arc<SessionTree>,
    since: Instant,
    reason: Option<String>,
}

impl OpenTree {
    /// Opens the tree and records the start of the session.
    pub(super) fn begin(who: Arc<SessionUser>, view: AccountView, events: Events, entry: Arc<SessionEntry>) -> Self {
        let audit = SessionAudit::new(who, events);
        audit.record(Event::SessionStarted);
        let traffic = Arc::new(Traffic::part_of(Arc::clone(&entry.traffic)));
        let tree = Arc::new(SessionTree { view: Mutex::new(view), audit, entry, traffic });
        Self { tree, since: Instant::now(), reason: None }
    }

    /// Returns the tree.
    #[must_use]
    pub fn tree(&self) -> &Arc<SessionTree> {
        &self.tree
    }

    /// Sets the reason for the record of the end. Without one the client ended the session in good order.
    pub fn set_end_reason(&mut self, reason: String) {
        self.reason = Some(reason);
    }
}

impl Drop for OpenTree {
    fn drop(&mut self) {
        let SessionTree { audit, traffic, .. } = &*self.tree;
        audit.record_end(self.since.elapsed(), traffic.received(), traffic.sent(), self.reason.take());
    }
}

impl SessionTree {
    /// Returns the user and the session's source. The id is the one in the tree's records.
    #[must_use]
    pub(crate) fn who(&self) -> &SessionUser {
        self.audit.who()
    }

    /// Returns the counters of protocol bytes.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Returns the vfs for the present values of the user and the tenant.
    pub(super) fn vfs(&self) -> Arc<Vfs> {
        Arc::clone(&self.view().vfs)
    }

    /// Returns the vfs for the present values, with the bucket.
    fn view(&self) -> MutexGuard<'_, AccountView> {
        let account = &self.entry.account;
        let mut view = self.view.lock();
        // The version is read before the values: values that are newer than their version are only read once more.
        let version = account.version();
        if version != view.version {
            let (user, tenant, bucket) = account.current();
            *view = AccountView { version, vfs: Arc::new(view.vfs.with_account(user, tenant)), bucket };
        }
        view
    }

    /// Returns the vfs for a new request.
    ///
    /// # Errors
    /// [`Error::SessionEnds`] if the session lost its rights: only open transfers may continue.
    pub(super) fn vfs_of_request(&self) -> Result<Arc<Vfs>> {
        self.entry.check_rights()?;
        Ok(self.vfs())
    }

    /// Like [`Self::vfs_of_request`], for a request that opens a file.
    ///
    /// # Errors
    /// [`Error::SessionEnds`].
    fn view_of_request(&self) -> Result<AccountView> {
        self.entry.check_rights()?;
        Ok(self.view().clone())
    }

    /// Checks that the next READDIR of a directory that was opened in `mount` may list it.
    ///
    /// # Errors
    /// [`Error::SessionEnds`]; [`Error::NotFound`] if the path leads to another place now; [`Error::Denied`].
    pub(super) fn check_listing(&self, path: &VirtualPath, mount: &MountOfFile) -> Result<()> {
        self.entry.check_rights()?;
        let view = self.view();
        let present = view.vfs.mount_of(path).filter(|present| mount.is(present, &view.bucket));
        Ok(present.ok_or(Error::NotFound)?.demand(Permission::List)?)
    }

    /// Returns the directory in which the session starts.
    #[must_use]
    pub(crate) fn landing(&self) -> VirtualPath {
        self.vfs().landing().clone()
    }

    /// Parses the path in the client's `request`. A relative path starts at the landing directory.
    ///
    /// # Errors
    /// [`Error::InvalidPath`].
    pub fn path(&self, request: &'static str, raw: &[u8]) -> Result<VirtualPath> {
        self.vfs().path(raw).inspect_err(|error| self.audit.record_no_path(request, raw, error))
    }

    /// Returns the number of the mount that holds `path`, if any.
    #[must_use]
    pub(crate) fn mount_number(&self, path: &VirtualPath) -> Option<MountNumber> {
        self.vfs().mount_number(path)
    }

    /// True if this tree is uploading a file that will appear under `path`.
    #[must_use]
    pub(crate) fn is_uploading(&self, path: &VirtualPath) -> bool {
        self.vfs().is_uploading(path)
    }

    /// Waits for the end of this tree's upload of `path`.
    pub(crate) async fn upload_end(&self, path: &VirtualPath) {
        self.vfs().upload_end(path).await;
    }

    /// True if this tree could take a file of this size for one that it failed to store within the last minute. False
    /// once any session of the node has stored or removed the file.
    pub(crate) async fn looks_like_failed_upload(&self, path: &VirtualPath, bytes: u64) -> bool {
        self.vfs().looks_like_failed_upload(path, bytes).await
    }

    /// Returns the attributes of `path`.
    ///
    /// # Errors
    /// Those of [`Vfs::stat`].
    pub async fn stat(&self, path: &VirtualPath) -> Result<Metadata> {
        let found = async { self.vfs_of_request()?.stat(path).await };
        self.recorded("STAT", path, found.await)
    }

    /// Returns the attributes of a directory, even if a file has the same name.
    ///
    /// # Errors
    /// Those of [`Vfs::stat_directory`].
    pub(crate) async fn stat_directory(&self, path: &VirtualPath) -> Result<Metadata> {
        let found = async { self.vfs_of_request()?.stat_directory(path).await };
        self.recorded("STAT", path, found.await)
    }

    /// Returns the reason why an OPEN for reading of a path in a directory's form fails.
    pub(crate) async fn refuse_to_open_directory(&self, path: &VirtualPath) -> Error {
        let error = match self.vfs_of_request() {
            Ok(vfs) => vfs.refuse_directory(path).await,
            Err(error) => error,
        };
        self.audit.record_failure("OPEN", path, &error);
        error
    }

    /// Records the failure of `request`, if `result` is one.
    pub(super) fn recorded<T>(&self, request: &'static str, path: &VirtualPath, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.audit.record_failure(request, path, error))
    }
}
