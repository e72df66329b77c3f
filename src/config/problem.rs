//! The problems of the files: their positions, the mistakes, and the right values. All of them are collected, so that
//! an operator fixes a config in one pass.
//!
//! Invariant: a message never holds the value of a key that is a secret, or may be one by mistake.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

/// A problem or a warning about a config file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    /// The line, from 1; `None` for the file as a whole.
    pub(crate) line: Option<usize>,
    /// The dotted path of the key, such as `ssh.login_timeout`; empty for no particular key.
    pub(crate) key: String,
    /// The mistake and the right value.
    pub(crate) message: String,
}

/// Writes one line. Escapes control characters, which could forge other lines.
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

/// The position of a key in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) file: PathBuf,
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

impl Spot {
    /// Returns the position of a file as a whole.
    pub(super) fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new() }
    }

    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: self.line, key: self.key.clone(), message: message.into() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Collects the problems and warnings of a file, and of the files that it names.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// The directories that were reported because other users may write to them.
    exposed: RefCell<BTreeSet<PathBuf>>,
    /// The files that keys name: keys, secrets, password hashes.
    named_files: RefCell<Vec<PathBuf>>,
    /// Every key that was read, for the test of the reference files.
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeSet<String>>,
}

impl Report {
    /// Records a problem, which makes the config unusable.
    pub(super) fn problem(&self, spot: &Spot, message: impl Into<String>) {
        self.problems.borrow_mut().push(spot.problem(message));
    }

    /// Records a warning about a usable config.
    pub(super) fn warning(&self, spot: &Spot, message: impl Into<String>) {
        self.warnings.borrow_mut().push(spot.problem(message));
    }

    /// True at the first call for the exposed directory `path`.
    pub(super) fn is_first_exposure(&self, path: &Path) -> bool {
        self.exposed.borrow_mut().insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    /// Notes a file that a key names, whether it can be read or not.
    pub(super) fn add_named_file(&self, path: &Path) {
        self.named_files.borrow_mut().push(path.to_owned());
    }

    /// Returns the files that keys name.
    pub(super) fn named_files(&self) -> Vec<PathBuf> {
        self.named_files.borrow().clone()
    }

    /// Returns the number of problems so far. A read that adds none returned a complete result.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Returns the problems so far, in the order in which they were found.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().clone()
    }

    /// Returns the warnings so far, in the order in which they were found.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        self.warnings.borrow().clone()
    }
}
