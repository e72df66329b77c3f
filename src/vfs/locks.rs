//! Locks: while a session creates a file with EXCL, no other session creates it with EXCL. Without them both would be told
//! OK at OPEN, and one would learn at CLOSE that it was not alone.
//!
//! There are three layers, as with claims (`claims.rs`):
//! 1. Within a node, a table of the names that are being created.
//! 2. Between nodes that share a journal, one row a name, with a lease. It is renewed by a task of its own, and deleted by
//!    it when the upload ends, whatever ends it. The name leaves the table when the row is gone.
//! 3. S3's `If-None-Match: *` at CLOSE, which alone decides while the journal is away, and against other users of the
//!    bucket.
//!
//! A lock differs from a claim in that others may end it: a session that removes the file, and the session itself when its
//! client is silent. Its upload learns of that at CLOSE.
//!
//! Invariants:
//! - A lock is taken before S3 is asked if there is a file, and ends after S3 has the file. So another session finds the one
//!   or the other.
//! - An OPEN that finds a lock whose own OPEN is still asking S3 waits for that: if a file is there, nobody has the lock.
//! - No mutex is held across an `await`. There are no more locks than open handles.

use super::{
    Error, Place, Result, Vfs, VirtualPath, WriteOptions,
    cache::SessionId,
    lease::{self, FIRST_PAUSE, LONGEST_PAUSE},
};
use crate::{
    account::Permission,
    store::{self, BucketId, Journal, JournalDown, Key, Lease, Locked},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout},
};

/// An OPEN waits so long for another one that is asking S3.
const PATIENCE: Duration = Duration::from_secs(30);

type Name = (BucketId, Key);

/// The names that sessions of this node are creating with EXCL.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<Name, Arc<Holder>>>>);

/// The holder of a lock, as all that meet it see it.
#[derive(Debug)]
struct Holder {
    session: SessionId,
    phase: watch::Sender<Phase>,
    /// The row, where other nodes can see it.
    row: Option<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// S3 is asked if there is a file.
    Opening,
    /// The file is open.
    Open,
    /// The lock has ended, and the row is being deleted.
    Ending(End),
    /// The name is free.
    Ended(End),
}

/// The reason for which a lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The upload ended, or its session renamed or removed the file.
    Released,
    /// The client was silent.
    Lapsed,
    /// Another session removed the file, or has the lock.
    Lost,
}

/// The outcome of entering a name in the table.
enum Entered {
    Ours(Arc<Holder>, watch::Receiver<Phase>),
    Theirs(Arc<Holder>),
}

/// The lock of one upload. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    locks: Locks,
    name: Name,
    journal: Arc<dyn Journal>,
    holder: Arc<Holder>,
}

impl Vfs {
    /// Takes the lock that an OPEN with EXCL needs, and none where the OPEN will be refused anyway. One question to a shared
    /// journal.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where another session has the lock.
    pub(super) async fn lock(&self, path: &VirtualPath, options: WriteOptions) -> Result<Option<Lock>> {
        let Ok(Place::Object { mount, key }) = self.mounts.resolve(path) else { return Ok(None) };
        if !(options.exclusive && options.create && mount.allows(Permission::Write)) || self.is_uploading(path) {
            return Ok(None);
        }
        let name = (self.bucket(mount).await?.id().clone(), key);
        let taking = self.node.locks.take(&self.node.journal, self.session, name);
        timeout(PATIENCE, taking).await.unwrap_or(Err(Error::AlreadyExists)).map(Some)
    }

    /// Ends the lock on a name where no file is, because the file is removed. `false` if there is none. One question to a
    /// shared journal.
    pub(super) async fn break_lock(&self, bucket: &BucketId, key: &Key) -> bool {
        let name = (bucket.clone(), key.clone());
        if let Some(holder) = self.node.locks.find(&name).filter(|holder| *holder.phase.borrow() == Phase::Open) {
            return self.node.locks.end(&name, &holder, End::Lost).await == End::Lost;
        }
        let journal = &self.node.journal;
        journal.is_shared() && journal.break_lock(bucket, key).await.unwrap_or(false)
    }

    /// Ends this session's own lock on a name, because its upload is removed or gets another name.
    pub(super) async fn release_lock(&self, bucket: &BucketId, key: &Key) {
        let name = (bucket.clone(), key.clone());
        if let Some(holder) = self.node.locks.find(&name).filter(|holder| holder.session == self.session) {
            self.node.locks.end(&name, &holder, End::Released).await;
        }
    }
}

impl Lock {
    /// OPEN is about to be answered: other sessions need not wait any longer.
    pub(super) fn open(&self) {
        self.holder.phase.send_if_modified(|phase| {
            let is_opening = *phase == Phase::Opening;
            if is_opening {
                *phase = Phase::Open;
            }
            is_opening
        });
    }

    /// Lets others have the name, because the client is silent.
    pub(super) fn lapse(&self) {
        self.begin_end(End::Lapsed);
    }

    /// Asks, before the file is published, if the lock is still ours. One that lapsed is taken again. At most one question to
    /// a shared journal, but for that.
    ///
    /// # Errors
    /// [`Error::LockLost`].
    pub(super) async fn confirm(&mut self) -> Result<()> {
        let phase = *self.holder.phase.borrow();
        match phase {
            Phase::Opening | Phase::Open => match &self.holder.row {
                Some(row) if row.hold(&self.journal, &self.name).await == Ok(false) => Err(Error::LockLost),
                _ => Ok(()),
            },
            Phase::Ending(End::Released) | Phase::Ended(End::Released) => Ok(()),
            Phase::Ending(End::Lost) | Phase::Ended(End::Lost) => Err(Error::LockLost),
            Phase::Ending(End::Lapsed) | Phase::Ended(End::Lapsed) => {
                let taking = self.locks.take(&self.journal, self.holder.session, self.name.clone());
                *self = timeout(PATIENCE, taking).await.ok().and_then(Result::ok).ok_or(Error::LockLost)?;
                self.open();
                Ok(())
            }
        }
    }

    /// Ends the lock, and waits until the name is free. One question to a shared journal.
    ///
    /// # Errors
    /// [`Error::LockLost`] if another session removed the file meanwhile.
    pub(super) async fn end(&self) -> Result<()> {
        match self.locks.end(&self.name, &self.holder, End::Released).await {
            End::Released | End::Lapsed => Ok(()),
            End::Lost => Err(Error::LockLost),
        }
    }

    fn begin_end(&self, end: End) {
        self.locks.begin_end(&self.name, &self.holder, end);
    }

    /// Starts the task that keeps the row, if there is to be one, and waits until it has it.
    async fn keep(&self, phase: watch::Receiver<Phase>) -> Result<()> {
        if self.holder.row.is_none() {
            return Ok(());
        }
        let keeper = Keeper {
            locks: self.locks.clone(),
            name: self.name.clone(),
            journal: Arc::clone(&self.journal),
            holder: Arc::clone(&self.holder),
            phase,
        };
        let (taken, is_taken) = oneshot::channel();
        tokio::spawn(keeper.run(taken));
        // The task ends without a word only with the process.
        if is_taken.await.unwrap_or(true) { Ok(()) } else { Err(Error::AlreadyExists) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.begin_end(End::Released);
    }
}

impl Locks {
    /// Takes the lock on a name, when it is known how other OPENs of the name end.
    async fn take(&self, journal: &Arc<dyn Journal>, session: SessionId, name: Name) -> Result<Lock> {
        loop {
            let (holder, phase) = match self.enter(journal, session, &name)? {
                Entered::Ours(holder, phase) => (holder, phase),
                Entered::Theirs(other) => {
                    self.demand_free(journal, &name, &other).await?;
                    continue;
                }
            };
            let lock = Lock { locks: self.clone(), name, journal: Arc::clone(journal), holder };
            lock.keep(phase).await?;
            return Ok(lock);
        }
    }

    /// Enters a holder, unless the name has one.
    fn enter(&self, journal: &Arc<dyn Journal>, session: SessionId, name: &Name) -> Result<Entered> {
        let row = if journal.is_shared() { Some(Row::new()?) } else { None };
        let mut names = self.names();
        if let Some(other) = names.get(name) {
            return Ok(Entered::Theirs(Arc::clone(other)));
        }
        let (sender, phase) = watch::channel(Phase::Opening);
        let holder = Arc::new(Holder { session, phase: sender, row });
        names.insert(name.clone(), Arc::clone(&holder));
        Ok(Entered::Ours(holder, phase))
    }

    /// Waits while it isn't known if another holder's OPEN succeeds, or while its row is being deleted.
    async fn demand_free(&self, journal: &Arc<dyn Journal>, name: &Name, other: &Holder) -> Result<()> {
        let mut phase = other.phase.subscribe();
        // An error can't be: the sender lives as long as the holder.
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Open | Phase::Ended(_))).await;
        if *phase.borrow() != Phase::Open {
            return Ok(());
        }
        match &other.row {
            // A session of another node has removed the file.
            Some(row) if row.hold(journal, name).await == Ok(false) => {
                self.end(name, other, End::Lost).await;
                Ok(())
            }
            _ => Err(Error::AlreadyExists),
        }
    }

    fn find(&self, name: &Name) -> Option<Arc<Holder>> {
        self.names().get(name).cloned()
    }

    /// Ends a lock that has not ended, and waits until the name is free. Answers why it ended.
    async fn end(&self, name: &Name, holder: &Holder, end: End) -> End {
        self.begin_end(name, holder, end);
        holder.ended().await
    }

    fn begin_end(&self, name: &Name, holder: &Holder, end: End) {
        let is_new = holder.phase.send_if_modified(|phase| {
            let is_new = matches!(phase, Phase::Opening | Phase::Open);
            if is_new {
                *phase = Phase::Ending(end);
            }
            is_new
        });
        // The task that keeps a row does the rest.
        if is_new && holder.row.is_none() {
            self.leave(name, holder, end);
        }
    }

    /// Frees the name.
    fn leave(&self, name: &Name, holder: &Holder, end: End) {
        self.names().remove(name);
        holder.phase.send_replace(Phase::Ended(end));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Name, Arc<Holder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// The reason for which the lock ended, when the name is free.
    async fn ended(&self) -> End {
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await.map(|phase| *phase);
        if let Ok(Phase::Ended(end)) = ended { end } else { End::Released }
    }
}

/// A lock in the journal.
#[derive(Debug)]
struct Row {
    lease: Lease,
    /// Until then no other holder can have taken the row over: if it is gone, a session removed the file. `None` as long as
    /// the journal hasn't said that the row is there.
    certain_until: Mutex<Option<Instant>>,
}

impl Row {
    fn new() -> store::Result<Self> {
        Ok(Self { lease: lease::new()?, certain_until: Mutex::default() })
    }

    async fn take(&self, journal: &Arc<dyn Journal>, (bucket, key): &Name) -> Result<Locked, JournalDown> {
        let until = Instant::now() + self.lease.term;
        let locked = journal.lock(bucket, key, &self.lease).await?;
        if locked == Locked::Ours {
            self.note_certain(until);
        }
        Ok(locked)
    }

    /// Begins the term anew. `false` when another session has ended the lock, or has it. A row that wasn't written because the
    /// journal was away, or whose lease ended meanwhile, is taken again.
    async fn hold(&self, journal: &Arc<dyn Journal>, name: &Name) -> Result<bool, JournalDown> {
        let (bucket, key) = name;
        let (is_certain, until) = (self.is_certain(), Instant::now() + self.lease.term);
        let mut is_held = journal.hold_lock(bucket, key, &self.lease).await?;
        if !is_held && !is_certain && self.take(journal, name).await? == Locked::Ours {
            is_held = journal.hold_lock(bucket, key, &self.lease).await?;
        }
        if is_held {
            self.note_certain(until);
        }
        Ok(is_held)
    }

    fn is_certain(&self) -> bool {
        self.certain_until().is_some_and(|until| Instant::now() < until)
    }

    fn note_certain(&self, until: Instant) {
        *self.certain_until() = Some(until);
    }

    fn certain_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.certain_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that keeps a row, from its beginning to its end.
struct Keeper {
    locks: Locks,
    name: Name,
    journal: Arc<dyn Journal>,
    holder: Arc<Holder>,
    phase: watch::Receiver<Phase>,
}

impl Keeper {
    /// Takes the row, says so, and renews it until the lock ends. The row is deleted also where its OPEN stopped waiting, or
    /// the journal failed to answer: it may be there.
    async fn run(mut self, taken: oneshot::Sender<bool>) {
        let holder = Arc::clone(&self.holder);
        let Some(row) = &holder.row else { return };
        if !self.take(row).await {
            self.locks.leave(&self.name, &holder, End::Released);
            let _ = taken.send(false);
            return;
        }
        let _ = taken.send(true);
        let end = self.renew(row).await;
        self.end(row, end).await;
    }

    /// Waits while another holder's OPEN isn't answered. Without a journal the upload goes on, and S3 decides.
    async fn take(&mut self, row: &Row) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match row.take(&self.journal, &self.name).await {
                Ok(Locked::Ours) | Err(JournalDown) => return true,
                Ok(Locked::Theirs) => return false,
                Ok(Locked::Opening) => {}
            }
            if timeout(pause, self.phase.changed()).await.is_ok() {
                return false;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Renews the row, at once when the file is open, until the lock ends.
    async fn renew(&mut self, row: &Row) -> End {
        loop {
            let _ = timeout(row.lease.term / 3, self.phase.changed()).await;
            let phase = *self.phase.borrow_and_update();
            let is_lost = match phase {
                Phase::Opening => row.take(&self.journal, &self.name).await.is_ok_and(|locked| locked != Locked::Ours),
                Phase::Open => row.hold(&self.journal, &self.name).await == Ok(false),
                Phase::Ending(end) | Phase::Ended(end) => return end,
            };
            if is_lost {
                self.locks.begin_end(&self.name, &self.holder, End::Lost);
            }
        }
    }

    async fn end(&self, row: &Row, end: End) {
        let Self { locks, name, journal, holder, .. } = self;
        let (bucket, key) = name;
        let is_certain = row.is_certain();
        let ended = journal.end_lock(bucket, key, &row.lease).await;
        let is_lost = end == End::Released && is_certain && ended == Ok(false);
        // While the journal is away the next OPEN of this node goes on without a row.
        locks.leave(name, holder, if is_lost { End::Lost } else { end });
        if ended.is_err() {
            lease::end_later(&row.lease, || journal.end_lock(bucket, key, &row.lease)).await;
        }
    }
}
