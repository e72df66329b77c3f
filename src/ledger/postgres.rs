//! Connects to a PostgreSQL server: with few connections and TLS by rustls. Statements have a timeout on the server's
//! side, too, so that none keeps running after this node has abandoned it.

use super::{Error, Location, breaker::PATIENCE, location::PostgresServer};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, migrate::Migrator, postgres::PgPoolOptions};
use std::time::Duration;

/// The most connections of one node. A statement takes a millisecond, so they serve thousands of sessions.
const CONNECTIONS: u32 = 8;
/// A connection that was unused for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// True if a server has brought tables up to date before.
const IS_USED: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

static MIGRATOR: Migrator = sqlx::migrate!("src/ledger/migrations/postgres");

/// A pool whose connections are opened on demand.
pub(super) fn pool(server: &PostgresServer) -> PgPool {
    let patience = PATIENCE.as_millis().to_string();
    let options = (*server.options)
        .clone()
        .options([("statement_timeout", &patience), ("lock_timeout", &patience)])
        .disable_statement_logging();
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .acquire_slow_threshold(2 * PATIENCE)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(options)
}

/// Brings the tables up to date. The connection may wait for another node that does the same: sqlx takes a lock for it.
/// Returns true if there were tables before.
///
/// Refuses a database that isn't in UTF8: a name that it can't store would look like an outage.
pub(super) async fn migrate(server: &PostgresServer, location: &Location) -> Result<bool, Error> {
    let unusable = |error| Error::unusable(location, error);
    let options = (*server.options).clone().disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await.map_err(unusable)?;
    let encoding: String =
        sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await.map_err(unusable)?;
    if encoding != "UTF8" {
        return Err(Error::Encoding { location: location.clone(), encoding });
    }
    let was_used = sqlx::query_scalar(IS_USED).fetch_one(&mut connection).await.map_err(unusable)?;
    // `run` would do the same, but a future that holds it isn't `Send`.
    let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
    migrated.map_err(|error| Error::of_migration(location, error))?;
    // The migration is complete, so an error here doesn't matter.
    drop(connection.close().await);
    Ok(was_used)
}
