//! What one session remembers of its own doing. It is never the truth about storage: losing a note loses a shortcut,
//! or attributes that were set too late to be stored, never a byte.

mod bounded;
mod late;
mod live;
mod seen;

pub(super) use late::LateAttributes;
pub(super) use live::{Live, LiveEntry, LiveUploads};
pub(super) use seen::{Seen, Sight};

use super::VirtualPath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The notes of one session, shared by its handles.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What was just seen in storage.
    pub(super) seen: Seen,
    /// Attributes set after the object was stored.
    pub(super) late: LateAttributes,
    /// Files that are being uploaded.
    pub(super) live: Arc<LiveUploads>,
}

impl Notes {
    /// Forgets what was known of a name that is gone. The directories around it may have gone with it.
    pub(super) fn forget(&self, path: &VirtualPath) {
        self.seen.forget(path);
        self.late.forget(path);
        let mut inner = path.parent();
        while let Some(directory) = inner {
            self.seen.doubt(&directory);
            inner = directory.parent();
        }
    }
}

/// No note is ever left half written, so a panic elsewhere doesn't spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
