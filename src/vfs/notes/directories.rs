//! Times and modes that this session set on directories: S3's directories have no version that the journal could name.

use super::lock;
use crate::{
    store::BoundedMap,
    vfs::{NewAttributes, VirtualPath},
};
use std::sync::Mutex;

/// Directories that can have attributes in a session.
const MAX_ENTRIES: usize = 4096;

/// Attributes that the session set, by path.
#[derive(Debug)]
pub(in crate::vfs) struct DirectoryAttributes(Mutex<BoundedMap<VirtualPath, NewAttributes>>);

impl Default for DirectoryAttributes {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_ENTRIES)))
    }
}

impl DirectoryAttributes {
    /// Adds to what is set on a directory.
    pub(in crate::vfs) fn add(&self, path: &VirtualPath, attributes: NewAttributes) {
        if attributes.is_empty() {
            return;
        }
        let mut map = lock(&self.0);
        let older = map.find(path).copied().unwrap_or_default();
        map.insert(path.clone(), older.updated(attributes));
    }

    /// The attributes of the directory.
    pub(in crate::vfs) fn find(&self, path: &VirtualPath) -> NewAttributes {
        lock(&self.0).find(path).copied().unwrap_or_default()
    }

    /// Takes out what is set on a directory and on those in it.
    pub(in crate::vfs) fn take_below(&self, directory: &VirtualPath) -> Vec<(VirtualPath, NewAttributes)> {
        lock(&self.0).take_where(|path| path == directory || path.is_below(directory))
    }

    /// The directory is gone, or is a file now.
    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        lock(&self.0).remove(path);
    }
}
