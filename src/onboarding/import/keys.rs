//! The public keys of a user to import.

use super::plan::quoted;
use crate::account::PublicKey;

/// Returns the lines of the keys that a login can use, each once, with a note for each other.
pub(super) fn usable_keys<'a>(
    user: &str,
    keys: impl Iterator<Item = &'a String>,
    notes: &mut Vec<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for key in keys {
        let line = key.trim();
        match line.parse::<PublicKey>() {
            Ok(_) if line.contains(char::is_control) => {
                notes.push(format!("a key of {} isn't printable", quoted(user)));
            }
            Ok(_) if lines.iter().any(|other| other == line) => {}
            Ok(_) => lines.push(line.to_owned()),
            Err(error) => notes.push(format!("a key of {} is left out: {error}", quoted(user))),
        }
    }
    lines
}
