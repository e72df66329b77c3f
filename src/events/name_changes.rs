//! The difference between two configs: the names that were added, changed and removed.

use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// The names that a record keeps of each list. A record must stay small where a reload changes thousands.
const MAX_NAMES: usize = 50;

/// The changes of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanges {
    /// The tenants. A change of a user alone is none of its tenant.
    pub tenants: NameChanges,
    /// The users.
    pub users: NameChanges,
    /// The addresses that the server listens on since, and those that it closed.
    #[serde(default)]
    pub listeners: NameChanges,
    /// The algorithms and fingerprints of the host keys that new connections see since, and of those that they don't.
    #[serde(default)]
    pub host_keys: NameChanges,
    /// The keys of other settings of the server that have new values.
    #[serde(default)]
    pub settings: Vec<String>,
}

/// The changed names of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameChanges {
    /// Names that are new.
    pub added: NameList,
    /// Names whose values changed.
    pub changed: NameList,
    /// Names that are gone.
    pub removed: NameList,
}

/// The number of names, and the first of them in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameList {
    /// The number of all names.
    pub count: usize,
    /// The first names.
    pub names: Vec<String>,
}

impl NameList {
    /// Lists `names`.
    #[must_use]
    pub fn new<T: Display + Ord>(mut names: Vec<T>) -> Self {
        names.sort();
        Self { count: names.len(), names: names.iter().take(MAX_NAMES).map(ToString::to_string).collect() }
    }

    /// Returns the names as a text for people, or `None` if there are none.
    #[must_use]
    pub(crate) fn text(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.names.len());
        let names = self.names.join(", ");
        match (self.count, more) {
            (0, _) => None,
            (_, 0) => Some(names),
            _ => Some(format!("{names} and {more} more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_short_however_many_names_it_has() {
        assert_eq!(NameList::new(Vec::<String>::new()).text(), None);
        assert_eq!(NameList::new(vec!["b", "a"]).text().unwrap(), "a, b");
        let text = NameList::new((100..200).collect()).text().unwrap();
        assert!(text.starts_with("100, 101, ") && text.ends_with("149 and 50 more"), "{text}");
    }
}
