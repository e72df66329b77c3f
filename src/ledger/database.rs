//! The pools of a database of either kind. Nearly all statements work on both: `$1`, `ON CONFLICT` and `RETURNING` mean
//! the same to SQLite and to PostgreSQL. The kinds differ in how they are opened, and in the statements on claimed tasks.

use super::{
    Error, Location, breaker::PATIENCE, location::PostgresServer, postgres, sqlite,
    sqlite_connections::SqliteConnections,
};
use sqlx::{PgPool, sqlite::SqliteConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// The migration may take this long, including the wait for other nodes.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections to a database.
#[derive(Debug)]
pub(super) enum ConnectionPool {
    Sqlite(SqliteConnections),
    Postgres(PgPool),
}

/// Runs the same action with a pool of either kind.
macro_rules! with {
    ($pool:expr, $of_a_kind:ident => $action:expr) => {
        match $pool {
            $crate::ledger::database::ConnectionPool::Sqlite($of_a_kind) => $action,
            $crate::ledger::database::ConnectionPool::Postgres($of_a_kind) => $action,
        }
    };
}
pub(super) use with;

/// Opens a single connection outside of the pools.
#[derive(Debug)]
enum ConnectionOptions {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(PostgresServer),
}

/// An open database, or one that opens as soon as it can be reached.
#[derive(Debug)]
pub(super) struct Database {
    location: Location,
    source: ConnectionOptions,
    /// Connections that only read. In SQLite they continue while a write waits for its turn.
    pub(super) reads: ConnectionPool,
    /// Connections that write. SQLite has only one, because a file has one writer at a time.
    pub(super) writes: ConnectionPool,
}

impl Database {
    /// Makes the pools. Opens no connection yet.
    pub(super) fn new(location: &Location) -> Self {
        let (source, reads, writes) = match location {
            Location::Sqlite(file) => {
                let options = sqlite::options(file);
                let pool = |connections| ConnectionPool::Sqlite(SqliteConnections::new(&options, connections));
                let (reads, writes) = (pool(sqlite::READERS), pool(1));
                (ConnectionOptions::Sqlite(Box::new(options)), reads, writes)
            }
            Location::Postgres(server) => {
                let pool = postgres::pool(server);
                (
                    ConnectionOptions::Postgres(server.clone()),
                    ConnectionPool::Postgres(pool.clone()),
                    ConnectionPool::Postgres(pool),
                )
            }
        };
        Self { location: location.clone(), source, reads, writes }
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// Brings the tables up to date. Returns true if there were tables before. Nodes that do this at the same time wait
    /// for each other.
    pub(super) async fn migrate(&self) -> Result<bool, Error> {
        let migrated = async {
            match &self.source {
                ConnectionOptions::Sqlite(options) => sqlite::migrate(options, &self.location).await,
                ConnectionOptions::Postgres(server) => postgres::migrate(server, &self.location).await,
            }
        };
        timeout(MIGRATION_TIMEOUT, migrated).await.unwrap_or(Err(Error::Slow(MIGRATION_TIMEOUT)))
    }

    /// Closes all connections after the last statement has ended.
    pub(super) async fn close(&self) {
        for pool in [&self.reads, &self.writes] {
            let closed = with!(pool, pool => timeout(PATIENCE, pool.close()).await);
            // A connection that hangs ends with the process.
            drop(closed);
        }
    }
}
