//! Renames within a bucket, by copy and delete, so that no failure in between loses a file. `rename/tree.rs` renames a
//! directory with its content, and `rename/repair.rs` repairs a rename that was interrupted.
//!
//! Invariants:
//! - The source is deleted only after the copy is known to be stored, and only if it still is the copied version. After
//!   an error a file may exist under both names, never under none.
//! - The deletion decides which client gets the source: of several renames and removals, S3 tells one that it deleted
//!   the source. A rename that was too late deletes its copy, whose token no other copy has (`rename/copy_token.rs`).
//!   The ETag can't tell, because two copies of one source have the same.
//! - The copy of a rename whose task another node took over stays: that node deletes the source for it.
//! - A rename that replaced a file, or may have, leaves its copy. Another rename of the same source may have created
//!   the replaced file, and have deleted the source for it.

mod carry;
mod charge;
mod copy;
mod copy_token;
mod error;
mod file_repair;
#[cfg(test)]
mod file_repair_tests;
mod plan;
mod removal;
mod renamed_times;
mod repair;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod tests;
mod times;
mod tree;
#[cfg(test)]
mod tree_tests;

pub use error::ObjectsError;
pub use file_repair::repair_file_rename;
pub(crate) use renamed_times::RenamedTimes;
pub use repair::repair_rename;
pub use times::TimesWritten;
pub use tree::{RenamedTree, Tree, rename_tree};

use super::{
    find::{DirectoryState, directory_state, find_in_listing},
    remove,
};
use crate::{
    journal::{Journal, JournalDown, Lease, LeaseEnd, ObjectTimes, Standing, Task, Version},
    name::{Key, Prefix},
    policy::RequestScope,
    store::{
        Bucket, Condition, Error, LeftoverObserver, Object, Pin, RemovalCondition, StoredObject, missing_or_forbidden,
    },
};
use charge::{charge_copies, requests_of_copy};
use copy::{ObjectCopy, copy_marker};
use copy_token::CopyToken;
use error::Result;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::sleep;

/// The interval between two looks at a lease under which a source is deleted.
const LEASE_CHECK_PERIOD: Duration = Duration::from_secs(1);

/// The requests for a file after its HEAD, beside those of its copy: a LIST and a deletion.
const REQUESTS_BESIDE_COPY: u64 = 2;

/// The requests for an empty directory after that for its name: two LISTs, a HEAD, a marker and a deletion.
const REQUESTS_FOR_DIRECTORY: u64 = 5;

/// The versions of a file under its old and its new name. The copy of an object that was uploaded in parts has another
/// ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedVersions {
    /// The version under the old name.
    pub(crate) source: Version,
    /// The new version. Its time is now or S3's, whichever is later, so that attributes set from now on belong to it.
    pub(crate) target: Version,
    /// The time at which the copy was made, in seconds since 1970: by S3's clock, except for a copy in parts.
    pub(crate) copied_at: i64,
}

impl RenamedVersions {
    /// A file that S3 has just copied.
    fn new(source: Version, StoredObject { pin, modified, .. }: &StoredObject) -> Self {
        let mut target = Version::stored_now(pin.etag.clone());
        let copied_at = modified.unwrap_or(target.modified);
        target.modified = target.modified.max(copied_at);
        Self { source, target, copied_at }
    }

    /// The time that S3 reported under the old name, if it reports another one under the new name.
    #[must_use]
    pub(crate) fn shown_before(&self) -> Option<ObjectTimes> {
        times::shown_before(&self.source, self.copied_at)
    }
}

/// An object that was moved with its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedObject {
    /// The old name.
    pub(crate) source: Key,
    /// The new name.
    pub(crate) target: Key,
    /// The versions under both names.
    pub(crate) versions: RenamedVersions,
}

/// The task that was entered for the rename of a file, and its lease.
#[derive(Clone, Copy, Debug)]
pub struct LeasedRename<'a> {
    pub(crate) journal: &'a dyn Journal,
    pub(crate) task: &'a Task,
    pub(crate) lease: &'a Lease,
    /// No other node takes the task over before this time. Each renewal of the lease moves it.
    pub(crate) certain_until: &'a Mutex<LeaseEnd>,
}

impl LeasedRename<'_> {
    /// True if no other node can have taken the task over, judged without the journal.
    fn is_certain(self) -> bool {
        !self.journal.is_shared() || self.certain_until.lock().is_in_future()
    }

    /// True if no other node can have taken the task over.
    async fn is_ours(self) -> bool {
        let Self { journal, task, lease, .. } = self;
        match journal.hold_task(&task.id, &task.payload, lease, Duration::ZERO).await {
            Ok(standing) => standing != Standing::Lost,
            Err(JournalDown) => self.is_certain(),
        }
    }
}

/// Renames the file `source`, or the empty directory of that name, to `target` in the same bucket. 4 requests for a
/// file; above 256 MiB, its parts too. A rename onto itself changes nothing. Returns the versions of a renamed file.
///
/// Replaces a file at `target` only if `replace` is set, and never a directory. `leftovers` hears of a copy in parts
/// that failed and that S3 didn't abort. `task` was entered for the rename of a file: with it [`repair_file_rename`]
/// recognizes the copy.
///
/// # Errors
/// - [`Error::NotFound`]: there is no source, or another client renamed or removed it at the same moment.
/// - [`ObjectsError::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`ObjectsError::IsDirectory`]: `target` is a directory.
/// - [`Error::Conflict`]: the source changed meanwhile. Both names may exist then, and neither version is lost.
/// - [`ObjectsError::NotEmpty`]: the source is a directory that holds more than its marker, which is for
///   [`rename_tree`].
/// - [`Error::Archived`]: the source must be restored first.
/// - [`Error::DailyLimit`]: the tenant may not copy so many bytes today, or send so many requests. Nothing was copied.
pub async fn rename(
    bucket: &dyn Bucket,
    source: &Key,
    target: &Key,
    replace: bool,
    leftovers: &dyn LeftoverObserver,
    task: Option<LeasedRename<'_>>,
) -> Result<Option<RenamedVersions>> {
    match describe(bucket, source).await? {
        _ if source == target => Ok(None),
        Some(file) if file.archived => Err(Error::Archived.into()),
        Some(file) => {
            let charged = charge_copies(bucket, file.size, REQUESTS_BESIDE_COPY + requests_of_copy(file.size))?;
            let renaming = rename_file(bucket, (source, &file), target, replace, leftovers, task);
            charged.run(renaming).await.map(Some)
        }
        None => {
            let charged = RequestScope::reserve(bucket.usage(), REQUESTS_FOR_DIRECTORY).map_err(Error::from)?;
            charged.run(rename_directory(bucket, &source.as_directory(), target)).await.map(|()| None)
        }
    }
}

/// Fails if a file may not get the name `target`. 1 or 2 requests.
///
/// # Errors
/// - [`ObjectsError::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`ObjectsError::IsDirectory`]: `target` is a directory.
pub async fn check_target(bucket: &dyn Bucket, target: &Key, replace: bool) -> Result<()> {
    replaces(bucket, target, replace).await.map(drop)
}

/// Fails if the name `key` is taken. 1 or 2 requests.
///
/// # Errors
/// [`ObjectsError::IsDirectory`], [`ObjectsError::AlreadyExists`] for a file, or the listing's errors.
pub(super) async fn refuse_existing(bucket: &dyn Bucket, key: &Key) -> Result<()> {
    match find_in_listing(bucket, key).await? {
        found if found.directory => Err(ObjectsError::IsDirectory),
        found if found.file.is_some() => Err(ObjectsError::AlreadyExists),
        _ => Ok(()),
    }
}

/// [`check_target`] that returns `true` if a file would be replaced.
async fn replaces(bucket: &dyn Bucket, target: &Key, replace: bool) -> Result<bool> {
    match refuse_existing(bucket, target).await {
        Err(ObjectsError::AlreadyExists) if replace => Ok(true),
        answered => answered.map(|()| false),
    }
}

/// The file as HEAD describes it; its copy gets the same attributes. `None` for a directory.
async fn describe(bucket: &dyn Bucket, source: &Key) -> Result<Option<Object>> {
    match bucket.head(source).await {
        Ok(file) => return Ok(Some(file)),
        Err(Error::NotFound | Error::Forbidden { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match find_in_listing(bucket, source).await? {
        // The file has appeared since, or it may be listed but not read. In the second case it can't be copied either.
        found if found.file.is_some() => Ok(Some(bucket.head(source).await?)),
        found if found.directory => Ok(None),
        _ => Err(Error::NotFound.into()),
    }
}

async fn rename_file(
    bucket: &dyn Bucket,
    (source, file): (&Key, &Object),
    target: &Key,
    replace: bool,
    leftovers: &dyn LeftoverObserver,
    task: Option<LeasedRename<'_>>,
) -> Result<RenamedVersions> {
    let mut replaced = replaces(bucket, target, replace).await?;
    let token = CopyToken::new(file, task.map(|leased| &*leased.task.id))?;
    let copying = ObjectCopy { bucket, source, file, target, token: &token, leftovers };
    let mut copied = copying.run(if replaced { Condition::Always } else { Condition::Absent }).await;
    if replace && !replaced && matches!(copied, Err(ObjectsError::AlreadyExists)) {
        // Another client created the file meanwhile. It may be replaced as well.
        replaced = true;
        copied = copying.run(Condition::Always).await;
    }
    let copied = match copied {
        Ok(stored) => stored,
        // Another rename of the source may have created the file, or another client may have taken the source.
        Err(error @ (ObjectsError::AlreadyExists | ObjectsError::Storage(Error::Forbidden { .. }))) => {
            return Err(missing_or_forbidden(bucket, source, error).await);
        }
        Err(error) => return Err(error),
    };
    let renamed = RenamedVersions::new(Version::of(file), &copied);
    let is_certain = || task.is_none_or(LeasedRename::is_certain);
    match while_certain(is_certain, remove_copied(bucket, source, &file.pin)).await {
        Err(Error::NotFound) => {
            // A node that took the task over may have deleted the source for this copy.
            let is_ours = match task {
                Some(leased) => leased.is_ours().await,
                None => true,
            };
            if !replaced && is_ours {
                withdraw(bucket, target, &token).await;
            }
            Err(Error::NotFound.into())
        }
        removed => Ok(removed.map(|()| renamed)?),
    }
}

/// An empty directory is its marker: a zero-byte object.
async fn rename_directory(bucket: &dyn Bucket, source: &Prefix, target: &Key) -> Result<()> {
    let version = match directory_state(bucket, source).await? {
        DirectoryState::Absent => return Err(Error::NotFound.into()),
        DirectoryState::Occupied => return Err(ObjectsError::NotEmpty),
        DirectoryState::Empty { marker } => marker,
    };
    refuse_existing(bucket, target).await?;
    let (Some(source), Some(target)) = (source.marker(), target.as_directory().marker()) else {
        return Err(ObjectsError::NotEmpty);
    };
    let file = match bucket.head(&source).await {
        Err(refusal @ Error::Forbidden { .. }) => {
            return Err(missing_or_forbidden(bucket, &source, refusal).await.into());
        }
        answered => answered?,
    };
    let token = CopyToken::new(&file, None)?;
    match copy_marker(bucket, &file, &target, &token).await {
        Err(error @ ObjectsError::IsDirectory) => return Err(missing_or_forbidden(bucket, &source, error).await),
        copied => copied.map(drop)?,
    }
    let removed = remove_copied(bucket, &source, &version).await;
    if matches!(removed, Err(Error::NotFound)) {
        withdraw(bucket, &target, &token).await;
    }
    Ok(removed?)
}

/// Deletes a source while the lease of its rename is certain. Another node may take the task over after that and delete
/// the source, and a client may then use the name again: the same request, tried once more, would delete that file.
///
/// # Errors
/// [`Error::Unreachable`] if the lease ends first. Both names may exist then.
async fn while_certain(
    is_certain: impl Fn() -> bool,
    deleting: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let uncertain = async {
        while is_certain() {
            sleep(LEASE_CHECK_PERIOD).await;
        }
    };
    tokio::select! {
        biased;
        () = uncertain => Err(Error::Unreachable("the lease of the rename ended".into())),
        removed = deleting => removed,
    }
}

/// Deletes the copied source. [`Error::NotFound`]: another client deleted it first.
async fn remove_copied(bucket: &dyn Bucket, source: &Key, pin: &Pin) -> Result<(), Error> {
    remove(bucket, source, RemovalCondition::Matches(pin.etag.clone())).await
}

/// Deletes the copy of a rename that was too late for its source, if it still is this rename's own.
async fn withdraw(bucket: &dyn Bucket, target: &Key, token: &CopyToken) {
    let withdrawn = match bucket.head(target).await {
        Ok(there) if token.is_of(&there) => remove_copied(bucket, target, &there.pin).await,
        Ok(_) => return,
        Err(error) => Err(error),
    };
    match withdrawn {
        Ok(()) | Err(Error::NotFound | Error::Conflict { .. }) => {}
        Err(error) => {
            tracing::warn!(key = target.as_str(), %error, "a copy stays whose source another client renamed or removed");
        }
    }
}
