//! READ of the former bytes of a file that is being changed: those of the version that it began as.
//!
//! Invariant: all of them are of that one version, or the READ fails.

use super::WriteHandle;
use crate::{download::Reader, store::Error, upload::BufferedBytes, vfs::Result};
use bytes::Bytes;

impl WriteHandle {
    /// Puts the former bytes where they show in the bytes from `offset`.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the former file was replaced or removed, or S3's error.
    pub(super) async fn with_former(&self, offset: u64, read: BufferedBytes) -> Result<Bytes> {
        let BufferedBytes { mut bytes, former } = read;
        let Some(reader) = &self.former else { return Ok(bytes.freeze()) };
        for range in former {
            let mut at = range.start;
            while at < range.end {
                for piece in some_pieces(reader, at, range.end - at).await? {
                    let place = usize::try_from(at - offset).unwrap_or(usize::MAX);
                    if let Some(target) = bytes.get_mut(place..place.saturating_add(piece.len())) {
                        target.copy_from_slice(&piece);
                    }
                    at += piece.len() as u64;
                }
            }
        }
        Ok(bytes.freeze())
    }
}

/// Reads at least one byte, and up to `wanted`.
async fn some_pieces(reader: &Reader, at: u64, wanted: u64) -> Result<Vec<Bytes>, Error> {
    match reader.read(at, u32::try_from(wanted).unwrap_or(u32::MAX)).await {
        Ok(pieces) if pieces.is_empty() => Err(Error::Broken("an object ended before its size".into())),
        // The removal of the former file counts as a change.
        Err(Error::NotFound) => Err(Error::Conflict { request: "the object is gone".into() }),
        answered => answered,
    }
}
