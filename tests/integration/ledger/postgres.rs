//! A ledger in PostgreSQL: nodes share it, TLS is verified, and an unreachable server doesn't stop a node.

use super::{NOW, bucket, file_renames::rename_to, find, key, lease, open, open_at_once, times};
use crate::support::postgres::Postgres;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio::time::sleep;
use wharfinger::{
    journal::JournalDown,
    ledger::{Error, Ledger, Location},
};

fn location(url: &str) -> Location {
    Location::parse(url).unwrap()
}

#[tokio::test]
async fn nodes_that_start_at_once_share_it() {
    let postgres = Postgres::start();
    open_at_once(&location(&postgres.url())).await;
    let again = open(&location(&postgres.url())).await;
    assert_eq!(find(&again.journal(), "a").await, Some(times("1", 7)), "it lasts");
    assert!(again.was_used());
    let mut stranger = PgConnection::connect(&postgres.url()).await.unwrap();
    let step = "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations \
         WHERE version = 1";
    sqlx::query(step).execute(&mut stranger).await.unwrap();
    let error = Ledger::open(&location(&postgres.url())).await.unwrap_err();
    assert!(matches!(error, Error::Newer { step: 9000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_stops_fails_queries_in_time_and_one_that_comes_back_is_found() {
    let mut postgres = Postgres::start();
    let before = open(&location(&postgres.url())).await;
    assert!(!before.was_used());
    before.journal().add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
    postgres.stop();
    assert_eq!(before.journal().attributes(&bucket(), &key("a")).await, Err(JournalDown));
    assert_eq!(before.journal().add_attributes(&bucket(), &key("a"), &times("1", 6), *NOW).await, Err(JournalDown));
    // A node that starts meanwhile serves, and prepares the tables later.
    let meanwhile = open(&location(&postgres.url())).await;
    assert!(!meanwhile.was_used(), "it isn't known yet");
    postgres.resume();
    assert_eq!(find(&meanwhile.journal(), "a").await, Some(times("1", 5)));
    meanwhile.close().await;
    before.close().await;
}

#[tokio::test]
async fn a_locked_table_ends_a_question() {
    let postgres = Postgres::start();
    let ledger = open(&location(&postgres.url())).await;
    let mut stranger = PgConnection::connect(&postgres.url()).await.unwrap();
    for statement in ["BEGIN", "LOCK TABLE late_attributes IN ACCESS EXCLUSIVE MODE"] {
        sqlx::query(statement).execute(&mut stranger).await.unwrap();
    }
    assert_eq!(ledger.journal().attributes(&bucket(), &key("a")).await, Err(JournalDown));
    assert_eq!(ledger.journal().replace_attributes(&bucket(), &key("a"), None).await, Err(JournalDown));
}

/// The ledger's statement waits for a row of another program, which then waits for a row of the statement.
#[tokio::test]
async fn a_deadlock_ends_one_question_and_is_no_outage() {
    let postgres = Postgres::start();
    let ledger = open(&location(&postgres.url())).await;
    let journal = ledger.journal();
    let (task, mine) = (rename_to("1", "a", "b"), lease("me", 60));
    assert!(journal.enter_claimed_task(&task, &mine).await.unwrap());
    let mut stranger = PgConnection::connect(&postgres.url()).await.unwrap();
    let mut observer = PgConnection::connect(&postgres.url()).await.unwrap();
    let lock = "SELECT 1 FROM claims WHERE name = $1 FOR UPDATE";
    // PostgreSQL ends the statement whose patience ends first.
    for statement in ["SET deadlock_timeout = '1min'", "BEGIN"] {
        sqlx::query(statement).execute(&mut stranger).await.unwrap();
    }
    sqlx::query(lock).bind("tenants/acme/b").execute(&mut stranger).await.unwrap();
    let deadlocked = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut observer).await.unwrap() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        sqlx::query(lock).bind("tenants/acme/a").execute(&mut stranger).await
    };
    let (ended, locked) = tokio::join!(journal.end_claimed_task(&task, &mine, None), deadlocked);
    assert_eq!(ended, Err(JournalDown));
    locked.unwrap();
    journal.add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
    sqlx::query("COMMIT").execute(&mut stranger).await.unwrap();
    journal.end_claimed_task(&task, &mine, None).await.unwrap();
    assert!(journal.enter_claimed_task(&rename_to("2", "b", "a"), &lease("they", 60)).await.unwrap());
}

#[tokio::test]
async fn tls_is_checked_against_the_certificates_that_the_url_trusts() {
    let postgres = Postgres::start();
    let strict = format!("{}?sslmode=verify-full", postgres.url());
    let refused = Ledger::open(&location(&strict)).await.unwrap_err();
    assert!(matches!(refused, Error::Unusable { error: sqlx::Error::Io(_), .. }), "{refused:?}");
    let nobody = format!("{strict}&sslrootcert=/nowhere/certificate.pem");
    assert!(matches!(Ledger::open(&location(&nobody)).await, Err(Error::Unusable { .. })));
    for believing in [
        format!("{strict}&sslrootcert={}", postgres.certificate().display()),
        format!("{}?sslmode=require", postgres.url()),
    ] {
        let ledger = open(&location(&believing)).await;
        ledger.journal().add_attributes(&bucket(), &key("a"), &times("1", 5), *NOW).await.unwrap();
        ledger.close().await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_us_is_an_error_at_the_start() {
    let postgres = Postgres::start();
    let mut stranger = PgConnection::connect(&postgres.url()).await.unwrap();
    let other = "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0";
    sqlx::query(other).execute(&mut stranger).await.unwrap();
    let latin = postgres.url().replace("/postgres", "/latin");
    assert!(matches!(Ledger::open(&location(&latin)).await, Err(Error::Encoding { .. })));
    let url = postgres.url().replace("of-a-test", "wrong");
    let error = Ledger::open(&location(&url)).await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.contains("password authentication failed") && !printed.contains("wrong@"), "{printed}");
}
