//! The waiting READs of one handle, stored as runs. paramiko asks for a file of 10 GiB with 327,680 READs at once,
//! which are one run here.

use super::{Ended, slot::Slot};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, oneshot};

/// The number of runs that may wait on a channel.
pub const MAX_RUNS: usize = 4096;
/// The number of READs that the server still serves before a waiting CLOSE. A client that closes behind more READs
/// doesn't want their data: its user cancelled the transfer.
const MAX_BEFORE_CLOSE: u64 = 1024;

/// One READ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub id: u32,
    /// The offset of the first byte.
    pub offset: u64,
    /// The number of bytes to read.
    pub length: u32,
}

/// The next item of a handle's queue.
#[derive(Debug)]
pub enum Next {
    Read(Read),
    /// READs that the client no longer wants. Their ids count up from the first.
    Unwanted {
        first: u32,
        count: u64,
    },
    /// A request other than READ.
    Command(Command),
}

/// The requests of a handle that is read, other than READ.
#[derive(Debug)]
pub enum Command {
    /// FSTAT.
    Stat(Slot),
    Close(Slot),
    /// A request that changes the file. The task answers all earlier requests and then notifies the upload, which takes
    /// over the handle.
    Change(oneshot::Sender<()>),
}

/// `count` READs with consecutive ids. Each begins at the end of the one before it.
#[derive(Debug)]
struct Run {
    first: Read,
    count: u64,
}

impl Run {
    /// Returns the READ that would extend the run by one.
    fn following(&self) -> Read {
        let Read { id, offset, length } = self.first;
        let behind = self.count.saturating_mul(u64::from(length));
        #[allow(clippy::cast_possible_truncation, reason = "ids wrap around")]
        Read { id: id.wrapping_add(self.count as u32), offset: offset.saturating_add(behind), length }
    }

    fn split_first(&mut self) -> Read {
        let first = self.first;
        let Read { id, offset, length } = first;
        self.first = Read { id: id.wrapping_add(1), offset: offset.saturating_add(u64::from(length)), length };
        self.count -= 1;
        first
    }
}

#[derive(Debug)]
enum Item {
    Run(Run),
    Command(Command),
}

/// The queue of one handle.
#[derive(Debug)]
pub struct Runs {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// The number of waiting runs of the whole channel.
    of_channel: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    /// The number of READs in all runs.
    reads: u64,
    /// True if the client no longer wants the waiting READs.
    unwanted: bool,
    ended: bool,
}

impl Runs {
    /// Creates an empty queue. `of_channel` counts the channel's runs.
    pub fn new(of_channel: Arc<AtomicUsize>) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), of_channel }
    }

    /// Creates a queue of READs that the server refuses, such as those of a closed handle.
    pub fn unwanted(of_channel: Arc<AtomicUsize>) -> Self {
        let runs = Self::new(of_channel);
        runs.lock().unwanted = true;
        runs
    }

    /// Adds a READ.
    ///
    /// # Errors
    /// The channel has too many waiting runs.
    pub fn push(&self, read: Read) -> Result<(), Ended> {
        let mut waiting = self.lock();
        match waiting.items.back_mut() {
            Some(Item::Run(run)) if run.following() == read => run.count += 1,
            _ => {
                if self.of_channel.fetch_add(1, Ordering::Relaxed) >= MAX_RUNS {
                    self.of_channel.fetch_sub(1, Ordering::Relaxed);
                    return Err(Ended::TooManyReads);
                }
                waiting.items.push_back(Item::Run(Run { first: read, count: 1 }));
            }
        }
        waiting.reads += 1;
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Adds a request other than READ, behind the earlier READs.
    pub fn command(&self, command: Command) {
        let mut waiting = self.lock();
        waiting.unwanted |= matches!(command, Command::Close(_)) && waiting.reads > MAX_BEFORE_CLOSE;
        waiting.items.push_back(Item::Command(command));
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Marks the queue as complete: no request will follow.
    pub fn end(&self) {
        self.lock().ended = true;
        self.arrived.notify_one();
    }

    /// Returns the next item, or `None` at the end of a complete queue. Cancel-safe. Only one task may call it.
    pub async fn next(&self) -> Option<Next> {
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

    fn take(&self, waiting: &mut Waiting) -> Option<Next> {
        if !waiting.unwanted
            && let Some(Item::Run(run)) = waiting.items.front_mut()
            && run.count > 1
        {
            waiting.reads -= 1;
            return Some(Next::Read(run.split_first()));
        }
        match waiting.items.pop_front()? {
            Item::Command(command) => Some(Next::Command(command)),
            Item::Run(run) => {
                self.of_channel.fetch_sub(1, Ordering::Relaxed);
                waiting.reads -= run.count;
                Some(if waiting.unwanted {
                    Next::Unwanted { first: run.first.id, count: run.count }
                } else {
                    Next::Read(run.first)
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let waiting = self.lock();
        let left = waiting.items.iter().filter(|item| matches!(item, Item::Run(_))).count();
        drop(waiting);
        self.of_channel.fetch_sub(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn read(id: u32, offset: u64) -> Read {
        Read { id, offset, length: 32_768 }
    }

    fn next(runs: &Runs) -> Option<Next> {
        runs.next().now_or_never().flatten()
    }

    #[test]
    fn a_prefetch_of_ten_gib_is_one_run_and_comes_out_in_order() {
        let of_channel = Arc::new(AtomicUsize::new(0));
        let runs = Runs::new(Arc::clone(&of_channel));
        for number in 0..327_680_u32 {
            runs.push(read(u32::MAX.wrapping_add(number), u64::from(number) * 32_768)).unwrap();
        }
        assert_eq!(of_channel.load(Ordering::Relaxed), 1);
        for number in 0..327_680_u32 {
            let Some(Next::Read(next)) = next(&runs) else { panic!("{number}") };
            assert_eq!(next, read(u32::MAX.wrapping_add(number), u64::from(number) * 32_768));
        }
        assert!(next(&runs).is_none());
        assert_eq!(of_channel.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn scattered_reads_are_bounded_over_all_handles_of_a_channel() {
        let of_channel = Arc::new(AtomicUsize::new(0));
        let [one, two] = [Runs::new(Arc::clone(&of_channel)), Runs::new(Arc::clone(&of_channel))];
        for number in 0..u32::try_from(MAX_RUNS).unwrap() / 2 {
            one.push(read(2 * number, 0)).unwrap();
            two.push(read(2 * number + 1, 0)).unwrap();
        }
        assert_eq!(one.push(read(9, 9)), Err(Ended::TooManyReads));
        drop(two);
        one.push(read(9, 9)).unwrap();
        drop(one);
        assert_eq!(of_channel.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_nobody_wants_comes_out_as_a_whole() {
        let runs = Runs::unwanted(Arc::default());
        for id in 0..100 {
            runs.push(read(id, u64::from(id) * 32_768)).unwrap();
        }
        assert!(matches!(next(&runs), Some(Next::Unwanted { first: 0, count: 100 })));
        runs.end();
        assert!(runs.next().now_or_never().unwrap().is_none());
    }
}
