//! OPEN with CREAT but without WRITE, APPEND and TRUNC. An existing file is opened for reading; a missing one is
//! created empty. flock(1) makes its lock file this way.
//!
//! Invariant: an existing file is neither replaced nor given another version.

use super::{
    ClosedUpload, Error, NewAttributes, PendingWrite, Place, Published, ReadHandle, Result, Unsupported, Vfs,
    WriteOptions, upload::WritableFile,
};
use crate::{account::Permission, name::VirtualPath};
use std::{sync::Arc, time::Duration};

/// The outcome of OPEN with CREAT.
#[derive(Debug)]
pub(crate) enum CreateOutcome {
    /// The file existed.
    Found(ReadHandle),
    /// The file doesn't exist. [`PendingWrite::create_empty`] creates it.
    Missing(Box<PendingWrite>),
}

impl Vfs {
    /// Opens a file for reading, or prepares to create an empty one. Needs `read` for an existing file, and `write` for
    /// a missing one.
    ///
    /// # Errors
    /// The errors of [`open_read`](Self::open_read) and [`open_write`](Self::open_write) except [`Error::NotFound`];
    /// [`Error::AlreadyExists`] if it is `exclusive`; [`Error::NotReadableYet`] for an interrupted upload that can be
    /// resumed.
    pub(crate) async fn open_create(
        &self,
        path: &VirtualPath,
        exclusive: bool,
        attributes: NewAttributes,
    ) -> Result<CreateOutcome> {
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        let options = WriteOptions { create: true, exclusive: true, ..WriteOptions::default() };
        if exclusive {
            return Ok(CreateOutcome::Missing(Box::new(self.open_write(path, options, attributes).await?)));
        }
        if mount.allows(Permission::Read) {
            match self.open_read(path).await {
                Err(Error::NotFound) => {}
                opened => return Ok(CreateOutcome::Found(opened?)),
            }
        }
        if self.is_uploading(path) {
            return Err(Unsupported::SecondWriter.into());
        }
        let bucket = self.bucket(mount).await?;
        // EXCL below would abandon an interrupted upload. While the journal is down none can be found.
        if let Ok(Some(_)) = self.find_interrupted(self.upload_journal(mount, &*bucket, &key)).await {
            return Err(Error::NotReadableYet);
        }
        // Without EXCL the OPEN takes no lock, and the locks of other sessions don't hinder it.
        match self.find_writable(path, options, attributes, None).await {
            Err(Error::AlreadyExists) => Ok(CreateOutcome::Found(self.open_read(path).await?)),
            found => {
                let (file, name_check, older) = found?;
                Ok(CreateOutcome::Missing(Box::new(file.begin(name_check, older)?)))
            }
        }
    }
}

impl PendingWrite {
    /// Publishes the empty file, and opens it for reading: 1 request. Needs no `read`, because the file has no bytes.
    ///
    /// # Errors
    /// The errors of [`admit`](Self::admit) and of the handle's close; [`Error::AlreadyExists`] if the file was created
    /// meanwhile.
    pub(crate) async fn create_empty(self, deadline: Duration) -> Result<(ReadHandle, Option<Published>)> {
        let WritableFile { bucket, node, tenant, mount, key, .. } = &self.file;
        let (bucket, memory) = (Arc::clone(bucket), node.budget.of(&tenant.name));
        let (mount, key, path) = (mount.clone(), key.clone(), self.path().current());
        let handle = self.admit(deadline).await?;
        let metadata = handle.metadata();
        handle.fix_name();
        // Boxed, because otherwise every future that creates an empty file would be as large as CLOSE's.
        let ClosedUpload { published, .. } = Box::pin(handle.close()).await?;
        Ok((ReadHandle::of_empty(bucket, memory, mount, key, path, metadata), published))
    }
}
