//! Secrets and credentials in files of their own, or in the environment.
//!
//! Invariant: no message here repeats the value of a key or the content of a file. An operator may have pasted the
//! secret itself in place of its file's name.
//!
//! A file that others can read causes a warning and no refusal: container platforms mount secrets with mode 0444.

use super::{document::ConfigTable, exposure, problem::Spot};
use crate::files;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The maximum size of such a file, in bytes: far more than the keys of a user.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A text file that a key names.
pub(super) struct NamedFile {
    path: PathBuf,
    text: String,
}

impl NamedFile {
    /// Returns each line that is neither empty nor a comment, with its position.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Spot, String)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        numbered
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| (Spot { line: Some(number), ..Spot::of(&self.path) }, line.to_owned()))
    }
}

/// Returns the file that `key` names, or `None` if the key is absent, or if the file is missing and reported.
pub(super) fn file(table: &mut ConfigTable<'_>, key: &'static str) -> Option<NamedFile> {
    let named: PathBuf = table.optional(key)?;
    let path = table.resolve(&named);
    table.report().add_named_file(&path);
    let text = table.replaced().text(&path).map_or_else(|| read(&path), Ok);
    match text {
        Ok(text) => {
            exposure::check_named_file(&path, &table.spot(key), table.report());
            Some(NamedFile { path, text })
        }
        Err(error) => {
            let takes = "it takes the name of a text file, relative to the directory of this one";
            table.problem(key, format!("the file can't be read ({error}); {takes}"));
            None
        }
    }
}

/// Returns the one line of the secret file that `key` names.
pub(super) fn secret_file(table: &mut ConfigTable<'_>, key: &'static str) -> Option<String> {
    let NamedFile { path, text } = file(table, key)?;
    if others_can_read(&path) {
        table.report().warning(&table.spot(key), "others can read the file; `chmod 600` keeps it to its owner");
    }
    let secret = text.trim();
    if secret.is_empty() || secret.contains('\n') {
        table.problem(key, "the file doesn't hold one line; it takes a file with the secret and nothing else");
        return None;
    }
    Some(secret.to_owned())
}

/// Returns the value of the environment variable that `key` names.
pub(super) fn variable(table: &mut ConfigTable<'_>, key: &'static str) -> Option<String> {
    let name: String = table.optional(key)?;
    let secret = std::env::var(name).ok().map(|secret| secret.trim().to_owned()).filter(|secret| !secret.is_empty());
    if secret.is_none() {
        table.problem(key, "no such environment variable is set; it takes the name of one that holds the secret");
    }
    secret
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let bytes = files::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if bytes as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(unix)]
fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
    false
}
