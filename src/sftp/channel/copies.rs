//! COPY-DATA. The server looks the source up when the request arrives; the target's task copies in its turn.

use super::{context::ChannelContext, pending_reply::PendingReply};
use crate::{
    session::{FileUpload, ReadableFile},
    sftp::wire::{CopyData, StatusCode},
    vfs::{CopyRange, Error, Result},
};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A copy that waits for its turn. It keeps its source open, even if the client closes the source.
#[derive(Debug)]
pub(crate) struct PendingCopy {
    source: Arc<ReadableFile>,
    range: CopyRange,
    _room: OwnedSemaphorePermit,
}

impl PendingCopy {
    /// Creates the copy that `request` asks for, from a `source` that is open for reading.
    ///
    /// # Errors
    /// [`Error::NoSource`], or [`Error::Busy`] if too many copies wait.
    pub(crate) fn new(context: &ChannelContext, source: Option<Arc<ReadableFile>>, request: &CopyData) -> Result<Self> {
        let source = source.ok_or(Error::NoSource)?;
        let room = Arc::clone(&context.copies).try_acquire_owned().map_err(|_| Error::Busy)?;
        let range = CopyRange {
            source_offset: request.source_offset,
            length: Some(request.length).filter(|length| *length > 0),
            target_offset: request.target_offset,
        };
        Ok(Self { source, range, _room: room })
    }
}

/// Copies into `target` and answers. Returns the number of bytes, or `None` after a failure. Clients close the target
/// even after a refusal, so after a failure the caller must publish nothing.
pub(crate) async fn serve(
    target: &mut FileUpload,
    pending_reply: PendingReply,
    copy: Result<PendingCopy>,
) -> Option<u64> {
    let PendingCopy { source, range, _room } = match copy {
        Ok(copy) => copy,
        Err(error) => {
            target.refuse_copy(&error);
            pending_reply.fail(&error);
            return None;
        }
    };
    let copied = target.copy(&source, range).await;
    let copied_bytes = copied.as_ref().ok().copied();
    match copied {
        Ok(bytes) if range.length.is_some_and(|length| bytes < length) => {
            pending_reply.status(StatusCode::Eof, "end of file");
        }
        copied => pending_reply.done(copied.map(|_| ())),
    }
    copied_bytes
}
