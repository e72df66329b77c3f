//! Texts that count in place of those on disk, so that an edit is checked before it changes a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The texts of files that an edit would make, replace or remove.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplacedTexts {
    /// The texts by their files. A link to such a file has the text too.
    replaced: Vec<(PathBuf, String)>,
    /// Tenants' files that aren't on disk, by their paths.
    new: Vec<(PathBuf, String)>,
    /// The paths of tenants' files that don't count.
    removed: Vec<PathBuf>,
}

impl ReplacedTexts {
    /// Replaces the text of `target`, an absolute path without links.
    pub(super) fn insert(&mut self, target: PathBuf, text: String) {
        self.replaced.push((target, text));
    }

    /// Adds a tenant's file. Its `path` begins with the tenants' directory as the config names it.
    pub(super) fn add(&mut self, path: PathBuf, text: String) {
        self.new.push((path, text));
    }

    /// Removes a tenant's file. Its `path` is that of the listing.
    pub(super) fn remove(&mut self, path: PathBuf) {
        self.removed.push(path);
    }

    /// Returns the text that counts in place of that of `file`.
    pub(super) fn text(&self, file: &Path) -> Option<String> {
        let of = |texts: &[(PathBuf, String)], file: &Path| {
            texts.iter().find(|(path, _)| path == file).map(|(_, text)| text.clone())
        };
        if self.replaced.is_empty() {
            return of(&self.new, file);
        }
        of(&self.new, file).or_else(|| of(&self.replaced, &fs::canonicalize(file).ok()?))
    }

    /// Changes the list of the tenants' files, which is in the order of their names.
    pub(super) fn change(&self, files: &mut Vec<PathBuf>) {
        files.retain(|file| !self.removed.contains(file));
        files.extend(self.new.iter().map(|(path, _)| path.clone()));
        files.sort();
        files.dedup();
    }
}
