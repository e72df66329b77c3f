//! The views for reports: docs/reporting.md has their columns, they show the same in SQLite and in PostgreSQL, and a
//! role can read them alone.

use super::open;
use crate::support::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use std::{fs, path::Path};
use tempfile::TempDir;
use wharfinger::ledger::Location;

const VIEWS: [&str; 4] = ["transfers_v1", "sessions_v1", "logins_v1", "usage_daily_v1"];

/// 2026-12-03T09:30:00.007Z.
const TIME_MS: i64 = 1_796_290_200_007;
const DAY_MS: i64 = 86_400_000;

/// A view's columns: the name of each, and its type.
type ViewColumns = Vec<(String, String)>;

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reporting.md")).unwrap()
}

/// Returns the columns that the document has for a view.
fn documented(document: &str, view: &str) -> ViewColumns {
    let (_, section) = document.split_once(&format!("\n## `{view}`\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim));
    let columns = cells.map(|mut cells| {
        let (name, kind) = (cells.nth(1).unwrap(), cells.next().unwrap());
        (name.trim_matches('`').to_owned(), kind.to_owned())
    });
    columns.collect()
}

/// A connection of a program that makes reports.
enum ReportProgram {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl ReportProgram {
    async fn run(&mut self, statement: String) {
        let statement = AssertSqlSafe(statement);
        match self {
            Self::Sqlite(connection) => drop(sqlx::query(statement).execute(connection).await.unwrap()),
            Self::Postgres(connection) => drop(sqlx::query(statement).execute(connection).await.unwrap()),
        }
    }

    /// Returns the columns of all rows as texts, with `-` for NULL. A column that ends in `_at` is a time.
    async fn texts(&mut self, columns: &str, rest: &str) -> Vec<String> {
        let columns = columns.split(' ').map(|column| match self {
            Self::Postgres(_) if column.ends_with("_at") => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
            }
            _ => format!("CAST({column} AS TEXT)"),
        });
        let columns = columns.map(|column| format!("COALESCE({column}, '-')")).collect::<Vec<_>>();
        let select = AssertSqlSafe(format!("SELECT {} FROM {rest}", columns.join(" || ' ' || ")));
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(select).fetch_all(connection).await.unwrap(),
            Self::Postgres(connection) => sqlx::query_scalar(select).fetch_all(connection).await.unwrap(),
        }
    }

    /// Adds a row to a table of records.
    async fn add(&mut self, table: &str, at_ms: i64, id: &str, columns: &str, values: &str) {
        let columns = format!("id, at_ms, node, process, number, tenant, user_name, {columns}");
        let values = format!("'{id}', {at_ms}, 'n', 'p', 1, 'acme', 'alice', {values}");
        self.run(format!("INSERT INTO {table} ({columns}) VALUES ({values})")).await;
    }

    async fn columns_of(&mut self, view: &str) -> ViewColumns {
        match self {
            Self::Sqlite(connection) => {
                let select = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
                sqlx::query_as(select).bind(view).fetch_all(connection).await.unwrap()
            }
            Self::Postgres(connection) => {
                let select = "SELECT column_name::text, udt_name::text FROM information_schema.columns \
                              WHERE table_name = $1 ORDER BY ordinal_position";
                sqlx::query_as(select).bind(view).fetch_all(connection).await.unwrap()
            }
        }
    }
}

async fn postgres_of(postgres: &Postgres) -> ReportProgram {
    open(&Location::parse(&postgres.url()).unwrap()).await.close().await;
    ReportProgram::Postgres(PgConnection::connect(&postgres.url()).await.unwrap())
}

async fn sqlite_in(directory: &TempDir) -> ReportProgram {
    let file = directory.path().join("ledger.db");
    open(&Location::Sqlite(file.clone())).await.close().await;
    ReportProgram::Sqlite(SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap())
}

#[tokio::test]
async fn the_document_has_each_column_of_the_views() {
    let (postgres, directory, document) = (Postgres::start(), TempDir::new().unwrap(), document());
    let (mut postgres, mut sqlite) = (postgres_of(&postgres).await, sqlite_in(&directory).await);
    for view in VIEWS {
        let documented = documented(&document, view);
        assert!(documented.len() >= 10, "{view}");
        let columns = postgres.columns_of(view).await;
        let columns = columns.into_iter().map(|(name, kind)| (name, kind.replace("int8", "bigint")));
        assert_eq!(columns.collect::<Vec<_>>(), documented, "{view} in PostgreSQL");
        for ((name, declared), (expected, kind)) in sqlite.columns_of(view).await.into_iter().zip(&documented) {
            let declared = declared.to_lowercase();
            let fits = declared.is_empty() || declared == kind.replace("bigint", "integer");
            assert!(name == *expected && fits, "{view} in SQLite: {name} {declared}");
        }
        assert_eq!(sqlite.columns_of(view).await.len(), documented.len(), "{view} in SQLite");
    }
}

#[tokio::test]
async fn a_role_reads_the_views_and_no_table() {
    let (server, document) = (Postgres::start(), document());
    let mut admin = postgres_of(&server).await;
    let (_, access) = document.split_once("\n### PostgreSQL\n").unwrap();
    let (_, statements) = access.split_once("```sql\n").unwrap();
    let (statements, _) = statements.split_once("```").unwrap();
    for statement in statements.split_terminator(";\n") {
        admin.run(statement.to_owned()).await;
    }
    admin.run("ALTER ROLE wharfinger_report PASSWORD 'of-reports'".to_owned()).await;
    let url = server.url().replace("//wharfinger:of-a-test@", "//wharfinger_report:of-reports@");
    let mut role = PgConnection::connect(&url).await.unwrap();
    for view in VIEWS {
        sqlx::query(AssertSqlSafe(format!("SELECT * FROM {view}"))).execute(&mut role).await.unwrap();
    }
    let tables = "pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let tables = admin.texts("tablename", tables).await;
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables {
        let read = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).execute(&mut role).await.unwrap_err();
        assert_eq!(read.as_database_error().unwrap().code().as_deref(), Some("42501"), "{table}");
    }
}

#[tokio::test]
async fn a_report_about_a_few_days_reads_those_alone() {
    let server = Postgres::start();
    let mut admin = postgres_of(&server).await;
    for (table, columns, values) in [
        ("transfers", "direction, path, result", "'upload', '/a', 'done'"),
        ("logins", "result", "'accepted'"),
        ("sessions", "session, event", "n || '-1', CASE n % 2 WHEN 0 THEN 'started' ELSE 'ended' END"),
    ] {
        let rows = format!(
            "INSERT INTO {table} (id, at_ms, node, process, number, {columns}) \
             SELECT n::text, {TIME_MS} - n * 60000::bigint, 'n', 'p', n, {values} FROM generate_series(1, 20000) AS n"
        );
        admin.run(rows).await;
        admin.run(format!("ANALYZE {table}")).await;
    }
    let ReportProgram::Postgres(connection) = &mut admin else { panic!("it is PostgreSQL") };
    for (view, time, index) in [
        ("transfers_v1", "ended_at", "transfers_by_timestamp"),
        ("logins_v1", "login_at", "logins_by_timestamp"),
        ("sessions_v1", "started_at", "sessions_by_timestamp"),
        ("sessions_v1", "ended_at", "sessions_by_timestamp"),
    ] {
        let explain = format!("EXPLAIN SELECT * FROM {view} WHERE {time} >= '2026-12-03T00:00:00Z'");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        assert!(plan.iter().any(|line| line.contains(index)), "{view} {time}: {plan:#?}");
    }
}

#[tokio::test]
async fn both_databases_show_the_same() {
    let (server, directory) = (Postgres::start(), TempDir::new().unwrap());
    for mut program in [sqlite_in(&directory).await, postgres_of(&server).await] {
        sessions_have_their_logins_and_ends(&mut program).await;
        transfers_have_times(&mut program).await;
        usage_is_by_day_and_user(&mut program).await;
    }
}

async fn sessions_have_their_logins_and_ends(program: &mut ReportProgram) {
    let login = "session, result, method, key_fingerprint, client, algorithms";
    program.add("logins", TIME_MS, "l1", login, "'c1', 'refused', 'password', NULL, 'ssh', 'a'").await;
    program.add("logins", TIME_MS + 1, "l2", login, "'c1', 'accepted', 'publickey', 'SHA256:x', 'ssh', 'a b'").await;
    for (id, session, event) in [
        ("s1", "c1-1", "started"),
        ("s2", "c1-2", "started"),
        ("s3", "c1", "end_asked"),
        ("s4", "c1-1", "ended"),
        // Its login is not recorded.
        ("s5", "c2-1", "started"),
    ] {
        let ends = if event == "ended" { "5, 6, 'too many requests'" } else { "NULL, NULL, NULL" };
        let columns = "session, event, received_bytes, sent_bytes, reason";
        program.add("sessions", TIME_MS + 993, id, columns, &format!("'{session}', '{event}', {ends}")).await;
    }
    let columns = "session connection started_at ended_at method key_fingerprint received_bytes sent_bytes reason";
    assert_eq!(
        program.texts(columns, "sessions_v1 ORDER BY session").await,
        [
            "c1-1 c1 2026-12-03T09:30:01.000Z 2026-12-03T09:30:01.000Z publickey SHA256:x 5 6 too many requests",
            "c1-2 c1 2026-12-03T09:30:01.000Z - publickey SHA256:x - - -",
            "c2-1 c2 2026-12-03T09:30:01.000Z - - - - - -",
        ]
    );
    assert_eq!(
        program.texts("login_at connection result", "logins_v1 ORDER BY login_at").await,
        ["2026-12-03T09:30:00.007Z c1 refused", "2026-12-03T09:30:00.008Z c1 accepted"]
    );
}

async fn transfers_have_times(program: &mut ReportProgram) {
    let columns = "direction, path, result, duration_ms, bytes, size_bytes";
    for (id, at_ms, values) in [
        ("t1", TIME_MS, "'upload', '/a', 'done', 1007, 10, 30"),
        // A killed server left it open.
        ("t2", TIME_MS, "'upload', '/b', 'done', NULL, NULL, 7"),
        ("t3", TIME_MS, "'download', '/c', 'done', 0, 5, 5"),
        ("t4", TIME_MS, "'upload', '/d', 'failed', 1, 100, NULL"),
        ("t5", TIME_MS, "'download', '/d', 'refused', 1, 0, NULL"),
        ("t6", TIME_MS, "'upload', '/d', 'abandoned', 1, 100, NULL"),
        // The last moment of the day, and the first of the next.
        ("t7", TIME_MS - TIME_MS % DAY_MS + DAY_MS - 1, "'upload', '/e', 'done', 1, 1, 1"),
        ("t8", TIME_MS - TIME_MS % DAY_MS + DAY_MS, "'upload', '/f', 'done', 1, 4, 4"),
    ] {
        program.add("transfers", at_ms, id, columns, values).await;
    }
    let times = program.texts("transfer_id started_at ended_at", "transfers_v1 ORDER BY transfer_id").await;
    assert_eq!(times[0], "t1 2026-12-03T09:29:59.000Z 2026-12-03T09:30:00.007Z");
    assert_eq!(times[1], "t2 - 2026-12-03T09:30:00.007Z");
    assert_eq!(times[6], "t7 2026-12-03T23:59:59.998Z 2026-12-03T23:59:59.999Z");
    assert_eq!(times[7], "t8 2026-12-03T23:59:59.999Z 2026-12-04T00:00:00.000Z");
}

async fn usage_is_by_day_and_user(program: &mut ReportProgram) {
    let columns =
        "day tenant user_name files_in bytes_in files_out bytes_out failed_transfers abandoned_transfers logins";
    assert_eq!(
        program.texts(columns, "usage_daily_v1 WHERE tenant = 'acme' ORDER BY day").await,
        ["2026-12-03 acme alice 3 18 1 5 2 1 1", "2026-12-04 acme alice 1 4 0 0 0 0 0"]
    );
}
