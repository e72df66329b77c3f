//! Small files that listings have shown and that were not opened since, in the order of the listings. No IO.
//!
//! Invariant: the remembered files of a directory have no gaps. Files that don't fit are missing at the end.

use crate::{name::VirtualPath, store::ETag};
use std::collections::VecDeque;

/// The most files that a session remembers: about half a mebibyte.
const MAX_FILES: usize = 4096;
/// The most directories that a session remembers: those that lead to the one in which the client works.
const MAX_DIRECTORIES: usize = 64;

/// A file as a listing showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedFile {
    pub(super) name: Box<str>,
    /// In bytes.
    pub(super) size: u64,
    pub(super) etag: ETag,
}

/// The place of an opened file in the listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListingPosition {
    /// The file is the next one of its directory.
    Next,
    /// The file is a later one.
    Later,
    /// The file isn't remembered: too large, opened before, or never listed.
    Unknown,
}

/// The remembered directories, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct ListingOrder {
    directories: Vec<ListedDirectory>,
    files: usize,
}

#[derive(Debug)]
struct ListedDirectory {
    path: VirtualPath,
    /// The files that come next.
    files: VecDeque<ListedFile>,
    /// True if some files did not fit. The files behind them are not remembered then.
    full: bool,
}

impl ListingOrder {
    /// Forgets the files of a directory, because it is listed again.
    pub(super) fn begin(&mut self, path: &VirtualPath) {
        if let Some(at) = self.find(path) {
            self.forget(at);
        }
        if self.directories.len() == MAX_DIRECTORIES {
            self.forget(0);
        }
        self.directories.push(ListedDirectory { path: path.clone(), files: VecDeque::new(), full: false });
    }

    /// Remembers the next file of a directory. If there are too many files, other directories are forgotten.
    pub(super) fn add(&mut self, path: &VirtualPath, file: ListedFile) {
        self.touch(path);
        while self.files == MAX_FILES && self.directories.len() > 1 {
            self.forget(0);
        }
        let full = self.files == MAX_FILES;
        let Some(directory) = self.directories.last_mut().filter(|directory| directory.path == *path) else { return };
        directory.full |= full;
        if !directory.full {
            directory.files.push_back(file);
            self.files += 1;
        }
    }

    /// Records an OPEN. Files before it count as skipped.
    pub(super) fn pass(&mut self, path: &VirtualPath) -> ListingPosition {
        let Some(parent) = path.parent() else { return ListingPosition::Unknown };
        self.touch(&parent);
        let Some(directory) = self.directories.last_mut().filter(|directory| directory.path == parent) else {
            return ListingPosition::Unknown;
        };
        let Some(at) = directory.files.iter().position(|file| *file.name == *path.name()) else {
            return ListingPosition::Unknown;
        };
        self.files -= directory.files.drain(..=at).len();
        if at == 0 { ListingPosition::Next } else { ListingPosition::Later }
    }

    /// Takes the next file of a directory.
    pub(super) fn next(&mut self, path: &VirtualPath) -> Option<ListedFile> {
        self.touch(path);
        let directory = self.directories.last_mut().filter(|directory| directory.path == *path)?;
        let next = directory.files.pop_front()?;
        self.files -= 1;
        Some(next)
    }

    fn find(&self, path: &VirtualPath) -> Option<usize> {
        self.directories.iter().rposition(|directory| directory.path == *path)
    }

    /// Moves a directory to the end, so that it is forgotten last.
    fn touch(&mut self, path: &VirtualPath) {
        if let Some(at) = self.find(path).filter(|at| at + 1 < self.directories.len()) {
            let directory = self.directories.remove(at);
            self.directories.push(directory);
        }
    }

    fn forget(&mut self, at: usize) {
        let forgotten = self.directories.remove(at);
        self.files -= forgotten.files.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> VirtualPath {
        VirtualPath::parse(raw.as_bytes()).unwrap()
    }

    fn listed(name: &str) -> ListedFile {
        ListedFile { name: name.into(), size: 1, etag: ETag(String::new()) }
    }

    fn with(order: &mut ListingOrder, directory: &str, count: usize) {
        order.begin(&path(directory));
        for number in 0..count {
            order.add(&path(directory), listed(&format!("{number:04}")));
        }
    }

    #[test]
    fn opens_in_order_pass_one_file_and_others_all_that_they_skip() {
        let mut order = ListingOrder::default();
        with(&mut order, "/a", 10);
        assert_eq!(order.pass(&path("/a/0000")), ListingPosition::Next);
        assert_eq!(order.next(&path("/a")).unwrap(), listed("0001"));
        assert_eq!(order.pass(&path("/a/0001")), ListingPosition::Unknown);
        assert_eq!(order.pass(&path("/a/0002")), ListingPosition::Next);
        assert_eq!(order.pass(&path("/a/0007")), ListingPosition::Later);
        assert_eq!(order.pass(&path("/a/0003")), ListingPosition::Unknown);
        assert_eq!(order.pass(&path("/b/0008")), ListingPosition::Unknown);
        assert_eq!((order.next(&path("/a")).unwrap(), order.files), (listed("0008"), 1));
        with(&mut order, "/a", 3);
        assert_eq!((order.pass(&path("/a/0000")), order.files, order.directories.len()), (ListingPosition::Next, 2, 1));
    }

    #[test]
    fn files_that_do_not_fit_are_missing_at_the_end_and_elsewhere() {
        let mut order = ListingOrder::default();
        with(&mut order, "/a", 10);
        with(&mut order, "/b", 10);
        order.pass(&path("/a/0000"));
        with(&mut order, "/c", MAX_FILES - 15);
        assert_eq!(
            (order.pass(&path("/b/0000")), order.pass(&path("/a/0001"))),
            (ListingPosition::Unknown, ListingPosition::Next)
        );
        with(&mut order, "/c", MAX_FILES + 10);
        assert_eq!((order.files, order.directories.len()), (MAX_FILES, 1));
        order.next(&path("/c"));
        order.add(&path("/c"), listed("late"));
        assert_eq!(order.pass(&path("/c/late")), ListingPosition::Unknown);
        for number in 0..100 {
            with(&mut order, &format!("/{number}"), 1);
        }
        assert_eq!((order.files, order.directories.len()), (MAX_DIRECTORIES, MAX_DIRECTORIES));
    }
}
