//! Claims on names: while one operation renames or removes a name, no other node does. A claim is a lease with a row, so
//! that it ends with its node.

use super::{JournalDown, Lease};
use crate::name::{BucketId, Key};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The part of a [`Journal`](super::Journal) that claims need. Every method is one round trip.
#[async_trait]
pub trait ClaimJournal: Send + Sync + fmt::Debug {
    /// Tells whether other nodes can ask this journal. If not, no claim need be written down.
    fn is_shared(&self) -> bool;

    /// Claims a name for the lease's term. `false`, and nothing is written, while another holder's term lasts.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Begins the term of a claim anew. `false` when the lease's holder has it no more.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn hold_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends a claim, if the lease's holder still has it.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn end_claim(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<(), JournalDown>;

    /// Deletes claims, 1,000 at most, whose leases ended at least `ended_for` ago: their nodes were killed, and no operation
    /// has claimed these names since. Answers with how many.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn drop_ended_claims(&self, ended_for: Duration) -> Result<u64, JournalDown>;
}
