//! Sessions on two nodes with one PostgreSQL create one file with EXCL, through the SDK against the demo's S3.

use crate::{
    claims::{Arena, path},
    support::postgres::Postgres,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;
use wharfinger::vfs::{Error, NewAttributes, Result, Vfs, WriteHandle, WriteOptions};

const ROUNDS: usize = 100;
const EXCLUSIVE: WriteOptions =
    WriteOptions { read: false, write: true, create: true, truncate: true, exclusive: true, append: false };

async fn lock(session: &Vfs) -> Result<WriteHandle> {
    let opened = session.open_write(&path("lock"), EXCLUSIVE, NewAttributes::default()).await?;
    opened.admit(Duration::from_secs(10)).await
}

/// Locks and unlocks with a file that exists from CLOSE to REMOVE. Returns how often it held the lock.
async fn work(session: Arc<Vfs>, held: Arc<AtomicUsize>) -> usize {
    let mut won = 0;
    for round in 0..ROUNDS {
        match lock(&session).await {
            Ok(handle) => {
                assert_eq!(held.fetch_add(1, SeqCst), 0, "two have the lock");
                handle.close().await.unwrap();
                held.fetch_sub(1, SeqCst);
                session.remove(&path("lock")).await.unwrap();
                won += 1;
            }
            Err(Error::AlreadyExists) => {}
            Err(error) => panic!("{error}"),
        }
        sleep(Duration::from_millis(round as u64 % 5)).await;
    }
    won
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
// S176: REMOVE of that name by another session, of whatever node, ends the lock and answers OK: the holder's CLOSE then …
// S178: Without a ledger in PostgreSQL, or while it is away, the sessions of one node exclude each other and those of …
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_one_postgresql_keep_each_other_out() {
    let mut arena = Arena::two_nodes().await;
    let held = Arc::new(AtomicUsize::new(0));
    let [one, other] = [0, 1].map(|number| tokio::spawn(work(Arc::clone(&arena.sessions[number]), Arc::clone(&held))));
    let won = [one.await.unwrap(), other.await.unwrap()];
    assert!(won.into_iter().all(|won| won > 0), "{won:?}");
    let [one, other] = arena.sessions.clone();
    let handle = lock(&one).await.unwrap();
    assert!(matches!(lock(&other).await, Err(Error::AlreadyExists)));
    // The lock can be broken only once the journal knows that the OPEN was answered.
    other.remove(&path("lock")).await.unwrap();
    let theirs = lock(&other).await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::LockLost)));
    theirs.close().await.unwrap();
    other.remove(&path("lock")).await.unwrap();
    let handle = lock(&one).await.unwrap();
    arena.postgres.as_mut().map(Postgres::stop);
    let asked = Instant::now();
    let theirs = lock(&other).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    theirs.close().await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
    arena.end().await;
}
