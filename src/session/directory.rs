//! A directory that the client lists.

use super::{SessionTree, account::MountOfFile};
use crate::{
    name::VirtualPath,
    vfs::{DirectoryHandle, Entry, Result},
};
use std::sync::Arc;

/// An open directory. It records failures to list it.
#[derive(Debug)]
pub struct OpenDirectory {
    handle: DirectoryHandle,
    tree: Arc<SessionTree>,
    /// The mount that is listed. A directory that only leads to mounts has none.
    mount: Option<MountOfFile>,
}

impl OpenDirectory {
    pub(super) fn new(tree: &Arc<SessionTree>, handle: DirectoryHandle, mount: Option<MountOfFile>) -> Self {
        Self { handle, tree: Arc::clone(tree), mount }
    }

    /// Returns the path that the client opened.
    pub(crate) fn path(&self) -> &VirtualPath {
        self.handle.path()
    }

    /// Passes the next entries to `take`, as [`DirectoryHandle::next`] does. An open directory ends no session: each
    /// call needs the rights that the session has now.
    ///
    /// # Errors
    /// The session no longer has the rights; or the storage's error, if no entry was taken. The next call tries again.
    pub async fn next(&mut self, take: impl FnMut(&Entry) -> bool) -> Result<usize> {
        let may_list = match &self.mount {
            Some(mount) => self.tree.check_listing(self.handle.path(), mount),
            None => self.tree.vfs_of_request().map(drop),
        };
        let taken = match may_list {
            Ok(()) => self.handle.next(take).await,
            Err(error) => Err(error),
        };
        self.tree.recorded("READDIR", self.handle.path(), taken)
    }
}
