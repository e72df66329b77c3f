//! Settings of users that have no counterpart here, with their users, in one note for each setting.

use std::collections::{BTreeMap, BTreeSet};

/// The number of users that a note names.
const MAX_NAMES: usize = 10;

/// The settings without a counterpart, for one user or for all.
#[derive(Debug, Default)]
pub(super) struct LostSettings(BTreeMap<String, BTreeSet<String>>);

impl LostSettings {
    /// Adds a setting of the user whose settings these are.
    pub(super) fn push(&mut self, setting: &str) {
        self.0.entry(setting.to_owned()).or_default();
    }

    /// Adds those of a user.
    pub(super) fn extend(&mut self, user: &str, other: Self) {
        for setting in other.0.into_keys() {
            self.0.entry(setting).or_default().insert(user.to_owned());
        }
    }

    /// Returns a note for each setting.
    pub(super) fn notes(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(setting, users)| {
            let names: Vec<_> = users.iter().take(MAX_NAMES).map(String::as_str).collect();
            let more = match users.len().saturating_sub(MAX_NAMES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{setting} is not imported; users with it: {}{more}", names.join(", "))
        })
    }
}
