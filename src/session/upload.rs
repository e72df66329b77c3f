//! A file that the client writes. It counts the bytes, and records its end however it ends.
//!
//! ```text
//! open_write ─┬→ PendingUpload ────────────────── admit → AdmittedUpload ─ begin → FileUpload
//!             └→ UnchangedFile ─ begin → PendingUpload ─ admit_update ┘
//! ```

use super::{OpenTransfer, ReadableFile, SessionTree, outcome, progress::TransferPath, registry::OpenMount};
use crate::{
    events::{ChangeKind, Outcome},
    name::VirtualPath,
    vfs::{
        CopyRange, Error, MemoryUsage, Metadata, PendingWrite, Result, SetAttributes, Update, UploadPath, WriteHandle,
    },
};
use bytes::Bytes;
use std::{mem, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A file that was opened for reading and writing and has no change yet.
#[derive(Debug)]
pub struct UnchangedFile {
    update: Update,
    tree: Arc<SessionTree>,
    mount: Arc<OpenMount>,
}

impl UnchangedFile {
    pub(super) fn new(tree: &Arc<SessionTree>, update: Update, mount: Arc<OpenMount>) -> Self {
        Self { update, tree: Arc::clone(tree), mount }
    }

    /// Returns the path that the client opened.
    #[must_use]
    pub(crate) fn path(&self) -> &VirtualPath {
        self.update.path()
    }

    /// Begins the upload that changes the file. Makes no request to storage.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if this tree is already uploading the file.
    pub fn begin(&self) -> Result<PendingUpload> {
        let pending = self.tree.recorded("WRITE", self.path(), self.update.begin())?;
        Ok(PendingUpload::new(&self.tree, pending, Arc::clone(&self.mount)))
    }
}

/// An upload that may begin as soon as its memory is reserved.
#[derive(Debug)]
pub struct PendingUpload {
    pending: PendingWrite,
    tree: Arc<SessionTree>,
    mount: Arc<OpenMount>,
}

impl PendingUpload {
    pub(super) fn new(tree: &Arc<SessionTree>, pending: PendingWrite, mount: Arc<OpenMount>) -> Self {
        Self { pending, tree: Arc::clone(tree), mount }
    }

    /// Returns the path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.pending.path()
    }

    /// Begins the upload, which waits at most `upload_wait` for its memory later. This is the last step of OPEN.
    ///
    /// # Errors
    /// Those of [`PendingWrite::admit`].
    pub async fn admit(self, upload_wait: Duration) -> Result<AdmittedUpload> {
        let Self { pending, tree, mount } = self;
        let path = pending.path().current();
        let handle = tree.recorded("OPEN", &path, pending.admit(upload_wait).await)?;
        Ok(AdmittedUpload { handle, tree, mount })
    }

    /// Begins the upload, as [`admit`](Self::admit) does. This is the first step of the request that changes the file.
    ///
    /// # Errors
    /// Those of [`PendingWrite::admit`]. The file then counts as a failed upload.
    pub(crate) async fn admit_update(self, upload_wait: Duration) -> Result<AdmittedUpload> {
        let Self { pending, tree, mount } = self;
        let (path, bytes) = (pending.path().clone(), pending.size());
        // Boxed, because the upload's future would otherwise be as large as taking over an interrupted upload.
        match Box::pin(pending.admit_update(upload_wait)).await {
            Ok(handle) => Ok(AdmittedUpload { handle, tree, mount }),
            Err(error) => {
                let path = path.current();
                // The record comes first: the client may leave at any time.
                tree.audit.record_failure("WRITE", &path, &error);
                tree.vfs().note_failed_upload(&path, bytes).await;
                Err(error)
            }
        }
    }
}

/// An upload with its memory, before its record.
#[derive(Debug)]
pub struct AdmittedUpload {
    handle: WriteHandle,
    tree: Arc<SessionTree>,
    mount: Arc<OpenMount>,
}

impl AdmittedUpload {
    /// Returns the path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.handle.path()
    }

    /// Records that the client opened the file. Run it to its end.
    pub async fn begin(self) -> FileUpload {
        let Self { handle, tree, mount } = self;
        tree.vfs().forget_failed_upload(&handle.path().current()).await;
        let transfer = tree.begin_transfer(TransferPath::Upload(handle.path().clone()));
        transfer.progress().set_resumed(handle.resumed_bytes());
        FileUpload { handle, transfer, tree, _mount: mount }
    }
}

/// The upload of an open file. Its requests are served one after the other. Ending it without [`FileUpload::close`]
/// or [`FileUpload::fail`] records it as abandoned.
///
/// The steps of its end are boxed. Otherwise the task of an open upload would be as large as the largest of them.
#[derive(Debug)]
pub struct FileUpload {
    handle: WriteHandle,
    transfer: OpenTransfer,
    tree: Arc<SessionTree>,
    _mount: Arc<OpenMount>,
}

impl FileUpload {
    /// Returns the path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.handle.path()
    }

    /// Returns the attributes that the file would have if it were closed now.
    #[must_use]
    pub(crate) fn metadata(&self) -> Metadata {
        self.handle.metadata()
    }

    /// Takes in bytes at `offset`, or at the end with APPEND.
    ///
    /// # Errors
    /// Those of [`WriteHandle::write`].
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        let bytes = data.len() as u64;
        self.handle.write(offset, data).await?;
        self.transfer.progress().count(bytes);
        // The first WRITE decides if the upload is resumed.
        self.transfer.progress().set_resumed(self.handle.resumed_bytes());
        Ok(())
    }

    /// Returns up to `len` bytes from `offset`.
    ///
    /// # Errors
    /// Those of [`WriteHandle::read`].
    pub(crate) async fn read(&mut self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        self.handle.read(offset, len).await
    }

    /// Copies bytes of `source` into the file, and records it as a change. Returns the number of bytes. If this future
    /// is dropped, the change is recorded as abandoned, and the caller must discard the upload.
    ///
    /// # Errors
    /// Those of [`WriteHandle::copy`].
    pub async fn copy(&mut self, source: &ReadableFile, range: CopyRange) -> Result<u64> {
        let (source_path, target, since) = (source.path(), self.path().clone(), Instant::now());
        let mut record =
            CopyRecord { tree: &self.tree, source: source_path, target, since, outcome: Outcome::Abandoned };
        let copied = self.handle.copy(source.handle(), range).await;
        record.outcome = copied.as_ref().map_or_else(outcome, |_| Outcome::Done);
        drop(record);
        let bytes = copied?;
        self.transfer.progress().count_copied(bytes);
        self.transfer.progress().set_resumed(self.handle.resumed_bytes());
        Ok(bytes)
    }

    /// Records that the edge can't make a copy because of `error`. The upload then publishes nothing: clients close the
    /// target even after a refusal.
    pub(crate) fn refuse_copy(&mut self, error: &Error) {
        self.handle.spoil(error);
        self.tree.audit.record_failure("COPY-DATA", &self.path().current(), error);
    }

    /// Sets size, times and mode.
    ///
    /// # Errors
    /// Those of [`WriteHandle::set_attributes`].
    pub(crate) fn set_attributes(&mut self, wanted: SetAttributes) -> Result<()> {
        self.handle.set_attributes(wanted)?;
        // A size of 0 starts the upload over.
        self.transfer.progress().set_resumed(self.handle.resumed_bytes());
        Ok(())
    }

    /// Returns the bytes that were written, each counted once.
    #[must_use]
    pub(crate) fn new_bytes(&self) -> u64 {
        self.handle.new_bytes()
    }

    /// Returns a view of the memory that the upload holds, which stays current.
    #[must_use]
    pub(crate) fn memory(&self) -> MemoryUsage {
        self.handle.memory_usage()
    }

    /// True if the upload holds a lock, and has stored nothing for which other sessions would have to wait.
    #[must_use]
    pub(crate) fn has_idle_lock(&self) -> bool {
        self.handle.has_idle_lock()
    }

    /// Lets other sessions create the file, because this client is silent.
    pub(crate) fn let_lock_lapse(&self) {
        self.handle.let_lock_lapse();
    }

    /// Sends the remaining parts early, because the file's CLOSE has arrived and has to wait.
    ///
    /// # Errors
    /// Those of [`WriteHandle::ship_rest`].
    pub(crate) async fn ship_rest(&mut self) -> Result<()> {
        self.handle.ship_rest().await
    }

    /// Publishes the file. The bytes are stored when this returns.
    ///
    /// Run it to its end: a CLOSE that is dropped is recorded as abandoned, even if S3 stores the file.
    ///
    /// # Errors
    /// Those of [`WriteHandle::close`]. Nothing is published then.
    pub async fn close(self) -> Result<()> {
        let Self { handle, transfer, tree, _mount } = self;
        let (path, bytes) = (handle.path().current(), handle.metadata().size);
        match handle.close().await {
            Ok(closed) => {
                transfer.done(bytes, closed.published.as_ref());
                Ok(())
            }
            Err(error) => {
                tree.vfs().note_failed_upload(&path, bytes).await;
                transfer.fail(Outcome::Failed(error.detail()));
                Err(error)
            }
        }
    }

    /// Ends the upload because of `reason`. Nothing is published, and the stored part can be resumed later.
    pub(crate) async fn fail(self, reason: String) {
        let Self { handle, transfer, tree, _mount } = self;
        let (path, bytes) = (handle.path().current(), handle.metadata().size);
        tree.vfs().note_failed_upload(&path, bytes).await;
        Box::pin(handle.leave()).await;
        transfer.fail(Outcome::Failed(reason));
    }

    /// Ends the upload because the client left before its CLOSE. Nothing is published, and the stored part can be
    /// resumed later.
    pub(crate) async fn leave(self) {
        let Self { handle, transfer, _mount, .. } = self;
        Box::pin(handle.leave()).await;
        drop(transfer);
    }

    /// Ends the upload because the client left during a copy. Nothing is published, and the storage keeps nothing of
    /// it.
    pub(crate) async fn discard(self) {
        let Self { handle, transfer, _mount, .. } = self;
        Box::pin(handle.discard()).await;
        drop(transfer);
    }
}

/// The record of a copy, which is made when this is dropped.
struct CopyRecord<'a> {
    tree: &'a SessionTree,
    source: &'a VirtualPath,
    target: UploadPath,
    since: Instant,
    outcome: Outcome,
}

impl Drop for CopyRecord<'_> {
    fn drop(&mut self) {
        let (target, outcome) = (self.target.current(), mem::replace(&mut self.outcome, Outcome::Abandoned));
        let (audit, duration) = (&self.tree.audit, self.since.elapsed());
        audit.record_change(ChangeKind::Copy, self.source, Some(&target), duration, outcome);
    }
}
