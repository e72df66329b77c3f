//! Locks: while a session creates a file with EXCL, no other session can create it with EXCL. Without locks both OPENs
//! would succeed, and one session would learn at CLOSE that the other was faster.
//!
//! There are three layers, as with claims (`claims/mod.rs`):
//! 1. Within a node: a table of the names that are being created.
//! 2. Between nodes that share a journal: one row per name, with a lease. A task of its own renews the row, and deletes
//!    it when the upload ends for any reason. The name leaves the table after the row is deleted.
//! 3. S3's `If-None-Match: *` at CLOSE. It alone decides while the journal is down, and against other users of the
//!    bucket.
//!
//! Unlike a claim, a lock can be ended from outside: by a session that removes the file, and by the session itself when
//! its client is silent. The upload learns of this at CLOSE.
//!
//! Invariants:
//! - A lock is taken before S3 is asked for the file, and ends after S3 has the file. So another session always finds
//!   the lock or the file.
//! - An OPEN that is refused writes nothing: only the task that keeps a row, and the CLOSE of its upload, take or renew
//!   it.
//! - An OPEN that meets a lock whose own OPEN is still asking S3 waits for it: if the file exists, that lock ends.
//! - No mutex is held across an `await`. There are no more locks than open handles.

use super::lease::{self, FIRST_PAUSE, LONGEST_PAUSE, Name};
use crate::{
    journal::{Journal, JournalDown, Lease, LockOutcome},
    name::{BucketId, Key},
    store,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout},
};

/// An OPEN waits this long for another one that is asking S3.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names that sessions of this node are creating with EXCL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks(Arc<Mutex<HashMap<Name, Arc<Holder>>>>);

/// The holder of a lock. All operations that meet the lock share it.
#[derive(Debug)]
struct Holder {
    locks: Locks,
    journal: Arc<dyn Journal>,
    session: SessionId,
    name: Name,
    phase: watch::Sender<Phase>,
    /// The row in the journal, if other nodes share it.
    row: Option<LockLease>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The OPEN is asking S3 for the file.
    Opening,
    /// The OPEN succeeded.
    Open,
    /// The lock has ended, and its row is being deleted.
    Ending(End),
    /// The name is free.
    Ended(End),
}

/// The reason why a lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The upload ended, or its session renamed or removed the file.
    Released,
    /// The client was silent.
    Lapsed,
    /// Another session removed the file, or holds the lock.
    Lost,
}

/// The outcome of adding a name to the table.
enum EntryOutcome {
    Ours(Arc<Holder>, watch::Receiver<Phase>),
    Theirs(Arc<Holder>),
}

/// The lock of one upload. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(Arc<Holder>);

/// The reason why a lock can't be taken, or has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another upload has the lock.
    #[error("another upload has the lock on the name")]
    Locked,
    /// Another session removed the file, or holds the lock.
    #[error("another session ended the lock")]
    Lost,
    /// The system has no random bytes for a lease.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// One session of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(u64);

impl SessionId {
    /// Returns an id that no other session of the process has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Lock {
    /// Called just before OPEN is answered. Other sessions stop waiting.
    pub(crate) fn open(&self) {
        self.0.phase.send_if_modified(|phase| {
            let is_opening = *phase == Phase::Opening;
            if is_opening {
                *phase = Phase::Open;
            }
            is_opening
        });
    }

    /// Frees the name for other sessions, because the client is silent.
    pub(crate) fn lapse(&self) {
        self.0.begin_end(End::Lapsed);
    }

    /// Checks, before the file is published under `key`, that the lock is still held. Takes a lapsed lock again, unless
    /// the file has another name now. At most one question to a shared journal if it didn't lapse.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub(crate) async fn confirm(&mut self, key: &Key) -> Result<(), LockError> {
        let end = match self.0.phase() {
            Phase::Opening | Phase::Open => {
                return if self.0.is_lost().await { Err(LockError::Lost) } else { Ok(()) };
            }
            Phase::Ending(end) | Phase::Ended(end) => end,
        };
        match end {
            End::Released => Ok(()),
            End::Lost => Err(LockError::Lost),
            End::Lapsed if self.0.name.1 != *key => Ok(()),
            End::Lapsed => {
                let Holder { locks, journal, session, name, .. } = &*self.0;
                let taken = locks.take(journal, *session, name.clone()).await;
                *self = taken.map_err(|_| LockError::Lost)?;
                self.open();
                Ok(())
            }
        }
    }

    /// Ends the lock, and waits until the name is free. One question to a shared journal.
    ///
    /// # Errors
    /// [`LockError::Lost`] if another session removed the file meanwhile.
    pub(crate) async fn end(&self) -> Result<(), LockError> {
        match self.0.end(End::Released).await {
            End::Released | End::Lapsed => Ok(()),
            End::Lost => Err(LockError::Lost),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.begin_end(End::Released);
    }
}

impl Locks {
    /// Takes the lock on a name, after other OPENs of the name have succeeded or failed.
    ///
    /// # Errors
    /// [`LockError::Locked`].
    pub(crate) async fn take(
        &self,
        journal: &Arc<dyn Journal>,
        session: SessionId,
        name: Name,
    ) -> Result<Lock, LockError> {
        let taking = async {
            loop {
                match self.enter(journal, session, &name)? {
                    EntryOutcome::Ours(holder, phase) => {
                        let lock = Lock(holder);
                        let is_ours = lock.0.row.is_none() || LockKeeper::start(Arc::clone(&lock.0), phase).await;
                        return if is_ours { Ok(lock) } else { Err(LockError::Locked) };
                    }
                    EntryOutcome::Theirs(other) if other.has_name().await => return Err(LockError::Locked),
                    EntryOutcome::Theirs(_) => {}
                }
            }
        };
        timeout(PATIENCE, taking).await.unwrap_or(Err(LockError::Locked))
    }

    /// Ends the lock on the name of a missing file, because the file is removed. Returns `false` if there is no lock.
    /// One question to a shared journal.
    pub(crate) async fn break_lock(&self, journal: &dyn Journal, bucket: &BucketId, key: &Key) -> bool {
        if let Some(holder) = self.find(bucket, key) {
            match holder.phase() {
                Phase::Open => return holder.end(End::Lost).await == End::Lost,
                // It is no lock any more, but its row may still be there.
                Phase::Ending(end) => drop(holder.end(end).await),
                Phase::Opening | Phase::Ended(_) => {}
            }
        }
        journal.is_shared() && journal.break_lock(bucket, key).await.unwrap_or(false)
    }

    /// Ends the session's own lock on a name, because its upload is removed or renamed.
    pub(crate) async fn release(&self, session: SessionId, bucket: &BucketId, key: &Key) {
        if let Some(holder) = self.find(bucket, key).filter(|holder| holder.session == session) {
            holder.end(End::Released).await;
        }
    }

    /// Adds a holder for the name, unless it has one.
    fn enter(&self, journal: &Arc<dyn Journal>, session: SessionId, name: &Name) -> Result<EntryOutcome, LockError> {
        let row = if journal.is_shared() { Some(LockLease::new()?) } else { None };
        let mut names = self.names();
        if let Some(other) = names.get(name) {
            return Ok(EntryOutcome::Theirs(Arc::clone(other)));
        }
        let (sender, phase) = watch::channel(Phase::Opening);
        let (locks, journal, name) = (self.clone(), Arc::clone(journal), name.clone());
        let holder = Arc::new(Holder { locks, journal, session, name: name.clone(), phase: sender, row });
        names.insert(name, Arc::clone(&holder));
        Ok(EntryOutcome::Ours(holder, phase))
    }

    fn find(&self, bucket: &BucketId, key: &Key) -> Option<Arc<Holder>> {
        self.names().get(&(bucket.clone(), key.clone())).cloned()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Name, Arc<Holder>>> {
        self.0.lock()
    }
}

impl Holder {
    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the OPEN has succeeded, or the lock has ended. Returns `false` if the name is free then.
    async fn has_name(&self) -> bool {
        let mut phase = self.phase.subscribe();
        // This can't fail: the holder itself owns the sender.
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Open | Phase::Ended(_))).await;
        if self.phase() != Phase::Open {
            return false;
        }
        // A session of another node may have removed the file.
        let is_gone = match &self.row {
            Some(row) => row.is_gone(&*self.journal, &self.name).await == Ok(true),
            None => false,
        };
        if is_gone {
            self.end(End::Lost).await;
        }
        !is_gone
    }

    /// Renews the lease in a shared journal. Returns true if another session has ended the lock, or holds it.
    async fn is_lost(&self) -> bool {
        match &self.row {
            Some(row) => row.hold(&*self.journal, &self.name).await == Ok(false),
            None => false,
        }
    }

    /// Ends the lock, unless it has ended, and waits until the name is free. Returns the reason why it ended.
    async fn end(&self, end: End) -> End {
        self.begin_end(end);
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await.map(|phase| *phase);
        if let Ok(Phase::Ended(end)) = ended { end } else { end }
    }

    fn begin_end(&self, end: End) {
        let is_new = self.phase.send_if_modified(|phase| {
            let is_new = matches!(phase, Phase::Opening | Phase::Open);
            if is_new {
                *phase = Phase::Ending(end);
            }
            is_new
        });
        // With a row, the task that keeps it does the rest.
        if is_new && self.row.is_none() {
            self.leave(end);
        }
    }

    /// Frees the name.
    fn leave(&self, end: End) {
        self.locks.names().remove(&self.name);
        self.phase.send_replace(Phase::Ended(end));
    }
}

/// A lock in the journal.
#[derive(Debug)]
struct LockLease {
    lease: Lease,
    /// Until then no other holder can have taken the row over: if it is gone, a session removed the file. `None` until
    /// the journal has confirmed the row.
    certain_until: Mutex<Option<Instant>>,
}

impl LockLease {
    fn new() -> store::Result<Self> {
        Ok(Self { lease: lease::new()?, certain_until: Mutex::default() })
    }

    async fn take(&self, journal: &dyn Journal, (bucket, key): &Name) -> Result<LockOutcome, JournalDown> {
        let until = Instant::now() + self.lease.term;
        let locked = journal.lock(bucket, key, &self.lease).await?;
        if locked == LockOutcome::Ours {
            self.note_certain(until);
        }
        Ok(locked)
    }

    /// Renews the lease. Returns `false` if another session has ended the lock, or holds it. Takes a row again that was
    /// never written because the journal was down, or whose lease ended meanwhile.
    async fn hold(&self, journal: &dyn Journal, name: &Name) -> Result<bool, JournalDown> {
        let (bucket, key) = name;
        let (is_certain, until) = (self.is_certain(), Instant::now() + self.lease.term);
        let mut is_held = journal.hold_lock(bucket, key, &self.lease).await?;
        if !is_held && !is_certain && self.take(journal, name).await? == LockOutcome::Ours {
            is_held = journal.hold_lock(bucket, key, &self.lease).await?;
        }
        if is_held {
            self.note_certain(until);
        }
        Ok(is_held)
    }

    /// Checks, without writing, if another session has ended the lock. Once another holder may have the row, only the
    /// task that keeps it can tell.
    async fn is_gone(&self, journal: &dyn Journal, (bucket, key): &Name) -> Result<bool, JournalDown> {
        Ok(self.is_certain() && !journal.has_lock(bucket, key, &self.lease).await?)
    }

    fn is_certain(&self) -> bool {
        self.certain_until().is_some_and(|until| Instant::now() < until)
    }

    fn note_certain(&self, until: Instant) {
        *self.certain_until() = Some(until);
    }

    fn certain_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.certain_until.lock()
    }
}

/// The task that keeps a row, from its creation to its deletion.
struct LockKeeper {
    holder: Arc<Holder>,
    phase: watch::Receiver<Phase>,
}

impl LockKeeper {
    /// Starts the task, and waits until it has the row. Returns `false` if another holder has it.
    async fn start(holder: Arc<Holder>, phase: watch::Receiver<Phase>) -> bool {
        let (taken, is_taken) = oneshot::channel();
        tokio::spawn(Self { holder, phase }.run(taken));
        // The channel closes without a message only when the process ends.
        is_taken.await.unwrap_or(true)
    }

    /// Takes the row, reports it, and renews it until the lock ends. The row is deleted even if its OPEN stopped
    /// waiting, or the journal failed to answer: the row may exist.
    async fn run(mut self, taken: oneshot::Sender<bool>) {
        let holder = Arc::clone(&self.holder);
        let Some(row) = &holder.row else { return };
        if !self.take(row).await {
            holder.leave(End::Released);
            let _ = taken.send(false);
            return;
        }
        let _ = taken.send(true);
        let end = self.renew(row).await;
        self.end(row, end).await;
    }

    /// Waits while another holder's OPEN isn't answered. Without a journal the upload continues, and S3 decides.
    async fn take(&mut self, row: &LockLease) -> bool {
        let Holder { journal, name, .. } = &*self.holder;
        let mut pause = FIRST_PAUSE;
        loop {
            match row.take(&**journal, name).await {
                Ok(LockOutcome::Ours) | Err(JournalDown) => return true,
                Ok(LockOutcome::Theirs) => return false,
                Ok(LockOutcome::Opening) => {}
            }
            // Before its OPEN is answered, the phase of a lock changes only when it ends.
            if timeout(pause, self.phase.changed()).await.is_ok() {
                return false;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Renews the row until the lock ends, and once more at the moment the file is open.
    async fn renew(&mut self, row: &LockLease) -> End {
        loop {
            let _ = timeout(row.lease.term / 3, self.phase.changed()).await;
            let phase = *self.phase.borrow_and_update();
            let is_lost = match phase {
                Phase::Opening => self.is_replaced(row).await,
                Phase::Open => self.holder.is_lost().await,
                Phase::Ending(end) | Phase::Ended(end) => return end,
            };
            if is_lost {
                self.holder.begin_end(End::Lost);
            }
        }
    }

    async fn is_replaced(&self, row: &LockLease) -> bool {
        let Holder { journal, name, .. } = &*self.holder;
        row.take(&**journal, name).await.is_ok_and(|locked| locked != LockOutcome::Ours)
    }

    async fn end(&self, row: &LockLease, end: End) {
        let Holder { journal, name: (bucket, key), .. } = &*self.holder;
        let is_certain = row.is_certain();
        let ended = journal.end_lock(bucket, key, &row.lease).await;
        let is_lost = end == End::Released && is_certain && ended == Ok(false);
        // While the journal is down, the next OPEN of this node continues without a row.
        self.holder.leave(if is_lost { End::Lost } else { end });
        if ended.is_err() {
            lease::end_later(&row.lease, || journal.end_lock(bucket, key, &row.lease)).await;
        }
    }
}
