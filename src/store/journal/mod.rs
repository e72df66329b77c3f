//! The seam beside S3: what must be known of files, on every node and after a restart, and what S3 has no place for.
//! Today those are times and modes that came when an object's metadata was already sent or that S3 doesn't say
//! (`journal/late.rs`), times of directories (`journal/directories.rs`), renames of directories that are under way
//! (`journal/renames.rs`), uploads that can go on (`journal/partials.rs`), and the claims and locks of nodes on names
//! (`journal/claims.rs`, `journal/locks.rs`).
//!
//! Implementations: `journal/memory.rs` (one process, for tests and for a demo without a directory), and SQL in
//! `ledger`. S3 stays the only truth about files: who loses the journal loses what is in it, and no byte.

mod claims;
mod directories;
mod late;
mod locks;
mod memory;
mod partials;
mod renames;

pub use claims::ClaimJournal;
pub(crate) use directories::CLOCK_MARGIN;
pub use directories::{DirectoryJournal, DirectoryNote, DirectoryTimes, ListedDirectories};
pub use late::{Late, LateAttributes, LateNote, LateTimes, Version};
pub use locks::{LockJournal, Locked};
pub use memory::MemoryJournal;
pub use partials::{PartialFile, PartialJournal, PartialUpload, Standing, Whole};
pub use renames::{Lease, Owner, RenameJournal, RenamePhase, TreeRename};

use crate::name::{BucketId, Key, Prefix};
use async_trait::async_trait;
use std::{collections::HashMap, fmt};

/// The journal can't be reached, or took too long. It says why in the log, once; a caller goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal doesn't answer")]
pub struct JournalDown;

/// What is kept beside the objects. Object-safe: `Arc<dyn Journal>`.
///
/// An object has one entry, of the version that was written last. Every method is at most one round trip to the journal, or
/// two where it says so, answers within a few seconds, whatever state the journal is in, and never needs S3.
#[async_trait]
pub trait Journal:
    RenameJournal + PartialJournal + ClaimJournal + LockJournal + DirectoryJournal + Send + Sync + fmt::Debug
{
    /// What is kept for an object, of whatever version.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn late(&self, bucket: &BucketId, key: &Key) -> Result<Option<Late>, JournalDown>;

    /// What is kept for the objects of a listing's page, by name, of whatever version. At most 1,000 names.
    ///
    /// `page` has the names of all objects of `directory` from the first to the last of them, in the order of their bytes:
    /// what is kept for others between them is of objects that are gone, and may be dropped. However many those are, all
    /// that is kept for the page is found, in a second round trip if they are thousands.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn late_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, Late>, JournalDown>;

    /// Adds to what is kept for the version of an object that came to be at `modified` (in seconds since 1970), and answers
    /// with what is kept of it then: see [`Late::on_top_of`]. Nothing is kept, and the answer is `late`, while something is
    /// kept of a version that took its place meanwhile: see [`Late::is_of_younger`].
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn add_late(&self, bucket: &BucketId, key: &Key, late: &Late, modified: i64) -> Result<Late, JournalDown>;

    /// Puts `late` in the place of all that was kept for an object; `None` forgets it.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn replace_late(&self, bucket: &BucketId, key: &Key, late: Option<&Late>) -> Result<(), JournalDown>;

    /// Adds to what is kept for several objects what was noted of them some time ago: see [`LateNote::beside`]. At most
    /// 1,000, each of another object.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn add_lates(&self, notes: &[LateNote]) -> Result<(), JournalDown>;

    /// Puts these in the place of all that was kept for their objects, but of younger versions: see [`Late::is_of_younger`].
    /// At most 1,000, each of another object, whose version came to be when the attributes were set.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn replace_lates(&self, lates: &[(BucketId, Key, Late)]) -> Result<(), JournalDown>;

    /// Forgets what is kept for these objects, of whatever version. At most 1,000.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn forget_lates(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown>;
}
