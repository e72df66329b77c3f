//! OPEN of an existing file for reading and writing. Until its first change the file is read as by any other reader.
//!
//! Invariant: the upload replaces exactly the version that was opened, or fails.

use super::{
    NewAttributes, PendingWrite, ReadHandle, Result, Vfs, WriteHandle, WriteOptions,
    former_attributes::FormerAttributes, name_check::NameCheck, upload::WritableFile,
};
use crate::name::VirtualPath;
use std::time::Duration;

/// The outcome of OPEN for reading and writing.
#[derive(Debug)]
pub(crate) enum UpdateOutcome {
    /// The file existed. It is read until its first change.
    Unchanged(ReadHandle, Update),
    /// A new file, one that starts over, or an interrupted upload that is resumed.
    Upload(PendingWrite),
}

impl Vfs {
    /// Opens a file for reading and writing. An existing one becomes an upload with its first change. Needs `write`,
    /// and `overwrite` for an existing file; READ of its former bytes needs `read`.
    ///
    /// # Errors
    /// The errors of [`open_write`](Self::open_write).
    pub(crate) async fn open_update(
        &self,
        path: &VirtualPath,
        options: WriteOptions,
        attributes: NewAttributes,
    ) -> Result<UpdateOutcome> {
        let lock = self.lock(path, options).await?;
        let (file, name_check, older) = self.find_writable(path, options, attributes, None).await?;
        match ReadHandle::of_older_object(&file).filter(|_| options.read) {
            Some(handle) => Ok(UpdateOutcome::Unchanged(handle, Update { file })),
            None => Ok(UpdateOutcome::Upload(file.begin(name_check, older)?.under(lock))),
        }
    }
}

/// A change of a stored file that has not begun.
#[derive(Debug)]
pub(crate) struct Update {
    file: WritableFile,
}

impl Update {
    /// Adds the file to the session's uploads. No IO.
    ///
    /// # Errors
    /// [`Error::Unsupported`](super::Error::Unsupported) if the session already uploads the file.
    pub(crate) fn begin(&self) -> Result<PendingWrite> {
        let file = self.file.clone();
        let name_check = NameCheck::known(&file.node, file.named(), &file.bucket, &file.mount);
        file.begin(name_check, None)
    }

    /// The path that was opened.
    #[must_use]
    pub(crate) fn path(&self) -> &VirtualPath {
        &self.file.path
    }
}

impl PendingWrite {
    /// [`admit`](Self::admit) for a file that was opened earlier: another session may have set its mode since.
    ///
    /// # Errors
    /// The errors of `admit`.
    pub(crate) async fn admit_update(mut self, deadline: Duration) -> Result<WriteHandle> {
        if let (Some(object), Some(former)) = (self.file.origin.older_object(), &self.file.former_attributes) {
            let WritableFile { session, mount, .. } = &self.file;
            let again = FormerAttributes::find(session, self.file.named(), object, mount).await;
            let (before, now) = (former.view(), again.view());
            self.entry.update(|view| {
                if view.attributes.mode == before.attributes.mode {
                    view.attributes.mode = now.attributes.mode;
                }
            });
            self.file.former_attributes = Some(again);
        }
        self.admit(deadline).await
    }

    /// The size of the file so far, in bytes.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.entry.view().size
    }
}
