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
    /// The file's size so far, in bytes.
    pub(in crate::vfs) size: u64,
    /// What lies before it is shipped, and can't be changed any more.
    pub(in crate::vfs) shipped: u64,
    /// A size that was set by path, which the upload has yet to take on.
    pub(in crate::vfs) resized: Option<Resized>,
    /// Attributes asked for so far, by OPEN, FSETSTAT, or SETSTAT of the path.
    pub(in crate::vfs) attributes: NewAttributes,
    /// When the file was changed last, as far as no time was set: in seconds since 1970.
    pub(in crate::vfs) since: i64,
}

/// Sizes that were set one after the other: bytes behind the smallest are gone, whatever the last one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct Resized {
    /// In bytes.
    pub(in crate::vfs) smallest: u64,
    /// In bytes.
    pub(in crate::vfs) last: u64,
}

impl Live {
    /// An empty file.
    pub(in crate::vfs) fn new(attributes: NewAttributes, since: i64) -> Self {
        Self { size: 0, shipped: 0, resized: None, attributes, since }
    }

    /// Has the upload take on a size.
    pub(in crate::vfs) fn resize(&mut self, size: u64) {
        let smallest = self.resized.map_or(size, |resized| resized.smallest.min(size));
        self.resized = Some(Resized { smallest, last: size });
        self.size = size;
    }
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

    /// Changes what the newest upload of `path`, if there is one, shows and is asked to take on.
    pub(in crate::vfs) fn update(&self, path: &VirtualPath, change: impl FnOnce(&mut Live)) {
        if let Some(newest) = lock(&self.0).get(path).and_then(|uploads| uploads.last()) {
            change(&mut lock(newest));
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

    // S65: Of two uploads to one path the newest is shown, and the last to be closed stays.
    #[test]
    fn of_two_uploads_of_a_path_the_newest_is_shown() {
        let uploads = Arc::new(LiveUploads::default());
        let path = VirtualPath::parse(b"/a").unwrap();
        let live = |size| Live { size, ..Live::new(NewAttributes::default(), 0) };
        let enter = |size| uploads.enter(&path, live(size), |_| Ok::<_, ()>(())).unwrap();
        let (first, second) = (enter(1), enter(2));
        assert!(uploads.enter(&path, live(3), |newest| if newest.is_some() { Err(()) } else { Ok(()) }).is_err());
        first.update(|live| live.size = 10);
        uploads.update(&path, |live| live.resize(3));
        uploads.update(&path, |live| live.resize(2));
        assert_eq!(second.shown().resized, Some(Resized { smallest: 2, last: 2 }));
        assert_eq!(uploads.newest(&path).unwrap().size, 2);
        drop(second);
        assert_eq!(uploads.newest(&path).unwrap().size, 10);
        drop(first);
        assert_eq!(uploads.newest(&path), None);
        assert!(lock(&uploads.0).is_empty());
    }
}
