//! Resumes an upload that was interrupted, on any node.
//!
//! Invariant: the upload resumes only behind bytes that the client sent and S3 stored, all of them. The journal's
//! entry, which another process wrote, is compared with S3's parts.

use super::{
    Upload,
    entry::{self, Keeping},
    error::{Result, UploadError},
    part_buffer::PartBuffer,
    parts::{Parts, gone},
    whole::Contiguous,
};
use crate::{
    journal::{Lease, ResumableUpload, Task},
    store::{Bucket, Condition, Error, NewObject, Part},
};
use std::{mem, time::Duration};

/// An upload that was interrupted, and that this session has taken over.
#[derive(Debug)]
pub struct Taken {
    pub(super) task: Task<ResumableUpload>,
    pub(super) lease: Lease,
    pub(super) parts: Vec<Part>,
}

/// The settings of the file if the client begins anew.
#[derive(Debug)]
pub(super) struct Anew {
    object: NewObject,
    condition: Condition,
}

impl Taken {
    /// Takes over an upload that was found in the journal. One call to it, and one request to S3 for 1,000 parts.
    ///
    /// # Errors
    /// [`UploadError::Held`] if another session uploads it. [`Error::UploadGone`] if S3 lacks a part that the entry
    /// claims; the upload is abandoned then. [`UploadError::Journal`], or S3's error.
    pub(crate) async fn take(bucket: &dyn Bucket, keeping: &Keeping, task: Task<ResumableUpload>) -> Result<Self> {
        let lease = entry::lease()?;
        if !keeping.journal.take_task(&task.id, &lease).await? {
            return Err(UploadError::Held);
        }
        match whole_parts(bucket, &task.payload).await {
            Ok(parts) => Ok(Self { task, lease, parts }),
            Err(error) => {
                // A lost upload is abandoned at once. After any other error a session can try again at once.
                let kept_for = if matches!(error, UploadError::Storage(Error::UploadGone)) {
                    Duration::ZERO
                } else {
                    keeping.kept_for
                };
                let let_go = Lease { term: Duration::ZERO, ..lease };
                let _ = keeping.journal.hold_task(&task.id, &task.payload.into(), &let_go, kept_for).await;
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
    let mut stored = Contiguous::default();
    for part in &parts {
        stored.add(part);
    }
    if stored.so_far() == *whole { Ok(parts) } else { Err(Error::UploadGone.into()) }
}

impl Upload {
    /// Makes the file begin with the stored parts of an upload that was taken over. It appears only if the name is
    /// free.
    #[must_use]
    pub(crate) fn resuming(mut self, keeping: Keeping, taken: Taken) -> Self {
        let condition = mem::replace(&mut self.condition, Condition::Absent);
        self.anew = Some(Anew { object: mem::take(&mut self.object), condition });
        self.gapless = true;
        self.buffer = PartBuffer::behind(taken.task.payload.whole.bytes);
        self.parts = Some(Parts::resume(self.target.clone(), &keeping, taken));
        self.keeping = Some(keeping);
        self
    }

    /// True if the file still is the stored beginning, and no more.
    #[must_use]
    pub(crate) fn is_only_resumed(&self) -> bool {
        self.anew.is_some() && self.poison.is_none()
    }

    /// Fails instead of publishing a file that has a hole, or lacks its beginning.
    #[must_use]
    pub(crate) fn without_gaps(mut self) -> Self {
        self.gapless = true;
        self
    }

    /// True if a hole or a missing beginning is an error.
    #[must_use]
    pub(crate) fn is_gapless(&self) -> bool {
        self.gapless
    }

    /// Abandons the stored parts of an upload that was taken over, and begins with an empty file. No effect once the
    /// client has written more.
    pub(crate) async fn begin_anew(&mut self) {
        let Some(Anew { object, condition }) = self.anew.take() else { return };
        (self.object, self.condition, self.gapless) = (object, condition, false);
        self.buffer = PartBuffer::default();
        if let Some(parts) = self.parts.take() {
            parts.abort().await;
        }
    }

    /// Lets the next session resume the stored parts, if they are kept. Else abandons the file.
    pub(crate) async fn leave(mut self) {
        if !self.can_go_on() {
            return self.abort().await;
        }
        // One request, for bytes that the client would otherwise send again.
        if let Some(cut) = self.leaving_cut() {
            let _ = self.ship(cut).await;
        }
        let Self { parts, buffer, allowance, .. } = self;
        // Other uploads may wait for this memory, and S3 may take long to answer.
        drop((buffer, allowance));
        if let Some(parts) = parts {
            parts.leave().await;
        }
    }

    /// True if the stored parts are the beginning of the client's file, and a later session can find them.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_misled && self.parts.as_ref().is_some_and(Parts::is_kept)
    }
}
