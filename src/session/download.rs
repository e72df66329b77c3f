//! A file that the client reads. It counts the bytes, and records its end however it ends.

use super::{
    OpenTransfer, SessionTree,
    progress::{DownloadPath, TransferPath},
    registry::OpenMount,
};
use crate::{
    events::{Outcome, TransferredObject},
    name::{TransferId, VirtualPath},
    vfs::{Metadata, ReadHandle, Result},
};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// A file that is open for reading, without access to its bytes. Requests that set its attributes or copy it hold it,
/// and may outlive its CLOSE.
#[derive(Debug)]
pub struct ReadableFile {
    handle: ReadHandle,
    _mount: Arc<OpenMount>,
}

impl ReadableFile {
    /// Returns the path that the client opened.
    #[must_use]
    pub(crate) fn path(&self) -> &VirtualPath {
        self.handle.path()
    }

    /// Returns the attributes at the time of OPEN, with the changes made through the handle.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        self.handle.metadata()
    }

    fn download_path(&self) -> DownloadPath {
        let (bucket, key, pin) = self.handle.object();
        let object = TransferredObject {
            bucket: bucket.clone(),
            key: key.clone(),
            etag: pin.etag.0.clone(),
            version: pin.version.as_ref().map(|version| version.0.clone()),
            checksum_crc64nvme: None,
            request_id: None,
        };
        let (path, size) = (self.path().clone(), self.metadata().size);
        DownloadPath { transfer_id: TransferId::new(), path, size, object }
    }

    pub(super) fn handle(&self) -> &ReadHandle {
        &self.handle
    }
}

/// The download of an open file. Its reads may run concurrently. Dropping it without [`FileDownload::close`] records
/// it as abandoned.
#[derive(Debug)]
pub struct FileDownload {
    file: Arc<ReadableFile>,
    transfer: OnceLock<OpenTransfer>,
    /// The error of the first read that failed.
    failure: OnceLock<String>,
    tree: Arc<SessionTree>,
}

impl FileDownload {
    /// Records that the client opened the file.
    pub(super) fn begin(tree: &Arc<SessionTree>, handle: ReadHandle, mount: Arc<OpenMount>) -> Self {
        let download = Self::unread(tree, handle, mount);
        download.transfer();
        download
    }

    /// Opens a file that the client may change before it reads any byte. The first read records the OPEN.
    pub(super) fn unread(tree: &Arc<SessionTree>, handle: ReadHandle, mount: Arc<OpenMount>) -> Self {
        let file = Arc::new(ReadableFile { handle, _mount: mount });
        Self { file, transfer: OnceLock::new(), failure: OnceLock::new(), tree: Arc::clone(tree) }
    }

    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &Arc<ReadableFile> {
        &self.file
    }

    /// Returns up to `len` bytes from `offset`, in pieces: fewer only at the end of the file, none behind it.
    ///
    /// # Errors
    /// Those of [`ReadHandle::read`]. The record of the end has the first of them.
    pub async fn read(&self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        let transfer = self.transfer();
        match self.file.handle.read(offset, len).await {
            Ok(pieces) => {
                transfer.progress().count(pieces.iter().map(|piece| piece.len() as u64).sum());
                Ok(pieces)
            }
            Err(error) => {
                let _ = self.failure.set(error.detail());
                Err(error)
            }
        }
    }

    /// Closes the file.
    pub fn close(self) {
        self.transfer();
        self.end();
    }

    /// Ends the download because the client changes the file: an upload takes over. A file that the client has not read
    /// has no record as a download.
    pub(crate) fn end(self) {
        let Self { file, transfer, failure, .. } = self;
        let size = file.metadata().size;
        // Prefetched bytes would take memory from the upload.
        drop(file);
        if let Some(transfer) = transfer.into_inner() {
            match failure.into_inner() {
                None => transfer.done(size, None),
                Some(failure) => transfer.fail(Outcome::Failed(failure)),
            }
        }
    }

    fn transfer(&self) -> &OpenTransfer {
        let path = || TransferPath::Download(Box::new(self.file.download_path()));
        self.transfer.get_or_init(|| self.tree.begin_transfer(path()))
    }
}
