//! The ledger: what happened, and what all nodes must know, in SQL. SQLite is the default, PostgreSQL serves several
//! nodes. Today it is the journal of attributes kept beside objects, directory renames in progress, resumable uploads,
//! claims and locks on names, times of directories, the daily usage of tenants, and the verdicts about their roles.
//!
//! Invariant: no request waits long for it. Every question ends within seconds. After a failure the database is not
//! asked for a moment. Only the start of the server can fail because of it.
//!
//! Reading order: `location`, `database` with `sqlite` and `postgres`, `sql_journal` with `page`, `tasks` with
//! `claimed_tasks`, `task_row` and `unreadable_rows`, `leases` with `claims` and `locks`, `directories`, `usage`,
//! `role_verdicts`; every question passes through `breaker`.

mod breaker;
mod claimed_tasks;
mod claims;
mod database;
mod directories;
mod error;
mod history;
mod leases;
mod location;
mod locks;
mod page;
mod postgres;
mod records;
mod retention;
mod role_verdicts;
mod sql_journal;
mod sqlite;
mod sqlite_connections;
#[cfg(test)]
mod step_tests;
mod task_row;
mod tasks;
mod unreadable_rows;
mod usage;

pub use error::Error;
pub use history::History;
pub use location::{InvalidUrl, Location};
pub(crate) use records::{InterruptedProcess, InterruptedTransfer, PublishedUpload, RecordWriter, Records};
pub use records::{Spool, SpoolSettings, SpoolStatus};
pub(crate) use retention::OldRecords;
pub use retention::{RecordRetention, RetentionPeriod};

use crate::{
    files::{self, Exposure},
    journal::{Journal, MemoryJournal},
};
use sql_journal::SqlJournal;
use std::sync::Arc;
use tracing::{error, warn};

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    journal: Arc<dyn Journal>,
    sql: Option<Arc<SqlJournal>>,
    was_used: bool,
}

impl Ledger {
    /// A ledger that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { journal: Arc::new(MemoryJournal::default()), sql: None, was_used: false }
    }

    /// Opens the database at `location`, and brings its tables up to date. Call it in a tokio runtime.
    ///
    /// An unreachable PostgreSQL server, a locked file, or a full disk are no errors: the ledger works as soon as it
    /// can be used, and the log reports the outage until then.
    ///
    /// # Errors
    /// If the file can't be opened or created, if the server refuses the connection, or if the tables are of a newer
    /// version.
    pub async fn open(location: &Location) -> Result<Self, Error> {
        Self::examine(location)?;
        let sql = Arc::new(SqlJournal::new(location));
        let was_used = match sql.make_ready().await {
            Err(error) if error.is_of_the_disk() => {
                let error = error.detail();
                error!(ledger = %location, error, "the ledger's disk takes nothing: sessions continue without it");
                false
            }
            Err(error) if error.may_pass() => {
                warn!(ledger = %location, error = %error.detail(), "the ledger can't be reached yet");
                false
            }
            ready => ready?,
        };
        Ok(Self { journal: Arc::clone(&sql) as Arc<dyn Journal>, sql: Some(sql), was_used })
    }

    /// Checks what [`Self::open`] would refuse before it opens anything. Returns exposures that are no errors: a file
    /// or directory that a group may write, or that another user owns. Changes nothing and connects to nothing.
    ///
    /// # Errors
    /// The errors of [`Self::open`] that concern the file and its directory.
    pub fn examine(location: &Location) -> Result<Vec<Exposure>, Error> {
        match location {
            Location::Sqlite(file) => sqlite::examine(file),
            Location::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Checks what [`Self::records`] would refuse, without making anything. Returns exposures that are no errors.
    ///
    /// # Errors
    /// This process can't make the directory, or can't write in it.
    pub fn examine_spool(settings: &SpoolSettings) -> Result<Vec<Exposure>, Error> {
        let directory = &settings.directory;
        let unusable = |source| Error::Spool { directory: directory.clone(), source };
        files::require_makeable_directory(directory).map_err(unusable)?;
        Ok(Exposure::of_directory(directory).into_iter().collect())
    }

    /// Reads a file without changing it. Call it in a tokio runtime of a process that has not opened the ledger.
    ///
    /// # Errors
    /// The errors of [`Self::open`] that concern the content of the file.
    pub async fn inspect(location: &Location) -> Result<History, Error> {
        match location {
            Location::Sqlite(file) => sqlite::inspect(file, location).await,
            Location::Postgres(_) => Ok(History::Unknown),
        }
    }

    /// True if tables existed before the ledger was opened, because a server has used it. `false` while that isn't
    /// known.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.was_used
    }

    /// The journal that sessions use.
    #[must_use]
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal)
    }

    /// Opens the spool of the ledger's records. `None` for a ledger that ends with the process. Blocks.
    ///
    /// # Errors
    /// The spool's directory can't be made, read or written.
    pub(crate) fn records(&self, settings: &SpoolSettings) -> Result<Option<Records>, Error> {
        let unusable = |source| Error::Spool { directory: settings.directory.clone(), source };
        self.sql.as_ref().map(|sql| Records::open(settings, sql).map_err(unusable)).transpose()
    }

    /// Returns the records whose time may be over. `None` for a ledger that ends with the process.
    pub(crate) fn old_records(&self, retention: RecordRetention) -> Option<OldRecords> {
        self.sql.as_ref().map(|sql| OldRecords::new(Arc::clone(sql), retention))
    }

    /// Closes the database after its last question was answered.
    pub async fn close(&self) {
        if let Some(sql) = &self.sql {
            sql.close().await;
        }
    }
}
