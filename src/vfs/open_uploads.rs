//! The files that a session is writing, by path. Storage doesn't show them before CLOSE; the session itself sees them.
//!
//! Each file has a mailbox for the session's requests about its path. RENAME, REMOVE and SETSTAT are checked against the
//! state that the file shows, answered, and left as [`Mail`]; STAT is answered with that state. The upload applies its
//! mail before and after each of its own requests, and at its CLOSE. So none of these requests waits for a WRITE that
//! waits for memory. Requests of different kinds commute, and those of one kind add up, so the mailbox holds one sum for
//! each kind: it is bounded, whatever a client sends. A STAT or SETSTAT that must come behind WRITEs that arrived before
//! it is sent to the task of the handle instead: see `sftp/channel/writes.rs`.

use super::{NewAttributes, Replace, SetAttributes};
use crate::name::{Key, TransferId, VirtualPath};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// The state of one upload, as its session sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UploadView {
    /// The file's size so far, in bytes.
    pub(super) size: u64,
    /// Bytes before this offset have left memory and can't be changed any more.
    pub(super) shipped: u64,
    /// The attributes that OPEN, FSETSTAT, or SETSTAT of the path asked for so far.
    pub(super) attributes: NewAttributes,
    /// The time of the last change in seconds since 1970. Shown unless a client set a time.
    pub(super) since: i64,
    pub(super) stage: UploadStage,
}

/// The requests by path that an upload can still apply. It can always be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadStage {
    /// S3 knows nothing of the upload, so it can still be renamed.
    Unnamed,
    /// The name is fixed: S3 has a part under the key, or may be receiving one, or has the file that the upload changes.
    Named,
    /// S3 is publishing the file. Its size is fixed, too.
    Closing,
}

impl UploadView {
    /// An empty new file.
    pub(super) fn new(attributes: NewAttributes, since: i64) -> Self {
        Self { size: 0, shipped: 0, attributes, since, stage: UploadStage::Unnamed }
    }
}

/// The requests by path that an upload has not applied yet. All are answered, so a failure fails the CLOSE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// RENAME: the last new key, and how it treats a file there.
    pub(super) renamed: Option<(Key, Replace)>,
    /// SETSTAT of sizes.
    pub(super) resized: Option<SizeChange>,
    /// SETSTAT of times and mode.
    pub(super) attributes: NewAttributes,
    /// REMOVE: the upload publishes nothing.
    pub(super) is_removed: bool,
}

/// Sizes that were set one after the other. Bytes behind the smallest are lost, even if the last one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SizeChange {
    /// In bytes.
    pub(super) smallest: u64,
    /// In bytes.
    pub(super) last: u64,
}

/// An upload as its session and its owner share it.
#[derive(Debug)]
struct SharedUpload {
    /// The id in the records.
    id: TransferId,
    view: UploadView,
    mail: Mail,
    path: VirtualPath,
    /// True while the table shows the upload: it was not removed, and has not ended.
    is_listed: bool,
    /// Cancelled when the upload ends.
    ended: CancellationToken,
}

impl SharedUpload {
    fn new(path: VirtualPath, view: UploadView) -> Self {
        let (id, ended) = (TransferId::new(), CancellationToken::new());
        Self { id, view, mail: Mail::default(), path, is_listed: true, ended }
    }
}

/// The uploads by path, the newest last. The session's limit of open handles bounds their number.
#[derive(Debug, Default)]
pub(super) struct OpenUploads(Mutex<Table>);

type Table = HashMap<VirtualPath, Vec<Arc<Mutex<SharedUpload>>>>;

impl OpenUploads {
    /// Shows an upload until the entry is dropped. `check` may refuse it beside the newest upload of its path.
    pub(super) fn enter<E>(
        self: &Arc<Self>,
        path: &VirtualPath,
        view: UploadView,
        check: impl FnOnce(Option<UploadView>) -> Result<(), E>,
    ) -> Result<UploadEntry, E> {
        let mut table = self.0.lock();
        check(newest_of(&table, path).map(|shared| shared.lock().view))?;
        let shared = Arc::new(Mutex::new(SharedUpload::new(path.clone(), view)));
        table.entry(path.clone()).or_default().push(Arc::clone(&shared));
        Ok(UploadEntry { uploads: Arc::clone(self), path: UploadPath(shared) })
    }

    /// STAT: returns the state of the newest upload of `path`.
    pub(super) fn newest(&self, path: &VirtualPath) -> Option<UploadView> {
        newest_of(&self.0.lock(), path).map(|shared| shared.lock().view)
    }

    /// Waits for the end of all uploads of `path`. Returns at once if there is none.
    pub(super) async fn end(&self, path: &VirtualPath) {
        while let Some(ended) = self.newest_end(path) {
            ended.cancelled().await;
        }
    }

    fn newest_end(&self, path: &VirtualPath) -> Option<CancellationToken> {
        newest_of(&self.0.lock(), path).map(|shared| shared.lock().ended.clone())
    }

    /// True if an upload will appear anywhere below `directory`.
    pub(super) fn is_any_below(&self, directory: &VirtualPath) -> bool {
        self.0.lock().keys().any(|path| path.is_below(directory))
    }

    /// The newest upload of each name in `directory`.
    pub(super) fn in_directory(&self, directory: &VirtualPath) -> BTreeMap<String, UploadView> {
        let table = self.0.lock();
        let inside = table.iter().filter(|(path, _)| path.parent().as_ref() == Some(directory));
        let newest = inside.filter_map(|(path, uploads)| Some((path.name().to_owned(), uploads.last()?.lock().view)));
        newest.collect()
    }

    /// SETSTAT: sets a size and attributes of the newest upload of `path`. Returns `None` if there is none. `check`
    /// may refuse them.
    pub(super) fn set_attributes<E>(
        &self,
        path: &VirtualPath,
        wanted: SetAttributes,
        check: impl FnOnce(UploadView) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let table = self.0.lock();
        let mut shared = newest_of(&table, path)?.lock();
        Some(check(shared.view).map(|()| {
            let SharedUpload { view, mail, .. } = &mut *shared;
            // The same size counts too: a WRITE in progress may change it.
            if let Some(size) = wanted.size {
                mail.resize(size);
                view.size = size;
            }
            mail.attributes = mail.attributes.updated(wanted.times_and_mode());
            view.attributes = view.attributes.updated(wanted.times_and_mode());
        }))
    }

    /// RENAME: lets the newest upload of `source` appear as `target`, whose key is `key`. Returns `false` if there is
    /// none, or if S3 already knows the upload by its key.
    pub(super) fn rename(&self, source: &VirtualPath, target: &VirtualPath, key: Key, replace: Replace) -> bool {
        let mut table = self.0.lock();
        let is_unnamed = |view: &UploadView| view.stage == UploadStage::Unnamed;
        let Some(newest) = take_newest(&mut table, source, is_unnamed) else { return false };
        let mut shared = newest.lock();
        (shared.path, shared.mail.renamed) = (target.clone(), Some((key, replace)));
        drop(shared);
        table.entry(target.clone()).or_default().push(newest);
        true
    }

    /// REMOVE: stops the newest upload of `path` from publishing. Returns `false` if there is none.
    pub(super) fn remove(&self, path: &VirtualPath) -> bool {
        let newest = take_newest(&mut self.0.lock(), path, |_| true);
        newest.is_some_and(|shared| {
            let mut shared = shared.lock();
            (shared.mail.is_removed, shared.is_listed) = (true, false);
            true
        })
    }
}

fn newest_of<'a>(table: &'a Table, path: &VirtualPath) -> Option<&'a Arc<Mutex<SharedUpload>>> {
    table.get(path).and_then(|uploads| uploads.last())
}

fn take_newest(
    table: &mut Table,
    path: &VirtualPath,
    condition: impl FnOnce(&UploadView) -> bool,
) -> Option<Arc<Mutex<SharedUpload>>> {
    let uploads = table.get_mut(path)?;
    let newest = uploads.pop_if(|newest| condition(&newest.lock().view));
    if uploads.is_empty() {
        table.remove(path);
    }
    newest
}

impl Mail {
    fn resize(&mut self, size: u64) {
        let smallest = self.resized.map_or(size, |resized| resized.smallest.min(size));
        self.resized = Some(SizeChange { smallest, last: size });
    }

    fn take(&mut self) -> Option<Self> {
        (*self != Self::default()).then(|| std::mem::take(self))
    }
}

/// One upload's place in the table, which its owner has.
#[derive(Debug)]
pub(super) struct UploadEntry {
    uploads: Arc<OpenUploads>,
    path: UploadPath,
}

impl UploadEntry {
    /// The path under which the upload will appear.
    pub(super) fn path(&self) -> &UploadPath {
        &self.path
    }

    /// The state that is shown.
    pub(super) fn view(&self) -> UploadView {
        self.path.shared().view
    }

    /// Begins a request of the owner: takes the mail, and lets requests by path apply only what `stage` allows.
    pub(super) fn begin(&self, stage: UploadStage) -> Option<Mail> {
        let mut shared = self.path.shared();
        shared.view.stage = stage;
        shared.mail.take()
    }

    /// Takes the mail.
    pub(super) fn receive(&self) -> Option<Mail> {
        self.path.shared().mail.take()
    }

    /// Changes the state that is shown, unless there is mail: then returns that.
    pub(super) fn show(&self, change: impl FnOnce(&mut UploadView)) -> Option<Mail> {
        let mut shared = self.path.shared();
        let mail = shared.mail.take();
        if mail.is_none() {
            change(&mut shared.view);
        }
        mail
    }

    /// Shows the progress of a request that goes on. While there is mail, the size that it sets stays shown.
    pub(super) fn show_progress(&self, size: u64, shipped: u64) {
        let mut shared = self.path.shared();
        if shared.mail.resized.is_none() {
            (shared.view.size, shared.view.shipped) = (size, shipped);
        }
    }

    /// Takes the mail, or, if there is none, removes the upload from the table: no mail comes any more.
    pub(super) fn end(&self) -> Option<Mail> {
        let mut table = self.uploads.0.lock();
        let mail = self.receive();
        if mail.is_none() {
            self.unlist(&mut table);
        }
        mail
    }

    fn unlist(&self, table: &mut Table) {
        self.path.shared().is_listed = false;
        let path = self.path.current();
        if let Some(uploads) = table.get_mut(&path) {
            uploads.retain(|shared| !Arc::ptr_eq(shared, &self.path.0));
            if uploads.is_empty() {
                table.remove(&path);
            }
        }
    }

    /// Changes the state that is shown. The mail is left alone.
    pub(super) fn update(&self, change: impl FnOnce(&mut UploadView)) {
        change(&mut self.path.shared().view);
    }
}

impl Drop for UploadEntry {
    fn drop(&mut self) {
        self.unlist(&mut self.uploads.0.lock());
        // Outside the locks, because it wakes waiting tasks.
        let ended = self.path.shared().ended.clone();
        ended.cancel();
    }
}

/// The path under which an upload will appear. RENAME may change it before CLOSE.
#[derive(Clone, Debug)]
pub(crate) struct UploadPath(Arc<Mutex<SharedUpload>>);

impl UploadPath {
    /// The path of an upload that could not begin.
    #[must_use]
    pub(crate) fn ended(path: VirtualPath) -> Self {
        let view = UploadView::new(NewAttributes::default(), 0);
        Self(Arc::new(Mutex::new(SharedUpload { is_listed: false, ..SharedUpload::new(path, view) })))
    }

    /// The id of the upload in its records.
    #[must_use]
    pub(crate) fn transfer_id(&self) -> TransferId {
        self.shared().id
    }

    #[must_use]
    pub(crate) fn current(&self) -> VirtualPath {
        self.shared().path.clone()
    }

    /// True if the upload will appear under `path`.
    #[must_use]
    pub(crate) fn is(&self, path: &VirtualPath) -> bool {
        let shared = self.shared();
        shared.path == *path && shared.is_listed
    }

    fn shared(&self) -> MutexGuard<'_, SharedUpload> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Prefix;
    use futures_util::FutureExt as _;

    fn enter(uploads: &Arc<OpenUploads>, path: &VirtualPath, size: u64) -> UploadEntry {
        let view = UploadView { size, ..UploadView::new(NewAttributes::default(), 0) };
        uploads.enter(path, view, |_| Ok::<_, ()>(())).unwrap()
    }

    fn wanted(size: Option<u64>, mode: Option<u32>) -> SetAttributes {
        SetAttributes { size, mode, ..SetAttributes::default() }
    }

    #[test]
    fn an_upload_that_was_renamed_or_has_ended_is_not_found_under_its_name() {
        let uploads = Arc::new(OpenUploads::default());
        let [source, target] = ["/a", "/b"].map(|path| VirtualPath::parse(path.as_bytes()).unwrap());
        let key = || Prefix::parse("acme/").unwrap().key("b").unwrap();
        let entry = enter(&uploads, &source, 0);
        let path = entry.path().clone();
        for stage in [UploadStage::Named, UploadStage::Closing] {
            assert_eq!(entry.begin(stage), None);
            assert!(!uploads.rename(&source, &target, key(), Replace::Yes));
            assert!(path.is(&source));
        }
        assert_eq!(entry.begin(UploadStage::Unnamed), None);
        assert!(uploads.rename(&source, &target, key(), Replace::No));
        assert!(!path.is(&source) && path.is(&target));
        assert_eq!((uploads.newest(&source), uploads.newest(&target)), (None, Some(entry.view())));
        assert_eq!(entry.receive(), Some(Mail { renamed: Some((key(), Replace::No)), ..Mail::default() }));
        assert_eq!(entry.receive(), None);
        drop(entry);
        assert!(!path.is(&target));
        assert!(uploads.0.lock().is_empty());
    }

    #[test]
    fn mail_adds_up_and_shows_at_once() {
        let (uploads, path) = (Arc::new(OpenUploads::default()), VirtualPath::parse(b"/a").unwrap());
        let entry = enter(&uploads, &path, 5);
        let mode = |mode| NewAttributes { mode: Some(mode), times: None };
        for (size, mode) in [(Some(3), Some(1)), (None, Some(2)), (Some(9), None), (Some(9), None)] {
            assert_eq!(uploads.set_attributes(&path, wanted(size, mode), |_| Ok::<_, ()>(())), Some(Ok(())));
        }
        assert_eq!(uploads.set_attributes(&path, wanted(Some(1), Some(3)), |_| Err(())), Some(Err(())));
        assert!(uploads.remove(&path) && !uploads.remove(&path));
        assert_eq!((entry.view().size, entry.view().attributes), (9, mode(2)));
        let resized = Some(SizeChange { smallest: 3, last: 9 });
        let mail = Mail { renamed: None, resized, attributes: mode(2), is_removed: true };
        assert_eq!(entry.show(|view| view.size = 4), Some(mail));
        assert_eq!(entry.view().size, 9, "the owner has not applied the mail yet");
        assert_eq!(entry.show(|view| view.size = 4), None);
        assert_eq!(entry.view().size, 4);
        assert_eq!(uploads.set_attributes(&path, wanted(None, Some(3)), |_| Ok::<_, ()>(())), None);
    }

    #[test]
    fn an_upload_leaves_the_table_when_it_has_no_mail() {
        let (uploads, path) = (Arc::new(OpenUploads::default()), VirtualPath::parse(b"/a").unwrap());
        let entry = enter(&uploads, &path, 5);
        let set = || uploads.set_attributes(&path, wanted(Some(5), None), |_| Ok::<_, ()>(()));
        assert_eq!(set(), Some(Ok(())));
        let resized = Some(SizeChange { smallest: 5, last: 5 });
        assert_eq!(entry.end(), Some(Mail { resized, ..Mail::default() }), "the same size is a request too");
        assert_eq!((entry.end(), set(), entry.path().is(&path)), (None, None, false));
    }

    #[test]
    fn progress_leaves_the_mail_alone() {
        let (uploads, path) = (Arc::new(OpenUploads::default()), VirtualPath::parse(b"/a").unwrap());
        let entry = enter(&uploads, &path, 5);
        entry.show_progress(7, 0);
        assert_eq!(entry.view().size, 7);
        uploads.set_attributes(&path, wanted(Some(0), None), |_| Ok::<_, ()>(()));
        entry.show_progress(9, 0);
        assert_eq!((entry.view().size, entry.receive().is_some()), (0, true));
    }

    // S65: Of two uploads to one path the newest is shown, and the last to be closed stays.
    #[test]
    fn of_two_uploads_of_a_path_the_newest_is_shown() {
        let (uploads, path) = (Arc::new(OpenUploads::default()), VirtualPath::parse(b"/a").unwrap());
        let (first, second) = (enter(&uploads, &path, 1), enter(&uploads, &path, 2));
        let only = |newest: Option<UploadView>| if newest.is_some() { Err(()) } else { Ok(()) };
        assert!(uploads.enter(&path, second.view(), only).is_err());
        assert_eq!(first.show(|view| view.size = 10), None);
        assert_eq!(uploads.newest(&path), Some(second.view()));
        assert_eq!(uploads.in_directory(&VirtualPath::root()), [("a".to_owned(), second.view())].into());
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
