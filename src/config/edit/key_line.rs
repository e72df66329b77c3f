//! A line with a public key, as in `authorized_keys`: its fingerprint and its comment.

use crate::account::PublicKey;
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use sha2::{Digest as _, Sha256};

/// A public key with the line that states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLine {
    /// The line without surrounding spaces.
    pub(crate) line: String,
    /// The algorithm's name, such as `ssh-ed25519`.
    pub(crate) algorithm: String,
    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:` and base64.
    pub(crate) fingerprint: String,
    /// The text behind the key; empty if there is none.
    pub(crate) comment: String,
    /// True if a login can use the key.
    pub(crate) is_usable: bool,
}

impl KeyLine {
    /// Parses a line. Returns `None` if it holds no key.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (algorithm, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
        let rest = rest.trim_start();
        let (base64, comment) = rest.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((rest, ""));
        let blob = BASE64_STANDARD.decode(base64).ok()?;
        Some(Self {
            line: line.to_owned(),
            algorithm: algorithm.to_owned(),
            fingerprint: format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob))),
            comment: comment.trim().to_owned(),
            is_usable: line.parse::<PublicKey>().is_ok(),
        })
    }

    /// Reads the keys of a text, one a line. Empty lines and comments are skipped.
    ///
    /// # Errors
    /// The sentence about the first line that is no key, with its number.
    pub(crate) fn read_all(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().map(str::trim).zip(1_usize..);
        let stated = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let parse = |(line, number): (&str, usize)| match line.parse::<PublicKey>() {
            Ok(_) => Self::parse(line).ok_or_else(|| format!("line {number}: it is no public key")),
            Err(error) => Err(format!("line {number}: {error}")),
        };
        stated.map(parse).collect()
    }

    /// True if `words` is the fingerprint, with or without `SHA256:`, or the comment.
    pub(super) fn is_called(&self, words: &str) -> bool {
        let digest = self.fingerprint.strip_prefix("SHA256:");
        self.fingerprint == words || digest == Some(words) || (!words.is_empty() && self.comment == words)
    }
}
