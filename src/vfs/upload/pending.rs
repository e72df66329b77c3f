//! An upload between the checks of its OPEN and its beginning.

use super::{ConflictCause, WriteHandle};
use crate::{
    account::{Mount, Tenant},
    memory::UploadMemory,
    name::{Key, VirtualPath},
    objects::Lock,
    store::{self, Bucket},
    upload::{MIN_PART_BYTES, Origin, UploadError, UploadJournal},
    vfs::{
        Error, NewAttributes, Node, Result, Unsupported, UploadPath,
        cache::CredentialScope,
        file_attributes::NamedObject,
        former_attributes::FormerAttributes,
        interrupted::{self, OlderUpload},
        name_check::NameCheck,
        open_uploads::{UploadEntry, UploadView},
        session_state::SessionState,
    },
};
use std::{sync::Arc, time::Duration};

/// The flags of an OPEN that has WRITE, APPEND or TRUNC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of one word on the wire, in any combination")]
pub struct WriteOptions {
    /// READ: bytes that were written can be read back while they are in memory. Only the file's former bytes need the
    /// permission `read`.
    pub read: bool,
    /// WRITE or APPEND. Without them no bytes can be written, and TRUNC empties the file.
    pub write: bool,
    /// CREAT: create a missing file.
    pub create: bool,
    /// TRUNC: begin with an empty file. Without it the file keeps its bytes.
    pub truncate: bool,
    /// EXCL: fail if the file exists. It has no effect without CREAT.
    pub exclusive: bool,
    /// APPEND: each WRITE goes to the end, whatever its offset.
    pub append: bool,
}

impl WriteOptions {
    /// True if the stored part of an interrupted upload is of no use to the client.
    pub(in crate::vfs) fn starts_over(self) -> bool {
        self.truncate || self.exclusive
    }

    /// Each handle is an upload of its own. A second handle on a file that the session is uploading can't add to it.
    pub(in crate::vfs) fn check_beside(self, newest: Option<UploadView>) -> Result<()> {
        match newest {
            Some(_) if self.exclusive => Err(Error::AlreadyExists),
            Some(_) if !self.truncate => Err(Unsupported::SecondWriter.into()),
            _ => Ok(()),
        }
    }
}

/// A file that may be written, as OPEN resolved it.
#[derive(Clone, Debug)]
pub(in crate::vfs) struct WritableFile {
    pub(in crate::vfs) bucket: Arc<dyn Bucket>,
    pub(in crate::vfs) node: Arc<Node>,
    pub(in crate::vfs) scope: Arc<CredentialScope>,
    pub(in crate::vfs) tenant: Arc<Tenant>,
    pub(in crate::vfs) session: Arc<SessionState>,
    pub(in crate::vfs) mount: Mount,
    pub(in crate::vfs) key: Key,
    pub(in crate::vfs) path: VirtualPath,
    pub(in crate::vfs) origin: Origin,
    /// The attributes of the stored file that is changed.
    pub(in crate::vfs) former_attributes: Option<FormerAttributes>,
    pub(in crate::vfs) upload_journal: Option<UploadJournal>,
    pub(in crate::vfs) options: WriteOptions,
    /// The attributes that OPEN asked for.
    pub(in crate::vfs) attributes: NewAttributes,
    pub(in crate::vfs) conflict_cause: ConflictCause,
}

impl WritableFile {
    /// Adds the file to the session's uploads.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the session already uploads the file. OPEN has checked this before, but another OPEN
    /// may have passed the same check since.
    pub(in crate::vfs) fn begin(self, name_check: NameCheck, older: Option<OlderUpload>) -> Result<PendingWrite> {
        let view = match (&self.former_attributes, &self.origin) {
            (Some(former), _) => former.view(),
            (None, Origin::Resume(upload)) => interrupted::view(upload, &*self.node.clock),
            (None, _) => UploadView::new(self.attributes, self.node.clock.unix_seconds()),
        };
        let entry = self.session.open_uploads.enter(&self.path, view, |newest| self.options.check_beside(newest))?;
        Ok(PendingWrite { file: self, entry, name_check, older, lock: None })
    }

    pub(in crate::vfs) fn named(&self) -> NamedObject<'_> {
        NamedObject { path: &self.path, scope: &self.scope, bucket: &*self.bucket, key: &self.key }
    }
}

/// An upload that may begin.
#[derive(Debug)]
pub struct PendingWrite {
    pub(in crate::vfs) file: WritableFile,
    pub(in crate::vfs) entry: UploadEntry,
    pub(in crate::vfs) name_check: NameCheck,
    /// The interrupted upload that the file doesn't resume.
    pub(in crate::vfs) older: Option<OlderUpload>,
    /// The lock of an OPEN with EXCL.
    pub(in crate::vfs) lock: Option<Lock>,
}

impl PendingWrite {
    /// Gives the upload a lock on its name.
    pub(in crate::vfs) fn under(self, lock: Option<Lock>) -> Self {
        if let Some(lock) = &lock {
            lock.open();
        }
        Self { lock, ..self }
    }

    /// Begins the upload. Takes over the stored part of an interrupted one. It takes memory with its first bytes, and
    /// waits for that at most for `memory_wait`. This waits itself, at most ten seconds, while the tenant has more
    /// open files than there is memory for.
    ///
    /// # Errors
    /// [`Error::BeingUploaded`], [`Error::PartialLost`].
    pub async fn admit(self, memory_wait: Duration) -> Result<WriteHandle> {
        let memory = self.file.node.budget.of(&self.file.tenant.name);
        let memory = UploadMemory::open(memory, MIN_PART_BYTES, memory_wait).await;
        match Box::pin(WriteHandle::open(self, memory)).await {
            Err(UploadError::Storage(store::Error::UploadGone)) => Err(Error::PartialLost),
            opened => Ok(opened?),
        }
    }

    /// The path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.entry.path()
    }
}
