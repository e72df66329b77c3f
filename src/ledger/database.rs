//! The pools of a database, of either kind. The statements are the same for both: `$1`, `ON CONFLICT` and `RETURNING`
//! mean the same to SQLite and to PostgreSQL, so that the kinds differ in how they are opened, and nowhere else.

use super::{Error, Location, breaker::PATIENCE, location::Server, postgres, sqlite};
use sqlx::{PgPool, SqlitePool, sqlite::SqliteConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// How long the tables may take to be brought up to date, another node's turn included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to a database.
#[derive(Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Does the same with a pool of either kind.
macro_rules! with {
    ($pool:expr, $of_a_kind:ident => $action:expr) => {
        match $pool {
            $crate::ledger::database::Pool::Sqlite($of_a_kind) => $action,
            $crate::ledger::database::Pool::Postgres($of_a_kind) => $action,
        }
    };
}
pub(super) use with;

/// Where a connection comes from that is in no pool.
#[derive(Debug)]
enum Source {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Server),
}

/// An open database, or one that will be open when it can be reached.
#[derive(Debug)]
pub(super) struct Database {
    location: Location,
    source: Source,
    /// Connections that only read: in SQLite they go on while a write waits for its turn.
    pub(super) reads: Pool,
    /// Connections that write: in SQLite one, because a file has one writer at a time.
    pub(super) writes: Pool,
}

impl Database {
    /// Makes the pools. Nothing is opened yet.
    pub(super) fn new(location: &Location) -> Self {
        let (source, reads, writes) = match location {
            Location::Sqlite(file) => {
                let options = sqlite::options(file);
                let pool = |connections| Pool::Sqlite(sqlite::pool(&options, connections));
                let (reads, writes) = (pool(sqlite::READERS), pool(1));
                (Source::Sqlite(Box::new(options)), reads, writes)
            }
            Location::Postgres(server) => {
                let pool = postgres::pool(server);
                (Source::Postgres(server.clone()), Pool::Postgres(pool.clone()), Pool::Postgres(pool))
            }
        };
        Self { location: location.clone(), source, reads, writes }
    }

    /// Brings the tables up to date, and answers whether there were any before. Nodes that do so at once wait for each
    /// other.
    pub(super) async fn migrate(&self) -> Result<bool, Error> {
        let migrated = async {
            match &self.source {
                Source::Sqlite(options) => sqlite::migrate(options, &self.location).await,
                Source::Postgres(server) => postgres::migrate(server, &self.location).await,
            }
        };
        timeout(MIGRATION_TIMEOUT, migrated).await.unwrap_or(Err(Error::Slow(MIGRATION_TIMEOUT)))
    }

    /// Closes all connections, when the last statement is done.
    pub(super) async fn close(&self) {
        for pool in [&self.reads, &self.writes] {
            let closed = with!(pool, pool => timeout(PATIENCE, pool.close()).await);
            // A connection that hangs ends with the process.
            drop(closed);
        }
    }
}
