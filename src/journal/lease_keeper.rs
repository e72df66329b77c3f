//! Keeps the lease of a task while this node works on it: renews it, notes the progress, and ends the task.
//!
//! A background task writes the row, so that no work waits for the journal. While the journal is down the work continues,
//! and the progress is noted when the journal answers again. The lease may end while this server is suspended, or can't
//! reach the journal. Another holder may have the task then.
//!
//! Invariant: only the background task writes the row of its task. So an older note never replaces a younger one.

use super::{Journal, JournalDown, Lease, Standing, Task, TaskKind, TaskPayload, TaskProgress};
use crate::clock::{Clock as _, SystemClock};
use parking_lot::Mutex;
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

/// The intervals at which a keeper writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeeperPace {
    /// The shortest interval between two notes of the progress. A server that is killed loses the progress since the
    /// last one.
    pub(crate) note_period: Duration,
    /// The time, after that interval, in which the lease is renewed even without progress. It leaves time for one slow
    /// answer of the journal.
    pub(crate) renewed_after: Duration,
}

/// The row of a task, and the right to it.
#[derive(Debug)]
pub(crate) struct LeasedRow {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) lease: Lease,
    /// The time for which the task is resumable after each note.
    pub(crate) keep: Duration,
    pub(crate) pace: KeeperPace,
}

impl LeasedRow {
    /// The row of a task that no session resumes, and whose progress is noted by [`LeaseKeeper::confirm`] alone.
    pub(crate) fn of_a_rename(journal: &Arc<dyn Journal>, lease: Lease) -> Self {
        let pace = KeeperPace { note_period: lease.term / 3, renewed_after: Duration::ZERO };
        Self { journal: Arc::clone(journal), lease, keep: Duration::ZERO, pace }
    }
}

/// Keeps one task's lease until this is dropped. The row stays then as it was last noted, and the lease ends by itself.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    orders: mpsc::Sender<KeeperOrder>,
    state: Arc<LeaseState>,
}

/// The progress of a task whose payload changes only by [`LeaseKeeper::note`].
#[derive(Debug)]
pub(crate) struct NoProgress;

impl NoProgress {
    pub(crate) fn receiver() -> watch::Receiver<Self> {
        watch::channel(Self).1
    }
}

impl TaskProgress for NoProgress {
    fn write_to(&self, _: &mut TaskPayload) {}
}

#[derive(Debug)]
enum KeeperOrder {
    /// Note the progress now: this payload, or that of the progress.
    Confirm(Option<Box<TaskPayload>>, oneshot::Sender<Result<Standing, JournalDown>>),
    /// Note the progress, and end the lease.
    Release(oneshot::Sender<Standing>),
    /// Abandon the task. The lease lasts for another term.
    Abandon(oneshot::Sender<Standing>),
    /// Delete the row.
    Delete(oneshot::Sender<Result<(), JournalDown>>),
}

impl LeaseKeeper {
    /// Enters a task as soon as it is known. Keeps nothing if it never is.
    pub(crate) fn enter<S: TaskProgress>(
        row: LeasedRow,
        task: impl Future<Output = Option<Task>> + Send + 'static,
        progress: watch::Receiver<S>,
    ) -> Self {
        let (orders, received) = mpsc::channel(1);
        let state = Arc::new(LeaseState::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            let Some(task) = task.await else { return };
            let mut writer = RowWriter::new(row, task, shared, progress, RowState::New);
            let _ = writer.note().await;
            writer.run(received).await;
        });
        Self { orders, state }
    }

    /// Keeps a task that the lease's holder has entered or taken over a moment ago. `has_progress`: the journal has
    /// noted some of its progress.
    pub(crate) fn keep<S: TaskProgress>(row: LeasedRow, task: Task, progress: watch::Receiver<S>) -> Self {
        let (orders, received) = mpsc::channel(1);
        let state = Arc::new(LeaseState::default());
        state.note_told(LeaseEnd::after(row.lease.term));
        let writer = RowWriter::new(row, task, Arc::clone(&state), progress, RowState::Entered { has_progress: true });
        tokio::spawn(writer.run(received));
        Self { orders, state }
    }

    /// True if another holder took the task over, as far as this node knows.
    pub(crate) fn is_lost(&self) -> bool {
        self.state.is_lost()
    }

    /// True if no other holder can have the task, judged without the journal.
    pub(crate) fn is_certain(&self) -> bool {
        self.state.is_certain()
    }

    /// True once the journal was told of the task.
    pub(crate) fn is_told(&self) -> bool {
        self.state.certain_until().is_some()
    }

    /// Notes the progress, and returns the state of the task.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(crate) async fn confirm(&self) -> Result<Standing, JournalDown> {
        self.send(|reply| KeeperOrder::Confirm(None, reply)).await.unwrap_or(Ok(Standing::Lost))
    }

    /// Notes `payload`, and returns the state of the task. No renewal of the lease notes it before: if this returns
    /// [`Standing::Lost`], the journal never had it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(crate) async fn note(&self, payload: TaskPayload) -> Result<Standing, JournalDown> {
        self.send(|reply| KeeperOrder::Confirm(Some(Box::new(payload)), reply)).await.unwrap_or(Ok(Standing::Lost))
    }

    /// Notes the progress, and ends the lease, so that a session can resume the task if no session abandoned it.
    pub(crate) async fn release(self) -> Standing {
        self.send(KeeperOrder::Release).await.unwrap_or(Standing::Lost)
    }

    /// Abandons the task. Unless another holder has it, this node may undo its work, and then delete its row.
    pub(crate) async fn abandon(&self) -> Standing {
        self.send(KeeperOrder::Abandon).await.unwrap_or(Standing::Lost)
    }

    /// Deletes the row of a task that is finished or undone.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(crate) async fn delete(&self) -> Result<(), JournalDown> {
        self.send(KeeperOrder::Delete).await.unwrap_or(Ok(()))
    }

    /// Returns the answer to an order. `None` if the background task has ended: there is no row, or the process ends.
    async fn send<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> KeeperOrder) -> Option<T> {
        let (reply, replied) = oneshot::channel();
        self.orders.send(order(reply)).await.ok()?;
        replied.await.ok()
    }
}

/// The lease, as this node knows it.
#[derive(Debug, Default)]
struct LeaseState {
    /// No other holder can have taken the task over before this time. `None` until the journal was told of the task.
    certain_until: Mutex<Option<LeaseEnd>>,
    is_lost: AtomicBool,
}

impl LeaseState {
    fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    fn is_certain(&self) -> bool {
        !self.is_lost() && self.certain_until().is_none_or(LeaseEnd::is_in_future)
    }

    fn certain_until(&self) -> Option<LeaseEnd> {
        *self.certain_until.lock()
    }

    /// Notes that the journal was told of a lease until then, at least.
    fn note_told(&self, end: LeaseEnd) {
        *self.certain_until.lock() = Some(end);
    }
}

/// The end of a lease by two clocks: one stops while the machine is suspended, the other may be set back.
#[derive(Clone, Copy, Debug)]
pub struct LeaseEnd(Instant, SystemTime);

impl LeaseEnd {
    /// The end of a term that begins now.
    #[must_use]
    pub fn after(term: Duration) -> Self {
        Self(Instant::now() + term, SystemClock.now() + term)
    }

    /// The earlier of two ends.
    #[must_use]
    pub(crate) fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.min(other.1))
    }

    pub(crate) fn is_in_future(self) -> bool {
        Instant::now() < self.0 && SystemClock.now() < self.1
    }
}

/// The journal's knowledge of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowState {
    New,
    /// The journal didn't answer the call that enters the task, and may have it.
    Doubtful,
    Entered {
        /// True if the journal has noted progress, with which a session can resume the task.
        has_progress: bool,
    },
}

struct RowWriter<S> {
    row: LeasedRow,
    task: Task,
    state: Arc<LeaseState>,
    progress: watch::Receiver<S>,
    row_state: RowState,
    /// The payload without any progress of this holder.
    first: TaskPayload,
}

impl<S: TaskProgress> RowWriter<S> {
    fn new(
        row: LeasedRow,
        task: Task,
        state: Arc<LeaseState>,
        progress: watch::Receiver<S>,
        row_state: RowState,
    ) -> Self {
        let first = task.payload.clone();
        Self { row, task, state, progress, row_state, first }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<KeeperOrder>) {
        // True once nothing is to be written but what the keeper orders.
        let mut is_idle = self.state.is_lost();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    None => return,
                    Some(KeeperOrder::Confirm(payload, reply)) => {
                        if let Some(payload) = payload {
                            self.task.payload = *payload;
                        }
                        let _ = reply.send(self.note().await);
                    }
                    Some(KeeperOrder::Release(reply)) => {
                        let written = self.write(Duration::ZERO, self.row.keep).await;
                        let _ = reply.send(self.standing(written));
                        is_idle = true;
                    }
                    Some(KeeperOrder::Abandon(reply)) => {
                        let written = self.write(self.row.lease.term, Duration::ZERO).await;
                        let _ = reply.send(self.standing(written));
                        is_idle = true;
                    }
                    Some(KeeperOrder::Delete(reply)) => {
                        let _ = reply.send(self.delete().await);
                        return;
                    }
                },
                () = self.due(), if !is_idle => {
                    let _ = self.note().await;
                }
            }
            is_idle |= self.state.is_lost();
        }
    }

    /// Waits until there is more to note than is written, or the lease is to be renewed.
    async fn due(&mut self) {
        let KeeperPace { note_period, renewed_after } = self.row.pace;
        sleep(note_period).await;
        let written = &self.task.payload;
        let differs = |progress: &S| {
            let mut payload = written.clone();
            progress.write_to(&mut payload);
            payload != *written
        };
        // An error means that there will be no more progress: then the lease is renewed.
        if !matches!(timeout(renewed_after, self.progress.wait_for(differs)).await, Ok(Err(_))) {
            return;
        }
        sleep(renewed_after).await;
    }

    async fn note(&mut self) -> Result<Standing, JournalDown> {
        self.write(self.row.lease.term, self.row.keep).await
    }

    async fn write(&mut self, term: Duration, keep: Duration) -> Result<Standing, JournalDown> {
        if self.state.is_lost() {
            return Ok(Standing::Lost);
        }
        self.progress.borrow().write_to(&mut self.task.payload);
        let lease = Lease { term, ..self.row.lease.clone() };
        let has_progress = match mem::replace(&mut self.row_state, RowState::Doubtful) {
            RowState::Entered { has_progress } => has_progress,
            before => {
                // The journal may have entered it even if no answer comes. A row that it has already stays as it is.
                if before == RowState::New {
                    self.state.note_told(LeaseEnd::after(self.row.lease.term));
                }
                self.row.journal.enter_task(&self.task, &lease, keep).await?;
                if before == RowState::New {
                    self.row_state = RowState::Entered { has_progress: false };
                    return Ok(Standing::Resumable);
                }
                false
            }
        };
        self.row_state = RowState::Entered { has_progress };
        let end = LeaseEnd::after(self.row.lease.term);
        let standing = self.row.journal.hold_task(&self.task.id, &self.task.payload, &lease, keep).await?;
        if standing == Standing::Lost {
            self.state.is_lost.store(true, Ordering::Relaxed);
        } else {
            self.state.note_told(end);
            self.row_state = RowState::Entered { has_progress: has_progress || self.task.payload != self.first };
        }
        Ok(standing)
    }

    /// The state of the task after its last note, also if the journal didn't answer.
    fn standing(&self, written: Result<Standing, JournalDown>) -> Standing {
        match (written, self.row_state) {
            (Ok(standing), _) => standing,
            (Err(JournalDown), RowState::Entered { .. }) if !self.state.is_certain() => Standing::Lost,
            // A session can find the progress that was noted before.
            (Err(JournalDown), RowState::Entered { has_progress: true }) => Standing::Resumable,
            // No session can rely on finding the task.
            (Err(JournalDown), _) => Standing::Abandoned,
        }
    }

    /// Deletes the row. No holder needs the row of an upload that is no longer open in S3. The row of a rename stays if
    /// another node took it over.
    async fn delete(&self) -> Result<(), JournalDown> {
        let holder = match self.task.payload.kind() {
            TaskKind::Upload => None,
            TaskKind::DirectoryRename | TaskKind::FileRename => Some(&self.row.lease),
        };
        self.row.journal.end_task(&self.task.id, holder).await
    }
}
