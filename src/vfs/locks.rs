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
//! - An OPEN that is refused writes nothing: only the task that keeps a row, and the CLOSE of its upload, take or renew it.
//! - An OPEN that finds a lock whose own OPEN is still asking S3 waits for that: if a file is there, nobody has the lock.
//! - No mutex is held across an `await`. There are no more locks than open handles.

use super::{
    Error, Place, Result, Vfs, WriteOptions,
    cache::SessionId,
    lease::{self, FIRST_PAUSE, LONGEST_PAUSE},
};
use crate::{
    account::Permission,
    name::{BucketId, Key, VirtualPath},
    store::{self, Journal, JournalDown, Lease, Locked},
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
    locks: Locks,
    journal: Arc<dyn Journal>,
    session: SessionId,
    name: Name,
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
pub(super) struct Lock(Arc<Holder>);

impl Vfs {
    /// Takes the lock that an OPEN with EXCL needs, and none where the OPEN will be refused anyway. One question to a shared
    /// journal.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where another session has the lock, or this one uploads the file.
    pub(super) async fn lock(&self, path: &VirtualPath, options: WriteOptions) -> Result<Option<Lock>> {
        let Ok(Place::Object { mount, key }) = self.mounts.resolve(path) else { return Ok(None) };
        if !(options.exclusive && options.create && mount.allows(Permission::Write)) {
            return Ok(None);
        }
        if self.is_uploading(path) {
            return Err(Error::AlreadyExists);
        }
        let name = (self.bucket(mount).await?.id().clone(), key);
        self.node.locks.take(&self.node.journal, self.session, name).await.map(Some)
    }

    /// Ends the lock on a name where no file is, because the file is removed. `false` if there is none. One question to a
    /// shared journal.
    pub(super) async fn break_lock(&self, bucket: &BucketId, key: &Key) -> bool {
        if let Some(holder) = self.node.locks.find(bucket, key).filter(|holder| holder.phase() == Phase::Open) {
            return holder.end(End::Lost).await == End::Lost;
        }
        let journal = &self.node.journal;
        journal.is_shared() && journal.break_lock(bucket, key).await.unwrap_or(false)
    }

    /// Ends this session's own lock on a name, because its upload is removed or gets another name.
    pub(super) async fn release_lock(&self, bucket: &BucketId, key: &Key) {
        if let Some(holder) = self.node.locks.find(bucket, key).filter(|holder| holder.session == self.session) {
            holder.end(End::Released).await;
        }
    }
}

impl Lock {
    /// OPEN is about to be answered: other sessions need not wait any longer.
    pub(super) fn open(&self) {
        self.0.phase.send_if_modified(|phase| {
            let is_opening = *phase == Phase::Opening;
            if is_opening {
                *phase = Phase::Open;
            }
            is_opening
        });
    }

    /// Lets others have the name, because the client is silent.
    pub(super) fn lapse(&self) {
        self.0.begin_end(End::Lapsed);
    }

    /// Asks, before the file is published under `key`, if the lock is still ours. One that lapsed is taken again, unless the
    /// file has another name now. At most one question to a shared journal, but for that.
    ///
    /// # Errors
    /// [`Error::LockLost`].
    pub(super) async fn confirm(&mut self, key: &Key) -> Result<()> {
        let end = match self.0.phase() {
            Phase::Opening | Phase::Open => {
                return if self.0.is_lost().await { Err(Error::LockLost) } else { Ok(()) };
            }
            Phase::Ending(end) | Phase::Ended(end) => end,
        };
        match end {
            End::Released => Ok(()),
            End::Lost => Err(Error::LockLost),
            End::Lapsed if self.0.name.1 != *key => Ok(()),
            End::Lapsed => {
                let Holder { locks, journal, session, name, .. } = &*self.0;
                let taken = locks.take(journal, *session, name.clone()).await;
                *self = taken.map_err(|_| Error::LockLost)?;
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
        match self.0.end(End::Released).await {
            End::Released | End::Lapsed => Ok(()),
            End::Lost => Err(Error::LockLost),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.begin_end(End::Released);
    }
}

impl Locks {
    /// Takes the lock on a name, when it is known how other OPENs of the name end.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`].
    async fn take(&self, journal: &Arc<dyn Journal>, session: SessionId, name: Name) -> Result<Lock> {
        let taking = async {
            loop {
                match self.enter(journal, session, &name)? {
                    Entered::Ours(holder, phase) => {
                        let lock = Lock(holder);
                        let is_ours = lock.0.row.is_none() || Keeper::start(Arc::clone(&lock.0), phase).await;
                        return if is_ours { Ok(lock) } else { Err(Error::AlreadyExists) };
                    }
                    Entered::Theirs(other) if other.has_name().await => return Err(Error::AlreadyExists),
                    Entered::Theirs(_) => {}
                }
            }
        };
        timeout(PATIENCE, taking).await.unwrap_or(Err(Error::AlreadyExists))
    }

    /// Enters a holder, unless the name has one.
    fn enter(&self, journal: &Arc<dyn Journal>, session: SessionId, name: &Name) -> Result<Entered> {
        let row = if journal.is_shared() { Some(Row::new()?) } else { None };
        let mut names = self.names();
        if let Some(other) = names.get(name) {
            return Ok(Entered::Theirs(Arc::clone(other)));
        }
        let (sender, phase) = watch::channel(Phase::Opening);
        let (locks, journal, name) = (self.clone(), Arc::clone(journal), name.clone());
        let holder = Arc::new(Holder { locks, journal, session, name: name.clone(), phase: sender, row });
        names.insert(name, Arc::clone(&holder));
        Ok(Entered::Ours(holder, phase))
    }

    fn find(&self, bucket: &BucketId, key: &Key) -> Option<Arc<Holder>> {
        self.names().get(&(bucket.clone(), key.clone())).cloned()
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
    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits while it isn't known if the OPEN succeeds, or while the row is being deleted. `false` if the name is free then.
    async fn has_name(&self) -> bool {
        let mut phase = self.phase.subscribe();
        // An error can't be: the sender is the holder's own.
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

    /// Begins the term anew in a shared journal. True if another session has ended the lock, or has it.
    async fn is_lost(&self) -> bool {
        match &self.row {
            Some(row) => row.hold(&*self.journal, &self.name).await == Ok(false),
            None => false,
        }
    }

    /// Ends the lock, if it has not ended, and waits until the name is free. Answers why it ended.
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
        // The task that keeps a row does the rest.
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

    async fn take(&self, journal: &dyn Journal, (bucket, key): &Name) -> Result<Locked, JournalDown> {
        let until = Instant::now() + self.lease.term;
        let locked = journal.lock(bucket, key, &self.lease).await?;
        if locked == Locked::Ours {
            self.note_certain(until);
        }
        Ok(locked)
    }

    /// Begins the term anew. `false` when another session has ended the lock, or has it. A row that wasn't written because
    /// the journal was away, or whose lease ended meanwhile, is taken again.
    async fn hold(&self, journal: &dyn Journal, name: &Name) -> Result<bool, JournalDown> {
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

    /// Asks, and writes nothing, if another session has ended the lock. While it isn't certain that no other holder can have
    /// the row, only the task that keeps it can tell.
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
        self.certain_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that keeps a row, from its beginning to its end.
struct Keeper {
    holder: Arc<Holder>,
    phase: watch::Receiver<Phase>,
}

impl Keeper {
    /// Starts the task, and waits until it has the row. `false` if another holder has it.
    async fn start(holder: Arc<Holder>, phase: watch::Receiver<Phase>) -> bool {
        let (taken, is_taken) = oneshot::channel();
        tokio::spawn(Self { holder, phase }.run(taken));
        // The task ends without a word only with the process.
        is_taken.await.unwrap_or(true)
    }

    /// Takes the row, says so, and renews it until the lock ends. The row is deleted also where its OPEN stopped waiting, or
    /// the journal failed to answer: it may be there.
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

    /// Waits while another holder's OPEN isn't answered. Without a journal the upload goes on, and S3 decides.
    async fn take(&mut self, row: &Row) -> bool {
        let Holder { journal, name, .. } = &*self.holder;
        let mut pause = FIRST_PAUSE;
        loop {
            match row.take(&**journal, name).await {
                Ok(Locked::Ours) | Err(JournalDown) => return true,
                Ok(Locked::Theirs) => return false,
                Ok(Locked::Opening) => {}
            }
            // Before its OPEN is answered a lock changes only by its end.
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
                Phase::Opening => self.is_taken_over(row).await,
                Phase::Open => self.holder.is_lost().await,
                Phase::Ending(end) | Phase::Ended(end) => return end,
            };
            if is_lost {
                self.holder.begin_end(End::Lost);
            }
        }
    }

    async fn is_taken_over(&self, row: &Row) -> bool {
        let Holder { journal, name, .. } = &*self.holder;
        row.take(&**journal, name).await.is_ok_and(|locked| locked != Locked::Ours)
    }

    async fn end(&self, row: &Row, end: End) {
        let Holder { journal, name: (bucket, key), .. } = &*self.holder;
        let is_certain = row.is_certain();
        let ended = journal.end_lock(bucket, key, &row.lease).await;
        let is_lost = end == End::Released && is_certain && ended == Ok(false);
        // While the journal is away the next OPEN of this node goes on without a row.
        self.holder.leave(if is_lost { End::Lost } else { end });
        if ended.is_err() {
            lease::end_later(&row.lease, || journal.end_lock(bucket, key, &row.lease)).await;
        }
    }
}
