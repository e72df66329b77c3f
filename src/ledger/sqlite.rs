//! How a file of SQLite is opened: a write-ahead log, so that readers never wait for a writer, and a mode of 0600.

use super::{Error, Location, breaker::PATIENCE};
use sqlx::{
    ConnectOptions as _, Connection as _, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

/// Connections that read. Each has a thread.
pub(super) const READERS: u32 = 4;
/// How long a statement waits for another process's lock: less than a question may take, so that SQLite says why.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1_500);

static MIGRATOR: Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

/// How to open `file`, which is made if it is missing.
pub(super) fn options(file: &Path) -> Result<SqliteConnectOptions, Error> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    if directory.is_some_and(|directory| !directory.is_dir()) {
        return Err(Error::NoDirectory(file.to_owned()));
    }
    make(file).map_err(|source| Error::File { file: file.to_owned(), source })?;
    Ok(SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        // A crash of the machine may cost the last moments, never the file.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging())
}

/// Makes the file for its owner alone; SQLite gives the files beside it the same mode. A file that is there is opened
/// by SQLite only: closing it here would drop the locks that SQLite holds in this process.
fn make(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match file.metadata()? {
            there if there.is_file() && !there.permissions().readonly() => Ok(()),
            _ => Err(io::Error::new(ErrorKind::PermissionDenied, "it is no file that can be written")),
        },
        made => made.map(drop),
    }
}

/// So many connections, made when they are needed and then kept.
pub(super) fn pool(options: &SqliteConnectOptions, connections: u32) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .acquire_slow_threshold(2 * PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        // There is no network that could have gone away.
        .test_before_acquire(false)
        .connect_lazy_with(options.clone())
}

/// Brings the tables up to date in one transaction, which other processes wait for.
pub(super) async fn migrate(options: &SqliteConnectOptions, location: &Location) -> Result<(), Error> {
    let unusable = |error| Error::unusable(location, error);
    let mut connection = options.connect().await.map_err(unusable)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unusable)?;
    // `run` would say the same, but no future that holds it can be sent to another thread.
    let migrated = MIGRATOR.run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| Error::of_migration(location, error))?;
    transaction.commit().await.map_err(unusable)?;
    connection.close().await.map_err(unusable)
}
