//! COPY-DATA: what is in a file that is open for reading goes into an upload, as by READs and WRITEs.
//!
//! Within a mount S3 copies what is more than a part, if it goes to the end of an upload of which nothing is left in
//! memory: all of a file to a new one, above all. Anything else comes through here, a piece at a time.
//!
//! Invariant: the bytes are of the version of the source that was opened, and after a copy that failed nothing is
//! published.

use super::WriteHandle;
use crate::{
    store,
    vfs::{Error, ReadHandle, Result},
};
use bytes::Bytes;
use std::ops::Range;

/// How much comes through here at once, in bytes: what a READ brings. It is beyond the budget, and little beside the
/// 5 MiB that the upload holds of it.
const PIECE_BYTES: u32 = 255 * 1024;

/// Which bytes go where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRange {
    /// Where they begin in the source.
    pub source_offset: u64,
    /// How many they are; `None` for all up to the source's end.
    pub length: Option<u64>,
    /// Where they go in the target.
    pub target_offset: u64,
}

impl WriteHandle {
    /// Copies bytes of `source`, fewer where it ends sooner, and says how many. Dropping this future leaves some of them
    /// in the file: the handle is to be discarded then.
    ///
    /// # Errors
    /// [`Error::SourceChanged`], and those of [`write`](Self::write). From then on nothing is published: the close fails
    /// too.
    pub async fn copy(&mut self, source: &ReadHandle, range: CopyRange) -> Result<u64> {
        self.demand_writable()?;
        let size = source.metadata().size;
        let start = range.source_offset.min(size);
        let end = range.length.map_or(size, |length| start.saturating_add(length).min(size));
        if start == end {
            self.write(range.target_offset, Bytes::new()).await?;
            return Ok(0);
        }
        let target_offset = self.place(range.target_offset).await?;
        if self.file.mount == *source.mount() && self.upload.can_copy(target_offset, end - start) {
            let was_unchanged = self.upload.is_unchanged();
            let (key, pin) = source.version();
            self.file.live.update(|live| live.is_busy = true);
            let copied = self.upload.copy(key, pin, start..end).await;
            self.show(was_unchanged);
            copied.map_err(source_error)?;
        } else {
            self.stream(source, start..end, target_offset).await?;
        }
        Ok(end - start)
    }

    async fn stream(&mut self, source: &ReadHandle, range: Range<u64>, target_offset: u64) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let len = u32::try_from(range.end - at).unwrap_or(u32::MAX).min(PIECE_BYTES);
            let pieces = source.fetch(at, len).await.and_then(not_empty);
            for piece in pieces.inspect_err(|error| self.upload.spoil(error)).map_err(source_error)? {
                let (offset, len) = (target_offset.saturating_add(at - range.start), piece.len() as u64);
                self.write_at(offset, piece).await?;
                at += len;
            }
        }
        Ok(())
    }
}

fn not_empty(pieces: Vec<Bytes>) -> store::Result<Vec<Bytes>> {
    if pieces.is_empty() { Err(store::Error::Broken("an object ended before its size".into())) } else { Ok(pieces) }
}

/// It is the source that changed or went then, not the target.
fn source_error(error: store::Error) -> Error {
    match error {
        store::Error::Conflict { .. } | store::Error::NotFound => Error::SourceChanged(error),
        error => error.into(),
    }
}
