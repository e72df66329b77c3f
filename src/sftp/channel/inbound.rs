//! The incoming bytes of one channel: frames, then requests, then [`dispatch`](super::dispatch).

use super::{
    context::ChannelContext,
    ended::Ended,
    handles::{Handles, OpenHandle},
    pending_reply::PendingReply,
    reads::Reads,
    replies::MAX_PACED_WAIT,
    writes::WriteCommand,
};
use crate::{
    memory::{Charge, RequestCharge},
    session::OpenTree,
    sftp::wire::{DecodeError, Extension, FramePool, FrameReader, Reply, Request, StatusCode, VERSION},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{task::yield_now, time::Instant};

/// The server advertises only extensions that it implements. It can't implement `fsync@openssh.com`: a tail of less
/// than 5 MiB isn't durable before CLOSE.
const EXTENSIONS: [Extension; 6] = [
    Extension::POSIX_RENAME,
    Extension::LIMITS,
    Extension::LSETSTAT,
    Extension::EXPAND_PATH,
    Extension::HOME_DIRECTORY,
    Extension::COPY_DATA,
];

/// The frames that may arrive without memory.
const SHORT_FRAME_BYTES: usize = 4 << 10;
/// The frames that aren't charged to their tenant while they arrive, such as a WRITE of 32 KiB.
const FREE_FRAME_BYTES: usize = 34 << 10;
/// The time after which an upload is told of a WRITE that arrives slowly.
const ARRIVAL_PERIOD: Duration = Duration::from_secs(1);

/// The requests, READs and WRITEs aside, that a channel handles before it lets other tasks of the process run.
const REQUESTS_PER_TURN: u32 = 16;

/// The receiving half of a channel. Dropping it ends the channel and cancels unanswered requests, except changes to the
/// tree that have begun and uploads whose CLOSE has arrived.
#[derive(Debug)]
pub struct Inbound {
    open_tree: OpenTree,
    pub(super) context: Arc<ChannelContext>,
    pub(super) handles: Arc<Handles>,
    pub(super) refusing: Option<Reads>,
    frames: FrameReader,
    /// The charge of a frame that has arrived in part, and then of its WRITE. While the tenant can have no more memory, the
    /// connection's is taken, which waits for nothing: the rest of the frame may be all that lets an upload ship its part.
    pub(super) frame_charge: Option<Charge>,
    pub(super) of_connection: Option<RequestCharge>,
    /// The time at which an upload was last told of a frame's bytes, and the number of this frame's.
    told: (Instant, usize),
    /// The requests handled in this turn.
    handled: u32,
    /// The end of the waits for the tenant's rates, for the requests of one packet.
    pub(super) paced_until: Instant,
    begun: bool,
    finished: bool,
}

impl Inbound {
    pub(super) fn new(
        open_tree: OpenTree,
        context: Arc<ChannelContext>,
        handles: Handles,
        frames: Arc<FramePool>,
    ) -> Self {
        let (handles, frames) = (Arc::new(handles), FrameReader::new(frames));
        Self {
            open_tree,
            context,
            handles,
            refusing: None,
            frames,
            frame_charge: None,
            of_connection: None,
            told: (Instant::now(), 0),
            handled: 0,
            paced_until: Instant::now(),
            begun: false,
            finished: false,
        }
    }

    /// Processes bytes from the client, split at any point. Waits only for the tenant's rates, and while storage is
    /// slower than the client's uploads and memory is used up.
    ///
    /// # Errors
    /// The channel must be closed. The error is for the log; the session's end records it.
    pub async fn feed(&mut self, mut data: &[u8]) -> Result<(), Ended> {
        self.context.activity.touch();
        if self.context.replies.is_paced() {
            self.paced_until = Instant::now() + MAX_PACED_WAIT;
        }
        self.context.tree.traffic().count_received(data.len() as u64);
        let result = self.feed_all(&mut data).await;
        if let Err(reason) = &result {
            self.open_tree.set_end_reason(reason.to_string());
        }
        result
    }

    /// Handles the client's EOF. Requests that arrived before it are still answered.
    pub fn finish(mut self) {
        self.finished = true;
    }

    async fn feed_all(&mut self, data: &mut &[u8]) -> Result<(), Ended> {
        loop {
            match self.frames.next(data) {
                Ok(Some(frame)) => {
                    self.take(frame).await?;
                    (self.frame_charge, self.told.1) = (None, 0);
                    self.of_connection = None;
                }
                Ok(None) => return self.note_partial_frame(),
                Err(error) => return Err(Ended::Malformed(error.to_string())),
            }
        }
    }

    /// Charges the memory of a frame that has arrived in part. Tells its upload of the bytes if they come slowly.
    fn note_partial_frame(&mut self) -> Result<(), Ended> {
        let arrived = self.frames.partial();
        let (told_at, told_bytes) = self.told;
        if told_at.elapsed() >= ARRIVAL_PERIOD && arrived.len() > told_bytes {
            self.told = (Instant::now(), arrived.len());
            if let Some(handle) = Request::written_handle(arrived)
                && let Some(OpenHandle::Write(writes)) = self.handles.find(handle.number())
            {
                writes.command(WriteCommand::Arriving((arrived.len() - told_bytes) as u64));
            }
        }
        // All of it, because the buffer may have been used before.
        let bytes = self.frames.memory_bytes();
        if bytes > FREE_FRAME_BYTES && self.frame_charge.is_none() {
            self.frame_charge = self.context.memory.charge(bytes as u64);
        }
        if self.frame_charge.is_some() {
            self.of_connection = None;
        } else if bytes > SHORT_FRAME_BYTES {
            let replies = &self.context.replies;
            self.of_connection.get_or_insert_with(|| replies.memory().take(0)).set(bytes as u64);
            return replies.check_memory();
        }
        Ok(())
    }

    async fn take(&mut self, frame: Bytes) -> Result<(), Ended> {
        let request = Request::decode(frame);
        // The bytes of READs and WRITEs have rates of their own.
        let is_transfer = matches!(request, Ok(Request::Read { .. } | Request::Write { .. }));
        if !is_transfer {
            self.take_turn().await;
        }
        match request {
            Ok(Request::Init { .. }) if !self.begun => {
                self.begun = true;
                self.welcome()
            }
            Ok(Request::Init { .. }) => Err(Ended::NotBegun),
            Ok(_) | Err(DecodeError::Unknown { .. }) if !self.begun => Err(Ended::NotBegun),
            Ok(request) => self.dispatch(request).await,
            Err(DecodeError::Unknown { id, .. }) => {
                let pending_reply = PendingReply::accept(id, &self.context.replies)?;
                pending_reply.status(StatusCode::OpUnsupported, "this server does not know that request");
                Ok(())
            }
            Err(DecodeError::Malformed(error)) => Err(Ended::Malformed(error.to_string())),
        }
    }

    /// Waits for the tenant's rate of requests, and after a few requests for the other tasks that are ready.
    async fn take_turn(&mut self) {
        if self.context.replies.paces_requests() {
            self.context.replies.pace_request(self.paced_until).await;
        }
        self.handled += 1;
        if self.handled == REQUESTS_PER_TURN {
            self.handled = 0;
            yield_now().await;
        }
    }

    /// The server answers VERSION 3 to any client with a higher version (draft, §4).
    fn welcome(&self) -> Result<(), Ended> {
        let version = Reply::Version { version: VERSION, extensions: EXTENSIONS.to_vec() };
        PendingReply::accept(0, &self.context.replies)?.answer(|_| version);
        Ok(())
    }
}

/// Ends the tasks. The tree, which is dropped next, records the end.
impl Drop for Inbound {
    fn drop(&mut self) {
        self.handles.clear();
        if !self.finished {
            self.context.ended.cancel();
        }
    }
}
