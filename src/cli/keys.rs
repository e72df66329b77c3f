//! Public keys from files or from stdin, as commands take and name them.

use crate::config::edit::KeyLine;
use anyhow::{Context as _, Result, anyhow, ensure};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Returns the keys as the end of a sentence.
pub(super) fn fingerprints(keys: &[KeyLine]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    format!(": {}", keys.iter().map(named).collect::<Vec<_>>().join(", "))
}

pub(super) fn named(key: &KeyLine) -> String {
    format!("{} {}", key.algorithm, key.fingerprint)
}

pub(super) fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// Reads the keys of several files, each key once.
pub(super) fn read_all_keys(files: &[PathBuf]) -> Result<Vec<KeyLine>> {
    let mut keys: Vec<KeyLine> = Vec::new();
    for file in files {
        for key in read_keys(file)? {
            if !keys.iter().any(|other| other.fingerprint == key.fingerprint) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// The maximum size of a file with keys, in bytes. The config has the same for its own.
const MAX_KEYS_BYTES: u64 = 1 << 20;

/// Reads at least one key from a file or from stdin.
pub(super) fn read_keys(file: &Path) -> Result<Vec<KeyLine>> {
    let mut text = String::new();
    let input: Box<dyn Read> = if is_stdin(file) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(|| format!("{} can't be read", file.display()))?)
    };
    let bytes = input.take(MAX_KEYS_BYTES + 1).read_to_string(&mut text);
    let bytes = bytes.with_context(|| format!("{} can't be read", file.display()))?;
    ensure!(bytes as u64 <= MAX_KEYS_BYTES, "{} is larger than 1 MiB", file.display());
    let keys = KeyLine::read_all(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    ensure!(!keys.is_empty(), "{} holds no public key", file.display());
    Ok(keys)
}
