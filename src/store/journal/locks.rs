//! Locks on names: while a session creates a file with EXCL, no session of another node does. A lock is a lease with a row,
//! as a claim is. It differs in that others may end it, and its holder has to learn of that: so a row that is gone means
//! something, and the table is kept when the database crashes.

use super::{JournalDown, Lease};
use crate::name::{BucketId, Key};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The answer to who asks for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The lease's holder has it.
    Ours,
    /// Another holder has it, and is still asking S3 whether a file has the name.
    Opening,
    /// Another holder has it, and its file is open.
    Theirs,
}

/// The part of a [`Journal`](super::Journal) that locks need. Every method is one round trip, unless it says more.
#[async_trait]
pub trait LockJournal: Send + Sync + fmt::Debug {
    /// Locks a name for the lease's term, unless another holder's term lasts. Nothing is written then, and one more round
    /// trip tells how far that holder is.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<Locked, JournalDown>;

    /// Notes that the file is open, and begins the term of its lock anew. `false` when the lease's holder has it no more.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn hold_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Tells whether the lease's holder still has the lock, or its row, where no other holder took that over. Only reads.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn has_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends a lock. `false` when the lease's holder had it no more.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn end_lock(&self, bucket: &BucketId, name: &Key, lease: &Lease) -> Result<bool, JournalDown>;

    /// Ends the lock of a file that is open, whoever holds it. `false` when there is none.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn break_lock(&self, bucket: &BucketId, name: &Key) -> Result<bool, JournalDown>;

    /// Deletes locks, 1,000 at most, whose leases ended at least `ended_for` ago: their nodes were killed, and no session
    /// has locked these names since. A holder that has only been without the journal takes its lock again. Answers with how
    /// many.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn drop_ended_locks(&self, ended_for: Duration) -> Result<u64, JournalDown>;
}
