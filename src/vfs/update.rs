//! OPEN of an existing file for reading and writing. Until its first change the file is read as by any other reader.
//!
//! Invariant: the upload replaces exactly the version that was opened, or fails.

use super::{
    NewAttributes, PendingWrite, ReadHandle, Result, Vfs, WriteHandle, WriteOptions, base_attributes::BaseAttributes,
    room::Room, upload::Writable,
};
use crate::name::VirtualPath;
use std::time::Duration;

/// The outcome of OPEN for reading and writing.
#[derive(Debug)]
pub(crate) enum OpenedUpdate {
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
    ) -> Result<OpenedUpdate> {
        let lock = self.lock(path, options).await?;
        let (file, room, older) = self.find_writable(path, options, attributes, None).await?;
        match ReadHandle::of_base(&file).filter(|_| options.read) {
            Some(handle) => Ok(OpenedUpdate::Unchanged(handle, Update { file })),
            None => Ok(OpenedUpdate::Upload(file.begin(room, older)?.under(lock))),
        }
    }
}

/// A change of a stored file that has not begun.
#[derive(Debug)]
pub(crate) struct Update {
    file: Writable,
}

impl Update {
    /// Adds the file to the session's uploads. No IO.
    ///
    /// # Errors
    /// [`Error::Unsupported`](super::Error::Unsupported) if the session already uploads the file.
    pub(crate) fn begin(&self) -> Result<PendingWrite> {
        let file = self.file.clone();
        let room = Room::known(&file.node, file.named(), &file.bucket, &file.mount);
        file.begin(room, None)
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
        if let (Some(object), Some(base)) = (self.file.origin.older_object(), &self.file.base) {
            let Writable { notes, mount, .. } = &self.file;
            let again = BaseAttributes::find(notes, self.file.named(), object, mount).await;
            let (before, now) = (base.view(), again.view());
            self.entry.update(|view| {
                if view.attributes.mode == before.attributes.mode {
                    view.attributes.mode = now.attributes.mode;
                }
            });
            self.file.base = Some(again);
        }
        self.admit(deadline).await
    }

    /// The size of the file so far, in bytes.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.entry.view().size
    }
}
