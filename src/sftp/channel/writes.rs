//! An open file that the client writes: one task owns the upload and serves the handle's requests in their order.
//!
//! The server answers a WRITE when its bytes are in the upload's memory. While that memory is full the answer waits,
//! which is the brake that clients know. It answers CLOSE when storage has the whole object. A client that disconnects
//! before its CLOSE publishes nothing, and may later resume from the stored bytes. A CLOSE that has arrived is carried
//! out even if the client is gone.

use super::{
    context::ChannelContext,
    copies::{self, PendingCopy},
    patience::Patience,
    pending_closes::{Barrier, PendingClose},
    pending_reply::PendingReply,
    replies::DataPermit,
    request_order::OrderTicket,
    waiting_uploads::{StallClock, WaitingUpload},
    write_brake::{Load, WaitingWrites},
};
use crate::{
    session::{AdmittedUpload, FileUpload, PendingUpload},
    sftp::wire::{MAX_READ_BYTES, Reply, StatusCode},
    vfs::{Error, Result, SetAttributes, UploadPath},
};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

/// The time for which a stalled upload keeps others from yielding while it stores its last part.
const LEAVING: Duration = Duration::from_secs(5);
/// The reasons in the log for the end of an upload that got no memory, and of one that didn't use it.
const NO_MEMORY: &str = "uploads without memory held up the connection for too long";
const STALLED: &str = "it stalled while others waited for upload memory";

/// The sending end of a written file's task. The task ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    inbox: mpsc::UnboundedSender<WriteCommand>,
    path: UploadPath,
    waiting: WaitingWrites,
    closing: Arc<AtomicBool>,
    barrier: Arc<Barrier>,
}

/// The requests on a handle that is written. Loads bound the number of WRITEs, pending replies that of the others.
#[derive(Debug)]
pub(crate) enum WriteCommand {
    Write {
        /// The reply that is due.
        pending_reply: PendingReply,
        /// The offset of the first byte.
        offset: u64,
        data: Bytes,
        /// The memory of `data` while it waits.
        load: Load,
    },
    Read {
        /// The reply that is due.
        pending_reply: PendingReply,
        /// The offset of the first byte.
        offset: u64,
        /// The number of bytes to read.
        length: u32,
    },
    /// COPY-DATA into the file.
    Copy(PendingReply, Result<PendingCopy>),
    /// FSTAT or STAT.
    Stat(PendingReply, NamedBy),
    /// FSETSTAT or SETSTAT.
    SetAttributes(PendingReply, NamedBy, SetAttributes),
    /// So many bytes of a WRITE that takes long to arrive are here. It has no reply.
    Arriving(u64),
    Close(Close),
}

/// The way in which a request names the file. A request by path goes through the handle's queue to come behind the
/// WRITEs before it, but its client doesn't use the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    Handle,
    Path,
}

/// The CLOSE of an upload, with its ticket in the order and its entry among the CLOSEs of the mount.
#[derive(Debug)]
pub(crate) struct Close {
    /// The reply that is due.
    pub(crate) pending_reply: PendingReply,
    /// Its ticket among the requests on the path.
    pub(crate) ticket: OrderTicket,
    /// The entry that later requests in the mount wait for.
    pub(crate) pending: PendingClose,
}

impl Writes {
    /// Starts the task of a written file.
    pub(crate) fn start(context: &Arc<ChannelContext>, admitted: AdmittedUpload, barrier: Barrier) -> Self {
        let path = admitted.path().clone();
        let (writes, upload) = Self::new(context, path, WaitingWrites::default(), Arc::new(barrier));
        context.run(upload.serve(admitted));
        writes
    }

    /// Starts the task of a file that the client has only read so far. The upload begins when `reads` signals that
    /// earlier READs are answered, and when there is memory.
    pub(crate) fn start_update(
        context: &Arc<ChannelContext>,
        pending: PendingUpload,
        waiting: WaitingWrites,
        reads: oneshot::Receiver<()>,
        barrier: Arc<Barrier>,
    ) -> Self {
        let path = pending.path().clone();
        let (writes, upload) = Self::new(context, path, waiting, barrier);
        context.run(upload.begin(pending, reads));
        writes
    }

    /// Starts the task of a file whose upload can't begin. It refuses all requests.
    pub(crate) fn start_refusing(context: &Arc<ChannelContext>, path: UploadPath, error: Error) -> Self {
        let (writes, upload) = Self::new(context, path, WaitingWrites::default(), Arc::default());
        context.run(upload.refuse(error));
        writes
    }

    fn new(
        context: &Arc<ChannelContext>,
        path: UploadPath,
        waiting: WaitingWrites,
        barrier: Arc<Barrier>,
    ) -> (Self, UploadTask) {
        let (inbox, commands) = mpsc::unbounded_channel();
        let closing = Arc::new(AtomicBool::new(false));
        let upload = UploadTask {
            context: Arc::clone(context),
            closing: Arc::clone(&closing),
            commands,
            patience: Patience::new(waiting.clone()),
            barrier: Arc::clone(&barrier),
            has_told_failure: false,
        };
        (Self { inbox, path, waiting, closing, barrier }, upload)
    }

    /// Returns the path that the file will appear under.
    pub(crate) fn path(&self) -> &UploadPath {
        &self.path
    }

    /// Returns the counter of the WRITEs that wait for the task.
    pub(crate) fn waiting(&self) -> &WaitingWrites {
        &self.waiting
    }

    /// Sends a request to the task.
    pub(crate) fn command(&self, command: WriteCommand) {
        if matches!(command, WriteCommand::Close(_)) {
            self.barrier.come();
            self.closing.store(true, Ordering::Release);
        }
        // The send fails only if the client is gone: otherwise the task lives as long as this end.
        let _ = self.inbox.send(command);
    }
}

struct UploadTask {
    context: Arc<ChannelContext>,
    closing: Arc<AtomicBool>,
    commands: mpsc::UnboundedReceiver<WriteCommand>,
    patience: Patience,
    /// The barrier of the OPEN: the CLOSEs that came before it.
    barrier: Arc<Barrier>,
    /// True once a reply told the client that the file won't be stored.
    has_told_failure: bool,
}

impl WriteCommand {
    fn is_by_path(&self) -> bool {
        matches!(self, Self::Stat(_, NamedBy::Path) | Self::SetAttributes(_, NamedBy::Path, _))
    }
}

impl UploadTask {
    async fn begin(self, pending: PendingUpload, reads: oneshot::Receiver<()>) {
        let admitted = self.unless_abandoned(async {
            // An error means that the client is gone, and then its READs need no answer.
            let _ = reads.await;
            pending.admit_update(self.context.settings.upload_wait).await
        });
        match admitted.await {
            None => {}
            // Boxed, because the future that waits for memory would otherwise be as large as the whole upload.
            Some(Ok(admitted)) => Box::pin(self.serve(admitted)).await,
            Some(Err(error)) => self.refuse(error).await,
        }
    }

    async fn serve(mut self, admitted: AdmittedUpload) {
        let mut file = admitted.begin().await;
        let (mut stall, settings) = (self.stall_clock(&file), self.context.settings);
        let (mut last, mut quiet_since) = (Instant::now(), Instant::now());
        loop {
            // An upload whose CLOSE has come is whole.
            if !self.closing.load(Ordering::Acquire)
                && let Some(entry) = stall.must_yield_at(last, settings.upload_stall)
            {
                return self.yield_memory(file, entry).await;
            }
            let idle_since = Instant::now();
            let command = tokio::select! {
                biased;
                command = self.next_of(&file, quiet_since) => command,
                entry = stall.must_yield(settings.upload_stall) => return self.yield_memory(file, entry).await,
            };
            let Some(command) = command else { return file.leave().await };
            let began = Instant::now();
            last = began;
            if !command.is_by_path() {
                quiet_since = began;
                if stall.was_spared(idle_since, began, settings.upload_stall) {
                    stall.restart();
                }
            }
            match command {
                WriteCommand::Close(close) => return Box::pin(self.close(file, close)).await,
                WriteCommand::Write { pending_reply, offset, data, load } => {
                    let written = tokio::select! {
                        biased;
                        written = self.unless_abandoned(self.write(&mut file, offset, data)) => written,
                        entry = stall.must_yield_in_request(began, settings.storage_patience) => {
                            drop(load);
                            self.note_told_failure();
                            pending_reply.fail(&Error::Stalled);
                            return self.yield_memory(file, entry).await;
                        }
                    };
                    let Some(written) = written else { return file.leave().await };
                    drop(load);
                    let Some(result) = written else {
                        self.note_told_failure();
                        pending_reply.fail(&Error::Busy);
                        file.fail(NO_MEMORY.to_owned()).await;
                        return self.refuse(Error::Busy).await;
                    };
                    match &result {
                        Ok(()) => stall.count_write(file.new_bytes(), began),
                        // This error leaves the upload intact.
                        Err(Error::NotOpenForWriting) => {}
                        Err(_) => self.note_told_failure(),
                    }
                    pending_reply.done(result);
                }
                WriteCommand::Arriving(bytes) => stall.count_arriving(bytes),
                WriteCommand::Read { pending_reply, offset, length } => {
                    let read = tokio::select! {
                        biased;
                        read = self.unless_abandoned(self.read(&mut file, offset, length)) => read,
                        entry = stall.must_yield_in_request(began, settings.storage_patience) => {
                            pending_reply.fail(&Error::Stalled);
                            return self.yield_memory(file, entry).await;
                        }
                    };
                    let Some(read) = read else { return file.leave().await };
                    match read {
                        Ok(None) => pending_reply.answer(|id| Reply::Data { id, pieces: Vec::new() }),
                        Ok(Some((_, pieces))) if pieces.is_empty() => {
                            pending_reply.status(StatusCode::Eof, "end of file");
                        }
                        Ok(Some((permit, pieces))) => {
                            pending_reply.answer_with(permit, |id| Reply::Data { id, pieces });
                        }
                        Err(error) => pending_reply.fail(&error),
                    }
                    stall.count_other(began);
                }
                WriteCommand::Copy(pending_reply, copy) => {
                    let copying = copies::serve(&mut file, pending_reply, copy);
                    let Some(copied) = self.unless_abandoned(copying).await else {
                        return file.discard().await;
                    };
                    stall.count_copy(file.new_bytes(), began);
                    if copied.is_none() {
                        self.note_told_failure();
                    }
                }
                WriteCommand::Stat(pending_reply, _) => pending_reply.metadata(Ok(file.metadata())),
                WriteCommand::SetAttributes(pending_reply, _, attributes) => {
                    pending_reply.done(file.set_attributes(attributes));
                }
            }
        }
    }

    fn stall_clock(&self, file: &FileUpload) -> StallClock {
        let ChannelContext { memory, activity, waiting_uploads, .. } = &*self.context;
        StallClock::new(waiting_uploads, (memory, file.memory()), activity)
    }

    /// Leaves the memory of a stalled upload to others, and refuses all later requests.
    async fn yield_memory(self, file: FileUpload, entry: WaitingUpload) {
        let mut leaving = Box::pin(file.fail(STALLED.to_owned()));
        // Until the memory is free no other upload must yield. A dead bucket may take longer.
        let is_left = timeout(LEAVING, leaving.as_mut()).await.is_ok();
        drop(entry);
        if !is_left {
            leaving.await;
        }
        self.refuse(Error::Stalled).await;
    }

    /// Takes in the bytes of a WRITE. Returns `None` if the upload has no memory, and such uploads have held up the
    /// connection for as long as one of them may wait.
    async fn write(&self, file: &mut FileUpload, offset: u64, data: Bytes) -> Option<Result<()>> {
        let memory = file.memory();
        if memory.is_admitted() {
            return Some(file.write(offset, data).await);
        }
        let ChannelContext { activity, settings, .. } = &*self.context;
        let waits = || memory.waits_to_begin();
        let result = activity.before_long_hold_up(settings.upload_wait, waits, file.write(offset, data)).await;
        if memory.is_admitted() {
            activity.record_memory();
        }
        result
    }

    /// Returns the next request on a handle, as [`next`](Self::next) does. After a long silence of the client the
    /// handle's lock ends.
    async fn next_of(&mut self, file: &FileUpload, quiet_since: Instant) -> Option<WriteCommand> {
        if file.has_idle_lock() {
            let until = quiet_since + self.context.settings.idle_timeout;
            if let Ok(next) = timeout_at(until, self.next()).await {
                return next;
            }
            file.let_lock_lapse();
        }
        self.next().await
    }

    /// Returns the next request, or `None` if the client disconnects without a CLOSE.
    async fn next(&mut self) -> Option<WriteCommand> {
        tokio::select! {
            biased;
            () = abandoned(&self.context, &self.closing) => None,
            command = self.commands.recv() => command,
        }
    }

    /// Returns the output of `work`, or `None` if the client disconnects without a CLOSE.
    async fn unless_abandoned<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            result = work => Some(result),
            () = abandoned(&self.context, &self.closing) => None,
        }
    }

    /// Records that a reply told the client of the failure. If a CLOSE has already arrived, that reply came too late
    /// for the requests behind it.
    fn note_told_failure(&mut self) {
        self.has_told_failure |= !self.closing.load(Ordering::Acquire);
    }

    async fn close(self, mut file: FileUpload, close: Close) {
        let Close { pending_reply, mut ticket, pending } = close;
        let ChannelContext { memory, waiting_uploads, settings, .. } = &*self.context;
        let waiting = waiting_uploads.enter_close(memory, file.memory(), settings.close_patience);
        let closed = match self.in_turn(&mut file, &mut ticket, &waiting).await {
            Ok(()) => {
                drop(waiting);
                file.close().await
            }
            Err(error) => {
                // While this upload releases its memory, no other upload must yield.
                file.fail(error.detail()).await;
                drop(waiting);
                Err(error)
            }
        };
        drop(ticket);
        match closed {
            Ok(()) => {
                let stored = pending.stored();
                tokio::select! {
                    () = stored.wait_for_others() => {}
                    () = self.context.ended.cancelled() => {}
                }
                pending_reply.done(Ok(()));
            }
            Err(error) => self.fail(pending_reply, pending, &Arc::new(error)),
        }
    }

    /// Waits for the turn of a CLOSE. Fails if others need the upload's memory first.
    ///
    /// # Errors
    /// [`Error::WaitedTooLong`], and the errors of [`behind_earlier_closes`](Self::behind_earlier_closes).
    async fn in_turn(&self, file: &mut FileUpload, ticket: &mut OrderTicket, waiting: &WaitingUpload) -> Result<()> {
        let in_turn = async {
            ticket.turn().await;
            self.behind_earlier_closes(file, waiting).await
        };
        tokio::select! {
            biased;
            in_turn = in_turn => in_turn,
            () = waiting.must_yield() => Err(Error::WaitedTooLong),
        }
    }

    /// Waits for the CLOSEs that came before the OPEN. Uploads parts meanwhile, to free their memory.
    ///
    /// # Errors
    /// [`Error::EarlierUpload`], or the storage's error on a part.
    async fn behind_earlier_closes(&self, file: &mut FileUpload, waiting: &WaitingUpload) -> Result<()> {
        if self.barrier.is_waiting() {
            let shipping = file.ship_rest();
            tokio::pin!(shipping);
            tokio::select! {
                biased;
                passed = self.barrier.passed() => {
                    passed?;
                    // From here on the upload waits only for S3.
                    waiting.leave();
                    return shipping.await;
                }
                shipped = &mut shipping => shipped?,
            }
        }
        self.barrier.passed().await
    }

    /// Answers a CLOSE that stored no object.
    fn fail(&self, pending_reply: PendingReply, pending: PendingClose, error: &Arc<Error>) {
        if self.has_told_failure {
            pending.finish();
        } else {
            pending.fail(error);
        }
        pending_reply.fail(error);
    }

    /// Reads what was written, with the permit for the reply. `None` if the client asks for no byte.
    ///
    /// # Errors
    /// [`Error::Busy`] if there is no permit, and those of [`FileUpload::read`].
    async fn read(&self, file: &mut FileUpload, offset: u64, length: u32) -> Result<Option<(DataPermit, Vec<Bytes>)>> {
        if length == 0 {
            return Ok(None);
        }
        let length = length.min(MAX_READ_BYTES);
        if self.context.replies.paces_downloads() {
            let behind = file.metadata().size.saturating_sub(offset);
            self.context.replies.pace_download(behind.min(u64::from(length))).await;
        }
        let Ok(Some(permit)) = self.patience.permit(&self.context, length).await else { return Err(Error::Busy) };
        Ok(Some((permit, file.read(offset, length).await?)))
    }

    /// Refuses all later requests of a handle whose upload was abandoned or couldn't begin.
    async fn refuse(mut self, error: Error) {
        let error = Arc::new(error);
        while let Some(command) = self.next().await {
            match command {
                WriteCommand::Write { pending_reply, .. } | WriteCommand::Copy(pending_reply, _) => {
                    self.note_told_failure();
                    pending_reply.fail(&error);
                }
                WriteCommand::Read { pending_reply, .. }
                | WriteCommand::Stat(pending_reply, _)
                | WriteCommand::SetAttributes(pending_reply, ..) => pending_reply.fail(&error),
                WriteCommand::Arriving(_) => {}
                WriteCommand::Close(Close { pending_reply, pending, .. }) => {
                    return self.fail(pending_reply, pending, &error);
                }
            }
        }
    }
}

/// Waits until the client is gone without a CLOSE; if the CLOSE has arrived, waits forever. Checks for the CLOSE only
/// after the client is gone: it may arrive during the wait, but not later.
async fn abandoned(context: &ChannelContext, closing: &AtomicBool) {
    context.ended.cancelled().await;
    if closing.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}
