//! The difference between two directories.

use super::Snapshot;
use crate::name::{TenantName, UserName};
use std::{collections::HashMap, hash::Hash, sync::Arc};

/// The names that one swap of the directory added, changed and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryChanges {
    /// The tenants. A change of a user alone is none of its tenant.
    pub(crate) tenants: Changes<TenantName>,
    /// The users. A user that moved to another tenant is a changed one.
    pub(crate) users: Changes<UserName>,
}

/// The changed names of one kind, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes<T> {
    pub(crate) added: Vec<T>,
    pub(crate) changed: Vec<T>,
    pub(crate) removed: Vec<T>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { added: Vec::new(), changed: Vec::new(), removed: Vec::new() }
    }
}

impl DirectoryChanges {
    /// Compares two directories, the second of which has taken over the `Arc`s of equal values.
    pub(super) fn between(former: &Snapshot, next: &Snapshot) -> Self {
        let tenants = Changes::between(&former.tenants, &next.tenants, |one, other| {
            Arc::ptr_eq(&one.tenant, &other.tenant) && Arc::ptr_eq(&one.storage, &other.storage)
        });
        let users = Changes::between(&former.users, &next.users, |one, other| {
            Arc::ptr_eq(&one.user, &other.user) && Arc::ptr_eq(&one.credentials, &other.credentials)
        });
        Self { tenants, users }
    }
}

impl<T: Clone + Eq + Hash> Changes<T> {
    fn between<V>(former: &HashMap<T, V>, next: &HashMap<T, V>, are_equal: impl Fn(&V, &V) -> bool) -> Self {
        let mut changes = Self::default();
        for (name, value) in next {
            match former.get(name) {
                None => changes.added.push(name.clone()),
                Some(before) if !are_equal(before, value) => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        changes.removed.extend(former.keys().filter(|name| !next.contains_key(name)).cloned());
        changes
    }
}
