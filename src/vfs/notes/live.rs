//! The files that this session is uploading: invisible in storage until they are whole, shown to the session itself.

use super::lock;
use crate::vfs::{NewAttributes, VirtualPath};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// One upload as the rest of the session sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct Live {
    /// The bytes written so far: one more than the highest offset.
    pub(in crate::vfs) size: u64,
    /// Attributes asked for so far, by OPEN, FSETSTAT, or SETSTAT of the path.
    pub(in crate::vfs) attributes: NewAttributes,
    /// When the upload began, in seconds since 1970.
    pub(in crate::vfs) since: i64,
}

/// The uploads by path, the newest last. As many as there are open handles, which the session bounds.
#[derive(Debug, Default)]
pub(in crate::vfs) struct LiveUploads(Mutex<HashMap<VirtualPath, Vec<Arc<Mutex<Live>>>>>);

impl LiveUploads {
    /// Shows an upload until the entry is dropped, if it may stand beside the newest one of its path.
    pub(in crate::vfs) fn enter<E>(
        self: &Arc<Self>,
        path: &VirtualPath,
        live: Live,
        check: impl FnOnce(Option<Live>) -> Result<(), E>,
    ) -> Result<LiveEntry, E> {
        let mut table = lock(&self.0);
        check(table.get(path).and_then(|uploads| uploads.last()).map(|live| *lock(live)))?;
        let live = Arc::new(Mutex::new(live));
        table.entry(path.clone()).or_default().push(Arc::clone(&live));
        Ok(LiveEntry { uploads: Arc::clone(self), path: path.clone(), live })
    }

    /// The newest upload of `path`.
    pub(in crate::vfs) fn newest(&self, path: &VirtualPath) -> Option<Live> {
        lock(&self.0).get(path).and_then(|uploads| uploads.last()).map(|live| *lock(live))
    }

    /// Asks the newest upload of `path`, if there is one, to take on attributes.
    pub(in crate::vfs) fn set_attributes(&self, path: &VirtualPath, attributes: NewAttributes) {
        if let Some(newest) = lock(&self.0).get(path).and_then(|uploads| uploads.last()) {
            let mut live = lock(newest);
            live.attributes = live.attributes.updated(attributes);
        }
    }
}

/// One upload's place in the table.
#[derive(Debug)]
pub(in crate::vfs) struct LiveEntry {
    uploads: Arc<LiveUploads>,
    path: VirtualPath,
    live: Arc<Mutex<Live>>,
}

impl LiveEntry {
    /// The path that the upload will appear under.
    pub(in crate::vfs) fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// What is shown.
    pub(in crate::vfs) fn shown(&self) -> Live {
        *lock(&self.live)
    }

    /// Changes what is shown.
    pub(in crate::vfs) fn update(&self, change: impl FnOnce(&mut Live)) {
        change(&mut lock(&self.live));
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        let mut table = lock(&self.uploads.0);
        let Some(uploads) = table.get_mut(&self.path) else { return };
        uploads.retain(|live| !Arc::ptr_eq(live, &self.live));
        if uploads.is_empty() {
            table.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_uploads_of_a_path_the_newest_is_shown() {
        let uploads = Arc::new(LiveUploads::default());
        let path = VirtualPath::parse(b"/a").unwrap();
        let live = |size| Live { size, attributes: NewAttributes::default(), since: 0 };
        let enter = |size| uploads.enter(&path, live(size), |_| Ok::<_, ()>(())).unwrap();
        let (first, second) = (enter(1), enter(2));
        assert!(uploads.enter(&path, live(3), |newest| if newest.is_some() { Err(()) } else { Ok(()) }).is_err());
        first.update(|live| live.size = 10);
        assert_eq!(uploads.newest(&path).unwrap().size, 2);
        drop(second);
        assert_eq!(uploads.newest(&path).unwrap().size, 10);
        drop(first);
        assert_eq!(uploads.newest(&path), None);
        assert!(lock(&uploads.0).is_empty());
    }
}
