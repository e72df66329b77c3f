//! Why the ledger can't be used, in words for the operator: they are printed at the start, or stand in the log.

use super::Location;
use crate::files::Exposure;
use sqlx::{error::DatabaseError, migrate::MigrateError};
use std::{error::Error as _, io, path::PathBuf};

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite makes a file, and no directory.
    #[error(
        "the directory of the ledger {} doesn't exist: make it, or name another file with `url` in `[ledger]`",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// The file can't be made or written.
    #[error(
        "the ledger {} can't be opened: the server's user must be able to write to it and to its directory; or name \
         another file with `url` in `[ledger]`",
        file.display()
    )]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Every user of the machine may write the file, and with it what the server does next in the buckets.
    #[error("the ledger {} {}", .0.path().display(), .0)]
    Exposed(Exposure),
    /// The tables are those of a later version, which has reasons that this one doesn't know.
    #[error(
        "the ledger {location} was used by a newer version of the server, which brought its tables to step {step}: \
         start that version, or name another ledger"
    )]
    Newer {
        /// Where it is.
        location: Location,
        /// The first step that isn't known here.
        step: i64,
    },
    /// The database can't hold every name.
    #[error("the ledger {location} is in {encoding}, not in UTF8: make a database that is")]
    Encoding {
        /// Where it is.
        location: Location,
        /// What it is in.
        encoding: String,
    },
    /// The tables can't be brought up to date.
    #[error("the tables of the ledger {location} can't be brought up to date")]
    Tables {
        /// Where it is.
        location: Location,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
    /// The database, or the way to it, is not as it must be.
    // sqlx's errors say what their causes say, so that a chain of them would say it twice.
    #[error("the ledger {location} can't be used: {error}")]
    Unusable {
        /// Where it is.
        location: Location,
        /// What it said.
        error: sqlx::Error,
    },
    /// What the database said to a question.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No answer.
    #[error("no answer within {0:?}")]
    Slow(std::time::Duration),
    /// More questions at once than are let in.
    #[error("too many questions at once")]
    Crowded,
}

impl Error {
    /// Sorts what is said before the tables are looked after.
    pub(super) fn unusable(location: &Location, error: sqlx::Error) -> Self {
        Self::Unusable { location: location.clone(), error }
    }

    /// Sorts what a migration says.
    pub(super) fn of_migration(location: &Location, source: MigrateError) -> Self {
        match source {
            MigrateError::Execute(error) => Self::unusable(location, error),
            MigrateError::VersionMissing(step) => Self::Newer { location: location.clone(), step },
            source => Self::Tables { location: location.clone(), source },
        }
    }

    /// Whether it may be otherwise in a moment, without anybody mending anything here.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Slow(_) | Self::Crowded => true,
            Self::Unusable { error, .. }
            | Self::Database(error)
            | Self::Tables { source: MigrateError::ExecuteMigration(error, _), .. } => may_pass(error),
            Self::File { source, .. } => is_full(source),
            Self::NoDirectory(_)
            | Self::Exposed(_)
            | Self::Newer { .. }
            | Self::Encoding { .. }
            | Self::Tables { .. } => false,
        }
    }

    /// True if the disk that the ledger is on takes nothing.
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

    /// The error and its causes, for one field of a line in the log.
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
        // A certificate that isn't believed is invalid data; a file of certificates, or a socket, may not be there.
        sqlx::Error::Io(error) => !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound),
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => is_passing(&**error),
        _ => false,
    }
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_NOTADB: u32 = 26;
/// Extended codes of a write that failed. SQLite tells a full disk as FULL; a quota, a limit, or no room for its shared
/// memory, as a kind of IOERR. Its other kinds, such as a read that fails, don't pass with the room that is made.
const OF_THE_DISK: [u32; 6] = [
    13,    // SQLITE_FULL
    778,   // SQLITE_IOERR_WRITE
    1_034, // SQLITE_IOERR_FSYNC
    1_290, // SQLITE_IOERR_DIR_FSYNC
    1_546, // SQLITE_IOERR_TRUNCATE
    4_874, // SQLITE_IOERR_SHMSIZE
];

/// True if the file is locked, its disk takes nothing, or the server is busy, starting or stopping.
pub(super) fn is_passing(error: &dyn DatabaseError) -> bool {
    if let Some(code) = sqlite_code(error) {
        return matches!(primary(code), SQLITE_BUSY | SQLITE_LOCKED) || OF_THE_DISK.contains(&code);
    }
    let code = error.code().unwrap_or_default();
    ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
}

/// True if the file is none of SQLite's.
pub(super) fn is_no_database(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if sqlite_code(&**error).map(primary) == Some(SQLITE_NOTADB))
}

/// The extended code. PostgreSQL has five letters and digits.
fn sqlite_code(error: &dyn DatabaseError) -> Option<u32> {
    error.code().filter(|code| code.len() < 5)?.parse().ok()
}

/// SQLite numbers what went wrong and, in the bytes above the lowest, how.
const fn primary(extended: u32) -> u32 {
    extended & 0xff
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, SqliteConnection, error::ErrorKind};
    use std::{borrow::Cow, error::Error as StdError, fmt};

    /// An error of SQLite with this extended code.
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
