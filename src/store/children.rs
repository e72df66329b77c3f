//! What a page of a directory's listing says of the directory: whether it is there, and which directories are in it. Not its
//! entries in order (see `listing.rs`).

use super::{Bucket, Key, ListScope, Prefix, Result, find::find_in_listing};

/// S3's most names in a page.
const PAGE_ENTRIES: u16 = 1000;

/// The directories in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryPage {
    /// Whether the directory is there: by its marker, or anything below.
    pub exists: bool,
    /// Whether it has a marker.
    pub has_marker: bool,
    /// The names of the directories in it, as far as they are on the page.
    pub directories: Vec<String>,
    /// Whether the page has all names.
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

/// The directories that a listing doesn't show although `directory`, of which nothing is there, would lie in them: itself
/// first. `None` if a file has the name of one of them. One request for each, and one for the first that is there.
///
/// # Errors
/// Those of the listings.
pub async fn missing_directories(bucket: &dyn Bucket, root: &Prefix, directory: &Prefix) -> Result<Option<Vec<Key>>> {
    let mut missing = Vec::new();
    let mut at = directory.clone();
    while at != *root {
        let Some(key) = at.without_slash() else { break };
        let found = find_in_listing(bucket, &key).await?;
        // Where S3 holds both a file and what lies below its name, it is a directory already.
        if found.directory {
            break;
        }
        if found.file.is_some() {
            return Ok(None);
        }
        at = key.directory();
        missing.push(key);
    }
    Ok(Some(missing))
}
