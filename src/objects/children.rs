//! The directories in a directory, and the missing directories above a name. A directory's entries in order are in
//! `listing/`.

use super::find::find_in_listing;
use crate::{
    name::{Key, Prefix},
    store::{Bucket, ListScope, Result},
};
use std::iter;

/// The most names that S3 puts in a page.
const PAGE_ENTRIES: u16 = 1000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DirectoryPage {
    /// True if the directory exists: it has a marker, or any object below it.
    pub(crate) exists: bool,
    /// True if it has a marker.
    pub(crate) has_marker: bool,
    /// The names of its subdirectories that the page shows.
    pub(crate) directories: Vec<String>,
    /// True if the page shows all names.
    pub(crate) is_complete: bool,
}

/// Asks for the first page of the directory at `prefix`. 1 request.
///
/// # Errors
/// The listing's errors.
pub(crate) async fn directory_page(bucket: &dyn Bucket, prefix: &Prefix) -> Result<DirectoryPage> {
    let page = bucket.list(ListScope::Directory(prefix), None, PAGE_ENTRIES).await?;
    let name = |raw: &String| raw.strip_prefix(prefix.as_str())?.strip_suffix('/').map(str::to_owned);
    Ok(DirectoryPage {
        exists: !page.objects.is_empty() || !page.directories.is_empty(),
        has_marker: page.objects.first().is_some_and(|first| first.raw_key == prefix.as_str()),
        directories: page.directories.iter().filter_map(name).collect(),
        is_complete: page.next.is_none(),
    })
}

/// The directories that a new file in `directory` would bring into being, the innermost first. `None` if a file has the
/// name of one of them.
///
/// Looks up only `directory` and the directories above it, below `root`. If a directory exists, those above it exist
/// too. If one is missing, so are those below it. So it takes 2 requests if one directory is missing, and about 10 for
/// the longest path.
///
/// # Errors
/// The listing's errors.
pub(crate) async fn missing_directories(
    bucket: &dyn Bucket,
    root: &Prefix,
    directory: &Prefix,
) -> Result<Option<Vec<Key>>> {
    let inner = directory.without_slash();
    let outer = |key: &Key| key.directory().without_slash();
    let names = iter::successors(inner, outer)
        .take_while(|key| root.contains(&key.as_directory()) && key.as_directory() != *root);
    let names: Vec<Key> = names.collect();
    // All names before index `missing` are missing. The name at index `there` exists.
    let (mut missing, mut there, mut step) = (0, names.len(), 1);
    while missing < there {
        let at = if there == names.len() { missing + step - 1 } else { missing + (there - missing) / 2 };
        let at = at.min(there - 1);
        let Some(name) = names.get(at) else { break };
        let found = find_in_listing(bucket, name).await?;
        // If S3 holds both a file and objects below its name, the name already is a directory.
        if found.directory {
            there = at;
        } else if found.file.is_some() {
            return Ok(None);
        } else {
            missing = at + 1;
        }
        if missing > 1 {
            step *= 2;
        }
    }
    Ok(Some(names.into_iter().take(missing).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryBucket;

    /// Counts the missing directories for a file that is `deep` levels down, if the outer `there` levels exist.
    async fn missing(bucket: &MemoryBucket, deep: usize, there: usize) -> (Option<usize>, usize) {
        let root = Prefix::parse("acme/").unwrap();
        if there > 0 {
            bucket.insert(&format!("acme/{}x", "a/".repeat(there)), "");
        }
        bucket.forget_requests();
        let directory = root.key(&vec!["a"; deep].join("/")).unwrap().as_directory();
        let missing = missing_directories(bucket, &root, &directory).await.unwrap();
        (missing.map(|missing| missing.len()), bucket.verbs().len())
    }

    #[tokio::test]
    async fn few_requests_tell_how_many_levels_are_missing() {
        for (deep, there, most) in [(1, 0, 1), (2, 1, 2), (3, 2, 2), (3, 0, 3), (9, 3, 7), (400, 0, 20), (400, 200, 20)]
        {
            let (missing, requests) = missing(&MemoryBucket::new(), deep, there).await;
            assert_eq!(missing, Some(deep - there), "{deep} {there}");
            assert!(requests <= most, "{deep} {there}: {requests}");
        }
    }

    #[tokio::test]
    async fn a_file_on_the_way_is_found_wherever_it_is() {
        for (deep, at) in [(1, 1), (2, 1), (2, 2), (9, 1), (9, 4), (9, 9), (400, 250)] {
            let bucket = MemoryBucket::new();
            bucket.insert(&format!("acme/{}", vec!["a"; at].join("/")), "a file");
            assert_eq!(missing(&bucket, deep, at - 1).await.0, None, "{deep} {at}");
        }
    }
}
