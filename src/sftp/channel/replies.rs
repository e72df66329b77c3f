//! The replies of one channel, from the tasks that serve requests to the channel's writer.
//!
//! The queue itself is unbounded. Two rules bound the replies that enter it:
//! - The reply to a READ or READDIR holds permits for its bytes until it is written. The task takes the permits
//!   *before* it fetches the data.
//! - Every other reply is small and belongs to a request. At most [`MAX_OUTSTANDING`] requests and [`MAX_SMALL_BYTES`]
//!   of unwritten replies exist; beyond that `Inbound` ends the channel.
//!
//! Only the tasks that serve READs and READDIRs wait here, and never the task that takes the client's bytes in.

use super::{
    Ended, Outbound,
    pending_reply::{Counted, OutstandingRequest, PendingReply, Unread},
    status,
};
use crate::{
    session::Traffic,
    session::{Activity, Serving},
    sftp::wire::{Reply, StatusCode},
    vfs::{Budget, Reservation},
};
use bytes::{Bytes, BytesMut};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The number of requests that a channel may have unanswered, without READs and WRITEs. OpenSSH keeps 64 in flight;
/// paramiko's prefetch sends 2,048 READs, which don't count.
pub(crate) const MAX_OUTSTANDING: usize = 4096;
/// The bytes of small replies that a client may leave unread.
pub(crate) const MAX_SMALL_BYTES: usize = 4 << 20;
/// The bytes of READ replies in flight to one client: 16 of OpenSSH's 255 KiB.
pub(crate) const MAX_DATA_BYTES: u32 = 4 << 20;

/// Creates the queue of one channel.
pub(crate) fn channel(activity: Arc<Activity>, traffic: Arc<Traffic>, budget: Arc<Budget>) -> (Replies, Outbound) {
    let (queue, incoming) = mpsc::unbounded_channel();
    let shared = Arc::new(ReplyCounters {
        outstanding: AtomicUsize::new(0),
        small_bytes: AtomicUsize::new(0),
        is_overrun: AtomicBool::new(false),
        traffic,
        data: Arc::new(Semaphore::new(MAX_DATA_BYTES as usize)),
        run_count: Arc::default(),
        activity,
        budget,
    });
    (Replies { queue, shared: Arc::clone(&shared) }, Outbound::new(incoming, shared))
}

/// The counters that both ends of the queue share.
#[derive(Debug)]
pub(crate) struct ReplyCounters {
    /// The number of requests without a written reply, except READs and WRITEs.
    pub(crate) outstanding: AtomicUsize,
    /// The bytes of small replies that wait to be written.
    pub(crate) small_bytes: AtomicUsize,
    /// True if the client once left more than [`MAX_SMALL_BYTES`] unread.
    is_overrun: AtomicBool,
    /// The bytes that the writer has taken.
    pub(crate) traffic: Arc<Traffic>,
    /// The permits of READ replies.
    pub(crate) data: Arc<Semaphore>,
    /// The activity of the connection.
    pub(crate) activity: Arc<Activity>,
    /// The waiting runs of READs, over all handles.
    run_count: Arc<AtomicUsize>,
    budget: Arc<Budget>,
}

/// The sending end of the queue. The channel's writer ends when the last clone is gone and all replies are written.
#[derive(Clone, Debug)]
pub(crate) struct Replies {
    queue: mpsc::UnboundedSender<Queued>,
    shared: Arc<ReplyCounters>,
}

impl Replies {
    /// Accepts a request and returns its pending reply.
    ///
    /// # Errors
    /// The client has too many unanswered requests, or doesn't read its replies.
    pub(crate) fn accept(&self, id: u32) -> Result<PendingReply, Ended> {
        self.check_unread()?;
        if self.shared.outstanding.fetch_add(1, Ordering::Relaxed) >= MAX_OUTSTANDING {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
            return Err(Ended::TooManyRequests);
        }
        Ok(self.pending_reply(id, Counted::Request))
    }

    /// Accepts a request that isn't counted: a WRITE, which the memory of its bytes bounds, or a READ that the server
    /// refuses.
    ///
    /// # Errors
    /// The client doesn't read its replies.
    pub(crate) fn accept_uncounted(&self, id: u32) -> Result<PendingReply, Ended> {
        self.check_unread()?;
        Ok(self.pending_reply(id, Counted::Elsewhere))
    }

    fn pending_reply(&self, id: u32, counted: Counted) -> PendingReply {
        PendingReply::new(id, self.clone(), OutstandingRequest::new(counted, Arc::clone(&self.shared)))
    }

    /// Fails if the client leaves too many bytes unread. After the first failure it fails forever: a request was left
    /// without its reply.
    fn check_unread(&self) -> Result<(), Ended> {
        let ReplyCounters { small_bytes, is_overrun, .. } = &*self.shared;
        if small_bytes.load(Ordering::Relaxed) > MAX_SMALL_BYTES {
            is_overrun.store(true, Ordering::Relaxed);
        }
        if is_overrun.load(Ordering::Relaxed) { Err(Ended::RepliesUnread) } else { Ok(()) }
    }

    /// Waits until `bytes` more of replies may be in flight to the client.
    ///
    /// The channel's own limit comes first, then the process-wide budget. When the budget is used up, `lane` still
    /// allows one reply of each handle, so that no stalled client can stop another.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) async fn reserve(&self, bytes: u32, lane: &Lane) -> Result<DataPermit, Ended> {
        let bytes = bytes.min(MAX_DATA_BYTES);
        let channel = Arc::clone(&self.shared.data).acquire_many_owned(bytes).await.map_err(|_| Ended::ClientGone)?;
        let process = match self.shared.budget.try_take(u64::from(bytes)) {
            Some(reservation) => ProcessPermit::Budget { _reservation: reservation },
            None => ProcessPermit::Lane {
                _permit: Arc::clone(&lane.0).acquire_owned().await.map_err(|_| Ended::ClientGone)?,
            },
        };
        Ok(DataPermit { _channel: channel, _process: process, _serving: self.shared.activity.serve() })
    }

    /// Queues the reply to a READ. The reply holds `permit` until it is written.
    pub(crate) fn send_data(&self, reply: Reply, permit: DataPermit) {
        self.queue_pieces(reply.into_pieces(), ReplyPermit::Data { _permit: permit });
    }

    /// Queues the replies to READs that the client no longer wants: the same status for `count` ids from `first` on.
    pub(crate) fn send_refusals(&self, first: u32, count: u32, sentence: &'static str, permit: DataPermit) {
        let mut bytes = BytesMut::new();
        for id in (0..count).map(|number| first.wrapping_add(number)) {
            status::status(id, StatusCode::Failure, sentence).encode(&mut bytes);
        }
        self.queue(bytes.freeze(), ReplyPermit::Data { _permit: permit });
    }

    /// Returns the activity of the connection.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.shared.activity
    }

    /// Returns the counter of the channel's runs of READs.
    pub(crate) fn run_count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.run_count)
    }

    /// Queues encoded replies.
    pub(crate) fn queue(&self, bytes: Bytes, hold: ReplyPermit) {
        self.queue_pieces(vec![bytes], hold);
    }

    fn queue_pieces(&self, pieces: Vec<Bytes>, hold: ReplyPermit) {
        // The queue has no receiver once the channel has ended. The hold is then dropped with the reply.
        let _ = self.queue.send(Queued { pieces, _hold: hold });
    }
}

/// One handle's right to one reply in flight when the process-wide budget is used up.
#[derive(Clone, Debug)]
pub(crate) struct Lane(Arc<Semaphore>);

impl Lane {
    /// Creates the lane of a new handle.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The right to send a number of bytes of data.
#[derive(Debug)]
pub(crate) struct DataPermit {
    _channel: OwnedSemaphorePermit,
    _process: ProcessPermit,
    _serving: Serving,
}

#[derive(Debug)]
enum ProcessPermit {
    Budget { _reservation: Reservation },
    Lane { _permit: OwnedSemaphorePermit },
}

/// The permits and counts of a reply. They are released when the reply is written or discarded.
#[derive(Debug)]
pub(crate) enum ReplyPermit {
    /// The reply to a READ.
    Data {
        _permit: DataPermit,
    },
    Small {
        _unread: Unread,
        _request: OutstandingRequest,
    },
    /// A reply that counts as a request and as data.
    Large {
        _permit: DataPermit,
        _request: OutstandingRequest,
    },
}

/// Encoded replies in the queue.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The bytes of the replies.
    pub(crate) pieces: Vec<Bytes>,
    _hold: ReplyPermit,
}

impl Queued {
    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

pub(crate) fn encoded(reply: &Reply) -> Bytes {
    let mut bytes = BytesMut::with_capacity(reply.encoded_len());
    reply.encode(&mut bytes);
    bytes.freeze()
}
