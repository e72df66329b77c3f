//! Changes of a stored file: the version that the handle begins with, and sizes that SETSTAT sets by path.
//!
//! Invariant: CLOSE replaces exactly that version, or fails. The new version keeps the mode, metadata and headers, and
//! has the times of the change.

use super::{
    Metadata, Mount, NewAttributes, Result, SetAttributes, Vfs, WriteOptions,
    late::Named,
    notes::Notes,
    open_uploads::{UploadStage, UploadView},
};
use crate::{journal::Version, name::VirtualPath, objects::Found, store::Object};
use std::time::Duration;

/// SETSTAT of a size waits this long for upload memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// The attributes of the version that a handle begins with.
#[derive(Clone, Debug)]
pub(super) struct BaseAttributes {
    /// The metadata that STAT shows.
    pub(super) metadata: Metadata,
    mode: Option<u32>,
}

impl BaseAttributes {
    /// Combines the attributes of `file` with those that are kept beside it.
    pub(super) async fn find(notes: &Notes, named: Named<'_>, file: &Object, mount: &Mount) -> Self {
        let late = notes.late.of_file(named).await.of(&Version::of(file));
        let metadata = Metadata::of_object(file, late, mount);
        let mode = NewAttributes::read_from(&file.metadata).updated(late.set()).mode;
        Self { metadata, mode }
    }

    /// The file as STAT shows it before the first WRITE.
    pub(super) fn view(&self) -> UploadView {
        let attributes = NewAttributes { times: None, mode: self.mode };
        let modified = self.metadata.times.modified.into();
        let new = UploadView::new(attributes, modified);
        UploadView { size: self.metadata.size, stage: UploadStage::Named, ..new }
    }
}

impl Vfs {
    /// Sets another size, and the other `wanted` attributes, of a stored file that was looked up just now. Needs
    /// `overwrite`.
    ///
    /// # Errors
    /// The errors of [`open_write`](Self::open_write) and of the handle's close.
    pub(super) async fn resize(&self, path: &VirtualPath, file: Object, wanted: SetAttributes) -> Result<()> {
        let options = WriteOptions { write: true, ..WriteOptions::default() };
        let found = Found { file: Some(file), directory: false };
        let (file, room, older) = self.find_writable(path, options, NewAttributes::default(), Some(found)).await?;
        let mut handle = file.begin(room, older)?.admit(PATIENCE).await?;
        match handle.set_attributes(wanted) {
            Ok(()) => handle.close().await.map(drop),
            Err(error) => {
                handle.discard().await;
                Err(error)
            }
        }
    }
}
