//! The credentials of a user: a password hash, public keys, or both.

use super::{document::ConfigTable, secret};
use crate::account::{Credentials, PasswordHash, PublicKey};

/// Reads the credentials of a `[[users]]` table. There must be at least one.
pub(super) fn read(user: &mut ConfigTable<'_>) -> Credentials {
    let before = user.report().count();
    user.refuse("password", "a password doesn't belong here; `wharfinger hash-password` makes a `password_hash` of it");
    let password_hash = read_password_hash(user);
    let (public_keys, are_left_out) = read_public_keys(user);
    let credentials = Credentials { password_hash, public_keys };
    let has_none = credentials.password_hash.is_none() && credentials.public_keys.is_empty() && !are_left_out;
    if has_none && user.report().count() == before {
        let ways = "`public_keys`, `public_keys_file`, `password_hash` or `password_hash_file`";
        user.problem_here::<()>(format!("this user can't log in; it takes one or more of {ways}"));
    }
    credentials
}

fn read_password_hash(user: &mut ConfigTable<'_>) -> Option<PasswordHash> {
    let inline = user.optional::<String>("password_hash");
    let from_file = secret::secret_file(user, "password_hash_file");
    if user.has("password_hash") && user.has("password_hash_file") {
        user.problem("password_hash_file", "there is a `password_hash` too; it takes one of the two");
        return None;
    }
    let key = if inline.is_some() { "password_hash" } else { "password_hash_file" };
    let hash = inline.or(from_file)?.parse::<PasswordHash>();
    hash.map_err(|error| user.problem(key, error.to_string())).ok()
}

/// Reads the public keys. The second result is true if it omitted any.
///
/// A key that no login can use is no error: earlier versions accepted it, and an error would affect the tenant's other
/// users.
fn read_public_keys(user: &mut ConfigTable<'_>) -> (Vec<PublicKey>, bool) {
    let mut lines = user.spotted_list::<String>("public_keys").unwrap_or_default();
    if let Some(file) = secret::file(user, "public_keys_file") {
        lines.extend(file.lines());
    }
    let (mut keys, mut are_left_out) = (Vec::new(), false);
    for (spot, line) in &lines {
        match line.parse::<PublicKey>() {
            Ok(key) => keys.push(key),
            Err(error) if error.is_of_a_key_too_long() => {
                user.report().warning(spot, format!("{error}; the key is left out"));
                are_left_out = true;
            }
            Err(error) => user.report().problem(spot, error.to_string()),
        }
    }
    (keys, are_left_out)
}
