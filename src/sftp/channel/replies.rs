//! The replies of one channel, from the tasks that serve requests to the channel's writer.
//!
//! The queue itself is unbounded. Two rules bound the replies that enter it, over all channels of the connection:
//! - The reply to a READ or READDIR holds permits for its bytes until it is written. The task takes the permits
//!   *before* it fetches the data.
//! - Every other reply is small and belongs to a request. At most `MAX_REQUESTS` requests and [`MAX_SMALL_BYTES`] of
//!   unwritten replies exist; beyond that `Inbound` ends the channel that sends the next request.
//!
//! Only the tasks that serve READs and READDIRs wait here, and never the task that takes the client's bytes in.
//!
//! A channel can always have one reply to a READ in flight, in its [lane](ReplyCounters::lane), whatever other channels
//! and other clients do. The lane becomes free again when the client reads this channel: a reply in the lane waits only
//! for storage, and for replies that come before it on its handle and have their permits already. All replies of a
//! channel leave in one stream. So a client that waits for a reply without a permit reads the reply in the lane first.

use super::{
    ended::{Ended, MAX_SMALL_BYTES},
    status,
};
use crate::{
    memory::{Charge, ConnectionMemory, RequestCharge, TenantMemory},
    session::{Activity, ConnectionCounts, CountRefusal, MAX_DATA_BYTES, Serving, Session, Traffic},
    sftp::wire::{Reply, StatusCode},
};
use bytes::{Bytes, BytesMut};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep},
};

/// The memory of a request that waits for its answer: its task, its ticket in the order and its names.
const REQUEST_BYTES: u64 = 3 << 10;
/// The outstanding requests of a connection that take no memory of it.
const FREE_REQUESTS: usize = 16;
/// The bytes of small replies of a connection that take no memory of it.
const FREE_UNREAD_BYTES: usize = 16 << 10;
/// The least that a small reply counts, in bytes: its place in the queue takes about as much.
const MIN_REPLY_BYTES: usize = 256;

/// The interval at which a reply looks for memory while there is none.
const MEMORY_PERIOD: Duration = Duration::from_millis(250);

/// The longest time for which the requests in one packet wait for their tenant's rate. The connection answers no keepalive
/// meanwhile.
pub(super) const MAX_PACED_WAIT: Duration = Duration::from_mins(1);

/// The counters that both ends of the queue share.
#[derive(Debug)]
pub(crate) struct ReplyCounters {
    /// The counts that the channels of the connection share.
    counts: Arc<ConnectionCounts>,
    /// The channel's right to one reply in flight when the connection's replies or the process-wide budget are used
    /// up. Closed when the channel has ended.
    pub(crate) lane: Arc<Semaphore>,
    /// True if the client once left more than [`MAX_SMALL_BYTES`] unread.
    is_overrun: AtomicBool,
    /// The bytes that the writer has taken.
    pub(crate) traffic: Arc<Traffic>,
    /// The activity of the connection.
    pub(crate) activity: Arc<Activity>,
    memory: TenantMemory,
    /// The memory of the connection's requests and small replies, and of what must move without memory of its tenant.
    of_connection: Arc<ConnectionMemory>,
}

impl ReplyCounters {
    pub(super) fn new(session: &Session, traffic: Arc<Traffic>, memory: TenantMemory) -> Arc<Self> {
        Arc::new(Self {
            counts: Arc::clone(session.counts()),
            lane: Arc::new(Semaphore::new(1)),
            is_overrun: AtomicBool::new(false),
            traffic,
            activity: Arc::clone(session.activity()),
            memory,
            of_connection: Arc::clone(session.memory()),
        })
    }
}

/// Counts an outstanding request, and the bytes of its small reply, until it is dropped.
#[derive(Debug)]
pub(crate) struct OutstandingRequest {
    /// True if it is one of the connection's outstanding requests. A WRITE, which its memory bounds, and a READ, whose run
    /// is counted, are none.
    is_counted: bool,
    /// The bytes that its reply counts while it waits to be written.
    reply_bytes: usize,
    counters: Arc<ReplyCounters>,
    /// The memory of the request, and then of its reply.
    charge: Option<RequestCharge>,
    _serving: Serving,
}

impl OutstandingRequest {
    /// Counts the bytes of the reply, which is queued next.
    pub(super) fn count_reply(&mut self, bytes: usize) {
        self.reply_bytes = bytes.max(MIN_REPLY_BYTES);
        let ReplyCounters { counts, of_connection, .. } = &*self.counters;
        let before = counts.unread_bytes.fetch_add(self.reply_bytes, Ordering::Relaxed);
        // The task of the request has ended.
        self.charge = None;
        self.charge = (before >= FREE_UNREAD_BYTES).then(|| of_connection.take(self.reply_bytes as u64));
    }
}

impl Drop for OutstandingRequest {
    fn drop(&mut self) {
        let counts = &self.counters.counts;
        counts.unread_bytes.fetch_sub(self.reply_bytes, Ordering::Relaxed);
        if self.is_counted {
            counts.end_request();
        }
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
    /// The client or its tenant has too many unanswered requests, or the client doesn't read its replies.
    pub(crate) fn count(&self) -> Result<OutstandingRequest, Ended> {
        self.check_unread()?;
        let requests = self.shared.counts.begin_request().map_err(|refusal| match refusal {
            CountRefusal::Connection => Ended::TooManyRequests,
            CountRefusal::Tenant => Ended::TooManyRequestsOfTenant,
        })?;
        let mut request = self.request(true);
        if requests > FREE_REQUESTS {
            request.charge = Some(self.shared.of_connection.take(REQUEST_BYTES));
            self.check_memory()?;
        }
        Ok(request)
    }

    /// Returns a request that isn't counted: a WRITE, which the memory of its bytes bounds, or a READ that the server
    /// refuses.
    ///
    /// # Errors
    /// The client doesn't read its replies.
    pub(crate) fn count_elsewhere(&self) -> Result<OutstandingRequest, Ended> {
        self.check_unread()?;
        Ok(self.request(false))
    }

    fn request(&self, is_counted: bool) -> OutstandingRequest {
        let (counters, serving) = (Arc::clone(&self.shared), self.shared.activity.serve());
        OutstandingRequest { is_counted, reply_bytes: 0, counters, charge: None, _serving: serving }
    }

    /// Fails if the client leaves too many bytes unread. After the first failure it fails forever: a request was left
    /// without its reply.
    fn check_unread(&self) -> Result<(), Ended> {
        let ReplyCounters { counts, is_overrun, .. } = &*self.shared;
        let unread_bytes = counts.unread_bytes.load(Ordering::Relaxed);
        if unread_bytes > MAX_SMALL_BYTES {
            is_overrun.store(true, Ordering::Relaxed);
        }
        if unread_bytes > FREE_UNREAD_BYTES {
            self.check_memory()?;
        }
        if is_overrun.load(Ordering::Relaxed) { Err(Ended::RepliesUnread) } else { Ok(()) }
    }

    /// Fails if the connection must end, because it has most of the memory of requests. Requests that take some call it.
    pub(crate) fn check_memory(&self) -> Result<(), Ended> {
        if self.shared.of_connection.must_end() { Err(Ended::OutOfMemory) } else { Ok(()) }
    }

    /// True if requests or uploads have a rate.
    pub(crate) fn is_paced(&self) -> bool {
        self.paces_requests() || self.paces_uploads()
    }

    /// True if uploads have a rate.
    pub(crate) fn paces_uploads(&self) -> bool {
        self.has_rates() && self.shared.counts.pacers.are_limited(|rates| &rates.upload_bytes)
    }

    /// True if downloads have a rate.
    pub(crate) fn paces_downloads(&self) -> bool {
        self.has_rates() && self.shared.counts.pacers.are_limited(|rates| &rates.download_bytes)
    }

    /// True if requests have a rate.
    pub(crate) fn paces_requests(&self) -> bool {
        self.has_rates() && self.shared.counts.pacers.are_limited(|rates| &rates.requests)
    }

    fn has_rates(&self) -> bool {
        self.shared.counts.pacers.has_rates.load(Ordering::Relaxed)
    }

    /// Makes the connection wait until the rates allow another request, or until `deadline`.
    pub(crate) async fn pace_request(&self, deadline: Instant) {
        let ReplyCounters { counts, activity, .. } = &*self.shared;
        if counts.pacers.take_at_once(|rates| &rates.requests, 1) {
            return;
        }
        let (_hold, _serving) = (activity.hold_for_rate(), activity.serve());
        counts.pacers.take_or_owe(|rates| &rates.requests, 1, deadline).await;
    }

    /// Waits until the rates allow an entry of a listing. The caller has [`count_entries`](Self::count_entries) take the
    /// others of its reply, which aren't known yet.
    pub(crate) async fn pace_listing(&self) {
        let ReplyCounters { counts, activity, .. } = &*self.shared;
        if !self.has_rates() || !counts.pacers.are_limited(|rates| &rates.listing_entries) {
            return;
        }
        let _serving = activity.serve();
        // The turn is never closed.
        let _turn = counts.listing_turn.acquire().await;
        counts.pacers.take(|rates| &rates.listing_entries, 1).await;
    }

    /// Counts the entries of a listing beyond the first. Later listings wait for them.
    pub(crate) fn count_entries(&self, entries: usize) {
        self.shared.counts.pacers.owe(|rates| &rates.listing_entries, entries.saturating_sub(1) as u64);
    }

    /// Makes the connection wait until the rates allow a WRITE of `bytes`, or until `deadline`. The WRITE has no upload
    /// memory yet.
    pub(crate) async fn pace_upload(&self, bytes: usize, deadline: Instant) {
        let ReplyCounters { counts, activity, .. } = &*self.shared;
        if counts.pacers.take_at_once(|rates| &rates.upload_bytes, bytes as u64) {
            return;
        }
        let _hold = activity.hold_for_rate();
        counts.pacers.take_or_owe(|rates| &rates.upload_bytes, bytes as u64, deadline).await;
    }

    /// Waits until the rates allow a READ of `bytes`. The READ has no permits yet.
    pub(crate) async fn pace_download(&self, bytes: u64) {
        let ReplyCounters { counts, activity, .. } = &*self.shared;
        let _serving = activity.serve();
        // The turn is never closed.
        let _turn = counts.download_turn.acquire().await;
        counts.pacers.take(|rates| &rates.download_bytes, bytes).await;
    }

    /// Waits until `bytes` more of replies may be in flight to the client.
    ///
    /// The reply needs room among those of the connection and in the process-wide budget. While there is none, the
    /// channel's lane still allows one reply, so that neither a channel that the client doesn't read nor a stalled
    /// client can stop another.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) async fn reserve(&self, bytes: u32) -> Result<DataPermit, Ended> {
        let ReplyCounters { counts, lane, memory, activity, of_connection, .. } = &*self.shared;
        if lane.is_closed() {
            return Err(Ended::ClientGone);
        }
        let bytes = bytes.min(MAX_DATA_BYTES);
        let room = async {
            loop {
                let permit = Arc::clone(&counts.data).acquire_many_owned(bytes).await;
                if let Some(charge) = memory.charge(u64::from(bytes)) {
                    return (permit, Some(charge));
                }
                // Others of the connection may use the room while memory is short.
                drop(permit);
                sleep(MEMORY_PERIOD).await;
            }
        };
        let (permit, charge) = tokio::select! {
            biased;
            room = room => room,
            permit = Arc::clone(lane).acquire_owned() => (permit, memory.charge(u64::from(bytes))),
        };
        let permit = permit.map_err(|_| Ended::ClientGone)?;
        let of_connection = charge.is_none().then(|| of_connection.take(u64::from(bytes)));
        Ok(DataPermit { _permit: permit, _charge: charge, _of_connection: of_connection, _serving: activity.serve() })
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

    /// Returns the memory of the connection's requests and replies.
    pub(crate) fn memory(&self) -> &Arc<ConnectionMemory> {
        &self.shared.of_connection
    }

    /// Returns the counter of the connection's runs of READs.
    pub(crate) fn run_count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.counts.run_count)
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

/// The right to send a number of bytes of data.
#[derive(Debug)]
pub(crate) struct DataPermit {
    /// Of the connection, or of the channel's lane.
    _permit: OwnedSemaphorePermit,
    _charge: Option<Charge>,
    /// A reply in the lane has this if there is no memory.
    _of_connection: Option<RequestCharge>,
    _serving: Serving,
}

/// The permits and counts of a reply. They are released when the reply is written or discarded.
#[derive(Debug)]
pub(crate) enum ReplyPermit {
    /// The reply to a READ.
    Data {
        _permit: DataPermit,
    },
    Small {
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
