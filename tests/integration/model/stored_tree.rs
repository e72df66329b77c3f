//! The stored state: files and markers, as in S3. Directories follow from both.

use super::directories::KnownDirectoryTimes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wharfinger::testing::MemoryBucket;

#[derive(Clone, Debug, Default)]
pub struct StoredTree {
    pub files: BTreeMap<String, StoredFile>,
    pub markers: BTreeSet<String>,
    pub directories: KnownDirectoryTimes,
    versions: u64,
}

#[derive(Clone, Debug)]
pub struct StoredFile {
    pub bytes: Arc<Vec<u8>>,
    pub modified: Modified,
    /// Changes with every upload.
    pub version: u64,
}

/// The time that a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modified {
    /// The time of its upload, which is long after 1970.
    Upload,
    /// The time that a client set.
    Set(u32),
    /// Any time: a crashed session may have set or lost it.
    Unknown,
}

impl Modified {
    pub fn shows(self, seconds: u32) -> bool {
        match self {
            Self::Upload => seconds > 1_000_000,
            Self::Set(modified) => seconds == modified,
            Self::Unknown => true,
        }
    }
}

impl StoredTree {
    pub fn put(&mut self, path: &str, bytes: Arc<Vec<u8>>, modified: Modified) {
        self.versions += 1;
        self.files.insert(path.to_owned(), StoredFile { bytes, modified, version: self.versions });
    }

    pub fn is_directory(&self, path: &str) -> bool {
        path == "/" || self.markers.contains(path) || self.holds_something(path)
    }

    /// True if a file or a marker exists below the path.
    pub fn holds_something(&self, path: &str) -> bool {
        self.files.keys().chain(&self.markers).any(|other| is_below(other, path))
    }

    /// True if nothing can be created under the name, because one of its directories is a file.
    pub fn is_below_file(&self, path: &str) -> bool {
        let outer = ancestors(path).find(|outer| self.is_directory(outer) || self.files.contains_key(*outer));
        outer.is_some_and(|outer| !self.is_directory(outer))
    }

    /// Adopts the bucket's markers of directories around these paths. A session that removes something from a directory
    /// creates its marker, unless the session assumes that one exists.
    pub fn adopt(&mut self, bucket: &MemoryBucket, paths: &[&str]) {
        let outer = paths.iter().flat_map(|path| ancestors(path));
        let marked = outer.filter(|outer| bucket.bytes(&format!("acme{outer}/")).is_some());
        self.markers.extend(marked.map(str::to_owned));
    }

    /// Returns the names in a directory. `None` is a directory. If a name is both, the file is shown.
    pub fn entries(&self, directory: &str) -> BTreeMap<String, Option<&StoredFile>> {
        let mut entries = BTreeMap::new();
        for path in self.files.keys().chain(&self.markers).filter(|path| is_below(path, directory)) {
            let rest = &path[directory.trim_end_matches('/').len() + 1..];
            let name = rest.split('/').next().unwrap();
            let child = &path[..path.len() - rest.len() + name.len()];
            entries.insert(name.to_owned(), self.files.get(child));
        }
        entries
    }

    /// Moves a file, or a directory with everything in it.
    pub fn rename(&mut self, source: &str, target: &str) {
        if let Some(file) = self.files.remove(source) {
            self.put(target, file.bytes, file.modified);
            return;
        }
        let renamed = |path: &str| format!("{target}{}", &path[source.len()..]);
        let moves = |path: &str| path == source || is_below(path, source);
        self.directories.rename(source, target);
        let files: Vec<_> = self.files.keys().filter(|path| moves(path)).cloned().collect();
        for path in files {
            let file = self.files.remove(&path).unwrap();
            self.put(&renamed(&path), file.bytes, file.modified);
        }
        let markers = std::mem::take(&mut self.markers);
        self.markers = markers.into_iter().map(|path| if moves(&path) { renamed(&path) } else { path }).collect();
    }

    /// Returns the union of both states, as an interrupted rename leaves it.
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.files.extend(other.files.clone());
        both.markers.extend(other.markers.clone());
        both.versions = self.versions.max(other.versions);
        both
    }

    /// True if the bucket has all of this state, each path below `source` under its old name or below `target`.
    pub fn is_halfway(&self, source: &str, target: &str, bucket: &MemoryBucket) -> bool {
        let has = |key: &str, bytes: &[u8]| bucket.bytes(key).is_some_and(|stored| stored == bytes);
        let moved = |path: &str| match path.strip_prefix(source) {
            Some(name) if name.is_empty() || name.starts_with('/') => format!("{target}{name}"),
            _ => path.to_owned(),
        };
        let is_there = |path: &str, end: &str, bytes: &[u8]| {
            has(&format!("acme{path}{end}"), bytes) || has(&format!("acme{}{end}", moved(path)), bytes)
        };
        self.files.iter().all(|(path, file)| is_there(path, "", &file.bytes))
            && self.markers.iter().all(|path| is_there(path, "/", &[]))
    }

    /// True if the bucket has exactly this state.
    pub fn is_in(&self, bucket: &MemoryBucket) -> bool {
        let files = self.files.iter().map(|(path, file)| (format!("acme{path}"), file.bytes.as_slice()));
        let markers = self.markers.iter().map(|path| (format!("acme{path}/"), &[][..]));
        let wanted: BTreeMap<_, _> = files.chain(markers).collect();
        bucket.keys().len() == wanted.len()
            && wanted.iter().all(|(key, bytes)| bucket.bytes(key).is_some_and(|stored| stored == *bytes))
    }

    /// A crash touched these paths: their times and versions aren't known.
    pub fn doubt(&mut self, paths: &[&str]) {
        for path in paths {
            self.directories.doubt(path);
        }
        for (path, file) in &mut self.files {
            if paths.iter().any(|touched| path == touched || is_below(path, touched)) {
                self.versions += 1;
                file.version = self.versions;
                file.modified = Modified::Unknown;
            }
        }
    }

    /// Doubts directories that vanished without RMDIR: they may have left their times behind.
    pub fn forget_gone_directories(&mut self) {
        let is_gone = |path: &&str| !self.is_directory(path);
        let gone: Vec<_> = self.directories.paths().filter(is_gone).map(str::to_owned).collect();
        for path in &gone {
            self.directories.doubt(path);
        }
    }
}

/// Returns the directories around a path, innermost first, without the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let outer = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(outer, _)| outer));
    outer.skip(1).filter(|outer| !outer.is_empty())
}

pub fn is_below(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}
