//! Texts that count in place of those on disk, so that an edit is checked before it replaces a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The texts by their files. A link to such a file has the text too.
#[derive(Debug, Default)]
pub(super) struct ReplacedTexts(Vec<(PathBuf, String)>);

impl ReplacedTexts {
    /// Adds the text of `target`, an absolute path without links.
    pub(super) fn insert(&mut self, target: PathBuf, text: String) {
        self.0.push((target, text));
    }

    /// Returns the text that replaces that of `file`.
    pub(super) fn text(&self, file: &Path) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let target = fs::canonicalize(file).ok()?;
        self.0.iter().find(|(replaced, _)| *replaced == target).map(|(_, text)| text.clone())
    }
}
