//! Resumes an upload that was interrupted, on any node.
//!
//! Invariant: the upload resumes only behind bytes that the client sent and S3 stored, all of them. The journal's
//! task, which another process wrote, is compared with S3's parts.

use super::{
    error::{Result, UploadError},
    lease::{self, UploadJournal},
    parts::gone,
    whole::ContiguousParts,
};
use crate::{
    journal::{JournalDown, Lease, ResumableUpload, Task},
    store::{Bucket, Error, Part},
};
use std::time::Duration;

/// An interrupted upload, as the journal has it.
#[derive(Clone, Debug)]
pub struct InterruptedUpload {
    /// The stored beginning, and the file that it belongs to.
    pub(crate) task: Task<ResumableUpload>,
    /// The journal that has its task.
    pub(crate) upload_journal: UploadJournal,
    /// True if another session uploads the file, or did so a moment ago.
    pub(crate) is_leased: bool,
    /// True until the client writes behind the stored bytes. Until then it may start over.
    pub(super) is_untouched: bool,
}

/// The right to an upload that this session has taken over.
#[derive(Debug)]
pub(super) struct ResumedParts {
    pub(super) lease: Lease,
    /// The stored parts.
    pub(super) parts: Vec<Part>,
}

impl InterruptedUpload {
    /// Finds the interrupted upload of a file, if there is a stored part to resume. One call to the journal.
    ///
    /// # Errors
    /// [`JournalDown`].
    pub(crate) async fn find(upload_journal: UploadJournal) -> Result<Option<Self>, JournalDown> {
        if upload_journal.resumable_for.is_zero() {
            return Ok(None);
        }
        let found = upload_journal.find_upload().await?;
        let begun = found.filter(|(task, _)| task.payload.whole.parts > 0);
        Ok(begun.map(|(task, is_leased)| Self { task, upload_journal, is_leased, is_untouched: true }))
    }

    /// The number of stored bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.task.payload.whole.bytes
    }

    /// Takes the upload over. One call to the journal, and one request to S3 for 1,000 parts.
    ///
    /// # Errors
    /// [`UploadError::Leased`] if another session uploads it. [`Error::UploadGone`] if S3 lacks a part that the task
    /// has; the upload is abandoned then. [`UploadError::Journal`], or S3's error.
    pub(super) async fn take(&self, bucket: &dyn Bucket) -> Result<ResumedParts> {
        let Self { task, upload_journal, .. } = self;
        let lease = lease::new_lease()?;
        if !upload_journal.journal.take_task(&task.id, &lease).await? {
            return Err(UploadError::Leased);
        }
        match whole_parts(bucket, &task.payload).await {
            Ok(parts) => Ok(ResumedParts { lease, parts }),
            Err(error) => {
                // A lost upload is abandoned at once. After any other error a session can try again at once.
                let resumable_for = if matches!(error, UploadError::Storage(Error::UploadGone)) {
                    Duration::ZERO
                } else {
                    upload_journal.resumable_for
                };
                let released = Lease { term: Duration::ZERO, ..lease };
                let _ = upload_journal
                    .journal
                    .hold_task(&task.id, &task.payload.clone().into(), &released, resumable_for)
                    .await;
                Err(error)
            }
        }
    }
}

/// S3's parts for the beginning that the journal calls whole.
async fn whole_parts(bucket: &dyn Bucket, resumable: &ResumableUpload) -> Result<Vec<Part>> {
    let ResumableUpload { place, upload, whole, .. } = resumable;
    let key = place.key();
    let mut parts: Vec<Part> = Vec::new();
    let mut next = 1..=whole.parts;
    while !next.is_empty() {
        let page = bucket.list_parts(key, upload, next.start() - 1).await.map_err(gone)?;
        let behind = page.parts.into_iter().zip(next.clone()).take_while(|(part, number)| part.number == *number);
        let before = parts.len();
        parts.extend(behind.map(|(part, _)| part));
        // Parts behind a missing one are of no use.
        if parts.len() == before || !page.more {
            break;
        }
        next = parts.last().map_or(1, |part| part.number + 1)..=whole.parts;
    }
    let mut stored = ContiguousParts::default();
    for part in &parts {
        stored.add(part);
    }
    if stored.so_far() == *whole { Ok(parts) } else { Err(Error::UploadGone.into()) }
}
