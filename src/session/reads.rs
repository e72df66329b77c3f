//! A file that is read: one task, which serves the READs of the handle beside each other.
//!
//! Each READ takes its permit before it fetches, so what lies ready for a client that doesn't read is bounded; and no
//! READ waits for another, unless for its permit.

use super::{
    Ended,
    context::Context,
    files::OpenFile,
    replies::{Lane, Replies},
    runs::{Command, Next, Read, Runs},
    status,
};
use crate::{
    events::{Outcome, Transfer},
    sftp::{MAX_READ_BYTES, Reply, StatusCode},
    vfs::{ReadHandle, VirtualPath},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::sync::{Arc, OnceLock, Weak};

/// READs of one handle that are served at the same time. OpenSSH keeps 64 in flight.
const MAX_SERVED: usize = 64;
/// A reply's bytes beside its data.
const HEADER_BYTES: u32 = 13;
/// Refusals that are sent as one.
const REFUSALS: u32 = 512;
/// The bytes of [`REFUSALS`] replies, roughly.
const REFUSALS_BYTES: u32 = REFUSALS * 64;

/// The way to the task of an open file. The last clone's end is the task's end.
#[derive(Clone, Debug)]
pub struct Reads {
    inbox: Arc<Inbox>,
    path: VirtualPath,
    file: Weak<ReadHandle>,
}

#[derive(Debug)]
struct Inbox(Arc<Runs>);

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Reads {
    /// Starts the task of an open file.
    pub fn start(context: &Arc<Context>, handle: ReadHandle) -> Self {
        let runs = Arc::new(Runs::new(context.replies.runs()));
        let (path, handle) = (handle.path().clone(), Arc::new(handle));
        let file =
            OpenFile::new(context.who.clone(), context.events.clone(), path.as_str().to_owned(), Transfer::Download);
        let open = Arc::downgrade(&handle);
        context.run_while_wanted(serve(Arc::clone(context), handle, Arc::clone(&runs), file));
        Self { inbox: Arc::new(Inbox(runs)), path, file: open }
    }

    /// Starts the task that refuses READs of handles that aren't open, however many there are.
    pub fn start_refusing(context: &Arc<Context>) -> Self {
        let runs = Arc::new(Runs::unwanted(context.replies.runs()));
        let replies = context.replies.clone();
        let inbox = Arc::new(Inbox(Arc::clone(&runs)));
        context.run_while_wanted(async move {
            let lane = Lane::new();
            while let Some(Next::Unwanted { first, count }) = runs.next().await {
                refuse(&replies, &lane, first, count, "this handle is not open").await;
            }
        });
        Self { inbox, path: VirtualPath::root(), file: Weak::new() }
    }

    /// The path that was opened.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// The file, to be copied, as long as its task lives; `None` where READs are only refused.
    pub fn file(&self) -> Option<Arc<ReadHandle>> {
        self.file.upgrade()
    }

    /// Adds a READ.
    pub fn read(&self, read: Read) -> Result<(), Ended> {
        self.inbox.0.push(Read { length: read.length.min(MAX_READ_BYTES), ..read })
    }

    /// Adds another request.
    pub fn command(&self, command: Command) {
        self.inbox.0.command(command);
    }
}

async fn serve(context: Arc<Context>, handle: Arc<ReadHandle>, runs: Arc<Runs>, file: OpenFile) {
    let lane = Lane::new();
    let failure = OnceLock::new();
    let one = |next| serve_one(&context, &handle, &lane, &file, &failure, next);
    let mut served = FuturesUnordered::new();
    let close = loop {
        tokio::select! {
            Some(()) = served.next() => {}
            next = runs.next(), if served.len() < MAX_SERVED => match next {
                Some(Next::Command(Command::Stat(slot))) => slot.metadata(Ok(handle.metadata())),
                Some(Next::Command(Command::Close(slot))) => break Some(slot),
                // Refusals wait for permits too, so they must not keep the READs before them from giving theirs back.
                Some(next) => served.push(one(next)),
                None => break None,
            },
        }
    };
    while served.next().await.is_some() {}
    drop(served);
    if let Some(slot) = close {
        slot.done(Ok(()));
        file.close(failure.into_inner().map_or(Outcome::Done, Outcome::Failed));
    }
}

async fn serve_one(
    context: &Context,
    handle: &ReadHandle,
    lane: &Lane,
    file: &OpenFile,
    failure: &OnceLock<String>,
    next: Next,
) {
    match next {
        Next::Read(read) => {
            let Ok(permit) = context.replies.reserve(read.length.saturating_add(HEADER_BYTES), lane).await else {
                return;
            };
            let reply = fetch(handle, file, failure, read).await;
            context.replies.send_data(reply, permit);
        }
        Next::Unwanted { first, count } => refuse(&context.replies, lane, first, count, "the file was closed").await,
        Next::Command(_) => {}
    }
}

async fn fetch(handle: &ReadHandle, file: &OpenFile, failure: &OnceLock<String>, read: Read) -> Reply {
    match handle.read(read.offset, read.length).await {
        Ok(pieces) if pieces.is_empty() => Reply::status(read.id, StatusCode::Eof, "end of file"),
        Ok(pieces) => {
            file.count(pieces.iter().map(|piece| piece.len() as u64).sum());
            Reply::Data { id: read.id, pieces }
        }
        Err(error) => {
            let _ = failure.set(status::detail(&error));
            status::reply(read.id, &error)
        }
    }
}

/// Answers READs that nobody wants. It ends early when the channel has ended.
async fn refuse(replies: &Replies, lane: &Lane, first: u32, count: u64, sentence: &'static str) {
    let mut next = first;
    let mut left = count;
    while left > 0 {
        let some = u32::try_from(left).unwrap_or(REFUSALS).min(REFUSALS);
        let Ok(permit) = replies.reserve(REFUSALS_BYTES, lane).await else { return };
        replies.send_refusals(next, some, sentence, permit);
        next = next.wrapping_add(some);
        left -= u64::from(some);
    }
}
