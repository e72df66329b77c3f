//! Directories around a name: those in a directory, and those above it that are missing. Not a directory's entries in order
//! (see `listing.rs`).

use super::{Bucket, ListScope, Result, find::find_in_listing};
use crate::name::{Key, Prefix};
use std::iter;

/// S3's most names in a page.
const PAGE_ENTRIES: u16 = 1000;

/// The directories in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryPage {
    /// True if the directory is there: by its marker, or anything below.
    pub exists: bool,
    /// True if it has a marker.
    pub has_marker: bool,
    /// The names of the directories in it, as far as they are on the page.
    pub directories: Vec<String>,
    /// True if the page has all names.
    pub is_complete: bool,
}

/// Asks for the first page of the directory at `prefix`. 1 request.
///
/// # Errors
/// Those of the listing.
pub async fn directory_page(bucket: &dyn Bucket, prefix: &Prefix) -> Result<DirectoryPage> {
    let page = bucket.list(ListScope::Directory(prefix), None, PAGE_ENTRIES).await?;
    let name = |raw: &String| raw.strip_prefix(prefix.as_str())?.strip_suffix('/').map(str::to_owned);
    Ok(DirectoryPage {
        exists: !page.objects.is_empty() || !page.directories.is_empty(),
        has_marker: page.objects.first().is_some_and(|first| first.raw_key == prefix.as_str()),
        directories: page.directories.iter().filter_map(name).collect(),
        is_complete: page.next.is_none(),
    })
}

/// The directories that would come to be with a file in `directory`, of which nothing is there: itself first. `None` if a
/// file has the name of one of them.
///
/// Nothing is asked but of directories above it, below `root`. A directory that is there shows those above it, and one that
/// is missing those below it: so it takes 2 requests where one is missing, and some 10 for the longest path.
///
/// # Errors
/// Those of the listings.
pub async fn missing_directories(bucket: &dyn Bucket, root: &Prefix, directory: &Prefix) -> Result<Option<Vec<Key>>> {
    let inner = directory.without_slash();
    let outer = |key: &Key| key.directory().without_slash();
    let names = iter::successors(inner, outer)
        .take_while(|key| root.contains(&key.as_directory()) && key.as_directory() != *root);
    let names: Vec<Key> = names.collect();
    // Those before `missing` are missing, the one at `there` isn't.
    let (mut missing, mut there, mut step) = (0, names.len(), 1);
    while missing < there {
        let at = if there == names.len() { missing + step - 1 } else { missing + (there - missing) / 2 };
        let at = at.min(there - 1);
        let Some(name) = names.get(at) else { break };
        let found = find_in_listing(bucket, name).await?;
        // If S3 holds both a file and what lies below its name, it is a directory already.
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
    use crate::store::MemoryBucket;

    /// Counts what is missing for a file in a directory this deep, of which so many outer ones are there.
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
