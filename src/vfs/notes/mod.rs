//! What one session remembers of its own doing. It is never the truth about storage: losing a note loses a shortcut,
//! or modes of directories, never a byte. What is true for all sessions of the node is in its cache.

mod denials;
mod directory_modes;
mod live;
mod partials;

pub(super) use denials::Denials;
pub(super) use directory_modes::DirectoryModes;
pub use live::UploadPath;
pub(super) use live::{Live, LiveEntry, LiveUploads, Resized};
pub(super) use partials::{Shown, ShownPartials};

use super::{Node, ahead::Ahead, directories::Directories, late::Late};
use crate::account::Tenant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The notes of one session, shared by its handles.
#[derive(Debug)]
pub(super) struct Notes {
    /// Attributes set after the object was stored.
    pub(super) late: Late,
    /// Attributes set on directories.
    pub(super) directories: Directories,
    /// Files that are being uploaded.
    pub(super) live: Arc<LiveUploads>,
    /// Uploads that were cut off, as far as they were shown.
    pub(super) partials: ShownPartials,
    /// Files that were listed and may be opened next.
    pub(super) ahead: Ahead,
    /// Uploads that S3 denied.
    pub(super) denials: Denials,
}

impl Notes {
    /// No note yet.
    pub(super) fn new(node: Arc<Node>, tenant: &Tenant) -> Self {
        let late = Late::new(Arc::clone(&node), tenant.name.clone());
        let directories = Directories::new(Arc::clone(&node), tenant.name.clone());
        let ahead = Ahead::new(node, tenant.fetch_ahead);
        let (live, partials, denials) = (Arc::default(), ShownPartials::default(), Denials::default());
        Self { late, directories, live, partials, ahead, denials }
    }
}

/// No note is ever left half written, so a panic elsewhere doesn't spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
