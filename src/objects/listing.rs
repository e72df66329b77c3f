//! A directory's entries, a page at a time. The next page is requested while the client uses the current one. At most
//! two pages are in memory.
//!
//! The directory's own marker is no entry. Neither are names that no user could open (`//`, `..`, control characters),
//! which other programs wrote. If S3 holds both `x` and `x/…`, one entry `x` shows the file that STAT and OPEN reach; a
//! listing of `x` itself still shows the objects below.

use crate::{
    name::Prefix,
    store::{Bucket, ETag, ListScope, ListedObject, OwnedTask, Page, PageToken, Result},
};
use std::sync::Arc;

/// The most names that S3 puts in a page.
const PAGE_ENTRIES: u16 = 1000;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListingEntry {
    /// One normal segment, without `/`.
    pub name: String,
    /// A file or a directory.
    pub(crate) kind: EntryKind,
}

/// The facts about an entry that a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// An object.
    File {
        /// In bytes.
        size: u64,
        /// Last modification, in seconds since 1970.
        modified: i64,
        etag: ETag,
    },
    /// A marker, or a prefix that objects have in common.
    Directory,
}

/// A running listing of one directory. Names come in the order of their UTF-8 bytes, and a directory's `/` counts.
#[derive(Debug)]
pub(crate) struct Listing {
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    next: Next,
    /// The files whose namesake directories may still follow. `x/` comes after `x` and all of `x!…`, `x-…`, `x.…`, so
    /// each of these names begins with the one before it: there are fewer than a key has bytes.
    open_files: Vec<String>,
}

#[derive(Debug)]
enum Next {
    /// The page at this token is to be requested; the first page has none.
    Wanted(Option<PageToken>),
    /// The page is requested. The token serves to request it again after an error.
    Coming(Option<PageToken>, OwnedTask<Result<Page>>),
    /// The page is here, and not used yet.
    Here(Page),
    End,
}

impl Listing {
    /// A listing of the directory at `prefix`. Sends no request yet.
    #[must_use]
    pub(crate) fn new(bucket: Arc<dyn Bucket>, prefix: Prefix) -> Self {
        Self { bucket, prefix, next: Next::Wanted(None), open_files: Vec::new() }
    }

    /// True if the directory exists: it has a marker, or any object below, even one whose name is no entry. Takes no
    /// request beyond the first page that isn't empty. Only valid before the first [`next_page`](Self::next_page).
    ///
    /// # Errors
    /// The errors of the pages.
    pub(crate) async fn exists(&mut self) -> Result<bool> {
        while let Some(page) = self.fetch().await? {
            let exists = !page.objects.is_empty() || !page.directories.is_empty();
            if exists || page.next.is_none() {
                self.next = Next::Here(page);
                return Ok(exists);
            }
            // S3 may return an empty page and a token while it has more to look through.
            self.next = Next::Wanted(page.next);
        }
        Ok(false)
    }

    /// True if the first page, after [`exists`](Self::exists), shows the directory's marker.
    #[must_use]
    pub(crate) fn has_marker(&self) -> bool {
        let is_marker = |first: &ListedObject| first.raw_key == self.prefix.as_str();
        matches!(&self.next, Next::Here(page) if page.objects.first().is_some_and(is_marker))
    }

    /// The next entries, at least one and at most 1,000; `None` at the end. In all ⌈names / 1,000⌉ requests.
    ///
    /// # Errors
    /// The listing's errors. The next call requests the same page again.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<ListingEntry>>> {
        while let Some(page) = self.fetch().await? {
            self.next = match page.next.clone() {
                Some(token) => self.request(Some(token)),
                None => Next::End,
            };
            let entries = self.entries(page);
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }

    /// Waits for the next page and takes it. Dropping this future loses nothing.
    async fn fetch(&mut self) -> Result<Option<Page>> {
        if let Next::Wanted(token) = &mut self.next {
            let token = token.take();
            self.next = self.request(token);
        }
        if let Next::Coming(token, task) = &mut self.next {
            let answer = task.answer().await;
            let token = token.take();
            self.next = answer.as_ref().map_or(Next::Wanted(token), |_| Next::End);
            return answer.map(Some);
        }
        match std::mem::replace(&mut self.next, Next::End) {
            Next::Here(page) => Ok(Some(page)),
            _ => Ok(None),
        }
    }

    fn request(&self, token: Option<PageToken>) -> Next {
        let (bucket, prefix, after) = (Arc::clone(&self.bucket), self.prefix.clone(), token.clone());
        let task =
            OwnedTask::spawn(
                async move { bucket.list(ListScope::Directory(&prefix), after.as_ref(), PAGE_ENTRIES).await },
            );
        Next::Coming(token, task)
    }

    /// Merges a page's objects and directories into the order in which S3 split the pages. Leaves out the names that
    /// are no entries.
    fn entries(&mut self, page: Page) -> Vec<ListingEntry> {
        let mut entries = Vec::with_capacity(page.objects.len() + page.directories.len());
        let mut directories = page.directories.into_iter().peekable();
        for object in page.objects {
            while let Some(directory) = directories.next_if(|directory| *directory < object.raw_key) {
                entries.extend(self.directory(&directory));
            }
            entries.extend(self.file(object));
        }
        entries.extend(directories.filter_map(|directory| self.directory(&directory)));
        entries
    }

    fn file(&mut self, listed: ListedObject) -> Option<ListingEntry> {
        let name = self.segment(&listed.raw_key)?;
        self.close_files_before(&name);
        self.open_files.push(name.clone());
        let kind = EntryKind::File { size: listed.size, modified: listed.modified, etag: listed.etag };
        Some(ListingEntry { name, kind })
    }

    fn directory(&mut self, raw: &str) -> Option<ListingEntry> {
        let name = self.segment(raw.strip_suffix('/')?)?;
        self.close_files_before(&name);
        let is_file_too = self.open_files.last() == Some(&name);
        (!is_file_too).then_some(ListingEntry { name, kind: EntryKind::Directory })
    }

    fn close_files_before(&mut self, name: &str) {
        while self.open_files.pop_if(|open| !name.starts_with(open.as_str())).is_some() {}
    }

    /// The name of a raw key below this directory. `None` if no user could open it.
    fn segment(&self, raw: &str) -> Option<String> {
        let name = raw.strip_prefix(self.prefix.as_str())?;
        (!name.contains('/') && self.prefix.key(name).is_ok()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::Error,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn bucket(raw_keys: impl IntoIterator<Item = impl AsRef<str>>) -> Arc<MemoryBucket> {
        let bucket = MemoryBucket::new();
        for raw_key in raw_keys {
            bucket.insert(raw_key.as_ref(), "bytes");
        }
        Arc::new(bucket)
    }

    fn listing(bucket: &Arc<MemoryBucket>) -> Listing {
        Listing::new(bucket.clone(), Prefix::parse("acme/").unwrap())
    }

    /// All names; directories with a slash.
    async fn names(mut listing: Listing) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(page) = listing.next_page().await.unwrap() {
            assert!((1..=1000).contains(&page.len()));
            names.extend(page.into_iter().map(|entry| match entry.kind {
                EntryKind::File { size, .. } => {
                    assert_eq!(size, 5);
                    entry.name
                }
                EntryKind::Directory => entry.name + "/",
            }));
        }
        names
    }

    #[tokio::test]
    async fn entries_are_files_markers_and_prefixes_but_not_the_marker_itself() {
        let bucket = bucket(["acme/", "acme/a", "acme/b/", "acme/c/d/e", "acme-2/x", "acme/z \"?#%"]);
        assert_eq!(names(listing(&bucket)).await, ["a", "b/", "c/", "z \"?#%"]);
    }

    // S26: Names that could not be opened are not listed, but count for RMDIR and RENAME.
    #[tokio::test]
    async fn names_that_nobody_could_open_are_left_out() {
        let bucket = bucket(["acme//x", "acme/..", "acme/../x", "acme/.", "acme/a\nb", "acme/a\u{1}/c", "acme/ok"]);
        assert_eq!(names(listing(&bucket)).await, ["ok"]);
        assert!(listing(&bucket).exists().await.unwrap());
    }

    // S25: If S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
    #[tokio::test]
    async fn a_name_is_shown_once_as_the_file_that_stat_reaches() {
        let bucket = bucket(["acme/x", "acme/x-1", "acme/x-1/z", "acme/x.txt", "acme/x/y", "acme/x0/"]);
        assert_eq!(names(listing(&bucket)).await, ["x", "x-1", "x.txt", "x0/"]);
    }

    #[tokio::test]
    async fn a_page_holds_a_thousand_names_and_costs_one_request() {
        for (count, requests) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3), (3000, 3)] {
            let bucket = bucket((0..count).map(|number| format!("acme/{number:05}")));
            assert_eq!(names(listing(&bucket)).await.len(), count);
            assert_eq!(bucket.count(Verb::List), requests, "{count} names");
        }
    }

    #[tokio::test]
    async fn asking_whether_it_exists_costs_no_further_request() {
        let bucket = bucket(["acme/", "acme/a"]);
        let mut present = listing(&bucket);
        assert!(present.exists().await.unwrap());
        assert_eq!(names(present).await, ["a"]);
        assert_eq!(bucket.count(Verb::List), 1);

        let mut absent = Listing::new(bucket.clone(), Prefix::parse("globex/").unwrap());
        assert!(!absent.exists().await.unwrap());
        assert_eq!(absent.next_page().await.unwrap(), None);
        assert_eq!(bucket.count(Verb::List), 2);
    }

    #[tokio::test]
    async fn an_empty_page_with_a_token_is_not_the_end() {
        for raw_key in ["acme/", "acme/a", "acme/a/b"] {
            let bucket = bucket([raw_key]);
            bucket.begin_listings_empty();
            assert!(listing(&bucket).exists().await.unwrap(), "{raw_key}");
            let mut asked = listing(&bucket);
            asked.exists().await.unwrap();
            assert_eq!(names(asked).await, names(listing(&bucket)).await, "{raw_key}");
            assert_eq!(names(listing(&bucket)).await.is_empty(), raw_key == "acme/");
        }
    }

    // S47: A listing keeps two pages of 1,000 names in memory, the one that is being read and the next.
    #[tokio::test]
    async fn one_page_is_prefetched_and_no_more() {
        let bucket = bucket((0..5000).map(|number| format!("acme/{number:05}")));
        let mut listing = listing(&bucket);
        listing.next_page().await.unwrap();
        bucket.arrived(Verb::List, 2).await;
        tokio::task::yield_now().await;
        assert_eq!(bucket.count(Verb::List), 2);
    }

    // S48: A page of a listing that fails loses no name: the next READDIR asks for it again.
    #[tokio::test]
    async fn a_page_that_fails_is_asked_for_again() {
        let bucket = bucket((0..1500).map(|number| format!("acme/{number:05}")));
        let mut listing = listing(&bucket);
        assert_eq!(listing.next_page().await.unwrap().unwrap().len(), 1000);
        bucket.fail(Verb::List, Moment::Request, Error::Throttled { request: "SlowDown".into() });
        assert!(listing.next_page().await.is_err());
        assert_eq!(names(listing).await.len(), 500);
    }

    proptest! {
        /// Each name comes once, for any set of keys and pages of any size.
        #[test]
        fn each_name_comes_once(keys in proptest::collection::btree_set("[ab][-/ab.]{0,4}", 0..40), cut in 1u16..5) {
            let bucket = bucket(keys.iter().map(|key| format!("acme/{key}")));
            let mut expected = BTreeMap::new();
            for key in &keys {
                let (name, below) = key.split_once('/').map_or((key.as_str(), false), |(name, _)| (name, true));
                if !name.is_empty() && name != "." && name != ".." {
                    *expected.entry(name.to_owned()).or_insert(true) &= below;
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let shown = runtime.block_on(async {
                let mut listing = listing(&bucket);
                let mut shown = Vec::new();
                let mut after = None;
                loop {
                    let scope = ListScope::Directory(&listing.prefix);
                    let page = bucket.list(scope, after.as_ref(), cut).await.unwrap();
                    after = page.next.clone();
                    shown.extend(listing.entries(page));
                    if after.is_none() {
                        return shown;
                    }
                }
            });
            let mut unique = BTreeMap::new();
            for entry in shown {
                let directory = entry.kind == EntryKind::Directory;
                prop_assert_eq!(unique.insert(entry.name, directory), None);
            }
            prop_assert_eq!(unique, expected);
        }
    }
}
