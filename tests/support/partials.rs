//! What becomes of uploads that were cut off, when nobody goes on with them.

use std::time::Duration;
use wharfinger::store::{Bucket, Lease, MemoryBucket, MemoryJournal, PartialJournal};

/// Uploads that stay open when the janitor was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Somebody still waits for S3 to do something with them.
    pub held: usize,
    /// Nobody knows of them.
    pub nobodys: usize,
}

/// How many uploads can go on: their user finds them, and nobody holds them.
pub async fn can_go_on(journal: &MemoryJournal) -> usize {
    let mut found = 0;
    for partial in journal.partials() {
        let newest = journal.find_partial(&partial.file).await.unwrap();
        let is_free = newest.is_some_and(|(newest, is_held)| newest == partial && !is_held);
        found += usize::from(is_free && partial.whole.parts > 0);
    }
    found
}

/// Gives up all uploads that were cut off, and does what the janitor does when leases are over. With time paused it takes
/// none.
pub async fn clear_away(bucket: &MemoryBucket, journal: &MemoryJournal) -> Left {
    tokio::time::sleep(Duration::from_mins(2)).await;
    for partial in journal.partials() {
        journal.give_up_partials(&partial.file).await.unwrap();
    }
    while let Some(partial) = journal.take_stale_partial(&Lease::new().unwrap(), Duration::ZERO).await.unwrap() {
        bucket.abort_upload(&partial.file.key().unwrap(), &partial.upload).await.unwrap();
        journal.end_partial(&partial.id).await.unwrap();
    }
    let held = journal.partials().len();
    Left { held, nobodys: bucket.open_uploads().saturating_sub(held) }
}
