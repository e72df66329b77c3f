//! Reads one TOML file with typed reads that continue after an error and know the line of every key.
//!
//! The reads are the schema. A table remembers the keys that were read. At its end it refuses all other keys, each with
//! the nearest known key. The code must therefore read every key always, never only under a condition.

use super::{
    problem::{Report, Spot},
    replaced_texts::ReplacedTexts,
    value::{Value, kind},
};
use std::path::{Path, PathBuf};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A TOML file in memory.
#[derive(Clone, Copy)]
pub(super) struct ConfigDocument<'a> {
    file: &'a Path,
    text: &'a str,
    report: &'a Report,
    /// The texts that replace those of named files.
    replaced: &'a ReplacedTexts,
}

impl ConfigDocument<'_> {
    /// Reads the text of `file` with `read`. Reports syntax errors instead if the file isn't TOML.
    pub(super) fn read<T>(
        file: &Path,
        text: &str,
        report: &Report,
        replaced: &ReplacedTexts,
        read: impl FnOnce(&mut ConfigTable<'_>) -> Option<T>,
    ) -> Option<T> {
        let document = ConfigDocument { file, text, report, replaced };
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return ConfigTable::new(document, Some(root.get_ref()), String::new(), 1).read(read);
        }
        for error in errors {
            // Only the message is reported: the error's own text quotes the line, which may hold a secret.
            let line = error.span().map(|span| document.line(span.start));
            report.problem(&Spot { line, ..Spot::of(file) }, format!("isn't TOML: {}", error.message()));
        }
        None
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

/// A table of a file. An absent table reads as an empty one.
pub(super) struct ConfigTable<'a> {
    document: ConfigDocument<'a>,
    entries: Option<&'a DeTable<'a>>,
    /// The dotted path of the table; empty for the root.
    path: String,
    line: usize,
    asked: Vec<&'static str>,
}

impl<'a> ConfigTable<'a> {
    fn new(document: ConfigDocument<'a>, entries: Option<&'a DeTable<'a>>, path: String, line: usize) -> Self {
        Self { document, entries, path, line, asked: Vec::new() }
    }

    fn read<T>(mut self, read: impl FnOnce(&mut ConfigTable<'a>) -> Option<T>) -> Option<T> {
        let value = read(&mut self);
        self.refuse_unknown_keys();
        value
    }

    /// Returns the value of `key`, or `None` if it is absent, or wrong and reported.
    pub(super) fn optional<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let raw = self.ask(key)?;
        self.value(key, raw)
    }

    /// Returns the value of `key`, or `default` if it is absent.
    pub(super) fn or<T: Value>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// Returns the value of `key`. Reports an absent key.
    pub(super) fn required<T: Value>(&mut self, key: &'static str) -> Option<T> {
        if let Some(raw) = self.ask(key) {
            return self.value(key, raw);
        }
        self.problem(key, format!("is missing; it takes {}", T::TAKES));
        None
    }

    /// Returns the elements of the array `key`, or `None` if it is absent, or wrong and reported.
    pub(super) fn list<T: Value>(&mut self, key: &'static str) -> Option<Vec<T>> {
        self.spotted_list(key).map(|values| values.into_iter().map(|(_, value)| value).collect())
    }

    /// Like [`Self::list`], with the spot of each element. Reports and omits wrong elements.
    pub(super) fn spotted_list<T: Value>(&mut self, key: &'static str) -> Option<Vec<(Spot, T)>> {
        let raw = self.ask(key)?;
        let Some(array) = raw.get_ref().as_array() else {
            self.problem(key, format!("is {}; it takes a list, each {}", kind(raw.get_ref()), T::TAKES));
            return None;
        };
        let element = |raw| Some((self.spot_of_value(key, raw), self.value(key, raw)?));
        Some(array.iter().filter_map(element).collect())
    }

    /// Reads the table `key` with `read`. An absent table reads as an empty one.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut ConfigTable<'_>) -> Option<T>,
    ) -> Option<T> {
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
        ConfigTable::new(self.document, entries, self.path_of(key), line).read(read)
    }

    /// Reads each table of the array of tables `key` with `read`. Returns `None` if the key is absent.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut ConfigTable<'_>) -> Option<T>,
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
                    values.extend(ConfigTable::new(self.document, Some(entries), path.clone(), line).read(&mut read));
                }
                None => self.problem(key, wrong(element.get_ref())),
            }
        }
        Some(values)
    }

    /// Refuses `key` if it is present, with a message that names the right way.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if self.has(key) {
            // Marks the key as read, so that it isn't refused a second time as unknown.
            self.asked.push(key);
            self.problem(key, message);
        }
    }

    /// True if `key` is present, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Resolves a path in this file, which is relative to the file's directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.document.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Returns the position of `key`, or of its table if the key is absent.
    pub(super) fn spot(&self, key: &str) -> Spot {
        let found = self.entries.and_then(|entries| entries.get_key_value(key));
        let line = found.map_or(self.line, |(key, _)| self.document.line(key.span().start));
        Spot { file: self.document.file.to_owned(), line: Some(line), key: self.path_of(key) }
    }

    /// Returns the position of the table itself.
    pub(super) fn here(&self) -> Spot {
        Spot { file: self.document.file.to_owned(), line: Some(self.line), key: self.path.clone() }
    }

    /// Reports a problem with `key`.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        self.document.report.problem(&self.spot(key), message);
    }

    /// Reports a problem with the table itself. Returns `None`, as a result for the caller.
    pub(super) fn problem_here<T>(&self, message: impl Into<String>) -> Option<T> {
        self.document.report.problem(&self.here(), message);
        None
    }

    /// Returns the texts that replace those of the files that keys name.
    pub(super) fn replaced(&self) -> &'a ReplacedTexts {
        self.document.replaced
    }

    /// Returns the report for problems and warnings of this file.
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

    /// Returns the known key that `key` is probably meant to be.
    fn nearest(&self, key: &str) -> Option<&'static str> {
        let distances = self.asked.iter().map(|known| (strsim::damerau_levenshtein(key, known), *known));
        let (distance, known) = distances.min()?;
        (distance <= known.len().div_ceil(3)).then_some(known)
    }
}
