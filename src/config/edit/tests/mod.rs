//! Edits of documents in memory, and of configs on disk.

mod documents;
mod keys;
mod saving;

use super::{KeyLine, NewUser};
use crate::name::UserName;
use base64::{Engine as _, prelude::BASE64_STANDARD};

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

/// Returns the line of a public key, one for each number.
fn key_line(number: u8, comment: &str) -> String {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([number; 32]);
    format!("ssh-ed25519 {} {comment}", BASE64_STANDARD.encode(blob)).trim_end().to_owned()
}

fn key(number: u8, comment: &str) -> KeyLine {
    KeyLine::parse(&key_line(number, comment)).unwrap()
}

fn new_user(user: &str) -> NewUser {
    let keys = vec![key(9, "")];
    NewUser { name: name(user), keys, password_hash: None, permissions: None, landing: None }
}
