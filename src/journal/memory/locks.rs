//! The calls about locks on names, in memory.

use super::state::{LockRow, MAX_DROPPED, MemoryJournal};
use crate::{
    journal::{JournalDown, Lease, LockJournal, LockOutcome},
    name::{BucketId, Key},
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

#[async_trait]
impl LockJournal for MemoryJournal {
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<LockOutcome, JournalDown> {
        let mut state = self.ask("lock")?;
        let name = (bucket.clone(), name.clone());
        match state.locks.get(&name) {
            Some(lock) if lock.is_leased() && lock.holder != lease.holder => {
                Ok(if lock.is_open { LockOutcome::Theirs } else { LockOutcome::Opening })
            }
            _ => {
                let (holder, until) = (lease.holder.clone(), Instant::now() + lease.term);
                state.locks.insert(name, LockRow { holder, until, is_open: false });
                Ok(LockOutcome::Ours)
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
        let is_open = state.locks.get(&name).is_some_and(|lock| lock.is_open && lock.is_leased());
        Ok(is_open && state.locks.remove(&name).is_some())
    }

    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        let (mut state, now) = (self.ask("drop_ended_locks")?, Instant::now());
        Ok(state.locks.extract_if(|_, lock| lock.until + ended_for <= now).take(MAX_DROPPED).count() as u64)
    }
}
