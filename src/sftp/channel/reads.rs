//! An open file that the client reads: one task fetches data for many READs concurrently, and answers the handle's
//! requests in their order.
//!
//! Clients depend on that order. OpenSSH's scp before 9.4 truncates its file at the first reply that overtakes another,
//! and reports success. Older lftp takes an EOF that overtakes earlier bytes for the end of the file.
//!
//! Each READ takes its permit before it fetches, so the data that is ready for a client that doesn't read is bounded.
//! READs take permits one after the other, so no READ waits for a later READ of its handle. A READ with its permit
//! needs no other permit to be fetched and sent.

use super::{
    context::ChannelContext,
    ended::Ended,
    patience::Patience,
    pending_reply::PendingReply,
    read_queue::{NextRead, ReadCommand, ReadQueue, ReadRequest},
    replies::{DataPermit, Replies},
    status,
    write_brake::WaitingWrites,
};
use crate::{
    session::{FileDownload, ReadableFile},
    sftp::wire::{MAX_READ_BYTES, Reply, StatusCode},
    vfs::Error,
};
use futures_util::{
    Stream, StreamExt,
    future::{Either, ready},
    stream,
};
use std::{
    pin::pin,
    sync::{Arc, Weak},
};
use tokio::sync::oneshot;

/// The requests of one handle that are in progress at a time. OpenSSH keeps 64 READs in flight.
const MAX_UNANSWERED: usize = 64;
/// The bytes of a reply without its data.
const HEADER_BYTES: u32 = 13;
/// The number of refusals that are sent together.
const REFUSALS: u32 = 512;
/// The approximate bytes of [`REFUSALS`] replies.
const REFUSALS_BYTES: u32 = REFUSALS * 80;

/// The sending end of an open file's task. The task ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    inbox: Arc<Inbox>,
    file: Weak<ReadableFile>,
}

#[derive(Debug)]
struct Inbox(Arc<ReadQueue>);

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Reads {
    /// Starts the task of an open file.
    pub(crate) fn start(context: &Arc<ChannelContext>, file: FileDownload) -> Self {
        Self::start_update(context, file, WaitingWrites::default())
    }

    /// Starts the task of a file that the client may change. WRITEs wait for its READs then.
    pub(crate) fn start_update(context: &Arc<ChannelContext>, file: FileDownload, writes: WaitingWrites) -> Self {
        let queue = Arc::new(ReadQueue::new(context.replies.memory(), context.replies.run_count()));
        let open = Arc::downgrade(file.file());
        let (context, patience) = (Arc::clone(context), Patience::new(writes));
        let download = Download { context: Arc::clone(&context), file, queue: Arc::clone(&queue), patience };
        context.run_while_wanted(download.serve());
        Self { inbox: Arc::new(Inbox(queue)), file: open }
    }

    /// Starts the task that refuses READs of handles that aren't open, however many arrive.
    pub(crate) fn start_refusing(context: &Arc<ChannelContext>) -> Self {
        let queue = Arc::new(ReadQueue::unwanted(context.replies.memory(), context.replies.run_count()));
        let replies = context.replies.clone();
        let inbox = Arc::new(Inbox(Arc::clone(&queue)));
        context.run_while_wanted(async move {
            while let Some(NextRead::Unwanted { first, count }) = queue.next().await {
                refuse(&replies, first, count, "this handle is not open").await;
            }
        });
        Self { inbox, file: Weak::new() }
    }

    /// Returns the file as the source of a copy, while its task lives. Returns `None` for the task that only refuses
    /// READs.
    pub(crate) fn file(&self) -> Option<Arc<ReadableFile>> {
        self.file.upgrade()
    }

    /// Adds a READ.
    pub(crate) fn read(&self, read: ReadRequest) -> Result<(), Ended> {
        self.inbox.0.push(ReadRequest { length: read.length.min(MAX_READ_BYTES), ..read })
    }

    /// Adds a request other than READ.
    pub(crate) fn command(&self, command: ReadCommand) {
        self.inbox.0.command(command);
    }
}

struct Download {
    context: Arc<ChannelContext>,
    file: FileDownload,
    queue: Arc<ReadQueue>,
    patience: Patience,
}

/// An answer that is sent once all earlier ones are.
enum Due {
    Data(Reply, DataPermit),
    /// A READ that would hold up the WRITEs behind it.
    Busy(u32),
    Unwanted {
        first: u32,
        count: u64,
    },
    Command(ReadCommand),
}

/// The last request of a file that is only read.
enum Last {
    Close(PendingReply),
    /// A request that changes the file. Its upload takes over the handle.
    Change(oneshot::Sender<()>),
}

impl Download {
    async fn serve(self) {
        match self.answer().await {
            None => {}
            Some(Last::Close(pending_reply)) => {
                self.file.close();
                pending_reply.done(Ok(()));
            }
            Some(Last::Change(answered)) => {
                self.file.end();
                let _ = answered.send(());
            }
        }
    }

    /// Answers all requests up to the CLOSE or the first change. Returns `None` if the requests end without one.
    async fn answer(&self) -> Option<Last> {
        let replies = &self.context.replies;
        let mut due = pin!(self.admitted().buffered(MAX_UNANSWERED));
        loop {
            match due.next().await? {
                Due::Data(reply, permit) => replies.send_data(reply, permit),
                // No READ behind it holds a permit: the client doesn't want the READs behind unwanted READs either.
                Due::Unwanted { first, count } => {
                    refuse(replies, first, count, "the file was closed").await;
                }
                Due::Busy(id) => PendingReply::accept_uncounted(id, replies).ok()?.fail(&Error::Busy),
                Due::Command(ReadCommand::Stat(pending_reply)) => {
                    pending_reply.metadata(Ok(self.file.file().metadata()));
                }
                Due::Command(ReadCommand::Close(pending_reply)) => return Some(Last::Close(pending_reply)),
                Due::Command(ReadCommand::Change(answered)) => return Some(Last::Change(answered)),
            }
        }
    }

    fn admitted(&self) -> impl Stream<Item = impl Future<Output = Due> + Send> + Send {
        stream::unfold(self, async |download| Some((download.admit().await?, download)))
    }

    /// Waits for the next request and, if it is a READ, for its permit. Returns `None` at the end of all requests or of
    /// the channel.
    async fn admit(&self) -> Option<impl Future<Output = Due> + Send> {
        Some(match self.queue.next().await? {
            NextRead::Read(read) => {
                if self.context.replies.paces_downloads() {
                    self.context.replies.pace_download(self.stored_bytes(&read)).await;
                }
                let bytes = read.length.saturating_add(HEADER_BYTES);
                match self.patience.permit_of_reader(&self.context, bytes).await.ok()? {
                    Some(permit) => Either::Left(async move { Due::Data(self.fetch(read).await, permit) }),
                    None => Either::Right(ready(Due::Busy(read.id))),
                }
            }
            NextRead::Unwanted { first, count } => Either::Right(ready(Due::Unwanted { first, count })),
            NextRead::Command(command) => Either::Right(ready(Due::Command(command))),
        })
    }

    /// Returns the number of bytes that the file has for a READ.
    fn stored_bytes(&self, read: &ReadRequest) -> u64 {
        let behind = self.file.file().metadata().size.saturating_sub(read.offset);
        behind.min(u64::from(read.length))
    }

    async fn fetch(&self, read: ReadRequest) -> Reply {
        // Java's streams send a READ of length 0 when their buffer is full, and take EOF for the end of the file.
        if read.length == 0 {
            return Reply::Data { id: read.id, pieces: Vec::new() };
        }
        match self.file.read(read.offset, read.length).await {
            Ok(pieces) if pieces.is_empty() => Reply::status(read.id, StatusCode::Eof, "end of file"),
            Ok(pieces) => Reply::Data { id: read.id, pieces },
            Err(error) => status::reply(read.id, &error),
        }
    }
}

/// Refuses READs that the client no longer wants. Stops early if the channel has ended.
async fn refuse(replies: &Replies, first: u32, count: u64, sentence: &'static str) {
    let mut next = first;
    let mut left = count;
    while left > 0 {
        let some = u32::try_from(left).unwrap_or(REFUSALS).min(REFUSALS);
        let Ok(permit) = replies.reserve(REFUSALS_BYTES).await else { return };
        replies.send_refusals(next, some, sentence, permit);
        next = next.wrapping_add(some);
        left -= u64::from(some);
    }
}
