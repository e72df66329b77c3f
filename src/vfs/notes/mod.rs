//! What one session remembers of its own doing. It is never the truth about storage: losing a note loses a shortcut,
//! or attributes that were set too late to be stored, never a byte.

mod late;
mod live;
mod partials;
mod seen;

pub(super) use late::{Noted, NotedAttributes};
pub use live::UploadPath;
pub(super) use live::{Live, LiveEntry, LiveUploads, Resized};
pub(super) use partials::{Shown, ShownPartials};
pub(super) use seen::{Seen, Sight};

use super::{VirtualPath, ahead::Ahead, late::Late};
use crate::store::Journal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The notes of one session, shared by its handles.
#[derive(Debug)]
pub(super) struct Notes {
    /// What was just seen in storage.
    pub(super) seen: Seen,
    /// Attributes set after the object was stored.
    pub(super) late: Late,
    /// Files that are being uploaded.
    pub(super) live: Arc<LiveUploads>,
    /// Uploads that were cut off, as far as they were shown.
    pub(super) partials: ShownPartials,
    /// Files that were listed and may be opened next.
    pub(super) ahead: Ahead,
}

impl Notes {
    /// No note yet, on top of a journal that other sessions write to as well.
    pub(super) fn new(journal: Arc<dyn Journal>, fetch_ahead: bool) -> Self {
        let (late, ahead) = (Late::new(journal), Ahead::new(fetch_ahead));
        Self { seen: Seen::default(), late, live: Arc::default(), partials: ShownPartials::default(), ahead }
    }

    /// Forgets what was known of a name that is gone. The directories around it may have gone with it.
    pub(super) fn forget(&self, path: &VirtualPath) {
        self.seen.forget(path);
        self.ahead.forget(path);
        self.late.forget_note(path);
        let mut inner = path.parent();
        while let Some(directory) = inner {
            self.seen.doubt(&directory);
            inner = directory.parent();
        }
    }

    /// Forgets what was known of a directory's name and of all names in it. Answers with the attributes that this session
    /// had noted there.
    pub(super) fn forget_below(&self, directory: &VirtualPath) -> Vec<(VirtualPath, Noted)> {
        let noted = self.late.take_below(directory);
        self.seen.forget_below(directory);
        self.forget(directory);
        noted
    }
}

/// No note is ever left half written, so a panic elsewhere doesn't spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
