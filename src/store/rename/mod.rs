//! Renaming within a bucket, by copy and delete, so that nothing is lost whatever fails in between. A directory with all
//! that is in it is renamed in `rename/tree.rs`, and what that leaves when it is cut off is put right in `rename/repair.rs`.
//!
//! Invariants:
//! - The source is deleted only when the copy is known to be stored, and only if it still is what was copied. After an
//!   error a file may exist under both names, never under none.
//! - The deletion decides who has the source: of several renames and removals S3 tells one that it deleted it. A rename that
//!   was too late takes its copy away, which has an id that no other copy has (`rename/mark.rs`). The ETag can't tell: two
//!   copies of one source have the same.
//! - A rename that replaced a file, or may have, leaves its copy: another rename of the same source may have made what it
//!   replaced, and have deleted the source for it.

mod carry;
mod copy;
mod held;
mod mark;
mod plan;
mod removal;
mod repair;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod tests;
mod times;
mod tree;
#[cfg(test)]
mod tree_tests;

pub use repair::repair_rename;
pub use times::TimesWritten;
pub use tree::{RenamedTree, Tree, rename_tree};

use super::{
    Bucket, Condition, Error, LateTimes, Object, Pin, RemovalCondition, Result, Stored, Version,
    find::{DirectoryState, directory_state, find_in_listing, missing_or_forbidden, refuse_existing},
    remove,
};
use crate::name::{Key, Prefix};
use copy::{Copying, copy_marker};
use mark::Mark;

/// A file's version under its old name, and under its new one: the copy of an object that was uploaded in parts has
/// another ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What the file was.
    pub source: Version,
    /// The new version. Its time is now or S3's, whichever is later, so that attributes that are set from now on are of it.
    pub target: Version,
    /// When the copy came to be, in seconds since 1970. S3's clock says it, but for a copy in parts.
    pub copied_at: i64,
}

impl Renamed {
    /// A file that S3 has just copied.
    fn new(source: Version, Stored { pin, modified }: &Stored) -> Self {
        let mut target = Version::stored_now(pin.etag.clone());
        let copied_at = modified.unwrap_or(target.modified);
        target.modified = target.modified.max(copied_at);
        Self { source, target, copied_at }
    }

    /// The time that S3 said under the old name, if it says another one under the new.
    #[must_use]
    pub fn shown_before(&self) -> Option<LateTimes> {
        times::shown_before(&self.source, self.copied_at)
    }
}

/// An object that was moved with its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The name that it had.
    pub source: Key,
    /// The name that it has.
    pub target: Key,
    /// Its versions.
    pub versions: Renamed,
}

/// Renames the file `source`, or the empty directory of that name, to `target` in the same bucket. 4 requests for a
/// file, and its parts beside them above 256 MiB. What is renamed onto itself stays. Answers with the versions of a file
/// that was renamed.
///
/// A file that `target` names is replaced only where `replace` says so, a directory never.
///
/// # Errors
/// - [`Error::NotFound`]: there is no source, or another client renamed or removed it at the same moment.
/// - [`Error::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`Error::IsDirectory`]: `target` is a directory.
/// - [`Error::Conflict`]: the source changed meanwhile. Both names may exist then, and neither version is lost.
/// - [`Error::NotEmpty`]: the source is a directory that holds more than its marker, which is for [`rename_tree`].
/// - [`Error::Archived`]: the source must be restored first.
pub async fn rename(bucket: &dyn Bucket, source: &Key, target: &Key, replace: bool) -> Result<Option<Renamed>> {
    match describe(bucket, source).await? {
        _ if source == target => Ok(None),
        Some(file) => rename_file(bucket, source, &file, target, replace).await.map(Some),
        None => rename_directory(bucket, &source.as_directory(), target).await.map(|()| None),
    }
}

/// Whether a file may get the name `target`. 1 or 2 requests.
///
/// # Errors
/// - [`Error::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`Error::IsDirectory`]: `target` is a directory.
pub async fn check_target(bucket: &dyn Bucket, target: &Key, replace: bool) -> Result<()> {
    replaces(bucket, target, replace).await.map(drop)
}

/// [`check_target`], which answers whether a file would be replaced.
async fn replaces(bucket: &dyn Bucket, target: &Key, replace: bool) -> Result<bool> {
    match refuse_existing(bucket, target).await {
        Err(Error::AlreadyExists) if replace => Ok(true),
        answered => answered.map(|()| false),
    }
}

/// All that HEAD tells of a file, which its copy gets. `None` for a directory.
async fn describe(bucket: &dyn Bucket, source: &Key) -> Result<Option<Object>> {
    match bucket.head(source).await {
        Ok(file) => return Ok(Some(file)),
        Err(Error::NotFound | Error::Forbidden { .. }) => {}
        Err(error) => return Err(error),
    }
    match find_in_listing(bucket, source).await? {
        // It has come since, or may be listed and not read, and then not be copied either.
        found if found.file.is_some() => bucket.head(source).await.map(Some),
        found if found.directory => Ok(None),
        _ => Err(Error::NotFound),
    }
}

async fn rename_file(bucket: &dyn Bucket, source: &Key, file: &Object, target: &Key, replace: bool) -> Result<Renamed> {
    if file.archived {
        return Err(Error::Archived);
    }
    let mut replaced = replaces(bucket, target, replace).await?;
    let mark = Mark::new(file)?;
    let copying = Copying { bucket, source, file, target, mark: &mark };
    let mut copied = copying.run(if replaced { Condition::Always } else { Condition::Absent }).await;
    if replace && !replaced && matches!(copied, Err(Error::AlreadyExists)) {
        // A file came meanwhile, which may be replaced as well.
        replaced = true;
        copied = copying.run(Condition::Always).await;
    }
    let copied = match copied {
        Ok(stored) => stored,
        // Another rename of the source may have made the file, or another client have taken the source.
        Err(error @ (Error::AlreadyExists | Error::Forbidden { .. })) => {
            return Err(missing_or_forbidden(bucket, source, error).await);
        }
        Err(error) => return Err(error),
    };
    let renamed = Renamed::new(Version::of(file), &copied);
    match remove_copied(bucket, source, &file.pin).await {
        Err(Error::NotFound) => {
            if !replaced {
                withdraw(bucket, target, &mark).await;
            }
            Err(Error::NotFound)
        }
        removed => removed.map(|()| renamed),
    }
}

/// An empty directory is its marker: a zero-byte object.
async fn rename_directory(bucket: &dyn Bucket, source: &Prefix, target: &Key) -> Result<()> {
    let version = match directory_state(bucket, source).await? {
        DirectoryState::Absent => return Err(Error::NotFound),
        DirectoryState::Occupied => return Err(Error::NotEmpty),
        DirectoryState::Empty { marker } => marker,
    };
    refuse_existing(bucket, target).await?;
    let (Some(source), Some(target)) = (source.marker(), target.as_directory().marker()) else {
        return Err(Error::NotEmpty);
    };
    let file = match bucket.head(&source).await {
        Err(refusal @ Error::Forbidden { .. }) => return Err(missing_or_forbidden(bucket, &source, refusal).await),
        answered => answered?,
    };
    let mark = Mark::new(&file)?;
    match copy_marker(bucket, &file, &target, &mark).await {
        Err(error @ Error::IsDirectory) => return Err(missing_or_forbidden(bucket, &source, error).await),
        copied => copied.map(drop)?,
    }
    let removed = remove_copied(bucket, &source, &version).await;
    if matches!(removed, Err(Error::NotFound)) {
        withdraw(bucket, &target, &mark).await;
    }
    removed
}

/// Deletes what was copied. [`Error::NotFound`]: another client did.
async fn remove_copied(bucket: &dyn Bucket, source: &Key, pin: &Pin) -> Result<()> {
    remove(bucket, source, RemovalCondition::Matches(pin.etag.clone())).await
}

/// Takes the copy of a rename away that came too late for its source, if it still is this rename's own.
async fn withdraw(bucket: &dyn Bucket, target: &Key, mark: &Mark) {
    let withdrawn = match bucket.head(target).await {
        Ok(there) if mark.is_of(&there) => remove_copied(bucket, target, &there.pin).await,
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
