//! Times of directories. All sessions share them. Without a set time a directory shows the current day.

use super::stored_tree::is_below;
use std::collections::{BTreeMap, BTreeSet};

const DAY_SECONDS: u32 = 86_400;

/// The time that a directory shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryTime {
    /// 00:00 UTC of the current day.
    Day,
    /// The time that was set.
    Set(u32),
    /// Any time: a crash, or an earlier directory of this name, may have left one.
    Unknown,
}

impl DirectoryTime {
    pub fn shows(self, seconds: u32) -> bool {
        match self {
            Self::Day => seconds > 1_000_000 && seconds.is_multiple_of(DAY_SECONDS),
            Self::Set(modified) => seconds == modified,
            Self::Unknown => true,
        }
    }
}

/// The known times of directories. A path without an entry shows the day, unless it is doubted.
#[derive(Clone, Debug, Default)]
pub struct KnownDirectoryTimes {
    known: BTreeMap<String, DirectoryTime>,
    /// Nothing is known about these paths and the paths below them, except entries made since.
    doubted: BTreeSet<String>,
}

impl KnownDirectoryTimes {
    pub fn find(&self, path: &str) -> DirectoryTime {
        let is_doubted = || self.doubted.iter().any(|doubted| doubted == path || is_below(path, doubted));
        let otherwise = || if is_doubted() { DirectoryTime::Unknown } else { DirectoryTime::Day };
        self.known.get(path).copied().unwrap_or_else(otherwise)
    }

    pub fn set(&mut self, path: &str, modified: u32) {
        self.known.insert(path.to_owned(), DirectoryTime::Set(modified));
    }

    /// A directory was created or removed.
    pub fn clear(&mut self, path: &str) {
        self.known.insert(path.to_owned(), DirectoryTime::Day);
    }

    /// The directories whose times were set.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let set = self.known.iter().filter(|(_, time)| matches!(time, DirectoryTime::Set(_)));
        set.map(|(path, _)| path.as_str())
    }

    pub fn doubt(&mut self, path: &str) {
        self.known.retain(|known, _| known != path && !is_below(known, path));
        self.doubted.insert(path.to_owned());
    }

    /// A directory was renamed with everything below it. The target didn't exist.
    pub fn rename(&mut self, source: &str, target: &str) {
        let is_meant = |path: &str| path == source || is_below(path, source);
        let own = self.find(source);
        let is_doubted = own == DirectoryTime::Unknown || self.doubted.iter().any(|path| is_meant(path));
        if is_doubted || self.find(target) == DirectoryTime::Unknown {
            self.doubted.insert(target.to_owned());
        }
        self.known.retain(|path, _| path != target && !is_below(path, target));
        let taken: Vec<_> = self.known.extract_if(.., |path, _| is_meant(path)).collect();
        self.known.extend(taken.into_iter().map(|(path, time)| (format!("{target}{}", &path[source.len()..]), time)));
        self.known.insert(target.to_owned(), own);
        self.known.insert(source.to_owned(), DirectoryTime::Day);
    }
}
