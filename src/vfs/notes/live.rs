//! The session's uploads in progress. Storage doesn't show them before CLOSE; the session itself sees them.

use crate::{
    name::{Key, VirtualPath},
    vfs::{NewAttributes, Replace},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// The state of one upload, as its session sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) struct Live {
    /// The file's size so far, in bytes.
    pub(in crate::vfs) size: u64,
    /// Bytes before this offset have left memory and can't be changed any more.
    pub(in crate::vfs) shipped: u64,
    /// A size that SETSTAT set by path and the upload has not applied yet.
    pub(in crate::vfs) resized: Option<Resized>,
    /// The attributes that OPEN, FSETSTAT, or SETSTAT of the path asked for so far.
    pub(in crate::vfs) attributes: NewAttributes,
    /// The time of the last change in seconds since 1970. Shown unless a client set a time.
    pub(in crate::vfs) since: i64,
    /// True if the upload changes a stored file. RENAME can't rename such an upload.
    pub(in crate::vfs) is_change: bool,
    /// True while a WRITE or a copy is in progress: S3 may be receiving a part.
    pub(in crate::vfs) is_busy: bool,
    /// True if the upload won't publish, because it was removed before its CLOSE, or has ended.
    pub(in crate::vfs) removed: bool,
}

/// Sizes that were set one after the other. Bytes behind the smallest are lost, even if the last one is larger.
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
        Self { size: 0, shipped: 0, resized: None, attributes, since, is_change: false, is_busy: false, removed: false }
    }

    /// Tells the upload to apply a size.
    pub(in crate::vfs) fn resize(&mut self, size: u64) {
        let smallest = self.resized.map_or(size, |resized| resized.smallest.min(size));
        self.resized = Some(Resized { smallest, last: size });
        self.size = size;
    }
}

/// The state that an upload and the rest of its session share.
#[derive(Debug)]
struct Shared {
    live: Live,
    /// Cancelled when the upload ends.
    ended: CancellationToken,
    path: VirtualPath,
    /// Set by RENAME until the upload applies it: the new key, and whether a file there is replaced.
    renamed: Option<(Key, Replace)>,
}

/// The uploads by path, the newest last. The session's limit of open handles bounds their number.
#[derive(Debug, Default)]
pub(in crate::vfs) struct LiveUploads(Mutex<Table>);

type Table = HashMap<VirtualPath, Vec<Arc<Mutex<Shared>>>>;

impl LiveUploads {
    /// Shows an upload until the entry is dropped. `check` may refuse it beside the newest upload of its path.
    pub(in crate::vfs) fn enter<E>(
        self: &Arc<Self>,
        path: &VirtualPath,
        live: Live,
        check: impl FnOnce(Option<Live>) -> Result<(), E>,
    ) -> Result<LiveEntry, E> {
        let mut table = self.0.lock();
        check(table.get(path).and_then(|uploads| uploads.last()).map(|shared| shared.lock().live))?;
        let ended = CancellationToken::new();
        let shared = Arc::new(Mutex::new(Shared { live, ended, path: path.clone(), renamed: None }));
        table.entry(path.clone()).or_default().push(Arc::clone(&shared));
        Ok(LiveEntry { uploads: Arc::clone(self), path: UploadPath(shared) })
    }

    pub(in crate::vfs) fn newest(&self, path: &VirtualPath) -> Option<Live> {
        self.0.lock().get(path).and_then(|uploads| uploads.last()).map(|shared| shared.lock().live)
    }

    /// Waits for the end of all uploads of `path`. Returns at once if there is none.
    pub(in crate::vfs) async fn end(&self, path: &VirtualPath) {
        while let Some(ended) = self.newest_end(path) {
            ended.cancelled().await;
        }
    }

    fn newest_end(&self, path: &VirtualPath) -> Option<CancellationToken> {
        self.0.lock().get(path)?.last().map(|shared| shared.lock().ended.clone())
    }

    /// True if an upload will appear anywhere below `directory`.
    pub(in crate::vfs) fn is_any_below(&self, directory: &VirtualPath) -> bool {
        self.0.lock().keys().any(|path| path.is_below(directory))
    }

    /// The newest upload of each name in `directory`.
    pub(in crate::vfs) fn in_directory(&self, directory: &VirtualPath) -> BTreeMap<String, Live> {
        let table = self.0.lock();
        let inside = table.iter().filter(|(path, _)| path.parent().as_ref() == Some(directory));
        let newest = inside.filter_map(|(path, uploads)| Some((path.name().to_owned(), uploads.last()?.lock().live)));
        newest.collect()
    }

    /// Changes the shared state of the newest upload of `path`, if there is one.
    pub(in crate::vfs) fn update(&self, path: &VirtualPath, change: impl FnOnce(&mut Live)) {
        if let Some(newest) = self.0.lock().get(path).and_then(|uploads| uploads.last()) {
            change(&mut newest.lock().live);
        }
    }

    /// Lets the newest upload of `source` appear as `target`, whose key is `key`. Returns `false` if there is none, or
    /// if S3 already knows the upload by its key.
    pub(in crate::vfs) fn rename(
        &self,
        source: &VirtualPath,
        target: &VirtualPath,
        key: Key,
        replace: Replace,
    ) -> bool {
        let mut table = self.0.lock();
        let is_nameless = |live: &Live| live.shipped == 0 && !live.is_change && !live.is_busy;
        let Some(newest) = take_newest(&mut table, source, is_nameless) else { return false };
        let mut shared = newest.lock();
        (shared.path, shared.renamed) = (target.clone(), Some((key, replace)));
        drop(shared);
        table.entry(target.clone()).or_default().push(newest);
        true
    }

    /// Stops the newest upload of `path` from publishing. Returns `false` if there is none.
    pub(in crate::vfs) fn remove(&self, path: &VirtualPath) -> bool {
        let newest = take_newest(&mut self.0.lock(), path, |_| true);
        newest.is_some_and(|shared| {
            shared.lock().live.removed = true;
            true
        })
    }
}

fn take_newest(
    table: &mut Table,
    path: &VirtualPath,
    condition: impl FnOnce(&Live) -> bool,
) -> Option<Arc<Mutex<Shared>>> {
    let uploads = table.get_mut(path)?;
    let newest = uploads.pop_if(|newest| condition(&newest.lock().live));
    if uploads.is_empty() {
        table.remove(path);
    }
    newest
}

/// One upload's place in the table.
#[derive(Debug)]
pub(in crate::vfs) struct LiveEntry {
    uploads: Arc<LiveUploads>,
    path: UploadPath,
}

impl LiveEntry {
    /// The path under which the upload will appear.
    pub(in crate::vfs) fn path(&self) -> &UploadPath {
        &self.path
    }

    /// The state that is shown.
    pub(in crate::vfs) fn shown(&self) -> Live {
        self.path.shared().live
    }

    /// Changes the state that is shown.
    pub(in crate::vfs) fn update(&self, change: impl FnOnce(&mut Live)) {
        change(&mut self.path.shared().live);
    }

    /// Takes the key that RENAME gave the upload, if any, and whether it replaces a file there.
    pub(in crate::vfs) fn take_renamed(&self) -> Option<(Key, Replace)> {
        self.path.shared().renamed.take()
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        let mut table = self.uploads.0.lock();
        self.path.shared().live.removed = true;
        let path = self.path.current();
        if let Some(uploads) = table.get_mut(&path) {
            uploads.retain(|shared| !Arc::ptr_eq(shared, &self.path.0));
            if uploads.is_empty() {
                table.remove(&path);
            }
        }
        drop(table);
        // Outside the locks: it wakes those who wait.
        let ended = self.path.shared().ended.clone();
        ended.cancel();
    }
}

/// The path under which an upload will appear. RENAME may change it before CLOSE.
#[derive(Clone, Debug)]
pub(crate) struct UploadPath(Arc<Mutex<Shared>>);

impl UploadPath {
    /// The path of an upload that could not begin.
    #[must_use]
    pub(crate) fn ended(path: VirtualPath) -> Self {
        let live = Live { removed: true, ..Live::new(NewAttributes::default(), 0) };
        Self(Arc::new(Mutex::new(Shared { live, ended: CancellationToken::new(), path, renamed: None })))
    }

    #[must_use]
    pub(crate) fn current(&self) -> VirtualPath {
        self.shared().path.clone()
    }

    /// True if the upload will appear under `path`.
    #[must_use]
    pub(crate) fn is(&self, path: &VirtualPath) -> bool {
        let shared = self.shared();
        shared.path == *path && !shared.live.removed
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Prefix;
    use futures_util::FutureExt as _;

    #[test]
    fn what_is_renamed_or_has_ended_is_no_longer_found_under_its_name() {
        let uploads = Arc::new(LiveUploads::default());
        let [source, target] = ["/a", "/b"].map(|path| VirtualPath::parse(path.as_bytes()).unwrap());
        let key = || Prefix::parse("acme/").unwrap().key("b").unwrap();
        let live = Live::new(NewAttributes::default(), 0);
        let entry = uploads.enter(&source, live, |_| Ok::<_, ()>(())).unwrap();
        let path = entry.path().clone();
        for known in [Live { shipped: 1, ..live }, Live { is_busy: true, ..live }, Live { is_change: true, ..live }] {
            entry.update(|live| *live = known);
            assert!(!uploads.rename(&source, &target, key(), Replace::Yes));
            assert!(path.is(&source));
        }
        entry.update(|shown| *shown = live);
        assert!(uploads.rename(&source, &target, key(), Replace::No));
        assert!(!path.is(&source) && path.is(&target));
        assert_eq!((uploads.newest(&source), uploads.newest(&target)), (None, Some(live)));
        assert_eq!(entry.take_renamed(), Some((key(), Replace::No)));
        assert_eq!(entry.take_renamed(), None);
        drop(entry);
        assert!(!path.is(&target));
        assert!(uploads.0.lock().is_empty());
    }

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
        assert_eq!(
            uploads.in_directory(&VirtualPath::root()).into_values().map(|live| live.size).collect::<Vec<_>>(),
            [2]
        );
        let end = uploads.end(&path);
        tokio::pin!(end);
        assert!(end.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(uploads.newest(&path).unwrap().size, 10);
        assert!(end.as_mut().now_or_never().is_none(), "another upload of the path is open");
        drop(first);
        assert!(end.now_or_never().is_some());
        assert_eq!(uploads.newest(&path), None);
        assert!(uploads.0.lock().is_empty());
    }
}
