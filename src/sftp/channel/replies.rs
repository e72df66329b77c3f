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
    ended::{Ended, MAX_OUTSTANDING, MAX_SMALL_BYTES},
    status,
};
use crate::{
    memory::{Charge, TenantMemory},
    session::{Activity, Serving, Traffic},
    sftp::wire::{Reply, StatusCode},
};
use bytes::{Bytes, BytesMut};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The bytes of READ replies in flight to one client: 16 of OpenSSH's 255 KiB.
pub(crate) const MAX_DATA_BYTES: u32 = 4 << 20;

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
    memory: TenantMemory,
}

impl ReplyCounters {
    pub(super) fn new(activity: Arc<Activity>, traffic: Arc<Traffic>, memory: TenantMemory) -> Arc<Self> {
        Arc::new(Self {
            outstanding: AtomicUsize::new(0),
            small_bytes: AtomicUsize::new(0),
            is_overrun: AtomicBool::new(false),
            traffic,
            data: Arc::new(Semaphore::new(MAX_DATA_BYTES as usize)),
            run_count: Arc::default(),
            activity,
            memory,
        })
    }
}

/// Counts an outstanding request until it is dropped.
#[derive(Debug)]
pub(crate) struct OutstandingRequest {
    /// True if it is one of the channel's outstanding requests. A WRITE, which its memory bounds, and a READ, whose run is
    /// counted, are none.
    is_counted: bool,
    shared: Arc<ReplyCounters>,
    _serving: Serving,
}

impl OutstandingRequest {
    /// Counts an accepted request. The caller has already added a counted one to the outstanding requests.
    fn new(is_counted: bool, shared: Arc<ReplyCounters>) -> Self {
        let serving = shared.activity.serve();
        Self { is_counted, shared, _serving: serving }
    }
}

impl Drop for OutstandingRequest {
    fn drop(&mut self) {
        if self.is_counted {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts the bytes of a small reply until it is written.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: usize,
    shared: Arc<ReplyCounters>,
}

impl Unread {
    pub(super) fn of_reply_to(request: &OutstandingRequest, bytes: usize) -> Self {
        let shared = Arc::clone(&request.shared);
        shared.small_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, shared }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.shared.small_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The sending end of the queue. The channel's writer ends when the last clone is gone and all replies are written.
#[derive(Clone, Debug)]
pub(crate) struct Replies {
    queue: mpsc::UnboundedSender<Queued>,
    shared: Arc<ReplyCounters>,
}

impl Replies {
    pub(super) fn new(queue: mpsc::UnboundedSender<Queued>, shared: Arc<ReplyCounters>) -> Self {
        Self { queue, shared }
    }

    /// Counts a request. Its reply is due from then on.
    ///
    /// # Errors
    /// The client has too many unanswered requests, or doesn't read its replies.
    pub(crate) fn count(&self) -> Result<OutstandingRequest, Ended> {
        self.check_unread()?;
        if self.shared.outstanding.fetch_add(1, Ordering::Relaxed) >= MAX_OUTSTANDING {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
            return Err(Ended::TooManyRequests);
        }
        Ok(OutstandingRequest::new(true, Arc::clone(&self.shared)))
    }

    /// Returns a request that isn't counted: a WRITE, which the memory of its bytes bounds, or a READ that the server
    /// refuses.
    ///
    /// # Errors
    /// The client doesn't read its replies.
    pub(crate) fn count_elsewhere(&self) -> Result<OutstandingRequest, Ended> {
        self.check_unread()?;
        Ok(OutstandingRequest::new(false, Arc::clone(&self.shared)))
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
        let process = match self.shared.memory.charge(u64::from(bytes)) {
            Some(charge) => ProcessPermit::Memory { _charge: charge },
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
    Memory { _charge: Charge },
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
