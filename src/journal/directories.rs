//! Times that clients set on directories. S3 can't store them: most directories have no object of their own, and a
//! listing shows no marker's time.
//!
//! An entry belongs to a name, because a directory has no version. So it ends with the directory: RMDIR and MKDIR
//! delete it, and a lookup that finds no directory of this name may drop it.

use super::JournalDown;
use crate::name::{BucketId, Prefix};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

/// Times that were set on a directory, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryTimes {
    /// Last access.
    pub accessed: u32,
    /// Last modification.
    pub modified: u32,
}

/// The times that a node noted for a directory while the journal was down. The node writes them to the journal later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryNote {
    /// The bucket.
    pub bucket: BucketId,
    /// The directory.
    pub directory: Prefix,
    /// The times that were set. `None` if the directory was made: times set before on it or below it belong to an older
    /// directory.
    pub times: Option<DirectoryTimes>,
    /// The time since they were set, or since the directory was made.
    pub set_ago: Duration,
}

/// The directories that a page of a listing shows.
#[derive(Clone, Copy, Debug)]
pub struct ListedDirectories<'a> {
    /// The directory that was listed.
    pub parent: &'a Prefix,
    /// The names of all its subdirectories from the first to the last of them, without a slash. They are in S3's order:
    /// that of their bytes with the slash counted. At most 1,000.
    pub names: &'a [&'a str],
    /// The time since the listing was requested.
    pub asked_ago: Duration,
}

impl ListedDirectories<'_> {
    /// Picks the names that belong on the page and are missing there: no directory has them. Empty for a store that
    /// lists in another order, because its other pages may show them.
    pub(crate) fn lacking<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let (Some(first), Some(last)) = (self.names.first(), self.names.last()) else { return Vec::new() };
        if !self.names.is_sorted_by(|one, other| is_before(one, other)) {
            return Vec::new();
        }
        let shown: HashSet<&str> = self.names.iter().copied().collect();
        let is_lacking = |name: &&str| is_before(first, name) && is_before(name, last) && !shown.contains(name);
        names.into_iter().filter(is_lacking).collect()
    }
}

/// True if S3 lists the directory `one` before the directory `other`.
fn is_before(one: &str, other: &str) -> bool {
    one.bytes().chain([b'/']).lt(other.bytes().chain([b'/']))
}

/// The largest difference between the clocks of two nodes. An entry that isn't older than a lookup by this much may
/// belong to a directory that was made after the lookup.
pub(crate) const CLOCK_MARGIN: Duration = Duration::from_secs(10);

/// The part of a [`Journal`](super::Journal) that times of directories need. Every method is a few round trips at most.
///
/// A directory is named by its prefix; the empty prefix names a whole bucket.
#[async_trait]
pub trait DirectoryJournal: Send + Sync + fmt::Debug {
    /// The times that were set on a directory.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
    ) -> Result<Option<DirectoryTimes>, JournalDown>;

    /// The times that were set on several directories, in their order. At most 1,000.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn directory_times_of(
        &self,
        bucket: &BucketId,
        directories: &[&Prefix],
    ) -> Result<Vec<Option<DirectoryTimes>>, JournalDown>;

    /// True if the journal keeps times for a directory or for one below it.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown>;

    /// The times that were set on the directories of a listing's page, by name. The journal may drop entries that
    /// belong on the page and whose names are missing there, unless they were written after the listing was requested.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn directory_times_in(
        &self,
        bucket: &BucketId,
        page: ListedDirectories<'_>,
    ) -> Result<HashMap<String, DirectoryTimes>, JournalDown>;

    /// Sets the times of a directory.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown>;

    /// Writes the notes that nodes took while the journal was down. Times that were set since stay. At most 1,000, each
    /// of another directory.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown>;

    /// Forgets the times of a directory and of all directories below it. With `asked_ago`, entries that may have been
    /// written since then stay.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown>;

    /// Moves the times kept for a directory, and for all directories below it, to the directory `target` and those
    /// below that. Times that were set there stay. Idempotent.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn move_directory_times(
        &self,
        bucket: &BucketId,
        source: &Prefix,
        target: &Prefix,
    ) -> Result<(), JournalDown>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_lacks_what_lies_between_its_names_in_the_order_of_s3() {
        let parent = Prefix::parse("").unwrap();
        let lacking = |page: &[&str], names: &[&'static str]| {
            let page = ListedDirectories { parent: &parent, names: page, asked_ago: Duration::ZERO };
            page.lacking(names.iter().copied())
        };
        // `a-/` comes before `a/`, because `-` comes before `/`.
        let names = ["a", "a-", "a!", "a.", "b", "c", "c0"];
        assert_eq!(lacking(&["a-", "a", "c"], &names), ["a.", "b"]);
        assert_eq!(lacking(&["c", "a"], &names), [""; 0], "another order than that of bytes");
        assert_eq!(lacking(&["b"], &names), [""; 0]);
        assert_eq!(lacking(&[], &names), [""; 0]);
    }
}
