//! Modes that this session set on directories. They end with the session, and no other session sees them.

use crate::{bounded::BoundedMap, name::VirtualPath};
use parking_lot::Mutex;

/// The most directories of a session that have a mode.
const MAX_ENTRIES: usize = 4096;

/// Modes that the session set, by path.
#[derive(Debug)]
pub(in crate::vfs) struct DirectoryModes(Mutex<BoundedMap<VirtualPath, u32>>);

impl Default for DirectoryModes {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_ENTRIES)))
    }
}

impl DirectoryModes {
    pub(in crate::vfs) fn set(&self, path: &VirtualPath, mode: u32) {
        self.0.lock().insert(path.clone(), mode);
    }

    pub(in crate::vfs) fn find(&self, path: &VirtualPath) -> Option<u32> {
        self.0.lock().find(path).copied()
    }

    /// Moves the modes of a directory and of those below it to the new name. Modes that the new name had are dropped.
    pub(in crate::vfs) fn rename(&self, source: &VirtualPath, target: &VirtualPath) {
        let mut modes = self.0.lock();
        modes.take_where(|path| path == target || path.is_below(target));
        for (old, mode) in modes.take_where(|path| path == source || path.is_below(source)) {
            let name = old.relative_to(source).unwrap_or_default();
            let names = name.split('/').filter(|name| !name.is_empty());
            if let Some(new) = names.into_iter().try_fold(target.clone(), |path, name| path.child(name)) {
                modes.insert(new, mode);
            }
        }
    }

    /// Records that the directory was removed.
    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        self.0.lock().remove(path);
    }
}
