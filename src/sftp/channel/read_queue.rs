//! The waiting READs of one handle, stored as runs. paramiko asks for a file of 10 GiB with 327,680 READs at once,
//! which are one run here.

use super::{
    ended::{Ended, MAX_QUEUED},
    pending_reply::PendingReply,
};
use crate::memory::{ConnectionMemory, RequestCharge};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, oneshot};

/// The number of READs that the server still serves before a waiting CLOSE. A client that closes behind more READs
/// doesn't want their data: its user cancelled the transfer.
const MAX_BEFORE_CLOSE: u64 = 1024;
/// The items that a queue has room for without memory of the connection. The room for more is taken in such steps.
const ITEMS: usize = 64;
/// The memory of so many.
const ITEMS_BYTES: u64 = (ITEMS * size_of::<Item>()) as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadRequest {
    pub(crate) id: u32,
    /// The offset of the first byte.
    pub(crate) offset: u64,
    /// The number of bytes to read.
    pub(crate) length: u32,
}

/// The next item of a handle's queue.
#[derive(Debug)]
pub(crate) enum NextRead {
    Read(ReadRequest),
    /// READs that the client no longer wants. Their ids count up from the first.
    Unwanted {
        first: u32,
        count: u64,
    },
    /// A request other than READ.
    Command(ReadCommand),
}

/// The requests of a handle that is read, other than READ.
#[derive(Debug)]
pub(crate) enum ReadCommand {
    /// FSTAT.
    Stat(PendingReply),
    Close(PendingReply),
    /// A request that changes the file. The task answers all earlier requests and then notifies the upload, which takes
    /// over the handle.
    Change(oneshot::Sender<()>),
}

/// `count` READs with consecutive ids. Each begins at the end of the one before it.
#[derive(Debug)]
struct ReadRun {
    first: ReadRequest,
    count: u64,
}

impl ReadRun {
    /// Returns the READ that would extend the run by one.
    fn following(&self) -> ReadRequest {
        let ReadRequest { id, offset, length } = self.first;
        let behind = self.count.saturating_mul(u64::from(length));
        #[allow(clippy::cast_possible_truncation, reason = "ids wrap around")]
        ReadRequest { id: id.wrapping_add(self.count as u32), offset: offset.saturating_add(behind), length }
    }

    fn split_first(&mut self) -> ReadRequest {
        let first = self.first;
        let ReadRequest { id, offset, length } = first;
        self.first = ReadRequest { id: id.wrapping_add(1), offset: offset.saturating_add(u64::from(length)), length };
        self.count -= 1;
        first
    }
}

#[derive(Debug)]
enum Item {
    Run(ReadRun),
    Command(ReadCommand),
}

/// The queue of one handle.
#[derive(Debug)]
pub(crate) struct ReadQueue {
    waiting: Mutex<WaitingReads>,
    arrived: Notify,
    /// The number of waiting runs on all channels of the connection.
    of_connection: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct WaitingReads {
    items: VecDeque<Item>,
    /// Their memory, and the number of times that it has [`ITEMS_BYTES`].
    charge: RequestCharge,
    charged: usize,
    /// The number of READs in all runs.
    reads: u64,
    /// True if the client no longer wants the waiting READs.
    unwanted: bool,
    ended: bool,
}

impl ReadQueue {
    /// Creates an empty queue in the `memory` of its connection. `of_connection` counts the connection's runs.
    pub(crate) fn new(memory: &Arc<ConnectionMemory>, of_connection: Arc<AtomicUsize>) -> Self {
        let (items, charge) = (VecDeque::new(), memory.take(0));
        let waiting = WaitingReads { items, charge, charged: 0, reads: 0, unwanted: false, ended: false };
        Self { waiting: Mutex::new(waiting), arrived: Notify::new(), of_connection }
    }

    /// Creates a queue of READs that the server refuses, such as those of a closed handle.
    pub(crate) fn unwanted(memory: &Arc<ConnectionMemory>, of_connection: Arc<AtomicUsize>) -> Self {
        let queue = Self::new(memory, of_connection);
        queue.lock().unwanted = true;
        queue
    }

    /// Adds a READ.
    ///
    /// # Errors
    /// The connection has too many waiting runs, or most of the memory of requests.
    pub(crate) fn push(&self, read: ReadRequest) -> Result<(), Ended> {
        let mut waiting = self.lock();
        match waiting.items.back_mut() {
            Some(Item::Run(run)) if run.following() == read => run.count += 1,
            _ => {
                if self.of_connection.fetch_add(1, Ordering::Relaxed) >= MAX_QUEUED {
                    self.of_connection.fetch_sub(1, Ordering::Relaxed);
                    return Err(Ended::TooManyReads);
                }
                waiting.items.push_back(Item::Run(ReadRun { first: read, count: 1 }));
            }
        }
        waiting.reads += 1;
        let must_end = waiting.change_charge() && waiting.charge.connection().must_end();
        drop(waiting);
        self.arrived.notify_one();
        if must_end { Err(Ended::OutOfMemory) } else { Ok(()) }
    }

    /// Adds a request other than READ, behind the earlier READs.
    pub(crate) fn command(&self, command: ReadCommand) {
        let mut waiting = self.lock();
        waiting.unwanted |= matches!(command, ReadCommand::Close(_)) && waiting.reads > MAX_BEFORE_CLOSE;
        waiting.items.push_back(Item::Command(command));
        waiting.change_charge();
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Marks the queue as complete: no request will follow.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.arrived.notify_one();
    }

    /// Returns the next item, or `None` at the end of a complete queue. Cancel-safe. Only one task may call it.
    pub(crate) async fn next(&self) -> Option<NextRead> {
        loop {
            {
                let mut waiting = self.lock();
                if let Some(next) = self.take(&mut waiting) {
                    return Some(next);
                }
                if waiting.ended {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self, waiting: &mut WaitingReads) -> Option<NextRead> {
        if !waiting.unwanted
            && let Some(Item::Run(run)) = waiting.items.front_mut()
            && run.count > 1
        {
            waiting.reads -= 1;
            return Some(NextRead::Read(run.split_first()));
        }
        let next = waiting.items.pop_front()?;
        waiting.change_charge();
        match next {
            Item::Command(command) => Some(NextRead::Command(command)),
            Item::Run(run) => {
                self.of_connection.fetch_sub(1, Ordering::Relaxed);
                waiting.reads -= run.count;
                Some(if waiting.unwanted {
                    NextRead::Unwanted { first: run.first.id, count: run.count }
                } else {
                    NextRead::Read(run.first)
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, WaitingReads> {
        self.waiting.lock()
    }
}

impl WaitingReads {
    /// Returns room that the items no longer need, and takes the memory of the rest. Returns true if that has changed.
    fn change_charge(&mut self) -> bool {
        let room = self.items.capacity();
        if room > 2 * ITEMS && self.items.len() < room / 4 {
            self.items.shrink_to(room / 2);
        }
        let charged = (self.items.capacity() / ITEMS).saturating_sub(1);
        let is_other = charged != self.charged;
        if is_other {
            self.charged = charged;
            self.charge.set(charged as u64 * ITEMS_BYTES);
        }
        is_other
    }
}

impl Drop for ReadQueue {
    fn drop(&mut self) {
        let waiting = self.lock();
        let left = waiting.items.iter().filter(|item| matches!(item, Item::Run(_))).count();
        drop(waiting);
        self.of_connection.fetch_sub(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;
    use futures_util::FutureExt;

    fn read(id: u32, offset: u64) -> ReadRequest {
        ReadRequest { id, offset, length: 32_768 }
    }

    fn memory(budget: &Budget) -> Arc<ConnectionMemory> {
        budget.connection(&"acme".parse().unwrap())
    }

    fn next(queue: &ReadQueue) -> Option<NextRead> {
        queue.next().now_or_never().flatten()
    }

    #[test]
    fn a_prefetch_of_ten_gib_is_one_run_and_comes_out_in_order() {
        let of_connection = Arc::new(AtomicUsize::new(0));
        let queue = ReadQueue::new(&memory(&Budget::new(0)), Arc::clone(&of_connection));
        for number in 0..327_680_u32 {
            queue.push(read(u32::MAX.wrapping_add(number), u64::from(number) * 32_768)).unwrap();
        }
        assert_eq!(of_connection.load(Ordering::Relaxed), 1);
        for number in 0..327_680_u32 {
            let Some(NextRead::Read(next)) = next(&queue) else { panic!("{number}") };
            assert_eq!(next, read(u32::MAX.wrapping_add(number), u64::from(number) * 32_768));
        }
        assert!(next(&queue).is_none());
        assert_eq!(of_connection.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn scattered_reads_are_bounded_over_all_handles_of_a_connection() {
        let of_connection = Arc::new(AtomicUsize::new(0));
        let [one, two] = [(); 2].map(|()| ReadQueue::new(&memory(&Budget::new(0)), Arc::clone(&of_connection)));
        for number in 0..u32::try_from(MAX_QUEUED).unwrap() / 2 {
            one.push(read(2 * number, 0)).unwrap();
            two.push(read(2 * number + 1, 0)).unwrap();
        }
        assert_eq!(one.push(read(9, 9)), Err(Ended::TooManyReads));
        drop(two);
        one.push(read(9, 9)).unwrap();
        drop(one);
        assert_eq!(of_connection.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn scattered_reads_have_memory_of_their_connection_until_they_are_served() {
        let budget = Budget::new(0);
        let queue = ReadQueue::new(&memory(&budget), Arc::default());
        for number in 0..u32::try_from(MAX_QUEUED).unwrap() {
            queue.push(read(2 * number, 0)).unwrap();
        }
        let bytes = MAX_QUEUED * size_of::<Item>();
        let taken = || usize::try_from(budget.request_bytes()).unwrap();
        assert!((bytes - (128 << 10)..=2 * bytes).contains(&taken()), "{}", taken());
        for _ in 0..MAX_QUEUED / 8 * 7 {
            next(&queue).unwrap();
        }
        assert!(taken() <= bytes / 2, "{}", taken());
        while next(&queue).is_some() {}
        assert_eq!(taken(), 0);
        assert!(queue.lock().items.capacity() <= 4 * ITEMS, "an idle queue needs little");
    }

    #[test]
    fn what_nobody_wants_comes_out_as_a_whole() {
        let queue = ReadQueue::unwanted(&memory(&Budget::new(0)), Arc::default());
        for id in 0..100 {
            queue.push(read(id, u64::from(id) * 32_768)).unwrap();
        }
        assert!(matches!(next(&queue), Some(NextRead::Unwanted { first: 0, count: 100 })));
        queue.end();
        assert!(queue.next().now_or_never().unwrap().is_none());
    }
}
