//! Claims on names: while one operation renames or removes a name, no other node does. A claim is a row with a lease,
//! so that it ends if its node dies.

use super::{JournalDown, Lease};
use crate::name::{BucketId, Key};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The part of a [`Journal`](super::Journal) that claims need. Every method is one round trip.
#[async_trait]
pub trait ClaimJournal: Send + Sync + fmt::Debug {
    /// True if other nodes share this journal. If not, no claim need be written.
    fn is_shared(&self) -> bool;

    /// Claims a name for the lease's term. Returns `false`, and writes nothing, while another holder's term lasts.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Restarts the term of a claim. Returns `false` if the lease's holder no longer has it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends a claim, if the lease's holder still has it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown>;

    /// Deletes at most 1,000 claims whose leases ended at least `ended_for` ago. Their nodes were killed, and no
    /// operation has claimed these names since. Returns the number of deleted claims.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown>;
}
