//! The connections to a SQLite file. Each has a thread of its own, which carries out its statements in their order.
//!
//! The pool is deadpool's. The one of sqlx asks the thread after each statement, from a task of its own, if it is still
//! there: for short statements that costs as much as the statement.
//!
//! Invariants:
//! - A connection that failed otherwise than by the database's own error gets no further statement.
//! - A connection whose caller was cancelled returns to the pool when its thread has ended the statement. So no statement is
//!   sent that would run only after its caller has stopped waiting, and none waits behind it while other connections are idle.

use deadpool::unmanaged::{Object, Pool};
use futures_util::{
    TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    ConnectOptions as _, Connection as _, Describe, Either, Error, Execute, Executor, Result, SqlStr, Sqlite,
    SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};
use std::{iter, sync::Arc};
use tokio::runtime::Handle;

/// Connections that are opened on demand and then stay open. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct SqliteConnections {
    options: Arc<SqliteConnectOptions>,
    /// The connection that was used last comes first. `None` is one that isn't open.
    pool: Pool<Option<SqliteConnection>>,
}

/// A connection in use. Dropping it returns it to the pool, at once or when its thread is free.
#[derive(Debug)]
pub(super) struct UsedConnection {
    /// `None` after the end.
    used: Option<Object<Option<SqliteConnection>>>,
}

impl SqliteConnections {
    /// At most this many connections. Opens none yet.
    pub(super) fn new(options: &SqliteConnectOptions, limit: usize) -> Self {
        let unopened = iter::repeat_with(|| None).take(limit).collect::<Vec<_>>();
        Self { options: Arc::new(options.clone()), pool: Pool::from(unopened) }
    }

    /// Waits until a connection is free.
    pub(super) async fn acquire(&self) -> Result<UsedConnection> {
        let mut used = self.pool.get().await.map_err(|_| Error::PoolClosed)?;
        if used.is_none() {
            *used = Some(self.options.connect().await?);
        }
        Ok(UsedConnection { used: Some(used) })
    }

    /// Closes all connections after the last statement has ended.
    pub(super) async fn close(&self) {
        while self.pool.status().size > 0
            && let Ok(connection) = self.pool.remove().await
        {
            if let Some(connection) = connection {
                // The process ends whatever the answer is.
                let _ = connection.close().await;
            }
        }
        self.pool.close();
    }
}

impl UsedConnection {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        let connection = self.used.as_mut().and_then(|used| (**used).as_mut());
        connection.ok_or(Error::WorkerCrashed)
    }

    /// Returns the connection to the pool, or closes it if it has failed.
    fn end<T>(mut self, answer: Result<T>) -> Result<T> {
        if let Some(mut used) = self.used.take()
            && !matches!(answer, Ok(_) | Err(Error::Database(_)))
        {
            *used = None;
        }
        answer
    }
}

/// The caller was cancelled, or used the connection for something else than a statement.
impl Drop for UsedConnection {
    fn drop(&mut self) {
        let Some(mut used) = self.used.take() else { return };
        // Without a runtime the process ends.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let is_free = match &mut *used {
                Some(connection) => connection.ping().await.is_ok(),
                None => true,
            };
            if !is_free {
                *used = None;
            }
        });
    }
}

impl<'c> Executor<'c> for &'_ SqliteConnections {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let connections = self.clone();
        // Every statement of the ledger has a limit on its rows.
        let answer = async move {
            let mut used = connections.acquire().await?;
            let steps = used.connection()?.fetch_many(query).try_collect::<Vec<_>>().await;
            Ok::<_, Error>(stream::iter(used.end(steps)?.into_iter().map(Ok)))
        };
        Box::pin(stream::once(answer).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<SqliteRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let connections = self.clone();
        Box::pin(async move {
            let mut used = connections.acquire().await?;
            let row = used.connection()?.fetch_optional(query).await;
            used.end(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [SqliteTypeInfo]) -> BoxFuture<'e, Result<SqliteStatement>>
    where
        'c: 'e,
    {
        let connections = self.clone();
        Box::pin(async move { connections.acquire().await?.connection()?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>>>
    where
        'c: 'e,
    {
        let connections = self.clone();
        Box::pin(async move { connections.acquire().await?.connection()?.describe(sql).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt as _, future::join_all};
    use sqlx::{query, query_scalar};

    fn connections(limit: usize) -> (SqliteConnections, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("a.db")).create_if_missing(true);
        (SqliteConnections::new(&options, limit), directory)
    }

    fn open(connections: &SqliteConnections) -> usize {
        let all: Vec<_> = iter::from_fn(|| connections.pool.try_get().ok()).collect();
        all.iter().filter(|used| used.is_some()).count()
    }

    #[tokio::test]
    async fn one_connection_serves_statements_that_follow_each_other_and_all_serve_a_crowd() {
        let (connections, _directory) = connections(3);
        for _ in 0..4 {
            query("SELECT 1").execute(&connections).await.unwrap();
        }
        assert_eq!(open(&connections), 1);
        let crowd = join_all((0..20).map(|_| query_scalar::<_, i64>("SELECT 1").fetch_one(&connections))).await;
        assert!(crowd.iter().all(|answer| matches!(answer, Ok(1))));
        assert_eq!(open(&connections), 3);
    }

    #[tokio::test]
    async fn a_connection_outlives_errors_of_sql_and_callers_that_leave_but_not_other_errors() {
        let (connections, _directory) = connections(1);
        let series = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                      SELECT count(*) FROM n";
        assert!(query("SELECT nothing").execute(&connections).await.is_err());
        assert_eq!(open(&connections), 1);
        assert!(query(series).execute(&connections).now_or_never().is_none());
        assert!(connections.pool.try_get().is_err(), "its thread isn't free");
        query("CREATE TABLE t (a)").execute(&connections).await.unwrap();
        let counted: i64 = query_scalar(series).fetch_one(&connections).await.unwrap();
        assert_eq!((open(&connections), counted), (1, 100_000));
        let used = connections.acquire().await.unwrap();
        assert!(used.end::<()>(Err(Error::WorkerCrashed)).is_err());
        assert_eq!(open(&connections), 0);
        query("INSERT INTO t VALUES (1)").execute(&connections).await.unwrap();
    }

    #[tokio::test]
    async fn close_waits_for_statements_and_ends_the_pool() {
        let (connections, directory) = connections(2);
        query("PRAGMA journal_mode = WAL").execute(&connections).await.unwrap();
        query("CREATE TABLE t (a)").execute(&connections).await.unwrap();
        let used = connections.acquire().await.unwrap();
        let mut closing = Box::pin(connections.close());
        assert!(closing.as_mut().now_or_never().is_none());
        drop(used);
        closing.await;
        assert!(matches!(query("SELECT 1").execute(&connections).await, Err(Error::PoolClosed)));
        assert!(!directory.path().join("a.db-wal").exists(), "the last connection removes the log");
    }
}
