//! The ledger, in SQLite and in PostgreSQL: both behave as the journal in memory does, also after a restart.

mod contract;
mod directories;
mod directory_renames;
mod file_renames;
mod floods;
mod former_tables;
mod postgres;
mod reports;
mod role_verdicts;
mod sqlite;
mod uploads;
mod usage;

use futures_util::future::join_all;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use wharfinger::{
    clock::{Clock as _, SystemClock},
    journal::{Journal, Lease, ObjectAttributes, ObjectTimes, TimesAndMode},
    ledger::{Ledger, Location},
    name::{BucketId, Key, Prefix},
    store::ETag,
};

/// Time at which attributes are set and versions appear.
static NOW: LazyLock<i64> = LazyLock::new(|| SystemClock.unix_seconds());

/// A key in the bucket of most tests.
fn key(raw: &str) -> Key {
    Prefix::parse("").unwrap().key(raw).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new("files", None)
}

fn etag(text: &str) -> ETag {
    ETag(format!("\"{text}\""))
}

/// Times of a version.
fn times(version: &str, modified: u32) -> ObjectAttributes {
    of(version, Some(ObjectTimes::Set { accessed: modified + 1, modified }), None)
}

/// Attributes of a version.
fn of(version: &str, times: Option<ObjectTimes>, mode: Option<u32>) -> ObjectAttributes {
    ObjectAttributes { etag: etag(version), attributes: TimesAndMode { times, mode }, set_at: *NOW }
}

/// Sets the mode 600.
fn with_mode(entry: ObjectAttributes) -> ObjectAttributes {
    ObjectAttributes { attributes: TimesAndMode { mode: Some(0o600), ..entry.attributes }, ..entry }
}

fn lease(holder: &str, seconds: u64) -> Lease {
    Lease { holder: holder.to_owned(), term: Duration::from_secs(seconds) }
}

async fn open(location: &Location) -> Ledger {
    Ledger::open(location).await.unwrap()
}

/// Opens the same database from eight nodes that start concurrently, and checks that they share one journal.
async fn open_at_once(location: &Location) {
    let nodes = join_all((0..8).map(|_| open(location))).await;
    for (number, node) in nodes.iter().enumerate() {
        let kept = times("1", u32::try_from(number).unwrap());
        node.journal().add_attributes(&bucket(), &key("a"), &kept, *NOW).await.unwrap();
        for other in &nodes {
            assert_eq!(find(&other.journal(), "a").await, Some(kept.clone()));
        }
    }
    for node in &nodes {
        node.close().await;
    }
}

async fn find(journal: &Arc<dyn Journal>, raw_key: &str) -> Option<ObjectAttributes> {
    journal.attributes(&bucket(), &key(raw_key)).await.unwrap()
}
