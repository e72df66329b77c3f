//! Merges the session's own uploads into its listings. S3 doesn't have these files yet, or has their former version.
//!
//! Invariant: an upload that was open when the listing began is listed exactly once, even if S3 publishes it meanwhile.

use super::open_uploads::UploadView;
use crate::objects::{self, EntryKind};
use std::collections::{BTreeMap, BTreeSet};

/// The uploads into one directory. The session's limit of open handles bounds their number.
#[derive(Debug)]
pub(super) struct ListedUploads {
    /// The uploads that are still to be listed, by name.
    pending: BTreeMap<String, UploadView>,
    /// The names of uploads that were listed before S3's pages reached them.
    listed: BTreeSet<String>,
}

/// A name of the merged listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MergedEntry {
    /// S3 has the entry.
    Stored(objects::ListingEntry),
    /// S3's pages don't have the name. Carries the state of the upload when the listing began.
    Upload(String, UploadView),
}

impl ListedUploads {
    /// Takes the uploads that are open when the listing begins, before the first request to S3.
    pub(super) fn new(uploads: BTreeMap<String, UploadView>) -> Self {
        Self { pending: uploads, listed: BTreeSet::new() }
    }

    /// Merges into a page the uploads whose names sort before its last entry.
    pub(super) fn merge(&mut self, page: Vec<objects::ListingEntry>) -> Vec<MergedEntry> {
        let mut merged = Vec::with_capacity(page.len());
        for entry in page {
            let before = self.take_before(&entry).into_iter();
            merged.extend(before.map(|(name, view)| MergedEntry::Upload(name, view)));
            self.pending.remove(&entry.name);
            if !self.listed.contains(&entry.name) {
                merged.push(MergedEntry::Stored(entry));
            }
        }
        merged
    }

    /// Takes the uploads that sort behind the last page.
    pub(super) fn rest(&mut self) -> BTreeMap<String, UploadView> {
        std::mem::take(&mut self.pending)
    }

    fn take_before(&mut self, entry: &objects::ListingEntry) -> BTreeMap<String, UploadView> {
        if self.pending.is_empty() {
            return BTreeMap::new();
        }
        // S3 sorts a directory by its name with the `/`.
        let later = match entry.kind {
            EntryKind::File { .. } => self.pending.split_off(&entry.name),
            EntryKind::Directory => self.pending.split_off(&format!("{}/", entry.name)),
        };
        let earlier = std::mem::replace(&mut self.pending, later);
        self.listed.extend(earlier.keys().cloned());
        earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::ETag, vfs::NewAttributes};

    fn uploads(names: &[&str]) -> ListedUploads {
        let view = UploadView::new(NewAttributes::default(), 0);
        ListedUploads::new(names.iter().map(|name| ((*name).to_owned(), view)).collect())
    }

    /// Makes a page. Names that end in `/` are directories.
    fn page(names: &[&str]) -> Vec<objects::ListingEntry> {
        let entry = |name: &&str| {
            let file = || EntryKind::File { size: 1, modified: 2, etag: ETag("x".into()) };
            let kind = if name.ends_with('/') { EntryKind::Directory } else { file() };
            objects::ListingEntry { name: name.trim_end_matches('/').to_owned(), kind }
        };
        names.iter().map(entry).collect()
    }

    /// Formats the merged names, with a `*` behind uploads.
    fn names(merged: Vec<MergedEntry>) -> Vec<String> {
        let name = |merged| match merged {
            MergedEntry::Stored(entry) if entry.kind == EntryKind::Directory => entry.name + "/",
            MergedEntry::Stored(entry) => entry.name,
            MergedEntry::Upload(name, _) => name + "*",
        };
        merged.into_iter().map(name).collect()
    }

    #[test]
    fn each_upload_comes_once_in_the_order_of_bytes() {
        let mut listed = uploads(&["A", "b", "c", "d.txt", "m", "z"]);
        assert_eq!(names(listed.merge(page(&["a", "c", "d/"]))), ["A*", "a", "b*", "c", "d.txt*", "d/"]);
        assert_eq!(names(listed.merge(page(&["k", "l"]))), ["k", "l"]);
        assert_eq!(names(listed.merge(page(&["n"]))), ["m*", "n"]);
        assert_eq!(listed.rest().into_keys().collect::<Vec<_>>(), ["z"]);
        assert!(listed.rest().is_empty());
    }

    #[test]
    fn an_upload_onto_a_directory_hides_it_as_a_stored_file_does() {
        let mut listed = uploads(&["x"]);
        assert_eq!(names(listed.merge(page(&["x-1"]))), ["x*", "x-1"]);
        assert_eq!(names(listed.merge(page(&["x/", "y"]))), ["y"]);
    }
}
