//! Locks on names, in memory.

use super::MemoryJournal;
use crate::{
    journal::{JournalDown, Lease, LockJournal, Locked},
    name::{BucketId, Key},
};
use async_trait::async_trait;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The locks by name. There are at most as many as files that are being created with EXCL.
pub(super) type Locks = HashMap<(BucketId, Key), Lock>;

#[derive(Debug)]
pub(super) struct Lock {
    holder: String,
    until: Instant,
    is_open: bool,
}

impl Lock {
    fn is_live(&self) -> bool {
        Instant::now() < self.until
    }
}

#[async_trait]
impl LockJournal for MemoryJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<Locked, JournalDown> {
        let mut state = self.ask("lock")?;
        let name = (bucket.clone(), name.clone());
        match state.locks.get(&name) {
            Some(lock) if lock.is_live() && lock.holder != lease.holder => {
                Ok(if lock.is_open { Locked::Theirs } else { Locked::Opening })
            }
            _ => {
                let (holder, until) = (lease.holder.clone(), Instant::now() + lease.term);
                state.locks.insert(name, Lock { holder, until, is_open: false });
                Ok(Locked::Ours)
            }
        }
    }

    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        let mut state = self.ask("hold_lock")?;
        let lock = state.locks.get_mut(&(bucket.clone(), name.clone())).filter(|lock| lock.holder == lease.holder);
        Ok(lock.map(|lock| (lock.until, lock.is_open) = (Instant::now() + lease.term, true)).is_some())
    }

    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        let state = self.ask("has_lock")?;
        Ok(state.locks.get(&(bucket.clone(), name.clone())).is_some_and(|lock| lock.holder == lease.holder))
    }

    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        let mut state = self.ask("end_lock")?;
        let name = (bucket.clone(), name.clone());
        let is_ours = state.locks.get(&name).is_some_and(|lock| lock.holder == lease.holder);
        Ok(is_ours && state.locks.remove(&name).is_some())
    }

    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown> {
        let mut state = self.ask("break_lock")?;
        let name = (bucket.clone(), name.clone());
        let is_open = state.locks.get(&name).is_some_and(|lock| lock.is_open && lock.is_live());
        Ok(is_open && state.locks.remove(&name).is_some())
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        let (mut state, now) = (self.ask("drop_ended_locks")?, Instant::now());
        Ok(state.locks.extract_if(|_, lock| lock.until + ended_for <= now).take(super::MAX_DROPPED).count() as u64)
    }
}
