//! The calls about claims on names, in memory.

use super::state::{ClaimRow, MAX_DROPPED, MemoryJournal, MemoryState};
use crate::{
    journal::{ClaimJournal, JournalDown, Lease},
    name::{BucketId, Key},
};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

impl MemoryState {
    /// Claims all names, or none.
    pub(super) fn claim_all(&mut self, bucket: &BucketId, names: &[&Key], lease: &Lease) -> bool {
        let claimed = names.iter().take_while(|name| self.claim(bucket, name, lease)).count();
        if claimed < names.len() {
            for name in names.iter().take(claimed) {
                self.end_claim(bucket, name, lease);
            }
        }
        claimed == names.len()
    }

    pub(super) fn claim(&mut self, bucket: &BucketId, name: &Key, lease: &Lease) -> bool {
        let (name, now) = ((bucket.clone(), name.clone()), Instant::now());
        let is_free = self.claims.get(&name).is_none_or(|claim| claim.until <= now);
        if is_free {
            self.claims.insert(name, ClaimRow { holder: lease.holder.clone(), until: now + lease.term });
        }
        is_free
    }

    pub(super) fn end_claim(&mut self, bucket: &BucketId, name: &Key, lease: &Lease) {
        let name = (bucket.clone(), name.clone());
        if self.claims.get(&name).is_some_and(|claim| claim.holder == lease.holder) {
            self.claims.remove(&name);
        }
    }
}

#[async_trait]
impl ClaimJournal for MemoryJournal {
    fn is_shared(&self) -> bool {
        self.state().is_shared
    }

    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        Ok(self.ask("claim")?.claim(bucket, name, lease))
    }

    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown> {
        let mut state = self.ask("hold_claim")?;
        let claim = state.claims.get_mut(&(bucket.clone(), name.clone())).filter(|claim| claim.holder == lease.holder);
        Ok(claim.map(|claim| claim.until = Instant::now() + lease.term).is_some())
    }

    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown> {
        self.ask("end_claim")?.end_claim(bucket, name, lease);
        Ok(())
    }

    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown> {
        let (mut state, now) = (self.ask("drop_ended_claims")?, Instant::now());
        Ok(state.claims.extract_if(|_, claim| claim.until + ended_for <= now).take(MAX_DROPPED).count() as u64)
    }
}
