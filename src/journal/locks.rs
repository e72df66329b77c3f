//! Locks on names: while a session creates a file with EXCL, no session of another node does. A lock is a row with a
//! lease, as a claim is. Unlike a claim, it can be ended by others, and its holder must learn of that. So a missing row
//! means something, and the table is kept when the database crashes.

use super::{JournalDown, Lease};
use crate::name::{BucketId, Key};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The result of asking for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// The lease's holder has it.
    Ours,
    /// Another holder has it, and is still asking S3 if there is a file of this name.
    Opening,
    /// Another holder has it, and its file is open.
    Theirs,
}

/// The part of a [`Journal`](super::Journal) that locks need. Every method is one round trip, unless its doc says more.
#[async_trait]
pub trait LockJournal: Send + Sync + fmt::Debug {
    /// Locks a name for the lease's term. While another holder's term lasts, it writes nothing, and one more round trip
    /// tells how far that holder is.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<LockOutcome, JournalDown>;

    /// Notes that the file is open, and restarts the term of its lock. Returns `false` if the lease's holder no longer
    /// has it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// True if the lease's holder still has the lock, or its ended row, which no other holder took over. Only reads.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends a lock. Returns `false` if the lease's holder no longer had it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends the lock of a file that is open, of any holder. Returns `false` if there is none.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown>;

    /// Deletes at most 1,000 locks whose leases ended at least `ended_for` ago. Their nodes were killed, and no session
    /// has locked these names since. A holder that only lost its connection to the journal takes its lock again.
    /// Returns the number of deleted locks.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown>;
}
