//! A flood of one tenant's questions, and the questions of another.

use crate::support::tree;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;
use wharfinger::{
    account::Permissions,
    ledger::{Ledger, Location},
    memory::Budget,
    name::VirtualPath,
    testing::MemoryBucket,
    vfs::{Error, Replace},
};

/// More requests at once than the ledger lets wait.
const FLOOD: usize = 3_000;

fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}

// S193: Tenants ask the journal in turn. A question that its request can do without waits for its turn for two …
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_stats_fails_no_directory_rename_of_another_tenant() {
    let directory = TempDir::new().unwrap();
    let ledger = Ledger::open(&Location::Sqlite(directory.path().join("ledger.db"))).await.unwrap();
    let bucket = Arc::new(MemoryBucket::new());
    bucket.insert("globex/a/file", "content");
    let node = tree::node(Arc::clone(&bucket) as Arc<_>, &Budget::new(64 << 20), ledger.journal());
    let acme = Arc::new(tree::session_of("acme", "alice", Permissions::ALL, &node));
    let globex = tree::session_of("globex", "bob", Permissions::ALL, &node);
    let mut flood = JoinSet::new();
    for number in 0..FLOOD {
        let acme = Arc::clone(&acme);
        flood.spawn(async move { acme.stat(&path(&format!("/missing-{number}"))).await });
    }
    for (source, target) in [("/a", "/b"), ("/b", "/a")].into_iter().cycle().take(10) {
        globex.rename(&path(source), &path(target), Replace::No).await.unwrap();
    }
    for answer in flood.join_all().await {
        assert!(matches!(answer, Err(Error::NotFound)), "{answer:?}");
    }
    ledger.close().await;
}
