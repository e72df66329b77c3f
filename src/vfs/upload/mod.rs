//! The handle of an upload: WRITE, READ of new and former bytes, FSTAT, FSETSTAT, CLOSE.
//!
//! Invariant: the file appears whole, when [`WriteHandle::close`] succeeds, or never.

mod close;
mod copy;
mod former;
mod pending;
mod restart;

pub use close::ClosedUpload;
pub use copy::CopyRange;
pub(super) use pending::WritableFile;
pub use pending::{PendingWrite, WriteOptions};

use super::{
    Error, Kind, Metadata, NewAttributes, Node, Replace, Result, SetAttributes, UploadPath,
    cache::CredentialScope,
    failure_observer::FailureObserver,
    interrupted::OlderUpload,
    name_check::NameCheck,
    open_uploads::{Mail, SizeChange, UploadEntry, UploadStage, UploadView},
    session_state::SessionState,
};
use crate::{
    account::{Mount, Permission},
    download::Reader,
    memory::{MemoryUsage, UploadMemory},
    name::Key,
    objects::Lock,
    upload::{Origin, Upload, UploadError, UploadObserver, UploadOptions},
};
use bytes::Bytes;
use restart::Restart;
use std::sync::Arc;

/// The reason why the condition of an upload doesn't hold when S3 is to publish it.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConflictCause {
    /// EXCL: the file exists.
    Exists,
    /// The file exists, and the user may not replace files.
    MayNotReplace,
    /// The file to be changed is not the version that was opened. Or there was no condition, and two writers
    /// conflicted.
    Changed,
}

/// An open upload. Its requests are served one after the other.
#[derive(Debug)]
pub struct WriteHandle {
    upload: Upload,
    file: UploadedFile,
    /// Reads the version that the handle began with. It sends no request before the first READ.
    former: Option<Reader>,
    options: WriteOptions,
    /// The check that the name is free.
    name_check: NameCheck,
    observer: Arc<FailureObserver>,
    /// The lock of an OPEN with EXCL.
    lock: Option<Lock>,
    /// The file if it starts over although it resumed an interrupted upload.
    restart: Option<Restart>,
    /// The interrupted upload that the file doesn't resume, until it is abandoned.
    older: Option<OlderUpload>,
}

/// The file that the upload will become.
#[derive(Debug)]
struct UploadedFile {
    entry: UploadEntry,
    mount: Mount,
    node: Arc<Node>,
    scope: Arc<CredentialScope>,
    session: Arc<SessionState>,
    conflict_cause: ConflictCause,
    /// The attributes that the file shall have.
    attributes: NewAttributes,
    /// The attributes that the object will be stored with, or has while it is unchanged. Others are stored beside it.
    stored: NewAttributes,
    /// True if REMOVE came before the CLOSE: the upload publishes nothing.
    is_removed: bool,
}

impl WriteHandle {
    /// Opens the upload of a file. Takes over the interrupted upload that it resumes.
    pub(super) async fn open(pending: PendingWrite, memory: Arc<UploadMemory>) -> Result<Self, UploadError> {
        let PendingWrite { file, entry, name_check, older, lock } = pending;
        let WritableFile { bucket, node, scope, tenant, session, mount, key, origin, upload_journal, options, .. } =
            file;
        // A SETSTAT of the path may have set others since OPEN. Those that the stored file lacks are still to be
        // stored.
        let attributes = entry.view().attributes;
        let stored = match (&origin, &file.former_attributes) {
            (Origin::Resume(upload), _) => NewAttributes::read_from(&upload.task.payload.object.metadata),
            (_, Some(former)) => former.view().attributes,
            (_, None) => attributes,
        };
        let mut object = origin.older_object().map(NewAttributes::of_next_version).unwrap_or_default();
        stored.write_to(&mut object, Kind::File);
        NewAttributes::write_origin(tenant.object_metadata, &scope.user, &session.id, &mut object);
        let observer =
            Arc::new(FailureObserver::new(&node, &session, bucket.id(), &scope, (entry.path(), &mount.prefix)));
        let upload_observer = Some(Arc::clone(&observer) as Arc<dyn UploadObserver>);
        let upload_options = UploadOptions {
            max_object_bytes: tenant.max_object_bytes,
            object,
            journal: upload_journal,
            observer: upload_observer,
        };
        let former = origin
            .older_object()
            .map(|object| Reader::of(Arc::clone(&bucket), key.clone(), object.clone(), node.budget.of(&tenant.name)));
        let restart =
            matches!(origin, Origin::Resume(_)).then(|| Restart::new(file.attributes, tenant.object_metadata));
        let upload = Upload::open(bucket, key, memory, origin, upload_options).await?;
        let conflict_cause = file.conflict_cause;
        let file =
            UploadedFile { entry, mount, node, scope, session, conflict_cause, attributes, stored, is_removed: false };
        Ok(Self { upload, file, former, options, name_check, observer, lock, restart, older })
    }

    /// Writes bytes at `offset`, or at the end with APPEND. Full parts are sent in the background.
    ///
    /// # Errors
    /// [`Error::NotOpenForWriting`], which changes nothing.
    ///
    /// [`Error::Shipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`], [`Error::PartialGrown`],
    /// [`Error::IsDirectory`] or [`Error::BelowFile`] if the name isn't free, or the storage's error for an earlier
    /// part. After these errors nothing is published: further writes and the close fail too.
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.demand_writable()?;
        if data.is_empty() {
            // An empty WRITE doesn't tell if the client resumes the file or starts over.
            return Ok(self.upload.write(offset, data).await?);
        }
        let was_unchanged = self.begin(self.stage());
        let written = self.write_in_turn(offset, data).await;
        self.show(was_unchanged);
        written
    }

    async fn write_in_turn(&mut self, offset: u64, data: Bytes) -> Result<()> {
        // The answer concerns the name that the file has now.
        if !self.file.is_removed
            && self.name_check.is_answered()
            && let Err(error) = self.name_check.confirm().await
        {
            self.observer.refused(self.upload.key(), &error);
            // The operator needs S3's words in the log record of the CLOSE.
            self.upload.spoil(&error.detail());
            return Err(error);
        }
        let offset = self.place(offset).await?;
        Ok(self.upload.write(offset, data).await?)
    }

    /// Returns up to `len` bytes from `offset`: new ones that are still in memory, and former ones. Returns none at the
    /// end.
    ///
    /// # Errors
    /// [`Error::NotOpenForReading`], [`Error::NotReadableYet`] for bytes that have left memory, [`Error::Denied`] for
    /// former bytes without `read`, [`Error::Changed`] if the former file was replaced.
    pub async fn read(&mut self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        if !self.options.read {
            return Err(Error::NotOpenForReading);
        }
        self.receive();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if self.upload.shows_older_object(offset, len) {
            self.file.mount.demand(Permission::Read)?;
        }
        let read = self.upload.read(offset, len).ok_or(Error::NotReadableYet)?;
        let bytes = self.with_former(offset, read).await?;
        Ok(if bytes.is_empty() { Vec::new() } else { vec![bytes] })
    }

    /// The attributes that the file would have if it were closed now.
    #[must_use]
    pub(crate) fn metadata(&self) -> Metadata {
        Metadata::of_upload(self.file.entry.view(), &self.file.mount)
    }

    /// The path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.file.entry.path()
    }

    /// Sets size, times and mode. Times and mode go into the object while its metadata has not been sent, and beside it
    /// later.
    ///
    /// # Errors
    /// If it fails, nothing is set. [`Error::Unsupported`] for another owner than the present one. For a size
    /// [`Error::NotOpenForWriting`], [`Error::Shipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`].
    pub fn set_attributes(&mut self, wanted: SetAttributes) -> Result<()> {
        wanted.check_owner()?;
        if wanted.size.is_some() {
            self.demand_writable()?;
        }
        self.receive();
        let was_unchanged = self.upload.is_unchanged();
        if let Some(size) = wanted.size {
            self.set_size(size)?;
        }
        self.set_times_and_mode(wanted.times_and_mode());
        self.store_changed_attributes();
        self.show(was_unchanged);
        Ok(())
    }

    /// Sends the remaining parts before the CLOSE is carried out, because the CLOSE has arrived and has to wait. A file
    /// that fits one part sends nothing. [`close`](Self::close) publishes the file. After an error the upload can only
    /// be left.
    ///
    /// # Errors
    /// The errors of `close` that occur before the file is published.
    pub(crate) async fn ship_rest(&mut self) -> Result<()> {
        let was_unchanged = self.apply_before_close(UploadStage::Named).await;
        if !self.file.is_removed && !self.upload.is_only_resumed() {
            self.upload.ship_rest().await?;
        }
        self.show(was_unchanged);
        Ok(())
    }

    /// The bytes that were written, each counted once.
    #[must_use]
    pub(crate) fn new_bytes(&self) -> u64 {
        self.upload.new_bytes()
    }

    /// A view of the memory that the upload holds, which stays current.
    #[must_use]
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        self.upload.memory_usage()
    }

    /// Fixes the name of the file. A later RENAME of it is refused.
    pub(super) fn fix_name(&self) {
        self.file.entry.update(|view| view.stage = UploadStage::Named);
    }

    /// Prevents publication, because a request could not be carried out. The close fails.
    pub(crate) fn spoil(&mut self, cause: &Error) {
        self.upload.spoil(&cause.detail());
    }

    /// True if the upload holds a lock, and has stored nothing for which other sessions would have to wait.
    #[must_use]
    pub(crate) fn has_idle_lock(&self) -> bool {
        self.lock.is_some() && self.upload.shipped() == 0
    }

    /// Lets other sessions create the file, because this client is silent.
    pub(crate) fn let_lock_lapse(&self) {
        if let Some(lock) = self.lock.as_ref().filter(|_| self.has_idle_lock()) {
            lock.lapse();
        }
    }

    async fn unlock(&mut self) {
        if let Some(lock) = self.lock.take() {
            let _ = lock.end().await;
        }
    }

    /// Aborts the upload. Nothing is published, and the storage keeps nothing of it.
    pub async fn discard(mut self) {
        self.former = None;
        self.unlock().await;
        self.abandon_older().await;
        self.upload.abort().await;
    }

    /// Ends without a CLOSE. Nothing is published. The stored part can be resumed later, if the tenant's config allows
    /// it.
    pub async fn leave(mut self) {
        self.former = None;
        self.unlock().await;
        self.abandon_older().await;
        self.receive();
        if self.file.is_removed {
            return self.upload.abort().await;
        }
        self.upload.leave().await;
    }

    /// Applies all requests that came before the CLOSE, and begins `stage`. Returns true if the file was
    /// unchanged until then.
    async fn apply_before_close(&mut self, stage: UploadStage) -> bool {
        self.decide_at_close().await;
        self.abandon_older().await;
        let was_unchanged = self.begin(stage);
        self.store_changed_attributes();
        let (size, attributes) = (self.upload.size(), self.file.attributes);
        self.file.entry.update(|view| (view.size, view.attributes) = (size, attributes));
        was_unchanged
    }

    /// Abandons an older interrupted upload for which that failed before. If this upload has an entry of its own, that
    /// entry has already abandoned the older ones.
    async fn abandon_older(&mut self) {
        self.older_answered().await;
        if self.upload.shipped() == 0
            && let Some(older) = self.older.take()
        {
            older.retry().await;
        }
    }

    /// Waits until the journal has answered. The older upload stays known if this future is dropped.
    async fn older_answered(&mut self) {
        if let Some(older) = &mut self.older
            && !older.remains().await
        {
            self.older = None;
        }
    }

    /// Prepares the upload for a WRITE, which may send S3 its first part, and returns where its bytes go.
    async fn place(&mut self, offset: u64) -> Result<u64> {
        // Until the older upload is abandoned, this one must have no entry of its own: it would be abandoned too.
        self.older_answered().await;
        self.decide(offset).await?;
        if !self.upload.is_named() {
            self.begin(UploadStage::Named);
        }
        self.store_attributes();
        Ok(if self.options.append && !self.lacks_its_beginning() { self.upload.size() } else { offset })
    }

    fn demand_writable(&self) -> Result<()> {
        if self.options.write { Ok(()) } else { Err(Error::NotOpenForWriting) }
    }

    /// True if the file is empty, and the client may have sent its beginning to an earlier upload. The offset of its
    /// first WRITE tells.
    fn lacks_its_beginning(&self) -> bool {
        self.upload.refuses_gaps() && self.upload.size() == 0
    }

    /// Begins a request: applies the mail, and shows `stage`. Returns true if the file was unchanged until then.
    fn begin(&mut self, stage: UploadStage) -> bool {
        let was_unchanged = self.upload.is_unchanged();
        if let Some(mail) = self.file.entry.begin(stage) {
            self.apply(mail);
        }
        was_unchanged
    }

    fn stage(&self) -> UploadStage {
        if self.upload.is_named() { UploadStage::Named } else { UploadStage::Unnamed }
    }

    /// Applies the mail of a file that is idle.
    fn receive(&mut self) {
        let was_unchanged = self.upload.is_unchanged();
        if let Some(mail) = self.file.entry.receive() {
            self.apply(mail);
            self.show(was_unchanged);
        }
    }

    /// Ends a request: applies the mail that came meanwhile, and shows the progress of the upload, with a new time
    /// after the first change.
    fn show(&mut self, was_unchanged: bool) {
        loop {
            let is_first_change = was_unchanged && !self.upload.is_unchanged();
            let changed_at = is_first_change.then(|| self.file.node.clock.unix_seconds());
            let stage = self.stage();
            let (size, shipped) =
                self.emptied_to().map_or((self.upload.size(), self.upload.shipped()), |size| (size, 0));
            let attributes = self.file.attributes;
            let mail = self.file.entry.show(|view| {
                let since = changed_at.unwrap_or(view.since);
                *view = UploadView { size, shipped, attributes, since, stage };
            });
            let Some(mail) = mail else { return };
            self.apply(mail);
        }
    }

    /// Applies requests by path. They were answered with OK, so a failure here fails the close.
    fn apply(&mut self, mail: Mail) {
        let Mail { renamed, resized, attributes, is_removed } = mail;
        self.file.is_removed |= is_removed;
        if let Some((key, replace)) = renamed {
            self.rename(key, replace);
        }
        for size in resized.into_iter().flat_map(|SizeChange { smallest, last }| [smallest, last]) {
            match self.set_size(size) {
                // The CLOSE fails already. The stored parts of an upload that failed can still be resumed.
                Ok(()) | Err(UploadError::Poisoned(_)) => {}
                Err(error) => self.upload.spoil(&error),
            }
        }
        self.set_times_and_mode(attributes);
    }

    fn rename(&mut self, key: Key, replace: Replace) {
        self.file.conflict_cause = match replace {
            Replace::No => ConflictCause::Exists,
            Replace::Yes if self.file.mount.allows(Permission::Overwrite) => ConflictCause::Changed,
            Replace::Yes => ConflictCause::MayNotReplace,
        };
        self.name_check.rename(&key);
        if let Err(error) = self.upload.rename(key) {
            self.upload.spoil(&error);
        }
    }

    fn set_size(&mut self, size: u64) -> Result<(), UploadError> {
        if self.empties(size)? { Ok(()) } else { self.upload.set_size(size) }
    }

    fn set_times_and_mode(&mut self, attributes: NewAttributes) {
        self.file.attributes = self.file.attributes.updated(attributes);
        if let Some(restart) = &mut self.restart {
            restart.attributes = restart.attributes.updated(attributes);
        }
    }

    /// [`store_attributes`](Self::store_attributes), unless the file is unchanged: then no object will be stored.
    fn store_changed_attributes(&mut self) {
        if !self.upload.is_unchanged() {
            self.store_attributes();
        }
    }

    /// Writes the requested attributes into the object, if its metadata has not been sent.
    fn store_attributes(&mut self) {
        let wanted = self.file.attributes;
        if wanted != self.file.stored
            && let Some(object) = self.upload.object_mut()
        {
            wanted.write_to(object, Kind::File);
            self.file.stored = wanted;
        }
    }
}
