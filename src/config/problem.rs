//! What is wrong with the files, where, and what would be right. All of it is collected, so that an operator mends a
//! config in one go.
//!
//! Invariant: a message never holds the value of a key that is, or by mistake may be, a secret.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

/// One thing that is wrong, or looks wrong, with a config file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
    /// The dotted path of the key, such as `ssh.login_timeout`; empty where no key is meant.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// One line: control characters, which could forge others, are escaped.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!("{line}:")).unwrap_or_default();
        let key = if self.key.is_empty() { String::new() } else { format!(" {}:", self.key) };
        for character in format!("{}:{line}{key} {}", self.file.display(), self.message).chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// The place of a key in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) file: PathBuf,
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

impl Spot {
    /// A file as a whole.
    pub(super) fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new() }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: self.line, key: self.key.clone(), message: message.into() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Collects the problems and warnings of all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Directories that were reported because others may write them.
    exposed: RefCell<BTreeSet<PathBuf>>,
    /// Every key that was asked for, for the test of the reference files.
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeSet<String>>,
}

impl Report {
    /// Records what makes the config unusable.
    pub(super) fn problem(&self, spot: &Spot, message: impl Into<String>) {
        self.problems.borrow_mut().push(spot.problem(message));
    }

    /// Records what an operator should know of a usable config.
    pub(super) fn warning(&self, spot: &Spot, message: impl Into<String>) {
        self.warnings.borrow_mut().push(spot.problem(message));
    }

    /// True the first time that the exposed directory `path` is met.
    pub(super) fn is_first_exposure(&self, path: &Path) -> bool {
        self.exposed.borrow_mut().insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    /// How many problems there are so far. Where reading adds none, what it found is all there is.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Problems and warnings, each in the order of files and lines.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |found: RefCell<Vec<Problem>>| {
            let mut found = found.into_inner();
            found.sort();
            found
        };
        (sorted(self.problems), sorted(self.warnings))
    }
}
