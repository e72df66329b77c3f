//! Two tenants with fifty sessions each run random operations for two minutes, including escape attempts. No byte and
//! no name crosses. Both tenants use the same names, and every byte that a session writes names its tenant.

mod escapes;
mod session;
mod stamp;

use crate::support::{
    demo::Watch,
    sftp::{KeyFile, Sftp},
};
use futures_util::{StreamExt, stream};
use session::TenantSession;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharfinger::demo::Demo;

const SESSIONS: usize = 50;
const DURATION: Duration = Duration::from_mins(2);
/// Below the server's limit on concurrent logins from one address.
const LOGINS_AT_ONCE: usize = 10;
/// The demo's tenants and users.
const TENANTS: [(&str, &str); 2] = [("acme", "alice"), ("globex", "bob")];

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_crosses() {
    let key = KeyFile::new();
    let demo = Demo::start(0, None, &[key.public()]).await.unwrap();
    let (address, contents, watch) = (demo.address(), session::DemoBuckets::of(&demo), Watch::of(&demo));
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(demo.run(stop.clone(), hurry.clone()));

    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let seed = u64::from_le_bytes(seed);
    println!("seed {seed}");
    let everybody =
        TENANTS.into_iter().flat_map(|(tenant, user)| (0..SESSIONS).map(move |number| (tenant, user, number)));
    let sessions: Vec<TenantSession> = stream::iter(everybody)
        .map(|(tenant, user, number)| {
            let (key, seed) = (&key, seed.wrapping_add(number as u64));
            async move { TenantSession::new(tenant, number, Sftp::connect(address, user, key).await, seed) }
        })
        .buffer_unordered(LOGINS_AT_ONCE)
        .collect()
        .await;
    assert_eq!(sessions.len(), 2 * SESSIONS);

    let deadline = Instant::now() + DURATION;
    let counts = Arc::new(Counts::default());
    let walks = sessions.into_iter().map(|mut session| {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            while Instant::now() < deadline {
                session.step(&counts).await;
            }
        })
    });
    for walk in walks.collect::<Vec<_>>() {
        walk.await.unwrap();
    }
    contents.belong_to_their_tenants().await;
    let asked = watch.s3().assume_role_requests();
    assert_eq!(asked.len(), TENANTS.len(), "one for each user");
    assert!(asked.iter().all(|asked| asked.granted && asked.external_id.is_some() && asked.policy.is_some()));
    println!("{counts:?}");
    for (what, count) in [("read", &counts.read), ("listed", &counts.listed), ("refused", &counts.refused)] {
        assert!(count.load(Ordering::Relaxed) > SESSIONS as u64, "hardly anything was {what}: {counts:?}");
    }
    hurry.cancel();
    stop.cancel();
    running.await.unwrap();
}

/// Number of operations that took effect. The test fails if nothing works.
#[derive(Debug, Default)]
struct Counts {
    /// Files that a session read and checked.
    read: AtomicU64,
    /// Directories that a session listed and checked.
    listed: AtomicU64,
    /// Escape attempts that the server refused.
    refused: AtomicU64,
    /// Escape attempts that ended inside the jail.
    inside: AtomicU64,
}

impl Counts {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
