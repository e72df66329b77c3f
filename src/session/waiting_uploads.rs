//! The uploads of a node whose CLOSE waits for earlier ones. They hold memory, which others may need more: an upload that
//! could go on, or one that could begin.

use crate::vfs::Budget;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// Memory that one upload gave up reaches others before the next one is looked for.
const PAUSE: Duration = Duration::from_secs(1);

/// The table. Its size is that of what is outstanding on all channels.
#[derive(Debug, Default)]
pub struct WaitingUploads(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    held_bytes: u64,
    /// When others come first.
    until: Instant,
}

impl WaitingUploads {
    /// Enters an upload that holds so much memory, and may keep it for `patience` whoever needs it.
    pub fn enter(self: &Arc<Self>, held_bytes: u64, patience: Duration) -> WaitingUpload {
        let until = Instant::now() + patience;
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.waiting.insert(number, Waiting { held_bytes, until });
        WaitingUpload { uploads: Arc::clone(self), number, until }
    }

    /// The upload that gives its memory up first: the largest, and of several the oldest.
    fn first(&self) -> Option<u64> {
        let now = Instant::now();
        let table = self.table();
        let overdue = table.waiting.iter().filter(|(_, waiting)| waiting.until <= now && waiting.held_bytes > 0);
        overdue.max_by_key(|(number, waiting)| (waiting.held_bytes, Reverse(**number))).map(|(number, _)| *number)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload's entry, until this is dropped.
#[derive(Debug)]
pub struct WaitingUpload {
    uploads: Arc<WaitingUploads>,
    number: u64,
    until: Instant,
}

impl WaitingUpload {
    /// Takes note of what the upload holds now, in bytes.
    pub fn note_held(&self, bytes: u64) {
        if let Some(waiting) = self.uploads.table().waiting.get_mut(&self.number) {
            waiting.held_bytes = bytes;
        }
    }

    /// Waits until others need the upload's memory, and it is the next to give it up.
    pub async fn must_yield(&self, budget: &Budget) {
        sleep_until(self.until).await;
        while !budget.pressed() || self.uploads.first() != Some(self.number) {
            sleep(PAUSE).await;
        }
    }
}

impl Drop for WaitingUpload {
    fn drop(&mut self) {
        self.uploads.table().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn the_largest_yields_first_once_it_waited_and_only_to_those_who_need_memory() {
        let (uploads, budget) = (Arc::new(WaitingUploads::default()), Budget::new(10));
        let [small, large, none] = [2, 6, 0].map(|bytes| uploads.enter(bytes, PATIENCE));
        sleep(PATIENCE * 2).await;
        let young = uploads.enter(9, PATIENCE);
        assert!(large.must_yield(&budget).now_or_never().is_none(), "there is memory");
        let all = budget.try_take(10).unwrap();
        assert!(small.must_yield(&budget).now_or_never().is_none());
        assert!(young.must_yield(&budget).now_or_never().is_none());
        large.must_yield(&budget).await;
        drop(large);
        small.must_yield(&budget).await;
        drop((small, young));
        let waited = Instant::now();
        assert!(tokio::time::timeout(PATIENCE * 9, none.must_yield(&budget)).await.is_err(), "it has nothing to give");
        assert_eq!(waited.elapsed(), PATIENCE * 9);
        drop((all, none));
        assert!(uploads.table().waiting.is_empty());
    }
}
