//! The fate of interrupted uploads that no client resumes.

use std::time::Duration;
use wharfinger::{
    journal::{Lease, MemoryJournal, TaskJournal, TaskKind},
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
    for upload in journal.uploads() {
        let task = upload.clone().of_any_kind();
        let newest = journal.find_task(TaskKind::Upload, &task.subject()).await.unwrap();
        let is_free = newest.is_some_and(|(newest, is_held)| newest == task && !is_held);
        found += usize::from(is_free && upload.payload.whole.parts > 0);
    }
    found
}

/// Abandons all interrupted uploads, then does the janitor's work once the leases have expired. With paused time it
/// takes none.
pub async fn clear_away(bucket: &MemoryBucket, journal: &MemoryJournal) -> Left {
    tokio::time::sleep(Duration::from_mins(2)).await;
    for upload in journal.uploads() {
        journal.abandon_tasks(TaskKind::Upload, &upload.of_any_kind().subject()).await.unwrap();
    }
    let lease = Lease::new().unwrap();
    while let Some(next) = journal.take_next_task(TaskKind::Upload, &lease, Duration::ZERO).await.unwrap() {
        let upload = next.upload().unwrap();
        bucket.abort_upload(upload.payload.place.key(), &upload.payload.upload).await.unwrap();
        journal.end_task(&upload.id, None).await.unwrap();
    }
    let with_row = journal.uploads().len();
    Left { with_row, without_row: bucket.open_uploads().saturating_sub(with_row) }
}
