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

mod open_transfers;
mod reader;
mod row;
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
use open_transfers::OpenTransfers;
use reader::SpoolReader;
use spool::ProcessDirectory;
use std::{io, sync::Arc};

/// The records of a ledger in SQL, ready for the first event.
pub(crate) struct Records {
    /// Takes the records.
    pub(crate) spool: Arc<Spool>,
    /// Takes them to SQL.
    pub(crate) writer: RecordWriter,
    /// The processes that a kill ended, with the transfers that it interrupted.
    pub(crate) interrupted: Vec<InterruptedProcess>,
}

/// A process of the server that was killed.
#[derive(Debug)]
pub(crate) struct InterruptedProcess {
    directory: Arc<ProcessDirectory>,
    /// The transfers that were open.
    pub(crate) transfers: Vec<InterruptedTransfer>,
}

impl Records {
    /// Opens the spool, and reads what earlier processes left in it. Blocks.
    pub(super) fn open(settings: &SpoolSettings, journal: &Arc<SqlJournal>) -> io::Result<Self> {
        let (spool, ended) = Spool::open(settings)?;
        let (spool, ended) = (Arc::new(spool), ended.into_iter().map(Arc::new).collect::<Vec<_>>());
        let interrupted = ended.iter().map(InterruptedProcess::read).collect::<io::Result<_>>()?;
        let directories = ended.into_iter().chain([Arc::clone(spool.directory())]);
        let readers = directories.map(SpoolReader::new).collect();
        let writer = RecordWriter::new(Arc::clone(&spool), Arc::clone(journal), readers);
        Ok(Self { spool, writer, interrupted })
    }
}

impl InterruptedProcess {
    fn read(directory: &Arc<ProcessDirectory>) -> io::Result<Self> {
        let transfers = reader::open_at_the_end(directory).map(OpenTransfers::interrupted)?;
        Ok(Self { directory: Arc::clone(directory), transfers })
    }

    /// Forgets the process, because the ends of all its transfers are recorded in `spool`. Blocks.
    ///
    /// # Errors
    /// The disk's: the next start finds the transfers again.
    pub(crate) fn resolved(self, spool: &Spool) -> io::Result<()> {
        spool.sync()?;
        self.directory.note_resolved();
        Ok(())
    }
}
