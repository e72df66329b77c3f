//! Claims: if several sessions rename or remove one name at the same moment, one acts, and the others wait before they
//! ask S3. Without claims each session would find the source and touch its target, and learn from S3 too late that
//! another one was faster.
//!
//! There are three layers; each covers what the one above it can't see:
//! 1. Within a node: one semaphore per name. A rename takes its source and its target.
//! 2. Between nodes that share a journal: one row per name, with a lease. A task of its own renews the rows, and
//!    deletes them when the operation ends for any reason. A rename enters its task with its claims, and the rename of a
//!    file ends both when it succeeds. The semaphores are released after the rows are deleted, so this node's next
//!    operation doesn't wait for its own rows.
//! 3. S3's conditional deletion. It alone decides while the journal is down, and against other users of the bucket.
//!
//! The target has a row too. If two nodes renamed `a` to `b` and `b` to `a` at once, and both files had the same bytes,
//! S3's condition would let both delete their source, and no file would be left.
//!
//! Invariants:
//! - An operation that holds a claim is the only one of its node with that name until the claim is dropped.
//! - No mutex is held across an `await`. Semaphores are taken in the order of their names, so that no two operations
//!   wait for each other.
//! - There are no more semaphores than operations in progress: the last one that leaves a semaphore removes it.

use super::{
    LeasedRename,
    lease::{self, FIRST_PAUSE, LONGEST_PAUSE, Name},
};
use crate::{
    journal::{Journal, JournalDown, Lease, LeaseEnd, MovedAttributes, Standing, Task},
    name::{BucketId, Key},
    store,
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::timeout,
};

/// An operation waits this long for another one with the same name.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names that operations of this node hold or wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<HashMap<Name, Arc<Semaphore>>>>);

/// An operation's claim on its names. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    _seats: Vec<Seat>,
    /// Tells the background task to delete the row.
    row: Option<oneshot::Sender<ClaimEnd>>,
    end: ClaimEnd,
    /// The task of the rename, its lease, and the time until which that is certain, if the journal has confirmed that it
    /// has the task.
    entered: Option<(Task, Lease, watch::Receiver<LeaseEnd>)>,
    /// True if no other node renames or removes the names that have rows.
    is_confirmed: bool,
}

/// The end of the operation that has a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimEnd {
    /// It was dropped halfway. The task of a rename stays, and a repair finishes the rename.
    Interrupted,
    /// It succeeded or failed. The task of a rename ends.
    Answered,
    /// The task of the rename and its claims were ended.
    Ended,
}

impl Claim {
    /// The task of a file's rename that was entered with the claim. `None` if the journal didn't answer.
    pub(crate) fn entered<'a>(&'a self, journal: &'a dyn Journal) -> Option<LeasedRename<'a>> {
        let (task, lease, certain_until) = self.entered.as_ref()?;
        Some(LeasedRename { journal, task, lease, certain_until })
    }

    /// Ends the task of a file's rename together with the claim, and moves the file's attributes. `None` if the journal
    /// has no task.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless. The task ends later.
    pub(crate) async fn end_rename(
        &mut self,
        journal: &dyn Journal,
        moved: MovedAttributes<'_>,
    ) -> Option<Result<(), JournalDown>> {
        let (task, lease, _) = self.entered.as_ref()?;
        let ended = journal.end_claimed_task(task, lease, Some(moved)).await;
        if ended.is_ok() {
            self.end = ClaimEnd::Ended;
        }
        Some(ended)
    }

    /// Ends the task of a file's rename together with the claim, if neither name has attributes in the journal. Returns
    /// `false` if one has, or may have.
    pub(crate) async fn end_rename_without_attributes(&mut self, journal: &dyn Journal) -> bool {
        let Some((task, lease, _)) = &self.entered else { return false };
        let ended = journal.end_task_without_attributes(task, lease).await == Ok(true);
        if ended {
            self.end = ClaimEnd::Ended;
        }
        ended
    }

    /// Notes that the operation succeeded or failed.
    pub(crate) fn note_answer(&mut self) {
        self.end = ClaimEnd::Answered;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            // An error means that the process ends.
            let _ = row.send(self.end);
        }
    }
}

/// The reason why an operation has no claim.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// Another operation has held one of the names for half a minute.
    #[error("another operation with the name is in progress")]
    Busy,
    /// The system has no random bytes for a lease.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

impl Claims {
    /// Waits until no other session renames or removes `source`, and none on this node creates or removes `target`. With
    /// the claim, enters `rename`, the rename of `source` to `target`.
    pub(crate) async fn claim(
        &self,
        journal: &Arc<dyn Journal>,
        bucket: &BucketId,
        names: (&Key, Option<&Key>),
        rename: Option<Task>,
    ) -> Result<Claim, ClaimError> {
        let rows = match &rename {
            Some(rename) => rename.payload.changed_names().into_iter().cloned().collect(),
            None => vec![names.0.clone()],
        };
        timeout(PATIENCE, self.wait(journal, bucket, names, rename, rows)).await.unwrap_or(Err(ClaimError::Busy))
    }

    /// Waits until no other session, of any node, renames or removes one of the names. `None` if the journal doesn't
    /// confirm that.
    pub(crate) async fn claim_both(
        &self,
        journal: &Arc<dyn Journal>,
        bucket: &BucketId,
        (source, target): (&Key, &Key),
    ) -> Result<Option<Claim>, ClaimError> {
        let mut rows = vec![source.clone(), target.clone()];
        rows.sort_unstable();
        rows.dedup();
        let waiting = self.wait(journal, bucket, (source, Some(target)), None, rows);
        let claim = timeout(PATIENCE, waiting).await.unwrap_or(Err(ClaimError::Busy))?;
        Ok(Some(claim).filter(|claim| claim.is_confirmed))
    }

    async fn wait(
        &self,
        journal: &Arc<dyn Journal>,
        bucket: &BucketId,
        (source, target): (&Key, Option<&Key>),
        rename: Option<Task>,
        rows: Vec<Key>,
    ) -> Result<Claim, ClaimError> {
        let mut names: Vec<&Key> = target.into_iter().chain([source]).collect();
        names.sort_unstable();
        names.dedup();
        let mut seats = Vec::new();
        for name in names {
            seats.push(self.seat((bucket.clone(), name.clone())).await);
        }
        if !journal.is_shared() && rename.is_none() {
            let end = ClaimEnd::Interrupted;
            return Ok(Claim { _seats: seats, row: None, end, entered: None, is_confirmed: true });
        }
        let (journal, bucket) = (Arc::clone(journal), bucket.clone());
        let (certain_until, is_certain_until) = watch::channel(lease::certain_end());
        let row = ClaimLease { journal, bucket, names: rows, lease: lease::new()?, rename, certain_until };
        let leased = row.rename.clone().map(|rename| (rename, row.lease.clone(), is_certain_until));
        let (claimed, is_claimed) = oneshot::channel();
        let (row_end, ended) = oneshot::channel();
        tokio::spawn(row.keep(seats, claimed, ended));
        // The channel closes without a message only when the process ends.
        let is_confirmed = is_claimed.await.unwrap_or(false);
        let entered = leased.filter(|_| is_confirmed);
        Ok(Claim { _seats: Vec::new(), row: Some(row_end), end: ClaimEnd::Interrupted, entered, is_confirmed })
    }

    async fn seat(&self, name: Name) -> Seat {
        let semaphore = Arc::clone(self.names().entry(name.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // Made before the wait, so that dropping a waiting future tidies up too.
        let mut seat = Seat { claims: self.clone(), name, semaphore: Some(Arc::clone(&semaphore)), permit: None };
        seat.permit = semaphore.acquire_owned().await.ok();
        seat
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Name, Arc<Semaphore>>> {
        self.0.lock()
    }
}

/// A place in the queue for a name. The head of the queue has a permit.
#[derive(Debug)]
struct Seat {
    claims: Claims,
    name: Name,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut names = self.claims.names();
        drop((self.permit.take(), self.semaphore.take()));
        // Only the map has a reference left: no operation holds the name or waits for it.
        if names.get(&self.name).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            names.remove(&self.name);
        }
    }
}

/// A claim in the journal, or the task of a file's rename, or both. A journal that no other node shares has no claims.
struct ClaimLease {
    journal: Arc<dyn Journal>,
    bucket: BucketId,
    /// In their order, so that no two operations wait for each other.
    names: Vec<Key>,
    lease: Lease,
    rename: Option<Task>,
    /// The time until which the lease on the rename is certain.
    certain_until: watch::Sender<LeaseEnd>,
}

impl ClaimLease {
    /// Claims the names, reports if the journal has them, and keeps the claim until `ended` resolves. The rows are
    /// deleted even if the operation stopped waiting, or the journal failed to answer: they may exist.
    async fn keep(self, seats: Vec<Seat>, claimed: oneshot::Sender<bool>, mut ended: oneshot::Receiver<ClaimEnd>) {
        let mut pause = FIRST_PAUSE;
        let is_written = loop {
            match self.claim().await {
                Ok(true) => break true,
                // Without a journal the operation continues, and S3 decides.
                Err(JournalDown) => break false,
                Ok(false) => {}
            }
            if timeout(pause, &mut ended).await.is_ok() {
                return;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        };
        let _ = claimed.send(is_written);
        let end = loop {
            match timeout(self.lease.term / 3, &mut ended).await {
                Ok(end) => break end.unwrap_or(ClaimEnd::Interrupted),
                Err(_) => self.renew().await,
            }
        };
        let ended = self.end(end).await;
        // While the journal is down, the next operation of this node continues without a row.
        drop(seats);
        if ended.is_err() {
            lease::end_later(&self.lease, || self.end(end)).await;
        }
    }

    async fn claim(&self) -> Result<bool, JournalDown> {
        match &self.rename {
            Some(rename) => {
                self.certain_until.send_replace(lease::certain_end());
                self.journal.enter_claimed_task(rename, &self.lease).await
            }
            None => self.claim_names().await,
        }
    }

    async fn claim_names(&self) -> Result<bool, JournalDown> {
        for (at, name) in self.names.iter().enumerate() {
            if !self.journal.claim(&self.bucket, name, &self.lease).await? {
                for claimed in self.names.iter().take(at) {
                    self.journal.end_claim(&self.bucket, claimed, &self.lease).await?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn end_names(&self) -> Result<(), JournalDown> {
        for name in &self.names {
            self.journal.end_claim(&self.bucket, name, &self.lease).await?;
        }
        Ok(())
    }

    /// Renews the claims and the lease on the rename. If another node has taken one of them over, the lease no longer
    /// counts as certain.
    async fn renew(&self) {
        let (end, mut is_ours) = (lease::certain_end(), true);
        if self.journal.is_shared() {
            for name in &self.names {
                is_ours &= self.journal.hold_claim(&self.bucket, name, &self.lease).await == Ok(true);
            }
        }
        if let Some(rename) = &self.rename {
            let standing = self.journal.hold_task(&rename.id, &rename.payload, &self.lease, Duration::ZERO).await;
            if is_ours && standing.is_ok_and(|standing| standing != Standing::Lost) {
                self.certain_until.send_replace(end);
            }
        }
    }

    async fn end(&self, end: ClaimEnd) -> Result<(), JournalDown> {
        match &self.rename {
            _ if end == ClaimEnd::Ended => Ok(()),
            Some(rename) if end == ClaimEnd::Answered => self.journal.end_claimed_task(rename, &self.lease, None).await,
            _ if self.journal.is_shared() => self.end_names().await,
            _ => Ok(()),
        }
    }
}
