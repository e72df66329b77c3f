//! Interrupted uploads that STAT showed to this session. A client that resumes one must not get an empty file if the
//! upload is gone by then: the file would begin with zeros.

use crate::{bounded::BoundedMap, name::VirtualPath};
use parking_lot::Mutex;

/// The most paths that are remembered. A client sends STAT just before it resumes.
const MAX_SHOWN: usize = 256;

/// The paths under which STAT showed an interrupted upload.
#[derive(Debug)]
pub(in crate::vfs) struct ShownUploads(Mutex<BoundedMap<VirtualPath, ShownUpload>>);

/// The interrupted upload that STAT showed. It may have grown since, or another may have replaced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct ShownUpload {
    pub(in crate::vfs) id: String,
    pub(in crate::vfs) bytes: u64,
}

impl Default for ShownUploads {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_SHOWN)))
    }
}

impl ShownUploads {
    pub(in crate::vfs) fn note(&self, path: &VirtualPath, shown: ShownUpload) {
        self.0.lock().insert(path.clone(), shown);
    }

    /// Forgets a path, because the client has learned that the upload is gone, or doesn't resume it.
    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        self.0.lock().remove(path);
    }

    /// Returns the interrupted upload that STAT showed last under the path.
    pub(in crate::vfs) fn find(&self, path: &VirtualPath) -> Option<ShownUpload> {
        self.0.lock().find(path).cloned()
    }
}
