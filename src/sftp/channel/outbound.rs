//! The outgoing replies, joined into as few SSH packets as possible, for the channel's one writer.

use super::replies::{Queued, Replies, ReplyCounters};
use crate::{
    memory::TenantMemory,
    session::{Session, Traffic},
};
use bytes::{Bytes, BytesMut};
use std::{mem, sync::Arc};
use tokio::sync::mpsc;

/// The maximum size of joined small replies. OpenSSH accepts SSH packets of 32 KiB.
const BATCH_BYTES: usize = 32 << 10;

/// Creates the queue of one channel.
pub(super) fn channel(session: &Session, traffic: Arc<Traffic>, memory: TenantMemory) -> (Replies, Outbound) {
    let (queue, incoming) = mpsc::unbounded_channel();
    let shared = ReplyCounters::new(session, traffic, memory);
    (Replies::new(queue, Arc::clone(&shared)), Outbound { incoming, next: None, shared })
}

/// The writer's end of the queue. Dropping it wakes all tasks that wait to send, with an error.
#[derive(Debug)]
pub struct Outbound {
    incoming: mpsc::UnboundedReceiver<Queued>,
    next: Option<Queued>,
    shared: Arc<ReplyCounters>,
}

impl Outbound {
    /// Returns the next bytes to write: one large reply, or all queued small ones up to the batch size. Returns `None`
    /// after the channel has ended and all replies were returned. Cancel-safe.
    pub async fn next(&mut self) -> Option<Outgoing> {
        let first = match self.next.take() {
            Some(queued) => queued,
            None => self.incoming.recv().await?,
        };
        let outgoing = self.join(first);
        self.shared.traffic.count_sent(outgoing.len() as u64);
        self.shared.activity.touch();
        Some(outgoing)
    }

    fn join(&mut self, mut first: Queued) -> Outgoing {
        let mut len = first.len();
        let mut pieces = mem::take(&mut first.pieces);
        let mut held = vec![first];
        let mut joined = BytesMut::new();
        while len < BATCH_BYTES {
            let Ok(queued) = self.incoming.try_recv() else { break };
            if len + queued.len() > BATCH_BYTES {
                self.next = Some(queued);
                break;
            }
            joined.reserve(BATCH_BYTES - joined.len());
            for piece in pieces.drain(..).chain(queued.pieces.iter().cloned()) {
                joined.extend_from_slice(&piece);
            }
            len += queued.len();
            held.push(queued);
        }
        if !joined.is_empty() {
            pieces.push(joined.freeze());
        }
        Outgoing { pieces, _queued: held }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.shared.lane.close();
    }
}

/// Bytes for the client. Dropping it releases the replies' permits, so drop it after the write.
#[derive(Debug)]
pub struct Outgoing {
    pieces: Vec<Bytes>,
    _queued: Vec<Queued>,
}

impl Outgoing {
    /// Returns the bytes in order. They are whole SFTP replies.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        self.pieces.iter().cloned()
    }

    fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}
