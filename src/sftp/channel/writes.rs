//! A file that is written: one task, which owns the upload and does what the handle is asked for in its order.
//!
//! A WRITE is answered when its bytes are in the upload's memory; while that is full the answer waits, which is the
//! brake that clients know. CLOSE is answered when storage has the whole object. A client that vanishes before its
//! CLOSE publishes nothing, and may go on later with what was stored; a CLOSE that has arrived is carried out, whoever
//! still listens.

use super::{
    context::Context,
    copies::{self, Copy},
    intake::{Load, WaitingWrites},
    order::Ticket,
    patience::Patience,
    pending_closes::{Barrier, PendingClose},
    slot::Slot,
    waiting_uploads::WaitingUpload,
};
use crate::{
    session::{self, OpenTransfer, Outcome, Transfer},
    sftp::wire::{MAX_READ_BYTES, Reply, StatusCode},
    vfs::{Error, PendingWrite, Result, SetAttributes, UploadPath, WriteHandle},
};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// The way to the task of a file that is written. The last clone's end is the task's end.
#[derive(Clone, Debug)]
pub struct Writes {
    inbox: mpsc::UnboundedSender<Command>,
    path: UploadPath,
    waiting: WaitingWrites,
    closing: Arc<AtomicBool>,
    barrier: Arc<Barrier>,
}

/// The requests of a handle that is written. WRITEs are bounded by their loads, others by their slots.
#[derive(Debug)]
pub enum Command {
    /// WRITE.
    Write {
        /// To be answered.
        slot: Slot,
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Bytes,
        /// The memory of `data` while it waits.
        load: Load,
    },
    /// READ.
    Read {
        /// To be answered.
        slot: Slot,
        /// Where, in bytes.
        offset: u64,
        /// How much, in bytes.
        length: u32,
    },
    /// COPY-DATA to the file.
    Copy(Slot, Result<Copy>),
    /// FSTAT.
    Stat(Slot),
    /// STAT.
    StatPath(Slot),
    /// FSETSTAT.
    SetAttributes(Slot, SetAttributes),
    /// SETSTAT.
    SetPathAttributes(Slot, SetAttributes),
    /// CLOSE.
    Close(Close),
}

/// The CLOSE of an upload, in its place among the requests that touch the path and among the CLOSEs of the mount.
#[derive(Debug)]
pub struct Close {
    /// To be answered.
    pub slot: Slot,
    /// Its place among the requests that touch the path.
    pub ticket: Ticket,
    /// The entry that later requests in the mount wait for.
    pub pending: PendingClose,
}

impl Writes {
    /// Starts the task of a file that is written.
    pub fn start(context: &Arc<Context>, handle: WriteHandle, barrier: Barrier) -> Self {
        let path = handle.path().clone();
        let (writes, upload) = Self::new(context, path, WaitingWrites::default(), Arc::new(barrier));
        context.run(upload.serve(handle));
        writes
    }

    /// Starts the task of a file that was only read until now. The upload begins when its `reads` are answered and there is
    /// memory for it.
    pub fn start_update(
        context: &Arc<Context>,
        pending: PendingWrite,
        waiting: WaitingWrites,
        reads: oneshot::Receiver<()>,
        barrier: Arc<Barrier>,
    ) -> Self {
        let path = pending.path().clone();
        let (writes, upload) = Self::new(context, path, waiting, barrier);
        context.run(upload.begin(pending, reads));
        writes
    }

    /// Starts the task of a file whose upload can't begin: whatever is asked of it is refused.
    pub fn start_refusing(context: &Arc<Context>, path: UploadPath, error: Error) -> Self {
        context.tree.note("WRITE", &path.current(), &error);
        let (writes, upload) = Self::new(context, path, WaitingWrites::default(), Arc::default());
        context.run(upload.refuse(error));
        writes
    }

    fn new(context: &Arc<Context>, path: UploadPath, waiting: WaitingWrites, barrier: Arc<Barrier>) -> (Self, Upload) {
        let (inbox, commands) = mpsc::unbounded_channel();
        let closing = Arc::new(AtomicBool::new(false));
        let upload = Upload {
            context: Arc::clone(context),
            closing: Arc::clone(&closing),
            commands,
            patience: Patience::new(waiting.clone()),
            barrier: Arc::clone(&barrier),
            has_told_failure: false,
        };
        (Self { inbox, path, waiting, closing, barrier }, upload)
    }

    /// The path that the file will appear under.
    pub fn path(&self) -> &UploadPath {
        &self.path
    }

    /// The WRITEs that wait for the task.
    pub fn waiting(&self) -> &WaitingWrites {
        &self.waiting
    }

    /// Adds a request.
    pub fn command(&self, command: Command) {
        if matches!(command, Command::Close(_)) {
            self.barrier.come();
            self.closing.store(true, Ordering::Release);
        }
        // The task lives as long as this end does, or the client is gone.
        let _ = self.inbox.send(command);
    }
}

struct Upload {
    context: Arc<Context>,
    closing: Arc<AtomicBool>,
    commands: mpsc::UnboundedReceiver<Command>,
    patience: Patience,
    /// The CLOSEs that came before the OPEN.
    barrier: Arc<Barrier>,
    /// True once a reply told the client that nothing will be stored.
    has_told_failure: bool,
}

/// What is to be done next.
enum Next {
    Command(Command),
    /// The client is gone without a CLOSE.
    Abandoned,
    /// Others wait for the memory of an upload that doesn't move.
    Silent,
}

impl Upload {
    async fn begin(self, pending: PendingWrite, reads: oneshot::Receiver<()>) {
        let (path, bytes) = (pending.path().clone(), pending.size());
        let admitted = self.unless_abandoned(async {
            // An error means that the client is gone: its READs need no answer.
            let _ = reads.await;
            pending.admit_update(self.context.settings.upload_wait).await
        });
        match admitted.await {
            None => {}
            // Boxed, because all that waits for an upload would be as large.
            Some(Ok(handle)) => Box::pin(self.serve(handle)).await,
            Some(Err(error)) => {
                let path = path.current();
                self.context.tree.vfs().note_failed_upload(&path, bytes).await;
                self.context.tree.note("WRITE", &path, &error);
                self.refuse(error).await;
            }
        }
    }

    async fn serve(mut self, mut handle: WriteHandle) {
        self.context.tree.vfs().forget_failed_upload(&handle.path().current()).await;
        let file = self.context.tree.begin_transfer(&handle.path().current(), Transfer::Upload, None);
        let mut quiet_since = Instant::now();
        loop {
            let next = self.next_of(&handle, quiet_since).await;
            if !matches!(next, Next::Command(Command::StatPath(_) | Command::SetPathAttributes(..))) {
                quiet_since = Instant::now();
            }
            match next {
                Next::Command(Command::Close(close)) => return Box::pin(self.close(handle, file, close)).await,
                Next::Command(Command::Write { slot, offset, data, load }) => {
                    let bytes = data.len() as u64;
                    let Some(result) = self.unless_abandoned(handle.write(offset, data)).await else {
                        return handle.leave().await;
                    };
                    drop(load);
                    match &result {
                        Ok(()) => file.count(bytes),
                        // The upload goes on.
                        Err(Error::NotOpenForWriting) => {}
                        Err(_) => self.note_told_failure(),
                    }
                    slot.done(result);
                }
                Next::Command(Command::Read { slot, offset, length }) => {
                    if self.unless_abandoned(self.read(&mut handle, slot, offset, length)).await.is_none() {
                        return handle.leave().await;
                    }
                }
                Next::Command(Command::Copy(slot, copy)) => {
                    let copying = copies::serve(&self.context, &mut handle, slot, copy);
                    let Some(is_done) = self.unless_abandoned(copying).await else {
                        return handle.discard().await;
                    };
                    if !is_done {
                        self.note_told_failure();
                    }
                }
                Next::Command(Command::Stat(slot) | Command::StatPath(slot)) => slot.metadata(Ok(handle.metadata())),
                Next::Command(
                    Command::SetAttributes(slot, attributes) | Command::SetPathAttributes(slot, attributes),
                ) => slot.done(handle.set_attributes(attributes)),
                Next::Abandoned => return handle.leave().await,
                Next::Silent => {
                    let (path, bytes) = (handle.path().current(), handle.metadata().size);
                    self.context.tree.vfs().note_failed_upload(&path, bytes).await;
                    handle.leave().await;
                    file.fail(Outcome::Failed("it was silent while others waited for upload memory".to_owned()));
                    return self.refuse(Error::Silent).await;
                }
            }
        }
    }

    /// The next thing to do on a handle. Its lock ends when its client has sent nothing on it for long.
    async fn next_of(&mut self, handle: &WriteHandle, quiet_since: Instant) -> Next {
        if handle.has_idle_lock() {
            let until = quiet_since + self.context.settings.idle_timeout;
            if let Ok(next) = timeout_at(until, self.next()).await {
                return next;
            }
            handle.let_lock_lapse();
        }
        self.next().await
    }

    async fn next(&mut self) -> Next {
        loop {
            let silence = self.context.settings.upload_silence;
            tokio::select! {
                biased;
                () = abandoned(&self.context, &self.closing) => return Next::Abandoned,
                command = self.context.activity.within(silence, self.commands.recv()) => match command {
                    Some(Some(command)) => return Next::Command(command),
                    Some(None) => return Next::Abandoned,
                    None if self.context.budget.pressed() => return Next::Silent,
                    None => {}
                },
            }
        }
    }

    /// What `work` comes to; `None` when the client goes away without a CLOSE.
    async fn unless_abandoned<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            result = work => Some(result),
            () = abandoned(&self.context, &self.closing) => None,
        }
    }

    /// A reply tells the client that nothing will be stored. It comes too late for what was sent behind a CLOSE that is here.
    fn note_told_failure(&mut self) {
        self.has_told_failure |= !self.closing.load(Ordering::Acquire);
    }

    async fn close(self, mut handle: WriteHandle, file: OpenTransfer, close: Close) {
        let Close { slot, mut ticket, pending } = close;
        let held = handle.held_memory();
        let Context { tree, waiting_uploads, settings, .. } = &*self.context;
        let waiting = waiting_uploads.enter(&tree.who().tenant, move || held.bytes(), settings.upload_silence);
        let in_turn = self.in_turn(&mut handle, &mut ticket, &waiting).await;
        let (path, bytes) = (handle.path().current(), handle.metadata().size);
        file.rename(path.as_str());
        let result = match in_turn {
            Ok(()) => {
                drop(waiting);
                handle.close().await
            }
            Err(error) => {
                // As long as this takes, no other one has to give its memory up.
                handle.leave().await;
                drop(waiting);
                Err(error)
            }
        };
        match result.map_err(Arc::new) {
            Ok(_) => {
                file.done(bytes);
                drop(ticket);
                let stored = pending.stored();
                tokio::select! {
                    () = stored.wait_for_others() => {}
                    () = self.context.ended.cancelled() => {}
                }
                slot.done(Ok(()));
            }
            Err(error) => {
                self.context.tree.vfs().note_failed_upload(&path, bytes).await;
                file.fail(Outcome::Failed(session::detail(&error)));
                drop(ticket);
                self.fail(slot, pending, &error);
            }
        }
    }

    /// Waits for the turn of a CLOSE, as long as others don't need the upload's memory.
    ///
    /// # Errors
    /// [`Error::WaitedTooLong`], and those of [`behind_earlier_closes`](Self::behind_earlier_closes).
    async fn in_turn(&self, handle: &mut WriteHandle, ticket: &mut Ticket, waiting: &WaitingUpload) -> Result<()> {
        let in_turn = async {
            ticket.turn().await;
            self.behind_earlier_closes(handle, waiting).await
        };
        tokio::select! {
            biased;
            in_turn = in_turn => in_turn,
            () = waiting.must_yield(&self.context.budget) => Err(Error::WaitedTooLong),
        }
    }

    /// Waits for the CLOSEs that came before the OPEN. Parts leave meanwhile, so that they need no memory for long.
    ///
    /// # Errors
    /// [`Error::EarlierUpload`], or what a part met in the storage.
    async fn behind_earlier_closes(&self, handle: &mut WriteHandle, waiting: &WaitingUpload) -> Result<()> {
        if self.barrier.is_waiting() {
            let shipping = handle.ship_rest();
            tokio::pin!(shipping);
            tokio::select! {
                biased;
                passed = self.barrier.passed() => {
                    passed?;
                    // It waits for nothing but S3 now.
                    waiting.leave();
                    return shipping.await;
                }
                shipped = &mut shipping => shipped?,
            }
        }
        self.barrier.passed().await
    }

    /// Answers a CLOSE by which nothing was stored.
    fn fail(&self, slot: Slot, pending: PendingClose, error: &Arc<Error>) {
        if self.has_told_failure {
            pending.settle();
        } else {
            pending.fail(error);
        }
        slot.fail(error);
    }

    async fn read(&self, handle: &mut WriteHandle, slot: Slot, offset: u64, length: u32) {
        if length == 0 {
            return slot.answer(|id| Reply::Data { id, pieces: Vec::new() });
        }
        let length = length.min(MAX_READ_BYTES);
        let Ok(Some(permit)) = self.patience.permit(&self.context, length).await else {
            return slot.fail(&Error::Busy);
        };
        match handle.read(offset, length).await {
            Ok(pieces) if pieces.is_empty() => slot.status(StatusCode::Eof, "end of file"),
            Ok(pieces) => slot.answer_with(permit, |id| Reply::Data { id, pieces }),
            Err(error) => slot.fail(&error),
        }
    }

    /// Refuses what still comes for a handle whose upload was abandoned, or could not begin.
    async fn refuse(mut self, error: Error) {
        let error = Arc::new(error);
        loop {
            match self.next().await {
                Next::Command(Command::Write { slot, .. } | Command::Copy(slot, _)) => {
                    self.note_told_failure();
                    slot.fail(&error);
                }
                Next::Command(
                    Command::Read { slot, .. }
                    | Command::Stat(slot)
                    | Command::StatPath(slot)
                    | Command::SetAttributes(slot, _)
                    | Command::SetPathAttributes(slot, _),
                ) => slot.fail(&error),
                Next::Command(Command::Close(Close { slot, pending, .. })) => return self.fail(slot, pending, &error),
                Next::Silent => {}
                Next::Abandoned => return,
            }
        }
    }
}

/// Waits until the client is gone; for ever, if its CLOSE has come. That is asked only when the client is gone: a CLOSE
/// may come while this waits, but none after.
async fn abandoned(context: &Context, closing: &AtomicBool) {
    context.ended.cancelled().await;
    if closing.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}
