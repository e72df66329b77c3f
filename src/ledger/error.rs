//! The reasons why the ledger can't be used. The operator reads these messages at the start, or in the log.

use super::Location;
use crate::files::Exposure;
use sqlx::{error::DatabaseError, migrate::MigrateError};
use std::{error::Error as _, io, path::PathBuf};

/// The reason why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is missing. SQLite creates a file, but no directory.
    #[error(
        "the directory of the ledger {} doesn't exist: make it, or name another file with `url` in `[ledger]`",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// The file can't be created or written.
    #[error(
        "the ledger {} can't be opened: the server's user must be able to write to it and to its directory; or name \
         another file with `url` in `[ledger]`",
        file.display()
    )]
    File {
        /// The ledger's file.
        file: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The directory of the spool can't be used.
    #[error(
        "the spool of the ledger {} can't be used: the server's user must be able to make it and to write in it; or name \
         another directory with `spool_directory` in `[ledger]`",
        directory.display()
    )]
    Spool {
        /// The spool's directory.
        directory: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Every user of the machine may write the file, and so decide what the server does next in the buckets.
    #[error("the ledger {} {}", .0.path().display(), .0)]
    Exposed(Exposure),
    /// The tables are those of a newer version, whose rules this version doesn't know.
    #[error(
        "the ledger {location} was used by a newer version of the server, which brought its tables to step {step}: \
         start that version, or name another ledger"
    )]
    Newer {
        /// The ledger.
        location: Location,
        /// The first step that this version doesn't know.
        step: i64,
    },
    /// The database's encoding can't store every name.
    #[error("the ledger {location} is in {encoding}, not in UTF8: make a database that is")]
    Encoding {
        /// The ledger.
        location: Location,
        /// The encoding.
        encoding: String,
    },
    /// The tables can't be brought up to date.
    #[error("the tables of the ledger {location} can't be brought up to date")]
    Tables {
        /// The ledger.
        location: Location,
        /// The migration's error.
        #[source]
        source: MigrateError,
    },
    /// The database, or the connection to it, is not usable.
    // sqlx's errors repeat their causes, so as a `source` the cause would be printed twice.
    #[error("the ledger {location} can't be used: {error}")]
    Unusable {
        /// The ledger.
        location: Location,
        /// The database's error.
        error: sqlx::Error,
    },
    /// The database's error for one question.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No answer within the timeout.
    #[error("no answer within {0:?}")]
    Slow(std::time::Duration),
}

impl Error {
    /// An error from before the tables are examined.
    pub(super) fn unusable(location: &Location, error: sqlx::Error) -> Self {
        Self::Unusable { location: location.clone(), error }
    }

    /// Converts the error of a migration.
    pub(super) fn of_migration(location: &Location, source: MigrateError) -> Self {
        match source {
            MigrateError::Execute(error) => Self::unusable(location, error),
            MigrateError::VersionMissing(step) => Self::Newer { location: location.clone(), step },
            source => Self::Tables { location: location.clone(), source },
        }
    }

    /// True if the error may disappear in a moment, without a repair here.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Slow(_) => true,
            Self::Unusable { error, .. }
            | Self::Database(error)
            | Self::Tables { source: MigrateError::ExecuteMigration(error, _), .. } => may_pass(error),
            Self::File { source, .. } => is_full(source),
            Self::Spool { .. }
            | Self::NoDirectory(_)
            | Self::Exposed(_)
            | Self::Newer { .. }
            | Self::Encoding { .. }
            | Self::Tables { .. } => false,
        }
    }

    /// True if the ledger's disk accepts no writes.
    pub(super) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::File { source, .. } => is_full(source),
            Self::Unusable { error: sqlx::Error::Database(error), .. }
            | Self::Database(sqlx::Error::Database(error))
            | Self::Tables { source: MigrateError::ExecuteMigration(sqlx::Error::Database(error), _), .. } => {
                sqlite_code(&**error).is_some_and(|code| OF_THE_DISK.contains(&code))
            }
            _ => false,
        }
    }

    /// True if PostgreSQL undid this statement alone, because it and another one waited for each other.
    pub(super) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DEADLOCK))
    }

    /// The error and its causes, for one field of a log line.
    pub(super) fn detail(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        // An untrusted certificate is reported as invalid data; a missing certificate file or socket as not found.
        sqlx::Error::Io(error) => !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound),
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => is_passing(&**error),
        _ => false,
    }
}

/// PostgreSQL's code `deadlock_detected`.
const DEADLOCK: &str = "40P01";
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_TOOBIG: u32 = 18;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_MISMATCH: u32 = 20;
const SQLITE_NOTADB: u32 = 26;
/// Extended codes of failed writes. SQLite reports a full disk as FULL. It reports a quota, a limit, or no room for its
/// shared memory as a kind of IOERR. Other kinds, such as a failed read, don't disappear when room is made.
const OF_THE_DISK: [u32; 6] = [
    13,    // SQLITE_FULL
    778,   // SQLITE_IOERR_WRITE
    1_034, // SQLITE_IOERR_FSYNC
    1_290, // SQLITE_IOERR_DIR_FSYNC
    1_546, // SQLITE_IOERR_TRUNCATE
    4_874, // SQLITE_IOERR_SHMSIZE
];

/// True if the file is locked, its disk accepts no writes, or the server is busy, starting or stopping.
pub(super) fn is_passing(error: &dyn DatabaseError) -> bool {
    if let Some(code) = sqlite_code(error) {
        return matches!(primary(code), SQLITE_BUSY | SQLITE_LOCKED) || OF_THE_DISK.contains(&code);
    }
    let code = error.code().unwrap_or_default();
    ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
}

/// True if the database refuses a value of the statement, and would take others.
pub(super) fn refuses_values(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    match sqlite_code(&**error) {
        Some(code) => matches!(primary(code), SQLITE_TOOBIG | SQLITE_CONSTRAINT | SQLITE_MISMATCH),
        None => ["22", "23"].iter().any(|class| error.code().unwrap_or_default().starts_with(class)),
    }
}

/// True if the file is no SQLite file.
pub(super) fn is_no_database(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if sqlite_code(&**error).map(primary) == Some(SQLITE_NOTADB))
}

/// SQLite's extended code. PostgreSQL's codes have five characters.
fn sqlite_code(error: &dyn DatabaseError) -> Option<u32> {
    error.code().filter(|code| code.len() < 5)?.parse().ok()
}

/// SQLite's primary code, the lowest byte of the extended one. The bytes above it tell details.
const fn primary(extended: u32) -> u32 {
    extended & 0xff
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, SqliteConnection, error::ErrorKind};
    use std::{borrow::Cow, error::Error as StdError, fmt};

    /// A SQLite error with this extended code.
    #[derive(Debug)]
    struct Coded(u32);

    impl fmt::Display for Coded {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "(code: {})", self.0)
        }
    }

    impl StdError for Coded {}

    impl DatabaseError for Coded {
        fn message(&self) -> &'static str {
            "disk I/O error"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.to_string().into())
        }
        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    /// <https://www.sqlite.org/rescode.html>: a disk that can't be read is broken, not full.
    #[test]
    fn of_the_errors_of_a_disk_those_of_writing_pass() {
        let (read, corrupt_file_system, busy_snapshot) = (266, 8_458, 517);
        for (code, passes, is_of_the_disk) in [
            (13, true, true),
            (778, true, true),
            (1_034, true, true),
            (1_290, true, true),
            (1_546, true, true),
            (4_874, true, true),
            (10, false, false),
            (read, false, false),
            (corrupt_file_system, false, false),
            (busy_snapshot, true, false),
        ] {
            let location = Location::Sqlite("l.db".into());
            let error = Error::unusable(&location, sqlx::Error::Database(Box::new(Coded(code))));
            assert_eq!((error.may_pass(), error.is_of_the_disk()), (passes, is_of_the_disk), "{code}");
        }
    }

    /// Issue 15.3: a disk that is full at the start doesn't keep the server down.
    #[tokio::test]
    async fn a_full_disk_passes_and_a_broken_file_does_not() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("PRAGMA max_page_count = 1").execute(&mut connection).await.unwrap();
        let full = sqlx::query("CREATE TABLE a (b)").execute(&mut connection).await.unwrap_err();
        let full = Error::unusable(&Location::Sqlite("l.db".into()), full);
        assert!(full.detail().contains("disk is full"), "{}", full.detail());
        assert!(full.may_pass() && full.is_of_the_disk());
        let file = |kind: io::ErrorKind| Error::File { file: "l.db".into(), source: kind.into() };
        assert!(file(io::ErrorKind::StorageFull).may_pass() && file(io::ErrorKind::QuotaExceeded).is_of_the_disk());
        assert!(!file(io::ErrorKind::PermissionDenied).may_pass());
        let wrong = sqlx::query("SELECT b FROM c").execute(&mut connection).await.unwrap_err();
        assert!(!Error::unusable(&Location::Sqlite("l.db".into()), wrong).may_pass());
    }
}
