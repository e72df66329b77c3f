//! Changing a file that is stored: the version that a handle begins with, and sizes set by path.
//!
//! Invariant: the file that comes of it replaces that version, or nothing. It keeps mode, metadata and headers; its times
//! are those of the change.

use super::{
    Metadata, Mount, NewAttributes, Result, SetAttributes, Vfs, WriteOptions,
    late::Named,
    notes::{Live, Notes},
};
use crate::{
    name::VirtualPath,
    store::{Found, NewObject, Object, Version},
};
use std::time::Duration;

/// How long SETSTAT of a size waits for upload memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// The version of a file that a handle begins with.
#[derive(Clone, Debug)]
pub(super) struct Patched {
    pub(super) file: Object,
    /// As STAT shows it.
    pub(super) metadata: Metadata,
    mode: Option<u32>,
}

impl Patched {
    /// `file`, and what is kept beside it.
    pub(super) async fn find(notes: &Notes, named: Named<'_>, file: Object, mount: &Mount) -> Self {
        let late = notes.late.of_file(named).await.of(&Version::of(&file));
        let metadata = Metadata::of_object(&file, late, mount);
        let mode = NewAttributes::read_from(&file.metadata).updated(late.set()).mode;
        Self { file, metadata, mode }
    }

    /// The file as it is shown before anything is written.
    pub(super) fn live(&self) -> Live {
        let attributes = NewAttributes { times: None, mode: self.mode };
        let modified = self.metadata.times.modified.into();
        Live { size: self.file.size, is_change: true, ..Live::new(attributes, modified) }
    }

    /// What its next version is born with, if nothing else is asked for.
    pub(super) fn heir(&self) -> NewObject {
        NewAttributes::born_after(&self.file)
    }
}

impl Vfs {
    /// Gives a stored file, which was asked for just now, another size, and what else is wanted with it. Needs
    /// `overwrite`.
    ///
    /// # Errors
    /// Those of [`open_write`](Self::open_write) and of the handle's close.
    pub(super) async fn resize(&self, path: &VirtualPath, file: Object, wanted: SetAttributes) -> Result<()> {
        let options = WriteOptions { write: true, ..WriteOptions::default() };
        let found = Found { file: Some(file), directory: false };
        let (file, room, cut_off) = self.find_writable(path, options, NewAttributes::default(), Some(found)).await?;
        let mut handle = file.begin(room, cut_off)?.admit(PATIENCE).await?;
        match handle.set_attributes(wanted) {
            Ok(()) => handle.close().await.map(drop),
            Err(error) => {
                handle.discard().await;
                Err(error)
            }
        }
    }
}
