//! Edits of documents in memory, and of configs on disk.

mod adding;
mod documents;
mod files;
mod keys;
mod saving;

use super::{KeyLine, NewUser};
use crate::{config::tests::Files, name::UserName};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::fs;

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
    NewUser {
        name: name(user),
        keys,
        password_hash: None,
        permissions: None,
        landing: None,
        enabled: true,
        mounts: Vec::new(),
    }
}

fn tenant(name: &str, users: &str) -> String {
    format!(
        "name = '{name}'\n[storage]\nbucket = 'files'\nprefix = '{name}/'\nregion = 'eu-central-1'\n\
         credentials.default_chain = true\n{users}"
    )
}

fn text(files: &Files, name: &str) -> String {
    fs::read_to_string(files.path(name)).unwrap()
}

/// Returns the files of a directory that no tenant is.
fn left_over(files: &Files) -> Vec<String> {
    let names = fs::read_dir(files.path("tenants")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') && name != ".wharfinger.lock").collect()
}
