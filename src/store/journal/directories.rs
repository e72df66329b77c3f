//! Times that clients set on directories. S3 has no place for them: most directories have no object of their own, and a
//! listing shows no marker's time.
//!
//! An entry belongs to a name, because a directory has no version. So it ends with the directory: RMDIR and MKDIR delete it,
//! and a question that finds no directory of the name may drop it.

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

/// The times that a node noted of a directory, of which the journal hears later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryNote {
    /// The bucket.
    pub bucket: BucketId,
    /// The directory.
    pub directory: Prefix,
    /// The times that were set; `None` where the directory was made: what was set before, on it or below it, is of an older
    /// one.
    pub times: Option<DirectoryTimes>,
    /// How long ago that was.
    pub set_ago: Duration,
}

/// The directories that a page of a listing shows.
#[derive(Clone, Copy, Debug)]
pub struct ListedDirectories<'a> {
    /// The directory that was listed.
    pub parent: &'a Prefix,
    /// The names of all directories in it from the first to the last of them, without a slash, in the order in which S3
    /// lists them: that of their bytes with the slash counted. At most 1,000.
    pub names: &'a [&'a str],
    /// How long ago the listing was asked for.
    pub asked_ago: Duration,
}

impl ListedDirectories<'_> {
    /// Picks the names that belong on the page and aren't there: they are no directories'. None for a store that lists in
    /// another order, because its other pages may show them.
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

/// Tells whether S3 lists the directory `one` before the directory `other`.
fn is_before(one: &str, other: &str) -> bool {
    one.bytes().chain([b'/']).lt(other.bytes().chain([b'/']))
}

/// The difference between the clocks of two nodes, at most: an entry that is not older than a question by this much may be
/// of a directory that was made after it.
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

    /// Tells whether anything is kept for a directory or for one below it.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn keeps_directory_times(&self, bucket: &BucketId, directory: &Prefix) -> Result<bool, JournalDown>;

    /// The times that were set on the directories of a listing's page, by name. Entries that belong on the page and whose
    /// names it lacks may be dropped, unless they were made after the listing was asked for.
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
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn set_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        times: DirectoryTimes,
    ) -> Result<(), JournalDown>;

    /// Takes in what nodes noted while the journal didn't answer. What was set since stays. At most 1,000, each of another
    /// directory.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn tell_directory_times(&self, notes: &[DirectoryNote]) -> Result<(), JournalDown>;

    /// Forgets a directory and all that lie below it. With `asked_ago` entries stay that may have been made since then.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
    async fn forget_directory_times(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        asked_ago: Option<Duration>,
    ) -> Result<(), JournalDown>;

    /// Gives what is kept for a directory, and for all that lie below it, to the directory `target` and those below that.
    /// Times that were set there stay. Done twice, it does nothing new.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened nevertheless.
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
