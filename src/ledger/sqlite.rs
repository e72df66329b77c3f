//! Examines and opens a SQLite file. It has a write-ahead log, so that readers never wait for a writer, and the mode
//! 0600.

use super::{Error, Location, error::is_no_database, history::History};
use crate::files::{self, Exposure};
use sqlx::{
    ConnectOptions as _, Connection as _,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// The number of connections that read. Each has a thread.
pub(super) const READERS: usize = 4;
/// A statement waits this long for another process's lock. It is less than `PATIENCE`, so that SQLite reports the
/// reason.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The two statements: true if a server has brought tables up to date before; and the migration steps that were
/// applied.
const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')";
const STEPS: &str = "SELECT version FROM _sqlx_migrations ORDER BY version";

static MIGRATOR: Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

/// Checks if `named` can be a ledger, without opening or creating it. Returns exposures that are no errors: a file or
/// directory that a group may write, or that another user owns.
///
/// SQLite follows links, and creates its other files beside the target, so the directory of a link needn't be writable.
///
/// The directory is never refused for its mode: an `emptyDir` of Kubernetes has the mode 0777, which its users can't
/// change.
///
/// # Errors
/// If the directory is missing, if this process can't write the file or directory, or if every user may write the file.
pub(super) fn examine(named: &Path) -> Result<Vec<Exposure>, Error> {
    if !directory_of(named).is_dir() {
        return Err(Error::NoDirectory(named.to_owned()));
    }
    let file = target_of(named).map_err(|source| Error::File { file: named.to_owned(), source })?;
    let unusable = |source| Error::File { file: file.clone(), source };
    match file.metadata() {
        Ok(there) if there.is_file() && there.permissions().readonly() => {
            return Err(unusable(io::Error::new(ErrorKind::PermissionDenied, "it is no file that can be written")));
        }
        Ok(_) => files::require_writable_file(&file).map_err(unusable)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    let files = files_of(&file);
    // SQLite creates the missing ones beside it.
    if !files.iter().all(|file| file.exists()) {
        files::require_writable_directory(directory_of(&file)).map_err(unusable)?;
    }
    let mut exposures: Vec<Exposure> = files.iter().filter_map(|file| Exposure::of_file(file)).collect();
    if let Some(at) = exposures.iter().position(Exposure::is_refused) {
        return Err(Error::Exposed(exposures.swap_remove(at)));
    }
    exposures.extend(Exposure::of_its_directories(named));
    Ok(exposures)
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that SQLite opens or creates for `named`.
fn target_of(named: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(named) {
        // A dangling link exists, but SQLite can't create a file through it.
        Err(error) if error.kind() == ErrorKind::NotFound && !named.is_symlink() => Ok(named.to_owned()),
        answer => answer,
    }
}

/// The file, and the files that SQLite keeps beside it.
fn files_of(file: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

/// Reads `file` without a lock and without the files that SQLite keeps beside it, so that nothing changes. Never call
/// it in a process that has the file open: it would release SQLite's locks.
///
/// It doesn't see migration steps that are only in the write-ahead log. So only [`migrate`] may notice tables of a
/// newer version.
///
/// # Errors
/// If the file is no SQLite file, or has tables of a newer version.
pub(super) async fn inspect(file: &Path, location: &Location) -> Result<History, Error> {
    let length = file.metadata().map_or(0, |there| there.len());
    if length == 0 {
        return Ok(History::New);
    }
    let options =
        SqliteConnectOptions::new().filename(file).read_only(true).immutable(true).disable_statement_logging();
    let steps = async {
        let mut connection = options.connect().await?;
        let steps = sqlx::query_scalar(STEPS).fetch_all(&mut connection).await;
        connection.close().await?;
        steps
    };
    let steps: Vec<i64> = match steps.await {
        Ok(steps) => steps,
        Err(error) if is_no_database(&error) => return Err(Error::unusable(location, error)),
        // The tables are only in the write-ahead log, or a server is moving pages out of it.
        Err(_) if has_log(file) => return Ok(History::Used),
        // The file is damaged, or belongs to another program.
        Err(_) => return Ok(History::Unknown),
    };
    match steps.iter().find(|step| !MIGRATOR.version_exists(**step)) {
        Some(step) => Err(Error::Newer { location: location.clone(), step: *step }),
        None => Ok(History::Used),
    }
}

/// True if the write-ahead log has pages: a server runs, or was killed.
fn has_log(file: &Path) -> bool {
    log_of(file).metadata().is_ok_and(|log| log.len() > 0)
}

/// Returns the write-ahead log of `file`.
pub(super) fn log_of(file: &Path) -> PathBuf {
    let [_, log, _] = files_of(&target_of(file).unwrap_or_else(|_| file.to_owned()));
    log
}

/// The options to open `file` with.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        // A crash of the machine may lose the last moments, but never damages the file.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging()
}

/// Creates the file for its owner alone; SQLite gives the same mode to the files beside it. An existing file is opened
/// only by SQLite: closing it here would release the locks that SQLite holds in this process.
fn make(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Creates a missing file, and brings its tables up to date in one transaction, for which other processes wait. Returns
/// true if there were tables before.
pub(super) async fn migrate(options: &SqliteConnectOptions, location: &Location) -> Result<bool, Error> {
    let unusable = |error| Error::unusable(location, error);
    let file = options.get_filename();
    make(file).map_err(|source| Error::File { file: file.to_owned(), source })?;
    let mut connection = options.connect().await.map_err(unusable)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unusable)?;
    let was_used = sqlx::query_scalar(IS_USED).fetch_one(&mut *transaction).await.map_err(unusable)?;
    // `run` would do the same, but a future that holds it isn't `Send`.
    let migrated = MIGRATOR.run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| Error::of_migration(location, error))?;
    transaction.commit().await.map_err(unusable)?;
    connection.close().await.map_err(unusable)?;
    Ok(was_used)
}
