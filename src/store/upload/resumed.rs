//! Going on with an upload that was cut off, on whatever node.
//!
//! Invariant: the bytes before the place where it goes on are those that the client sent, each of them stored, or it
//! doesn't go on. What others wrote into the journal is compared with what S3 has.

use super::{
    Upload,
    entry::{self, Keeping},
    part_buffer::PartBuffer,
    parts::{Parts, gone},
    whole::Contiguous,
};
use crate::store::{Bucket, Condition, Error, Lease, NewObject, Part, PartialUpload, Result};
use std::{mem, time::Duration};

/// An upload that was cut off, and is ours now.
#[derive(Debug)]
pub struct Taken {
    pub(super) partial: PartialUpload,
    pub(super) lease: Lease,
    pub(super) parts: Vec<Part>,
}

/// What the file is if the client begins anew.
#[derive(Debug)]
pub(super) struct Anew {
    object: NewObject,
    condition: Condition,
}

impl Taken {
    /// Takes on an upload that was found in the journal. One question to it, and one request to S3 for 1,000 parts.
    ///
    /// # Errors
    /// [`Error::UploadHeld`] when somebody else uploads it, [`Error::UploadGone`] when S3 hasn't what it should have; it
    /// is given up then. [`Error::Journal`], or what S3 said.
    pub async fn take(bucket: &dyn Bucket, keeping: &Keeping, partial: PartialUpload) -> Result<Self> {
        let lease = entry::lease()?;
        if !keeping.journal.take_partial(&partial.id, &lease).await? {
            return Err(Error::UploadHeld);
        }
        match whole_parts(bucket, &partial).await {
            Ok(parts) => Ok(Self { partial, lease, parts }),
            Err(error) => {
                // What is gone is in nobody's way any more; all else can be tried again at once.
                let kept_for = if matches!(error, Error::UploadGone) { Duration::ZERO } else { keeping.kept_for };
                let let_go = Lease { term: Duration::ZERO, ..lease };
                let _ = keeping.journal.hold_partial(&partial.id, partial.whole, &let_go, kept_for).await;
                Err(error)
            }
        }
    }
}

/// The parts that the journal calls whole, as S3 has them.
async fn whole_parts(bucket: &dyn Bucket, partial: &PartialUpload) -> Result<Vec<Part>> {
    let PartialUpload { file, upload, whole, .. } = partial;
    let key = file.key().map_err(|error| Error::Broken(error.to_string()))?;
    let mut parts: Vec<Part> = Vec::new();
    let mut next = 1..=whole.parts;
    while !next.is_empty() {
        let page = bucket.list_parts(&key, upload, next.start() - 1).await.map_err(gone)?;
        let behind = page.parts.into_iter().zip(next.clone()).take_while(|(part, number)| part.number == *number);
        let before = parts.len();
        parts.extend(behind.map(|(part, _)| part));
        // What is behind a part that is missing is no use.
        if parts.len() == before || !page.more {
            break;
        }
        next = parts.last().map_or(1, |part| part.number + 1)..=whole.parts;
    }
    let mut stored = Contiguous::default();
    for part in &parts {
        stored.add(part);
    }
    if stored.so_far() == *whole { Ok(parts) } else { Err(Error::UploadGone) }
}

impl Upload {
    /// Lets the file begin with what an upload has stored that was taken on, and appear only where nothing is.
    #[must_use]
    pub fn resuming(mut self, keeping: Keeping, taken: Taken) -> Self {
        let condition = mem::replace(&mut self.condition, Condition::Absent);
        self.anew = Some(Anew { object: mem::take(&mut self.object), condition });
        self.gapless = true;
        self.buffer = PartBuffer::behind(taken.partial.whole.bytes);
        self.keeping = Some(keeping.clone());
        self.parts = Some(Parts::resume(self.target.clone(), keeping, taken));
        self
    }

    /// Whether the file still is what was stored before it was cut off, and no more.
    #[must_use]
    pub fn is_only_resumed(&self) -> bool {
        self.anew.is_some() && self.poison.is_none()
    }

    /// Lets nothing be published that leaves a hole, or lacks its beginning.
    #[must_use]
    pub fn without_gaps(mut self) -> Self {
        self.gapless = true;
        self
    }

    /// True if nothing is published that leaves a hole, or lacks its beginning.
    #[must_use]
    pub fn is_gapless(&self) -> bool {
        self.gapless
    }

    /// Gives up what an upload that was taken on has stored, and begins with an empty file. Does nothing once there is
    /// more of it.
    pub async fn begin_anew(&mut self) {
        let Some(Anew { object, condition }) = self.anew.take() else { return };
        (self.object, self.condition, self.gapless) = (object, condition, false);
        self.buffer = PartBuffer::default();
        if let Some(parts) = self.parts.take() {
            parts.abort().await;
        }
    }

    /// Lets who comes next go on with what is stored, where that is kept; else gives the file up.
    pub async fn leave(mut self) {
        if !self.can_go_on() {
            return self.abort().await;
        }
        // One request, for what would be sent again otherwise.
        if let Some(cut) = self.leaving_cut() {
            let _ = self.ship(cut).await;
        }
        let Self { parts, buffer, allowance, .. } = self;
        // Others may wait for this memory, and S3 may be long in answering.
        drop((buffer, allowance));
        if let Some(parts) = parts {
            parts.leave().await;
        }
    }

    /// Whether what is stored is the beginning of what the client means, and can be found again.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_misled && self.parts.as_ref().is_some_and(Parts::is_kept)
    }
}
