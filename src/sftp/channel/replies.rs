//! The replies of one channel, from whoever serves a request to the writer of the channel.
//!
//! The queue itself has no end; what may enter it is bounded instead:
//! - a READ reply (and a READDIR reply) carries permits for its bytes until it is written, taken *before* it is fetched;
//! - other replies are small, and belong to a request: [`MAX_OUTSTANDING`] of those, and [`MAX_SMALL_BYTES`] unwritten,
//!   beyond which `Inbound` ends the channel.
//!
//! Nothing waits here but the servers of READs, and never in the task that takes the client's bytes in.

use super::{
    Ended, Outbound,
    slot::{Counted, Mark, Slot, Unread},
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

/// Requests other than READ and WRITE that a channel may have unanswered. OpenSSH keeps 64, paramiko's prefetch 2,048
/// READs (which don't count).
pub const MAX_OUTSTANDING: usize = 4096;
/// Bytes of small replies that a client may leave unread.
pub const MAX_SMALL_BYTES: usize = 4 << 20;
/// Bytes of READ replies on their way to one client: 16 of OpenSSH's 255 KiB.
pub const MAX_DATA_BYTES: u32 = 4 << 20;

/// Makes the queue of one channel.
pub fn channel(activity: Arc<Activity>, traffic: Arc<Traffic>, budget: Arc<Budget>) -> (Replies, Outbound) {
    let (queue, incoming) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        outstanding: AtomicUsize::new(0),
        small_bytes: AtomicUsize::new(0),
        is_overrun: AtomicBool::new(false),
        traffic,
        data: Arc::new(Semaphore::new(MAX_DATA_BYTES as usize)),
        runs: Arc::default(),
        activity,
        budget,
    });
    (Replies { queue, shared: Arc::clone(&shared) }, Outbound::new(incoming, shared))
}

/// What both ends of the queue count.
#[derive(Debug)]
pub struct Shared {
    /// Requests that wait for their reply to be written, READ and WRITE aside.
    pub outstanding: AtomicUsize,
    /// Bytes of small replies that wait to be written.
    pub small_bytes: AtomicUsize,
    /// True if they were too many.
    is_overrun: AtomicBool,
    /// Bytes handed to the writer.
    pub traffic: Arc<Traffic>,
    /// The permits of READ replies.
    pub data: Arc<Semaphore>,
    /// The connection's sign of life.
    pub activity: Arc<Activity>,
    /// Runs of READs that wait, over all handles.
    runs: Arc<AtomicUsize>,
    budget: Arc<Budget>,
}

/// The sending end. The channel's writer ends when the last clone is gone and everything is written.
#[derive(Clone, Debug)]
pub struct Replies {
    queue: mpsc::UnboundedSender<Queued>,
    shared: Arc<Shared>,
}

impl Replies {
    /// Takes in a request that will be answered through the slot.
    ///
    /// # Errors
    /// When the client has too many requests open, or doesn't read its replies.
    pub fn accept(&self, id: u32) -> Result<Slot, Ended> {
        self.check_unread()?;
        if self.shared.outstanding.fetch_add(1, Ordering::Relaxed) >= MAX_OUTSTANDING {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
            return Err(Ended::TooManyRequests);
        }
        Ok(self.slot(id, Counted::Request))
    }

    /// Takes in a WRITE, whose number is bounded by the memory of its bytes, or a READ that is to be refused.
    ///
    /// # Errors
    /// When the client doesn't read its replies.
    pub fn accept_uncounted(&self, id: u32) -> Result<Slot, Ended> {
        self.check_unread()?;
        Ok(self.slot(id, Counted::Elsewhere))
    }

    fn slot(&self, id: u32, counted: Counted) -> Slot {
        Slot::new(id, self.clone(), Mark::new(counted, Arc::clone(&self.shared)))
    }

    /// Once it has failed it fails for ever: a request was left without its reply.
    fn check_unread(&self) -> Result<(), Ended> {
        let Shared { small_bytes, is_overrun, .. } = &*self.shared;
        if small_bytes.load(Ordering::Relaxed) > MAX_SMALL_BYTES {
            is_overrun.store(true, Ordering::Relaxed);
        }
        if is_overrun.load(Ordering::Relaxed) { Err(Ended::RepliesUnread) } else { Ok(()) }
    }

    /// Waits until `bytes` more may be on their way to the client.
    ///
    /// The channel's own limit comes first, then the budget of the process; when that is used up, `lane` lets one
    /// reply of each handle through all the same, so that no stalled client can stop another.
    ///
    /// # Errors
    /// When the channel has ended.
    pub async fn reserve(&self, bytes: u32, lane: &Lane) -> Result<DataPermit, Ended> {
        let bytes = bytes.min(MAX_DATA_BYTES);
        let channel = Arc::clone(&self.shared.data).acquire_many_owned(bytes).await.map_err(|_| Ended::ClientGone)?;
        let process = match self.shared.budget.try_take(u64::from(bytes)) {
            Some(reservation) => Process::Budget { _held: reservation },
            None => Process::Lane { _held: Arc::clone(&lane.0).acquire_owned().await.map_err(|_| Ended::ClientGone)? },
        };
        Ok(DataPermit { _channel: channel, _process: process, _serving: self.shared.activity.serve() })
    }

    /// Queues the reply to a READ, which holds `permit` until it is written.
    pub fn send_data(&self, reply: Reply, permit: DataPermit) {
        self.queue_pieces(reply.into_pieces(), Hold::Data { _permit: permit });
    }

    /// Queues the replies to READs that nobody wants: the same status for `count` ids from `first` on.
    pub fn send_refusals(&self, first: u32, count: u32, sentence: &'static str, permit: DataPermit) {
        let mut bytes = BytesMut::new();
        for id in (0..count).map(|number| first.wrapping_add(number)) {
            status::status(id, StatusCode::Failure, sentence).encode(&mut bytes);
        }
        self.queue(bytes.freeze(), Hold::Data { _permit: permit });
    }

    /// The connection's sign of life.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.shared.activity
    }

    /// The count of the channel's runs of READs.
    pub fn runs(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.runs)
    }

    /// Queues encoded replies.
    pub fn queue(&self, bytes: Bytes, hold: Hold) {
        self.queue_pieces(vec![bytes], hold);
    }

    fn queue_pieces(&self, pieces: Vec<Bytes>, hold: Hold) {
        // A queue without a receiver is a channel that has ended: the hold is dropped with the reply.
        let _ = self.queue.send(Queued { pieces, _hold: hold });
    }
}

/// One handle's right to have a reply under way when the process's budget is used up.
#[derive(Clone, Debug)]
pub struct Lane(Arc<Semaphore>);

impl Lane {
    /// The right of a new handle.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The right to send some bytes of data.
#[derive(Debug)]
pub struct DataPermit {
    _channel: OwnedSemaphorePermit,
    _process: Process,
    _serving: Serving,
}

#[derive(Debug)]
enum Process {
    Budget { _held: Reservation },
    Lane { _held: OwnedSemaphorePermit },
}

/// What is given back when a reply is written, or will never be.
#[derive(Debug)]
pub enum Hold {
    /// The reply to a READ.
    Data { _permit: DataPermit },
    /// A small reply.
    Small { _unread: Unread, _mark: Mark },
    /// A reply that is counted as a request and as data.
    Large { _permit: DataPermit, _mark: Mark },
}

/// Whole replies in the queue.
#[derive(Debug)]
pub struct Queued {
    /// Their bytes.
    pub pieces: Vec<Bytes>,
    _hold: Hold,
}

impl Queued {
    /// How many bytes they are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// A reply's bytes.
pub fn encoded(reply: &Reply) -> Bytes {
    let mut bytes = BytesMut::with_capacity(reply.encoded_len());
    reply.encode(&mut bytes);
    bytes.freeze()
}
