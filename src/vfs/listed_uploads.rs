//! The uploads of a session in a listing of its own: S3 has none of them yet, or has the file as it was before.
//!
//! Invariant: an upload that was there when the listing began is given once, whether its file comes to be meanwhile or not.

use super::notes::Live;
use crate::store::{self, EntryKind};
use std::collections::{BTreeMap, BTreeSet};

/// The uploads into a directory, merged into the pages of its listing. As many as the session has open handles.
#[derive(Debug)]
pub(super) struct ListedUploads {
    /// The uploads that are still to be given, by name.
    pending: BTreeMap<String, Live>,
    /// The names that were given before S3 showed them.
    given: BTreeSet<String>,
}

/// A name of the merged listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// S3 has it.
    Stored(store::Entry),
    /// S3 didn't have it. With the state of the upload when the listing began.
    Upload(String, Live),
}

impl ListedUploads {
    /// `uploads` are those when the listing begins, before S3 is asked for it.
    pub(super) fn new(uploads: BTreeMap<String, Live>) -> Self {
        Self { pending: uploads, given: BTreeSet::new() }
    }

    /// A page with the uploads whose names lie before its last one, each in its place.
    pub(super) fn merge(&mut self, page: Vec<store::Entry>) -> Vec<Merged> {
        let mut merged = Vec::with_capacity(page.len());
        for entry in page {
            let before = self.take_before(&entry).into_iter();
            merged.extend(before.map(|(name, live)| Merged::Upload(name, live)));
            self.pending.remove(&entry.name);
            if !self.given.contains(&entry.name) {
                merged.push(Merged::Stored(entry));
            }
        }
        merged
    }

    /// The uploads that no page came to.
    pub(super) fn rest(&mut self) -> BTreeMap<String, Live> {
        std::mem::take(&mut self.pending)
    }

    fn take_before(&mut self, entry: &store::Entry) -> BTreeMap<String, Live> {
        if self.pending.is_empty() {
            return BTreeMap::new();
        }
        // A listing has a directory at the place of its name with the `/`.
        let later = match entry.kind {
            EntryKind::File { .. } => self.pending.split_off(&entry.name),
            EntryKind::Directory => self.pending.split_off(&format!("{}/", entry.name)),
        };
        let earlier = std::mem::replace(&mut self.pending, later);
        self.given.extend(earlier.keys().cloned());
        earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::ETag, vfs::NewAttributes};

    fn uploads(names: &[&str]) -> ListedUploads {
        let live = Live::new(NewAttributes::default(), 0);
        ListedUploads::new(names.iter().map(|name| ((*name).to_owned(), live)).collect())
    }

    /// A page; directories have a slash.
    fn page(names: &[&str]) -> Vec<store::Entry> {
        let entry = |name: &&str| {
            let file = || EntryKind::File { size: 1, modified: 2, etag: ETag("x".into()) };
            let kind = if name.ends_with('/') { EntryKind::Directory } else { file() };
            store::Entry { name: name.trim_end_matches('/').to_owned(), kind }
        };
        names.iter().map(entry).collect()
    }

    /// Uploads have a star.
    fn names(merged: Vec<Merged>) -> Vec<String> {
        let name = |merged| match merged {
            Merged::Stored(entry) if entry.kind == EntryKind::Directory => entry.name + "/",
            Merged::Stored(entry) => entry.name,
            Merged::Upload(name, _) => name + "*",
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
