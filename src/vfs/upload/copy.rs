//! COPY-DATA: copies bytes of a file that is open for reading into an upload, as READs and WRITEs would do.
//!
//! Within a mount S3 copies a range larger than a part, if it goes to the end of an upload that has nothing left in
//! memory. The most important case is a whole file copied to a new one. All other copies pass through this server,
//! piece by piece.
//!
//! Invariant: the bytes are of the source's version that was opened. After a failed copy nothing is published.

use super::WriteHandle;
use crate::{
    store,
    upload::UploadError,
    vfs::{Error, ReadHandle, Result},
};
use bytes::Bytes;
use std::ops::Range;

/// The bytes that pass through this server at a time, as many as a READ returns. They are not in the budget, but few
/// compared with the 5 MiB that the upload holds there.
const PIECE_BYTES: u32 = 255 * 1024;

/// The range to copy, and its place in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRange {
    /// The first byte in the source.
    pub source_offset: u64,
    /// The number of bytes; `None` for all up to the source's end.
    pub length: Option<u64>,
    /// The place of the first byte in the target.
    pub target_offset: u64,
}

impl WriteHandle {
    /// Copies bytes of `source`, fewer if it ends sooner, and returns their number. If this future is dropped, some of
    /// them are in the file: discard the handle then.
    ///
    /// # Errors
    /// [`Error::SourceChanged`], and those of [`write`](Self::write). After an error nothing is published: the close
    /// fails too.
    pub async fn copy(&mut self, source: &ReadHandle, range: CopyRange) -> Result<u64> {
        self.demand_writable()?;
        let size = source.metadata().size;
        let start = range.source_offset.min(size);
        let end = range.length.map_or(size, |length| start.saturating_add(length).min(size));
        if start == end {
            self.write(range.target_offset, Bytes::new()).await?;
            return Ok(0);
        }
        let was_unchanged = self.begin(self.stage());
        let copied = self.copy_in_turn(source, start..end, range.target_offset).await;
        self.show(was_unchanged);
        copied.map(|()| end - start)
    }

    async fn copy_in_turn(&mut self, source: &ReadHandle, range: Range<u64>, target_offset: u64) -> Result<()> {
        let target_offset = self.place(target_offset).await?;
        if self.file.mount == *source.mount() && self.upload.can_copy(target_offset, range.end - range.start) {
            let (key, pin) = source.version();
            self.upload.copy(key, pin, range).await.map_err(|error| match error {
                UploadError::Storage(error) => source_error(error),
                error => error.into(),
            })
        } else {
            self.stream(source, range, target_offset).await
        }
    }

    async fn stream(&mut self, source: &ReadHandle, range: Range<u64>, target_offset: u64) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let len = u32::try_from(range.end - at).unwrap_or(u32::MAX).min(PIECE_BYTES);
            let pieces = source.fetch(at, len).await.and_then(not_empty);
            for piece in pieces.inspect_err(|error| self.upload.spoil(error)).map_err(source_error)? {
                let (offset, len) = (target_offset.saturating_add(at - range.start), piece.len() as u64);
                self.upload.write_copied(offset, piece).await?;
                // Requests by path wait for the end of the copy, as they would have no place between its pieces.
                self.file.entry.show_progress(self.upload.size(), self.upload.shipped());
                at += len;
            }
        }
        Ok(())
    }
}

fn not_empty(pieces: Vec<Bytes>) -> store::Result<Vec<Bytes>> {
    if pieces.is_empty() { Err(store::Error::Broken("an object ended before its size".into())) } else { Ok(pieces) }
}

/// These errors mean that the source, not the target, was changed or removed.
fn source_error(error: store::Error) -> Error {
    match error {
        store::Error::Conflict { .. } | store::Error::NotFound => Error::SourceChanged(error),
        error => error.into(),
    }
}
