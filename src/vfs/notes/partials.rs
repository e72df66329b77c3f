//! The cut-off uploads that this session was shown: a client that goes on with one must not be let begin an empty file
//! where it is gone by then, or its first bytes would be zeros.

use super::lock;
use crate::{name::VirtualPath, store::BoundedMap};
use std::sync::Mutex;

/// So many are remembered. A client asks just before it goes on.
const MAX_SHOWN: usize = 256;

/// Paths under which a cut-off upload was shown.
#[derive(Debug)]
pub(in crate::vfs) struct ShownPartials(Mutex<BoundedMap<VirtualPath, Shown>>);

/// What STAT said of one: it may have grown by now, or be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct Shown {
    pub(in crate::vfs) id: String,
    pub(in crate::vfs) bytes: u64,
}

impl Default for ShownPartials {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_SHOWN)))
    }
}

impl ShownPartials {
    pub(in crate::vfs) fn note(&self, path: &VirtualPath, shown: Shown) {
        lock(&self.0).insert(path.clone(), shown);
    }

    /// The client heard since that it is gone, or doesn't care.
    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        lock(&self.0).remove(path);
    }

    /// What the client takes for what is there.
    pub(in crate::vfs) fn shown(&self, path: &VirtualPath) -> Option<Shown> {
        lock(&self.0).find(path).cloned()
    }
}
