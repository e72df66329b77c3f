//! Makes a range of another object a part of the file. S3 copies it, and none of its bytes passes through this server.
//!
//! Invariant: all of it is of the one version that the pin names, or the upload fails.

use super::{Upload, error::Result, split_point::share_bytes};
use crate::{name::Key, store::Pin};
use std::ops::Range;

impl Upload {
    /// True if S3 can copy `bytes` to `offset` by itself. The offset must be the file's end, with no bytes left in the
    /// buffer. The range must be longer than a part, so that copies use up no more of S3's part numbers than parts
    /// would.
    #[must_use]
    pub(crate) fn can_copy(&self, offset: u64, bytes: u64) -> bool {
        offset == self.size() && offset == self.shipped() && bytes > self.next_part_bytes()
    }

    /// Appends `range` of the bucket's object `source`, if that still is `pin`. Requires [`can_copy`](Self::can_copy).
    /// Returns when S3 has copied all of it. Dropping this future poisons the upload.
    ///
    /// # Errors
    /// Every error poisons the upload: [`UploadError::TooLarge`](super::UploadError::TooLarge), or S3's error. That is
    /// [`Error::Conflict`](crate::store::Error::Conflict) if the source is not, or no longer, the pinned version.
    pub(crate) async fn copy(&mut self, source: &Key, pin: &Pin, range: Range<u64>) -> Result<()> {
        self.begin_step()?;
        let outcome = self.append(source, pin, range).await;
        self.end_step(&outcome);
        outcome
    }

    async fn append(&mut self, source: &Key, pin: &Pin, range: Range<u64>) -> Result<()> {
        let bytes = range.end.saturating_sub(range.start);
        self.check_bounds(self.size(), bytes)?;
        self.charge_change()?;
        // Before the bytes, which nothing would give back if the requests were refused.
        let requests = self.charges.reserve_requests(bytes.div_ceil(share_bytes(bytes)))?;
        self.charges.copied(bytes)?;
        self.origin.note_change();
        self.charges.is_sent = true;
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start.saturating_add(share_bytes(bytes)));
            self.parts()?.copy(source.clone(), start..end, pin.clone(), requests.clone());
            self.buffer.pass_over(end - start);
            start = end;
        }
        self.parts()?.all_copied().await
    }
}
