//! The rows of a claim in the journal: one per name, or the task of a file's rename, or both. A journal that no other
//! node shares has no rows for names.

use super::super::lease;
use crate::{
    journal::{Journal, JournalDown, Lease, LeaseEnd, Standing, Task},
    name::{BucketId, Key},
    store,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// The end of the operation that has a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimEnd {
    /// It was dropped halfway. The task of a rename stays, and a repair finishes the rename.
    Interrupted,
    /// It succeeded, failed or didn't begin. The task of a rename ends.
    Answered,
    /// The task of the rename and its claims were ended.
    Ended,
}

/// The rows of a claim, and the lease on them.
#[derive(Debug)]
pub(super) struct ClaimLease {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) bucket: BucketId,
    /// In their order, so that no two operations wait for each other.
    pub(super) names: Vec<Key>,
    pub(super) lease: Lease,
    pub(super) rename: Option<Task>,
    /// The time until which the lease on the rename is certain.
    pub(super) certain_until: Mutex<LeaseEnd>,
}

impl ClaimLease {
    /// The rows for an operation on `names`, which are not written yet.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub(super) fn new(
        journal: &Arc<dyn Journal>,
        bucket: &BucketId,
        names: Vec<Key>,
        rename: Option<Task>,
    ) -> store::Result<Self> {
        let lease = match &rename {
            Some(rename) => lease::of_task(rename),
            None => lease::new()?,
        };
        let (journal, bucket) = (Arc::clone(journal), bucket.clone());
        Ok(Self { journal, bucket, names, lease, rename, certain_until: Mutex::new(lease::certain_end()) })
    }

    /// Writes the rows. Returns `false`, and leaves none, while another node has one of the names.
    ///
    /// # Errors
    /// [`JournalDown`]: some of them may be written nevertheless.
    pub(super) async fn claim(&self) -> Result<bool, JournalDown> {
        match &self.rename {
            Some(rename) => {
                *self.certain_until.lock() = lease::certain_end();
                self.journal.enter_claimed_task(rename, &self.lease).await
            }
            None => self.claim_names().await,
        }
    }

    async fn claim_names(&self) -> Result<bool, JournalDown> {
        for (at, name) in self.names.iter().enumerate() {
            if !self.journal.claim(&self.bucket, name, &self.lease).await? {
                for claimed in self.names.iter().take(at) {
                    self.journal.end_claim(&self.bucket, claimed, &self.lease).await?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn end_names(&self) -> Result<(), JournalDown> {
        for name in &self.names {
            self.journal.end_claim(&self.bucket, name, &self.lease).await?;
        }
        Ok(())
    }

    /// Renews the claims and the lease on the rename. If another node has taken one of them over, the lease no longer
    /// counts as certain.
    pub(super) async fn renew(&self) {
        let (end, mut is_ours) = (lease::certain_end(), true);
        if self.journal.is_shared() {
            for name in &self.names {
                is_ours &= self.journal.hold_claim(&self.bucket, name, &self.lease).await == Ok(true);
            }
        }
        if let Some(rename) = &self.rename {
            let standing = self.journal.hold_task(&rename.id, &rename.payload, &self.lease, Duration::ZERO).await;
            if is_ours && standing.is_ok_and(|standing| standing != Standing::Lost) {
                *self.certain_until.lock() = end;
            }
        }
    }

    /// True if [`Self::end`] has something to do.
    pub(super) fn has_rows_after(&self, end: ClaimEnd) -> bool {
        match end {
            ClaimEnd::Ended => false,
            ClaimEnd::Answered => self.rename.is_some() || self.journal.is_shared(),
            ClaimEnd::Interrupted => self.journal.is_shared(),
        }
    }

    /// Deletes the rows that are of no use after this end.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(super) async fn end(&self, end: ClaimEnd) -> Result<(), JournalDown> {
        match &self.rename {
            _ if end == ClaimEnd::Ended => Ok(()),
            Some(rename) if end == ClaimEnd::Answered => self.journal.end_claimed_task(rename, &self.lease, None).await,
            _ if self.journal.is_shared() => self.end_names().await,
            _ => Ok(()),
        }
    }
}
