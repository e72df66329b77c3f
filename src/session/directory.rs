//! A directory that the client lists.

use super::SessionTree;
use crate::{
    name::VirtualPath,
    vfs::{DirectoryHandle, Entry, Result},
};
use std::sync::Arc;

/// An open directory. It records failures to list it.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    handle: DirectoryHandle,
    tree: Arc<SessionTree>,
}

impl OpenDirectory {
    pub(super) fn new(tree: &Arc<SessionTree>, handle: DirectoryHandle) -> Self {
        Self { handle, tree: Arc::clone(tree) }
    }

    /// Returns the path that the client opened.
    pub(crate) fn path(&self) -> &VirtualPath {
        self.handle.path()
    }

    /// Passes the next entries to `take`, as [`DirectoryHandle::next`] does.
    ///
    /// # Errors
    /// The storage's error, if no entry was taken. The next call tries again.
    pub(crate) async fn next(&mut self, take: impl FnMut(&Entry) -> bool) -> Result<usize> {
        let taken = match self.tree.vfs_of_request() {
            Ok(_) => self.handle.next(take).await,
            Err(error) => Err(error),
        };
        self.tree.recorded("READDIR", self.handle.path(), taken)
    }
}
