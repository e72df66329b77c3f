//! The end of an upload that another session may resume, and the beginning of one that is resumed.

use super::{Gaps, Origin, Upload, charges::UploadCharges, part_buffer::PartBuffer, parts::Parts};
use crate::store::NewObject;

impl Upload {
    /// Abandons the stored parts of an upload that was taken over, and begins with an empty file that gets the
    /// attributes of `object`. No effect once the client has written more.
    pub(crate) async fn start_over(&mut self, object: NewObject) {
        if !self.is_only_resumed() {
            return;
        }
        (self.origin, self.object, self.buffer) = (Origin::New(Gaps::Zeros), object, PartBuffer::default());
        self.charges = UploadCharges::new(self.target.bucket.usage());
        if let Some(parts) = self.parts.take() {
            parts.abort().await;
        }
    }

    /// Lets the next session resume the stored parts, if it can find them. Else aborts the upload.
    pub(crate) async fn leave(mut self) {
        if !self.is_resumable() {
            return self.abort().await;
        }
        // One request, for bytes that the client would otherwise send again.
        if let Some(part) = self.last_part_before_leaving() {
            let _ = self.ship(part).await;
        }
        let Self { parts, buffer, memory, .. } = self;
        // Other uploads may wait for this memory, and S3 may take long to answer.
        drop((buffer, memory));
        if let Some(parts) = parts {
            parts.leave().await;
        }
    }

    /// True if the stored parts are the beginning of the client's file, and a later session can find them.
    pub(super) fn is_resumable(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| failure.is_resumable)
            && self.parts.as_ref().is_some_and(Parts::is_resumable)
    }
}
