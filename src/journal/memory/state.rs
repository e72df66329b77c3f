//! The journal in memory and its state. This file imports none of those that implement the calls.

use super::{directory_rows::DirectoryRows, task_rows::TaskRows};
use crate::{
    account::{DailyAmounts, ProbedRole, RoleVerdict},
    bounded::BoundedMap,
    journal::{DirectoryRename, JournalDown, ObjectAttributes, ResumableUpload, Task},
    name::{BucketId, Key, TenantName},
    policy::UtcDay,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::{sync::Semaphore, time::Instant};

/// The most objects that can have attributes: with names of 100 bytes about 40 MB. A new entry replaces the one that was
/// written longest ago.
const MAX_OBJECTS: usize = 100_000;

/// The most rows that are dropped at once.
pub(super) const MAX_DROPPED: usize = 1_000;

/// A journal in memory. Share it as `Arc<MemoryJournal>`.
#[derive(Debug)]
pub struct MemoryJournal(Mutex<MemoryState>);

#[derive(Debug)]
pub(super) struct MemoryState {
    pub(super) attributes: BoundedMap<(BucketId, String), ObjectAttributes>,
    pub(super) tasks: TaskRows,
    /// At most as many as running operations.
    pub(super) claims: HashMap<(BucketId, Key), ClaimRow>,
    /// At most as many as files that are being created with EXCL.
    pub(super) locks: HashMap<(BucketId, Key), LockRow>,
    pub(super) directories: DirectoryRows,
    /// By day, tenant and process.
    pub(super) usage: BTreeMap<(UtcDay, TenantName, String), DailyAmounts>,
    /// With the time of each, in seconds since 1970.
    pub(super) role_verdicts: BTreeMap<ProbedRole, (RoleVerdict, i64)>,
    pub(super) is_shared: bool,
    asked: Vec<&'static str>,
    down: bool,
    /// Dropping [`BatchHold`] closes it.
    pub(super) batch_gate: Option<Arc<Semaphore>>,
}

/// A claim on a name: its holder, and the end of its lease.
#[derive(Debug)]
pub(super) struct ClaimRow {
    pub(super) holder: String,
    pub(super) until: Instant,
}

/// A lock on a name: its holder, and the end of its lease.
#[derive(Debug)]
pub(super) struct LockRow {
    pub(super) holder: String,
    pub(super) until: Instant,
    /// True once the file is open.
    pub(super) is_open: bool,
}

impl LockRow {
    pub(super) fn is_leased(&self) -> bool {
        Instant::now() < self.until
    }
}

/// While this lives, `add_attribute_notes` doesn't return.
#[derive(Debug)]
pub struct BatchHold(Arc<Semaphore>);

impl Drop for BatchHold {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self(Mutex::new(MemoryState {
            attributes: BoundedMap::new(MAX_OBJECTS),
            tasks: TaskRows::default(),
            claims: HashMap::new(),
            locks: HashMap::new(),
            directories: DirectoryRows::default(),
            usage: BTreeMap::new(),
            role_verdicts: BTreeMap::new(),
            is_shared: false,
            asked: Vec::new(),
            down: false,
            batch_gate: None,
        }))
    }
}

impl MemoryJournal {
    /// A journal that several nodes of a test share, so that they write their claims and locks to it.
    #[must_use]
    pub fn shared() -> Self {
        let journal = Self::default();
        journal.state().is_shared = true;
        journal
    }

    /// The number of claims, without those that were ended.
    pub fn claims(&self) -> usize {
        self.state().claims.len()
    }

    /// The number of locks, without those that were ended.
    pub fn locks(&self) -> usize {
        self.state().locks.len()
    }

    /// From now on every method fails, or, with `false`, succeeds again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// From now on `add_attribute_notes` waits until the returned guard is dropped.
    #[must_use]
    pub fn hold_batches(&self) -> BatchHold {
        let gate = Arc::new(Semaphore::new(0));
        self.state().batch_gate = Some(Arc::clone(&gate));
        BatchHold(gate)
    }

    /// The methods called since the last call of this one, at most the first 100 of them.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().asked)
    }

    /// The tasks of all kinds, in the order in which they were entered.
    pub fn tasks(&self) -> Vec<Task> {
        self.state().tasks.list().collect()
    }

    /// The renames of directories that are running or were interrupted.
    pub fn renames(&self) -> Vec<Task<DirectoryRename>> {
        self.tasks().into_iter().filter_map(Task::directory_rename).collect()
    }

    /// The uploads that have a task, abandoned or not, in the order in which they were entered.
    pub fn uploads(&self) -> Vec<Task<ResumableUpload>> {
        self.tasks().into_iter().filter_map(Task::upload).collect()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.0.lock()
    }

    /// Records a call of `method`, and returns the state.
    ///
    /// # Errors
    /// [`JournalDown`] if a test says so.
    pub(super) fn ask(&self, method: &'static str) -> Result<MutexGuard<'_, MemoryState>, JournalDown> {
        const REMEMBERED: usize = 100;
        let mut state = self.state();
        if state.asked.len() < REMEMBERED {
            state.asked.push(method);
        }
        if state.down { Err(JournalDown) } else { Ok(state) }
    }
}
