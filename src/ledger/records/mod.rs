//! The records of events on their way to SQL, and what is read back of them.
//!
//! ```text
//! Record → RecordRow → a line of the spool (a file) → RecordWriter, in batches → SQL
//! ```
//!
//! Invariants:
//! - No transfer waits for SQL. The record is safe from a kill of the server when its line is written, and from a power
//!   cut a second later.
//! - Each line goes to SQL at least once. The ids of the rows are unique, so that it counts once.

mod insert;
mod open_transfers;
mod process_directory;
mod reader;
mod row;
mod segment;
mod settings;
mod spool;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use open_transfers::{InterruptedTransfer, PublishedUpload};
pub use settings::SpoolSettings;
pub use spool::{Spool, SpoolStatus};
pub(in crate::ledger) use table::RecordTable;
pub(crate) use writer::RecordWriter;

use super::sql_journal::SqlJournal;
use insert::RowInserter;
use open_transfers::OpenTransfers;
use process_directory::ProcessDirectory;
use std::{io, sync::Arc};
use tokio::sync::mpsc;

/// The records of a ledger in SQL, ready for the first event.
pub(crate) struct Records {
    /// Takes the records.
    pub(crate) spool: Arc<Spool>,
    /// Takes them to SQL.
    pub(crate) writer: RecordWriter,
    /// The processes that have ended, with the transfers that their end interrupted. There is one value for each, also for
    /// a process that ended in good order while SQL was away.
    pub(crate) interrupted: mpsc::UnboundedReceiver<InterruptedProcess>,
}

/// A process of the server that has ended, and left lines in its spool.
#[derive(Debug)]
pub(crate) struct InterruptedProcess {
    directory: Arc<ProcessDirectory>,
    /// The transfers that were open.
    pub(crate) transfers: Vec<InterruptedTransfer>,
}

impl Records {
    /// Opens the spool. Blocks.
    pub(super) fn open(settings: &SpoolSettings, journal: &Arc<SqlJournal>) -> io::Result<Self> {
        let spool = Arc::new(Spool::open(settings, journal.location().sqlite_log())?);
        // Bounded by the directories of the spool.
        let (sender, interrupted) = mpsc::unbounded_channel();
        let writer = RecordWriter::new(Arc::clone(&spool), RowInserter::new(Arc::clone(journal)), sender);
        Ok(Self { spool, writer, interrupted })
    }
}

impl InterruptedProcess {
    fn new(directory: ProcessDirectory, open: OpenTransfers) -> Self {
        Self { directory: Arc::new(directory), transfers: open.interrupted() }
    }

    fn directory(&self) -> &Arc<ProcessDirectory> {
        &self.directory
    }

    /// Forgets the process, because the ends of all its transfers are recorded in `spool`. Blocks.
    ///
    /// # Errors
    /// The disk's: the next start finds the transfers again.
    pub(crate) fn forget(&self, spool: &Spool) -> io::Result<()> {
        spool.sync()?;
        self.directory.note_resolved();
        Ok(())
    }
}
