//! Claims: if several sessions rename or remove one name at the same moment, one acts, and the others wait before they
//! ask S3. Without claims each session would find the source and touch its target, and learn from S3 too late that
//! another one was faster.
//!
//! There are three layers; each covers what the one above it can't see:
//! 1. Within a node: one semaphore per name. A rename takes its source and its target.
//! 2. Between nodes that share a journal: one row per name, with a lease. The rows are renewed while the operation lasts
//!    (`claims/renewals.rs`), and deleted when it ends for any reason. A rename enters its task with its claims, and the
//!    rename of a file ends both when it succeeds. The semaphores are released after the rows are deleted, so this
//!    node's next operation doesn't wait for its own rows.
//! 3. S3's conditional deletion. It alone decides while the journal is down, and against other users of the bucket.
//!
//! The target has a row too. If two nodes renamed `a` to `b` and `b` to `a` at once, and both files had the same bytes,
//! S3's condition would let both delete their source, and no file would be left.
//!
//! The operation asks the journal itself, so that a rename that ends in time starts no task. Dropping the claim starts
//! one if there are rows to delete.
//!
//! Invariants:
//! - An operation that holds a claim is the only one of its node with that name until the claim is dropped.
//! - A question that may write rows runs to its end, and the rows are deleted after it, even if the operation is dropped
//!   or stops waiting meanwhile.
//! - No mutex is held across an `await`. Semaphores are taken in the order of their names, so that no two operations
//!   wait for each other.
//! - There are no more semaphores than operations in progress: the last one that leaves a semaphore removes it.

mod renewals;
mod rows;
#[cfg(test)]
mod tests;

use super::{
    LeasedRename,
    lease::{self, FIRST_PAUSE, LONGEST_PAUSE, Name},
};
use crate::{
    journal::{Journal, JournalDown, MovedAttributes, Task},
    name::{BucketId, Key},
    store,
};
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use renewals::{Renewal, Renewals};
use rows::{ClaimEnd, ClaimLease};
use std::{collections::HashMap, mem, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// An operation waits this long for another one with the same name.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names that operations of this node hold or wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    names: Arc<Mutex<HashMap<Name, Arc<Semaphore>>>>,
    renewals: Renewals,
}

/// An operation's claim on its names. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    seats: Vec<Seat>,
    /// The rows in the journal, if it is told of the claim, and their renewal.
    lease: Option<(Arc<ClaimLease>, Renewal)>,
    end: ClaimEnd,
    /// True if no other node renames or removes the names that have rows.
    is_confirmed: bool,
}

impl Claim {
    /// The task of a file's rename that was entered with the claim. `None` if the journal didn't answer.
    pub(crate) fn entered<'a>(&'a self, journal: &'a dyn Journal) -> Option<LeasedRename<'a>> {
        let ClaimLease { rename, lease, certain_until, .. } = self.confirmed()?;
        Some(LeasedRename { journal, task: rename.as_ref()?, lease, certain_until })
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
        let LeasedRename { task, lease, .. } = self.entered(journal)?;
        let ended = journal.end_claimed_task(task, lease, Some(moved)).await;
        if ended.is_ok() {
            self.end = ClaimEnd::Ended;
        }
        Some(ended)
    }

    /// Ends the task of a file's rename together with the claim, if neither name has attributes in the journal. Returns
    /// `false` if one has, or may have.
    pub(crate) async fn end_rename_without_attributes(&mut self, journal: &dyn Journal) -> bool {
        let Some(LeasedRename { task, lease, .. }) = self.entered(journal) else { return false };
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

    /// The rows, if the journal has confirmed them.
    fn confirmed(&self) -> Option<&ClaimLease> {
        self.lease.as_ref().filter(|_| self.is_confirmed).map(|(lease, _)| &**lease)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The renewal ends here.
        let Some((lease, _)) = self.lease.take() else { return };
        if lease.has_rows_after(self.end) {
            in_background(end_rows(lease, self.end, mem::take(&mut self.seats)));
        }
    }
}

/// A claim that the journal is asked for.
struct PendingClaim {
    seats: Vec<Seat>,
    lease: Arc<ClaimLease>,
    question: Option<BoxFuture<'static, Result<bool, JournalDown>>>,
}

impl PendingClaim {
    /// Asks the journal for the claim. Returns `false` if another node has one of the names.
    async fn ask(&mut self) -> Result<bool, JournalDown> {
        let lease = Arc::clone(&self.lease);
        let answer = self.question.insert(Box::pin(async move { lease.claim().await })).await;
        self.question = None;
        answer
    }
}

impl Drop for PendingClaim {
    fn drop(&mut self) {
        // The operation was dropped, or stopped waiting, before the journal answered.
        let Some(question) = self.question.take() else { return };
        let (lease, seats) = (Arc::clone(&self.lease), mem::take(&mut self.seats));
        in_background(async move {
            if question.await != Ok(false) {
                end_rows(lease, ClaimEnd::Answered, seats).await;
            }
        });
    }
}

/// Deletes the rows of a claim, and then releases its names.
async fn end_rows(lease: Arc<ClaimLease>, end: ClaimEnd, seats: Vec<Seat>) {
    let ended = lease.end(end).await;
    // While the journal is down, the next operation of this node continues without a row.
    drop(seats);
    if ended.is_err() {
        lease::end_later(&lease.lease, || lease.end(end)).await;
    }
}

fn in_background(task: impl Future<Output = ()> + Send + 'static) {
    // Without a runtime the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(task);
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
            return Ok(Claim { seats, lease: None, end: ClaimEnd::Interrupted, is_confirmed: true });
        }
        let lease = Arc::new(ClaimLease::new(journal, bucket, rows, rename)?);
        let mut pending = PendingClaim { seats, lease, question: None };
        let mut pause = FIRST_PAUSE;
        let is_confirmed = loop {
            match pending.ask().await {
                Ok(true) => break true,
                // Without a journal the operation continues, and S3 decides.
                Err(JournalDown) => break false,
                Ok(false) => {}
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        };
        let (seats, lease) = (mem::take(&mut pending.seats), Arc::clone(&pending.lease));
        let renewal = self.renewals.begin(&lease);
        Ok(Claim { seats, lease: Some((lease, renewal)), end: ClaimEnd::Interrupted, is_confirmed })
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
        self.names.lock()
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
