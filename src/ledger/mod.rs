//! What happened, and what every node must know, in SQL: SQLite by default, PostgreSQL for more than one node. Today it
//! is the journal of late attributes, of renames under way, of uploads that can go on, of claims and locks on names, and
//! of times of directories.
//!
//! Invariant: nobody waits long for it. Every question has an end within seconds, a database that failed is left alone
//! for a moment, and nothing but the start of the server can fail because of it.
//!
//! Reading order: `location`, `database` with `sqlite` and `postgres`, `late` with `page`, `renames`, `partials`, `leases`
//! with `claims` and `locks`, `directories`; `breaker` is what a question goes through.

mod breaker;
mod claims;
mod database;
mod directories;
mod error;
mod late;
mod leases;
mod location;
mod locks;
mod page;
mod partials;
mod postgres;
mod renames;
mod sqlite;

pub use error::Error;
pub use location::{InvalidUrl, Location};

use crate::{
    files::Exposure,
    store::{Journal, MemoryJournal},
};
use late::SqlJournal;
use std::sync::Arc;
use tracing::{error, warn};

/// How much is known of a ledger that isn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// A server has run on it.
    Used,
    /// It has yet to be made.
    New,
    /// It is in PostgreSQL, or a file that doesn't tell.
    Unknown,
}

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
    /// A server of PostgreSQL that can't be reached now, a file that is locked, or a disk that is full, is no error: the
    /// ledger works from when it can be used, and until then says so in the log.
    ///
    /// # Errors
    /// A file that can't be opened or made, a server that refuses us, or tables of a newer version.
    pub async fn open(location: &Location) -> Result<Self, Error> {
        Self::examine(location)?;
        let sql = Arc::new(SqlJournal::new(location));
        let was_used = match sql.make_ready().await {
            Err(error) if error.is_of_the_disk() => {
                let error = error.detail();
                error!(ledger = %location, error, "the ledger's disk takes nothing: sessions go on without it");
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

    /// Finds what [`Self::open`] would refuse before it opens anything, and answers with what a group may write, or
    /// another user that owns it. Changes nothing and connects to nothing.
    ///
    /// # Errors
    /// The errors of [`Self::open`] that concern a file and its directory.
    pub fn examine(location: &Location) -> Result<Vec<Exposure>, Error> {
        match location {
            Location::Sqlite(file) => sqlite::examine(file),
            Location::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Looks into a file without changing it. Call it in a tokio runtime of a process that has not opened the ledger.
    ///
    /// # Errors
    /// The errors of [`Self::open`] that concern what is in a file.
    pub async fn inspect(location: &Location) -> Result<History, Error> {
        match location {
            Location::Sqlite(file) => sqlite::inspect(file, location).await,
            Location::Postgres(_) => Ok(History::Unknown),
        }
    }

    /// True if it had tables before it was opened: a server has run on it. `false` where that isn't known yet.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.was_used
    }

    /// What sessions keep beside S3.
    #[must_use]
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal)
    }

    /// Closes the database, when nobody asks it any more.
    pub async fn close(&self) {
        if let Some(sql) = &self.sql {
            sql.close().await;
        }
    }
}
