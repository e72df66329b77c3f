//! A multipart upload: its creation, the parts in flight, and its end. All of it runs in the background between writes.
//!
//! Invariant: every multipart upload ends in one of three ways. S3 confirmed its `CompleteMultipartUpload`. Or it gets
//! one `AbortMultipartUpload`, even if the answer to its creation was still pending. Or it has a task in the journal,
//! by which another node completes or aborts it. The exception is an answer that never came: S3 may have opened an
//! upload whose id the server doesn't know, and only a sweep of the bucket, or its lifecycle rule, finds it.

use super::{
    error::{Result, UploadError},
    interrupted::{InterruptedUpload, ResumedParts},
    lease::{Progress, UploadJournal, UploadLease},
    plan::MAX_PARTS,
    target::Target,
    whole::ContiguousParts,
};
use crate::{
    journal::Standing,
    memory::PartMemory,
    name::Key,
    policy::RequestScope,
    store::{
        self, Condition, Error, NewObject, Part, Payload, Pin, StoredObject, UploadId, confirm_own_write, in_clean_up,
        in_time, may_be_stored, missing_or_forbidden,
    },
};
use bytes::Bytes;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};

/// The number of parts of one upload that may always be in flight.
pub(super) const MIN_IN_FLIGHT: usize = 4;
/// The most parts of one upload in flight, if memory is to spare. S3 is some tens of milliseconds away, and takes some
/// 80 MB/s on a connection.
pub(super) const MAX_IN_FLIGHT: usize = 16;
/// The most copies that S3 makes for one upload at once, each with a permit of the tenant. They take no memory here, and
/// S3 copies a range no faster than it sends one.
const MAX_COPYING: usize = 16;
/// The time that an upload which is left waits for its parts in flight. A server that stops waits no longer either.
const LEAVING: Duration = Duration::from_secs(20);

/// The answer to `CreateMultipartUpload`; `None` while it is pending.
pub(super) type CreateAnswer = Option<store::Result<UploadId>>;

/// The parts of one upload. Dropping it before its end aborts the tasks. If there is a runtime, a background task also
/// tries to abort the upload in S3.
#[derive(Debug)]
pub(super) struct Parts {
    target: Target,
    object: NewObject,
    created: watch::Receiver<CreateAnswer>,
    in_flight: JoinSet<Result<Part>>,
    copying: JoinSet<Result<Part>>,
    copies: Arc<Semaphore>,
    stored: Vec<Part>,
    started: u32,
    /// The time at which this handle asked S3 to open it. `None` if another handle did.
    created_at: Option<Instant>,
    /// Each part notes there itself that it is stored, even if no caller waits for it.
    progress: watch::Sender<Progress>,
    /// The lease on its task in the journal, with which the upload can be resumed later.
    lease: Option<UploadLease>,
    ended: bool,
}

impl Parts {
    /// Sends `CreateMultipartUpload`, and enters the upload in its journal, if it has one. The task isn't owned,
    /// because an interrupted one could leave an upload whose id the server doesn't know. Every end of the upload waits
    /// for it instead.
    pub(super) fn create(target: Target, object: NewObject, upload_journal: Option<UploadJournal>) -> Self {
        let (sender, created) = watch::channel(None);
        let (creating, born) = (target.clone(), object.clone());
        tokio::spawn(async move {
            let answer = creating.bucket.create_upload(&creating.key, &born).await;
            sender.send_replace(Some(answer));
        });
        let mut parts = Self::of(target, object, created);
        parts.created_at = Some(Instant::now());
        parts.lease = upload_journal.and_then(|upload_journal| {
            UploadLease::enter(upload_journal, parts.object.clone(), parts.created.clone(), &parts.progress).ok()
        });
        parts
    }

    /// Continues an upload that was taken over.
    pub(super) fn resume(target: Target, interrupted: &InterruptedUpload, taken: ResumedParts) -> Self {
        let (task, upload_journal, ResumedParts { lease, parts }) =
            (interrupted.task.clone(), &interrupted.upload_journal, taken);
        let (_, created) = watch::channel(Some(Ok(task.payload.upload.clone())));
        let mut resumed = Self::of(target, task.payload.object.clone(), created);
        (resumed.started, resumed.stored) = (task.payload.whole.parts, parts);
        resumed.progress.send_modify(|progress| progress.stored = ContiguousParts::of(task.payload.whole));
        resumed.lease = Some(UploadLease::resume(upload_journal, task, lease, &resumed.progress));
        resumed
    }

    fn of(target: Target, object: NewObject, created: watch::Receiver<CreateAnswer>) -> Self {
        Self {
            target,
            object,
            created,
            in_flight: JoinSet::new(),
            copying: JoinSet::new(),
            copies: Arc::new(Semaphore::new(MAX_COPYING)),
            stored: Vec::new(),
            started: 0,
            created_at: None,
            progress: watch::Sender::default(),
            lease: None,
            ended: false,
        }
    }

    /// The time since S3 opened it. [`Duration::MAX`] if another handle asked for that.
    pub(super) fn age(&self) -> Duration {
        self.created_at.map_or(Duration::MAX, |created_at| created_at.elapsed())
    }

    /// The attributes that the object was created with.
    pub(super) fn into_object(mut self) -> NewObject {
        std::mem::take(&mut self.object)
    }

    pub(super) fn next_number(&self) -> u32 {
        self.started + 1
    }

    /// The number of parts that this server is sending. They hold memory.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a part. Its memory is free when S3 has confirmed it. `lasting`: the part is as the client sent it, and not
    /// the last, so that a later session can continue behind it.
    pub(super) fn send(&mut self, pieces: Vec<Bytes>, memory: PartMemory, lasting: bool) {
        self.started += 1;
        if !lasting {
            self.end_whole();
        }
        let (number, target, created) = (self.started, self.target.clone(), self.created.clone());
        let progress = self.progress.clone();
        self.in_flight.spawn(async move {
            let sending = async {
                let upload = id(created).await?;
                let sent = target.bucket.upload_part(&target.key, &upload, number, Payload::new(pieces)).await;
                Ok(sent.map_err(gone)?)
            };
            let part = sending.await;
            drop(memory);
            if let Ok(part) = &part {
                progress.send_if_modified(|progress| progress.stored.add(part));
            }
            target.observe(&part);
            part
        });
    }

    /// Asks S3 to copy a part from `range` of the object `source`, if that still is `pin`. The request belongs to
    /// `requests`.
    pub(super) fn copy(&mut self, source: Key, range: Range<u64>, pin: Pin, requests: RequestScope) {
        self.started += 1;
        self.end_whole();
        let (number, target, created) = (self.started, self.target.clone(), self.created.clone());
        let copies = Arc::clone(&self.copies);
        self.copying.spawn(requests.run(async move {
            let copying = async {
                let upload = id(created).await?;
                let _turn = copies.acquire().await;
                let Target { bucket, key, .. } = &target;
                let answer = match bucket.copy_part(key, &upload, number, &source, &pin, range).await {
                    Err(refusal @ Error::Forbidden { .. }) => {
                        Err(missing_or_forbidden(&**bucket, &source, refusal).await)
                    }
                    answered => answered,
                };
                Ok(answer.map_err(replaced)?)
            };
            let part = copying.await;
            target.observe(&part);
            part
        }));
    }

    /// Ends the resumable beginning before the part that was started last.
    fn end_whole(&self) {
        self.progress.send_modify(|progress| progress.stored.end_before(self.started));
    }

    /// True if S3's part numbers are used up.
    pub(super) fn is_full(&self) -> bool {
        self.started == MAX_PARTS
    }

    /// Notes the parts that have arrived since.
    pub(super) fn note_arrived(&mut self) -> Result<()> {
        while let Some(joined) = self.in_flight.try_join_next().or_else(|| self.copying.try_join_next()) {
            self.note(joined)?;
        }
        Ok(())
    }

    /// Waits until one part in flight has arrived, and its memory is free.
    pub(super) async fn one_arrived(&mut self) -> Result<()> {
        let joined = in_time(async { Ok(self.in_flight.join_next().await) }).await?;
        joined.map_or(Ok(()), |joined| self.note(joined))
    }

    /// Waits until S3 has made all copies.
    pub(super) async fn all_copied(&mut self) -> Result<()> {
        while let Some(joined) = in_time(async { Ok(self.copying.join_next().await) }).await? {
            self.note(joined)?;
        }
        Ok(())
    }

    /// Waits for the next part, sent or copied. `None` if all are here.
    async fn next_arrived(&mut self) -> Option<Result<Result<Part>, JoinError>> {
        tokio::select! {
            Some(joined) = self.in_flight.join_next() => Some(joined),
            Some(joined) = self.copying.join_next() => Some(joined),
            else => None,
        }
    }

    /// True if no other session can have completed it.
    async fn is_ours(&self) -> bool {
        match &self.lease {
            Some(lease) => lease.is_ours().await,
            None => true,
        }
    }

    /// Waits for all parts, and publishes the object.
    pub(super) async fn complete(&mut self, condition: Condition) -> Result<StoredObject> {
        while let Some(joined) = in_time(async { Ok(self.next_arrived().await) }).await? {
            self.note(joined)?;
        }
        self.stored.sort_unstable_by_key(|part| part.number);
        let upload = in_time(id(self.created.clone())).await?;
        // If a version is to be replaced, NotFound more likely means that version than the upload.
        let replaces = matches!(condition, Condition::Matches(_));
        let missing = if replaces { replaced } else { gone };
        self.demand_ours()?;
        self.target.tell_publishing(&self.object, self.stored.iter().map(|part| part.size).sum());
        let stored = match self.target.complete(&upload, &self.stored, condition).await {
            Err(refusal @ Error::Forbidden { .. }) if replaces => {
                let Target { bucket, key, .. } = &self.target;
                let told = in_clean_up(missing_or_forbidden(&**bucket, key, refusal.clone())).await;
                Err(told.unwrap_or(refusal))
            }
            Err(error) if may_be_stored(&error) && self.is_ours().await => {
                let Target { bucket, key, .. } = &self.target;
                confirm_own_write(&**bucket, key, &self.object, error).await
            }
            answered => answered,
        };
        let stored = stored.map_err(missing)?;
        self.ended = true;
        if let Some(lease) = self.lease.take() {
            lease.delete().await;
        }
        Ok(stored)
    }

    /// Stops the parts in flight, then aborts the upload. If S3 doesn't answer, the abort continues in the background.
    pub(super) async fn abort(mut self) {
        self.in_flight.shutdown().await;
        self.copying.shutdown().await;
        let (target, created, lease) = (self.target.clone(), self.created.clone(), self.lease.take());
        self.ended = true;
        let _ = in_clean_up(tokio::spawn(abort(target, created, lease))).await;
    }

    /// Waits for the parts in flight, and lets the next session continue behind the stored ones. Aborts the upload if
    /// no part is stored, or no session could resume it.
    pub(super) async fn leave(mut self) {
        // A part that failed takes nothing from the parts before it.
        let arriving = async { while self.in_flight.join_next().await.is_some() {} };
        let _ = timeout(LEAVING, arriving).await;
        self.in_flight.shutdown().await;
        let is_begun = self.progress.borrow().stored.so_far().parts > 0;
        if let Some(lease) = self.lease.take_if(|_| is_begun) {
            // If another session resumed it, this one leaves it alone.
            self.ended = lease.release().await != Standing::Abandoned;
        }
        if !self.ended {
            self.abort().await;
        }
    }

    /// # Errors
    /// [`UploadError::Leased`] if another session resumed it.
    pub(super) fn demand_ours(&self) -> Result<()> {
        if self.lease.as_ref().is_some_and(UploadLease::is_lost) { Err(UploadError::Leased) } else { Ok(()) }
    }

    /// True if a session may resume it after an interruption.
    pub(super) fn is_resumable(&self) -> bool {
        self.lease.as_ref().is_some_and(UploadLease::is_resumable)
    }

    fn note(&mut self, joined: Result<Result<Part>, JoinError>) -> Result<()> {
        // No task of a living upload is aborted, so this is a panic, or a runtime that shuts down.
        let part = joined.unwrap_or_else(|stopped| Err(Error::Broken(stopped.to_string()).into()))?;
        self.stored.push(part);
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.ended, tokio::runtime::Handle::try_current()) {
            runtime.spawn(abort(self.target.clone(), self.created.clone(), self.lease.take()));
        }
    }
}

/// Waits for S3's answer and returns the upload's id.
pub(super) async fn id(mut created: watch::Receiver<CreateAnswer>) -> store::Result<UploadId> {
    let answer = created.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
    answer.unwrap_or_else(|| Err(Error::Broken("the task that creates the upload ended without an answer".into())))
}

/// Here NotFound means the upload, not a file that a client asked for.
pub(super) fn gone(error: Error) -> Error {
    match error {
        Error::NotFound => Error::UploadGone,
        error => error,
    }
}

/// Here NotFound means the object to replace or copy. Its removal counts as a change.
pub(super) fn replaced(error: Error) -> Error {
    match error {
        Error::NotFound => Error::Conflict { request: "the object is gone".into() },
        error => error,
    }
}

/// Sends one request, if the upload was opened and belongs to this session. If the request fails, the janitor or the
/// sweep aborts the upload.
async fn abort(target: Target, created: watch::Receiver<CreateAnswer>, lease: Option<UploadLease>) {
    let Ok(upload) = id(created).await else { return };
    let ours = match lease {
        Some(lease) => match lease.abandon().await {
            Some(lease) => Some(lease),
            None => return,
        },
        None => None,
    };
    match (target.bucket.abort_upload(&target.key, &upload).await, ours) {
        (Ok(()), Some(lease)) => lease.delete().await,
        (Ok(()), None) => {}
        (Err(error), _) => {
            if let Some(observer) = &target.observer {
                observer.not_aborted(&target.key, &upload, &error);
            }
        }
    }
}
