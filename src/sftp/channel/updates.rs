//! A file that is open for reading and writing and that the client hasn't changed yet. It is a reader, until the first
//! request that changes the file turns it into an upload.
//!
//! The table of handles holds either the reader or the upload. Requests are forwarded in the order of their arrival:
//! the reader gets all requests before the change, and the upload all requests from the change on. The upload waits for
//! the reader's end.

use super::{
    context::ChannelContext, pending_closes::Barrier, read_queue::ReadCommand, reads::Reads,
    write_brake::WaitingWrites, writes::Writes,
};
use crate::{
    name::VirtualPath,
    session::{FileDownload, UnchangedFile},
    vfs::UploadPath,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The sending end of the task of such a file.
#[derive(Clone, Debug)]
pub(crate) struct Updates {
    reads: Reads,
    file: Arc<UnchangedFile>,
    waiting: WaitingWrites,
    /// The barrier of the OPEN.
    barrier: Arc<Barrier>,
}

impl Updates {
    /// Starts the task of a file opened for update.
    pub(crate) fn start(
        context: &Arc<ChannelContext>,
        download: FileDownload,
        file: Arc<UnchangedFile>,
        barrier: Barrier,
    ) -> Self {
        let waiting = WaitingWrites::default();
        let reads = Reads::start_update(context, download, waiting.clone());
        Self { reads, file, waiting, barrier: Arc::new(barrier) }
    }

    /// Returns the path that the client opened.
    pub(crate) fn path(&self) -> &VirtualPath {
        self.file.path()
    }

    /// Returns the reader.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Ends the reader and starts the upload's task behind it. Call it before forwarding the request that changes the
    /// file.
    pub(crate) fn begin(&self, context: &Arc<ChannelContext>) -> Writes {
        let (answered, reads) = oneshot::channel();
        self.reads.command(ReadCommand::Change(answered));
        match self.file.begin() {
            Ok(pending) => {
                Writes::start_update(context, pending, self.waiting.clone(), reads, Arc::clone(&self.barrier))
            }
            Err(error) => Writes::start_refusing(context, UploadPath::ended(self.path().clone()), error),
        }
    }
}
