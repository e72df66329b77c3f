//! The fate of interrupted uploads that no client resumes.

use std::time::Duration;
use wharfinger::{
    journal::{Lease, MemoryJournal, PartialJournal},
    store::Bucket,
    testing::MemoryBucket,
};

/// Uploads that are still open after the janitor ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Uploads with a row in the journal.
    pub with_row: usize,
    /// Uploads without a row.
    pub without_row: usize,
}

/// Number of uploads that can be resumed: their user finds them, and no session holds their lease.
pub async fn count_resumable(journal: &MemoryJournal) -> usize {
    let mut found = 0;
    for partial in journal.partials() {
        let newest = journal.find_partial(&partial.file).await.unwrap();
        let is_free = newest.is_some_and(|(newest, is_held)| newest == partial && !is_held);
        found += usize::from(is_free && partial.whole.parts > 0);
    }
    found
}

/// Abandons all interrupted uploads, then does the janitor's work once the leases have expired. With paused time it
/// takes none.
pub async fn clear_away(bucket: &MemoryBucket, journal: &MemoryJournal) -> Left {
    tokio::time::sleep(Duration::from_mins(2)).await;
    for partial in journal.partials() {
        journal.give_up_partials(&partial.file).await.unwrap();
    }
    while let Some(partial) = journal.take_stale_partial(&Lease::new().unwrap(), Duration::ZERO).await.unwrap() {
        bucket.abort_upload(partial.file.place.key(), &partial.upload).await.unwrap();
        journal.end_partial(&partial.id).await.unwrap();
    }
    let with_row = journal.partials().len();
    Left { with_row, without_row: bucket.open_uploads().saturating_sub(with_row) }
}
