//! Walks one TOML file: typed reads that go on after an error, and know the line of every key.
//!
//! The reads are the schema. A table knows the keys that were asked for, and when its reading ends refuses the others,
//! each with the nearest known key. So every key is asked for always, never only under a condition.

use super::{
    problem::{Report, Spot},
    value::{Value, kind},
};
use std::path::{Path, PathBuf};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A TOML file in memory.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    report: &'a Report,
}

impl Document<'_> {
    /// Reads the text of `file` with `read`. A file that isn't TOML has its syntax errors reported instead.
    pub(super) fn read<T>(
        file: &Path,
        text: &str,
        report: &Report,
        read: impl FnOnce(&mut Table<'_>) -> Option<T>,
    ) -> Option<T> {
        let document = Document { file, text, report };
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Table::new(document, Some(root.get_ref()), String::new(), 1).read(read);
        }
        for error in errors {
            // Only the message: the error's own text quotes the line, which may hold a secret.
            let line = error.span().map(|span| document.line(span.start));
            report.problem(&Spot { line, ..Spot::of(file) }, format!("isn't TOML: {}", error.message()));
        }
        None
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

/// A table of a file, or the absence of one, which reads as an empty table.
pub(super) struct Table<'a> {
    document: Document<'a>,
    entries: Option<&'a DeTable<'a>>,
    /// The dotted path of the table; empty for the root.
    path: String,
    line: usize,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(document: Document<'a>, entries: Option<&'a DeTable<'a>>, path: String, line: usize) -> Self {
        Self { document, entries, path, line, asked: Vec::new() }
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Table<'a>) -> Option<T>) -> Option<T> {
        let value = read(&mut self);
        self.refuse_unknown_keys();
        value
    }

    /// The value of `key`; `None` where it is absent, or wrong and reported.
    pub(super) fn optional<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let raw = self.ask(key)?;
        self.value(key, raw)
    }

    /// The value of `key`, `default` where it is absent.
    pub(super) fn or<T: Value>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of `key`, whose absence is a problem.
    pub(super) fn required<T: Value>(&mut self, key: &'static str) -> Option<T> {
        if let Some(raw) = self.ask(key) {
            return self.value(key, raw);
        }
        self.problem(key, format!("is missing; it takes {}", T::TAKES));
        None
    }

    /// The elements of the array `key`; `None` where it is absent, or wrong and reported.
    pub(super) fn list<T: Value>(&mut self, key: &'static str) -> Option<Vec<T>> {
        self.spotted_list(key).map(|values| values.into_iter().map(|(_, value)| value).collect())
    }

    /// As [`Self::list`], with the spot of each element. Wrong elements are reported and left out.
    pub(super) fn spotted_list<T: Value>(&mut self, key: &'static str) -> Option<Vec<(Spot, T)>> {
        let raw = self.ask(key)?;
        let Some(array) = raw.get_ref().as_array() else {
            self.problem(key, format!("is {}; it takes a list, each {}", kind(raw.get_ref()), T::TAKES));
            return None;
        };
        let element = |raw| Some((self.spot_of_value(key, raw), self.value(key, raw)?));
        Some(array.iter().filter_map(element).collect())
    }

    /// Reads the table `key` with `read`. One that is absent reads as empty.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_>) -> Option<T>) -> Option<T> {
        let (mut entries, mut line) = (None, self.line);
        if let Some(raw) = self.ask(key) {
            line = self.document.line(raw.span().start);
            entries = raw.get_ref().as_table();
            if entries.is_none() {
                let kind = kind(raw.get_ref());
                self.problem(key, format!("is {kind}; it takes a table, `[{}]`", self.path_of(key)));
                return None;
            }
        }
        Table::new(self.document, entries, self.path_of(key), line).read(read)
    }

    /// Reads each table of the array of tables `key` with `read`; `None` where there is no such key.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let raw = self.ask(key)?;
        let path = self.path_of(key);
        let wrong = |raw| format!("is {}; it takes tables, each `[[{path}]]`", kind(raw));
        let Some(array) = raw.get_ref().as_array() else {
            self.problem(key, wrong(raw.get_ref()));
            return None;
        };
        let mut values = Vec::new();
        for element in array {
            match element.get_ref().as_table() {
                Some(entries) => {
                    let line = self.document.line(element.span().start);
                    values.extend(Table::new(self.document, Some(entries), path.clone(), line).read(&mut read));
                }
                None => self.problem(key, wrong(element.get_ref())),
            }
        }
        Some(values)
    }

    /// Refuses `key` wherever it is, with a message that says what to do instead.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if self.has(key) {
            // Asked for, so that it isn't refused a second time as unknown.
            self.asked.push(key);
            self.problem(key, message);
        }
    }

    /// Whether `key` is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// A path from this file, which is relative to the file's directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.document.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Where `key` stands; where it is absent, its table.
    pub(super) fn spot(&self, key: &str) -> Spot {
        let found = self.entries.and_then(|entries| entries.get_key_value(key));
        let line = found.map_or(self.line, |(key, _)| self.document.line(key.span().start));
        Spot { file: self.document.file.to_owned(), line: Some(line), key: self.path_of(key) }
    }

    /// Where the table itself stands.
    pub(super) fn here(&self) -> Spot {
        Spot { file: self.document.file.to_owned(), line: Some(self.line), key: self.path.clone() }
    }

    /// Reports a problem with `key`.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        self.document.report.problem(&self.spot(key), message);
    }

    /// Reports a problem with the table itself. The answer is `None`, for a caller that has nothing else to answer.
    pub(super) fn problem_here<T>(&self, message: impl Into<String>) -> Option<T> {
        self.document.report.problem(&self.here(), message);
        None
    }

    /// Where problems and warnings of this file go.
    pub(super) fn report(&self) -> &'a Report {
        self.document.report
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        #[cfg(test)]
        self.report().asked.borrow_mut().insert(self.path_of(key));
        self.entries?.get(key)
    }

    fn value<T: Value>(&self, key: &str, raw: &Spanned<DeValue<'_>>) -> Option<T> {
        T::read(raw.get_ref()).map_err(|error| self.report().problem(&self.spot_of_value(key, raw), error)).ok()
    }

    fn spot_of_value(&self, key: &str, raw: &Spanned<DeValue<'_>>) -> Spot {
        Spot { line: Some(self.document.line(raw.span().start)), ..self.spot(key) }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn refuse_unknown_keys(&self) {
        for key in self.entries.into_iter().flat_map(DeTable::keys).map(|key| key.get_ref().as_ref()) {
            if self.asked.contains(&key) {
                continue;
            }
            let message = match self.nearest(key) {
                Some(known) => format!("no such key; did you mean `{known}`?"),
                None => format!("no such key; there are {}", self.asked.join(", ")),
            };
            self.problem(key, message);
        }
    }

    /// The known key that `key` is likely meant to be.
    fn nearest(&self, key: &str) -> Option<&'static str> {
        let distances = self.asked.iter().map(|known| (strsim::damerau_levenshtein(key, known), *known));
        let (distance, known) = distances.min()?;
        (distance <= known.len().div_ceil(3)).then_some(known)
    }
}
