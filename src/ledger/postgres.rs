//! How a server of PostgreSQL is spoken to: few connections, TLS by rustls, and an end to every statement on its side
//! too, so that nothing runs on for a question that was given up here.

use super::{Error, Location, breaker::PATIENCE, location::Server};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, migrate::Migrator, postgres::PgPoolOptions};
use std::time::Duration;

/// Connections of one node. A statement takes a millisecond, so these serve thousands of sessions.
const CONNECTIONS: u32 = 8;
/// A connection that nobody used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// True if a server has brought tables up to date before.
const IS_USED: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

static MIGRATOR: Migrator = sqlx::migrate!("src/ledger/migrations/postgres");

/// Connections, made when they are needed.
pub(super) fn pool(server: &Server) -> PgPool {
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

/// Brings the tables up to date, on a connection that may wait for another node to do so: sqlx takes a lock for it.
///
/// A database that isn't in UTF8 is refused: one name that it can't hold would look like an outage.
/// Answers whether there were tables before.
pub(super) async fn migrate(server: &Server, location: &Location) -> Result<bool, Error> {
    let unusable = |error| Error::unusable(location, error);
    let options = (*server.options).clone().disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await.map_err(unusable)?;
    let encoding: String =
        sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await.map_err(unusable)?;
    if encoding != "UTF8" {
        return Err(Error::Encoding { location: location.clone(), encoding });
    }
    let was_used = sqlx::query_scalar(IS_USED).fetch_one(&mut connection).await.map_err(unusable)?;
    // `run` would say the same, but no future that holds it can be sent to another thread.
    let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
    migrated.map_err(|error| Error::of_migration(location, error))?;
    // What had to be done is done.
    drop(connection.close().await);
    Ok(was_used)
}
