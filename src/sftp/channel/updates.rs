//! A file that is open for reading and writing and was not changed yet: a reader, which the first request that changes the
//! file makes an upload.
//!
//! The table of handles has the one or the other. Requests are sent on in the order in which they come, so all that comes
//! before the change is the reader's and all that comes behind it the upload's, which waits for the reader's end.

use super::{
    context::Context, intake::WaitingWrites, pending_closes::Barrier, reads::Reads, runs::Command, writes::Writes,
};
use crate::{
    name::VirtualPath,
    vfs::{ReadHandle, Update, UploadPath},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The way to the task of such a file.
#[derive(Clone, Debug)]
pub struct Updates {
    reads: Reads,
    update: Arc<Update>,
    waiting: WaitingWrites,
    /// That of the OPEN.
    barrier: Arc<Barrier>,
}

impl Updates {
    /// Starts the task of a file that was opened.
    pub fn start(context: &Arc<Context>, handle: ReadHandle, update: Update, barrier: Barrier) -> Self {
        let waiting = WaitingWrites::default();
        let reads = Reads::start_update(context, handle, waiting.clone());
        Self { reads, update: Arc::new(update), waiting, barrier: Arc::new(barrier) }
    }

    /// The path that was opened.
    pub fn path(&self) -> &VirtualPath {
        self.update.path()
    }

    /// The reader.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Ends the reader, and starts the task of the upload behind it: the request that changes the file comes next.
    pub fn begin(&self, context: &Arc<Context>) -> Writes {
        let (answered, reads) = oneshot::channel();
        self.reads.command(Command::Change(answered));
        match self.update.begin() {
            Ok(pending) => {
                Writes::start_update(context, pending, self.waiting.clone(), reads, Arc::clone(&self.barrier))
            }
            Err(error) => Writes::start_refusing(context, UploadPath::ended(self.path().clone()), error),
        }
    }
}
