//! The store beside S3. It has the facts about files that every node needs, also after a restart, and that S3 can't
//! store:
//!
//! - times and modes that came after an object's metadata was sent, or that S3 doesn't report (`journal/attributes.rs`)
//! - times of directories (`journal/directories.rs`)
//! - tasks that another node can finish (`journal/tasks.rs`): running renames of directories (`journal/renames.rs`), and
//!   uploads that can be resumed (`journal/uploads.rs`)
//! - the claims and locks of nodes on names (`journal/claims.rs`, `journal/locks.rs`)
//! - the amounts that tenants use per day (`journal/usage.rs`)
//! - the verdicts about roles that don't require their external ID (`journal/role_verdicts.rs`)
//!
//! Sessions ask through `journal/fair_journal.rs`, so that no tenant's questions delay another's for long. It doesn't
//! ask for uploads of a tenant that has none (`journal/upload_presence.rs`).
//!
//! Implementations: `journal/memory/` (one process, for tests and for a demo without a directory), and SQL in `ledger`.
//! S3 stays the only truth about files: an operator who loses the journal loses the facts in it, and no byte.

mod attributes;
mod claims;
mod directories;
mod error;
mod fair_journal;
mod lease;
mod lease_keeper;
mod locks;
mod memory;
mod renames;
mod role_verdicts;
mod tasks;
mod upload_presence;
mod uploads;
mod usage;

pub use attributes::{AttributeNote, MovedAttributes, ObjectAttributes, ObjectTimes, TimesAndMode, Version};
pub use claims::ClaimJournal;
pub(crate) use directories::CLOCK_MARGIN;
pub use directories::{DirectoryJournal, DirectoryNote, DirectoryTimes, ListedDirectories};
pub use error::JournalDown;
pub(crate) use fair_journal::{FairJournal, JournalQuestions};
pub use lease::Lease;
pub use lease_keeper::LeaseEnd;
pub(crate) use lease_keeper::{KeeperPace, LeaseKeeper, LeasedRow, NoProgress};
pub use locks::{LockJournal, LockOutcome};
pub use memory::MemoryJournal;
pub use renames::{DirectoryRename, FileRename, RenamePhase, RenamedNames};
pub use role_verdicts::{RoleProbe, RoleVerdictJournal};
pub(crate) use tasks::TaskProgress;
pub use tasks::{Owner, Standing, Task, TaskJournal, TaskKind, TaskPayload, TaskSubject};
pub use uploads::{ResumableUpload, Whole};
pub use usage::UsageJournal;

use crate::name::{BucketId, Key, Prefix};
use async_trait::async_trait;
use std::{collections::HashMap, fmt};

/// The facts that are stored beside the objects. Object-safe: `Arc<dyn Journal>`.
///
/// An object has one entry, of the version that was written last. Every method takes at most one round trip to the
/// journal, or two if its doc says so. It returns within a few seconds, whatever state the journal is in, and never
/// needs S3.
#[async_trait]
pub trait Journal:
    TaskJournal
    + ClaimJournal
    + LockJournal
    + DirectoryJournal
    + UsageJournal
    + RoleVerdictJournal
    + Send
    + Sync
    + fmt::Debug
{
    /// The attributes that the journal has for an object, of any version.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn attributes(&self, bucket: &BucketId, key: &Key) -> Result<Option<ObjectAttributes>, JournalDown>;

    /// The attributes of the objects of a listing's page, by name, of any version. At most 1,000 names.
    ///
    /// `page` has the names of all objects of `directory` from the first to the last of them, in the order of their
    /// bytes. So entries for other names between them belong to objects that are gone, and may be dropped. However many
    /// those are, the call finds every entry of the page, in a second round trip if they are thousands.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn attributes_in(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[&str],
    ) -> Result<HashMap<String, ObjectAttributes>, JournalDown>;

    /// Adds to the attributes kept for the version of an object that came to be at `modified` (in seconds since 1970).
    /// Returns the attributes that are kept for it then: see [`ObjectAttributes::on_top_of`]. If the journal keeps
    /// attributes of a version that replaced this one meanwhile ([`ObjectAttributes::is_of_younger`]), it keeps nothing
    /// and returns `entry`.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn add_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: &ObjectAttributes,
        modified: i64,
    ) -> Result<ObjectAttributes, JournalDown>;

    /// Replaces all attributes kept for an object by `entry`; `None` forgets them.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn replace_attributes(
        &self,
        bucket: &BucketId,
        key: &Key,
        entry: Option<&ObjectAttributes>,
    ) -> Result<(), JournalDown>;

    /// Adds attributes that were noted some time ago to those kept for several objects: see [`AttributeNote::beside`].
    /// At most 1,000, each of another object.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn add_attribute_notes(&self, notes: &[AttributeNote]) -> Result<(), JournalDown>;

    /// Replaces the attributes kept for these objects, except those of younger versions: see
    /// [`ObjectAttributes::is_of_younger`]. At most 1,000, each of another object, whose version came to be when the
    /// attributes were set.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn replace_attribute_batch(&self, entries: &[(BucketId, Key, ObjectAttributes)]) -> Result<(), JournalDown>;

    /// Forgets the attributes kept for these objects, of any version. At most 1,000.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn forget_attribute_batch(&self, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown>;
}
