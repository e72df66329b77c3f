//! A user's mounts. The config validates them once, so all other code can trust them.

use super::{Permission, Permissions};
use crate::name::{InvalidPath, Prefix, VirtualPath};
use std::{cmp::Reverse, collections::BTreeSet};

/// An entry of a user's tree and its prefix in the tenant's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path of the entry.
    pub entry: VirtualPath,
    /// The full prefix in the bucket, including the tenant's own.
    pub prefix: Prefix,
    /// The user's permissions below the entry.
    pub permissions: Permissions,
}

/// The mount doesn't grant this permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(pub(crate) Permission);

impl Mount {
    /// True if the mount grants the permission.
    #[must_use]
    pub(crate) fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Requires a permission.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn demand(&self, permission: Permission) -> Result<(), Denied> {
        if self.allows(permission) { Ok(()) } else { Err(Denied(permission)) }
    }

    fn covers(&self, path: &VirtualPath) -> bool {
        self.entry == *path || path.is_below(&self.entry)
    }
}

/// The reason why mounts can't form a tree, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMounts {
    /// The user has no mount.
    #[error("the user has no mount: add at least one, such as an entry `/`")]
    None,
    /// Two mounts have the same entry.
    #[error("two mounts have the entry `{0}`: entries must be unique")]
    Duplicate(VirtualPath),
    /// The landing directory can't be a key of its mount.
    #[error("landing directory `{landing}`: {reason}")]
    Landing {
        /// The path of the landing directory.
        landing: VirtualPath,
        /// The reason.
        reason: InvalidPath,
    },
    /// The landing directory lies in no mount.
    #[error("landing directory `{0}` lies in no mount")]
    LandingOutside(VirtualPath),
}

/// The mounts of one user: at least one, each at an entry of its own. The longest entry that matches a path wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// The mounts, the longest entry first.
    mounts: Vec<Mount>,
    landing: VirtualPath,
}

impl Mounts {
    /// Validates a user's mounts and landing directory.
    ///
    /// # Errors
    /// There is no mount, two entries are equal, or no mount can hold the landing directory.
    pub fn new(mounts: impl IntoIterator<Item = Mount>, landing: VirtualPath) -> Result<Self, InvalidMounts> {
        let mut mounts = Vec::from_iter(mounts);
        if mounts.is_empty() {
            return Err(InvalidMounts::None);
        }
        let mut entries = BTreeSet::new();
        if let Some(twice) = mounts.iter().find(|mount| !entries.insert(&mount.entry)) {
            return Err(InvalidMounts::Duplicate(twice.entry.clone()));
        }
        mounts.sort_by_key(|mount| Reverse(mount.entry.as_str().len()));
        let mounts = Self { mounts, landing };
        mounts.check_landing()?;
        Ok(mounts)
    }

    /// Returns one mount at `/`, which is also the landing directory.
    #[must_use]
    pub fn at_root(prefix: Prefix, permissions: Permissions) -> Self {
        let entry = VirtualPath::root();
        Self { mounts: vec![Mount { entry: entry.clone(), prefix, permissions }], landing: entry }
    }

    fn check_landing(&self) -> Result<(), InvalidMounts> {
        let landing = &self.landing;
        let Some(mount) = self.covering(landing) else {
            let exists = landing.is_root() || self.has_entries_below(landing);
            return if exists { Ok(()) } else { Err(InvalidMounts::LandingOutside(landing.clone())) };
        };
        match landing.relative_to(&mount.entry).map(|name| mount.prefix.key(name)) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(InvalidMounts::Landing { landing: landing.clone(), reason: InvalidPath::TooLong }),
        }
    }

    /// Returns the directory in which sessions start.
    #[must_use]
    pub(crate) fn landing(&self) -> &VirtualPath {
        &self.landing
    }

    /// Returns the mounts, the longest entry first.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }

    /// Returns the mount of `path`.
    #[must_use]
    pub(crate) fn covering(&self, path: &VirtualPath) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.covers(path))
    }

    /// Returns the index in [`iter`](Self::iter) of the mount of `path`.
    #[must_use]
    pub(crate) fn position(&self, path: &VirtualPath) -> Option<usize> {
        self.mounts.iter().position(|mount| mount.covers(path))
    }

    /// True if a mount's entry lies below `directory`.
    #[must_use]
    pub(crate) fn has_entries_below(&self, directory: &VirtualPath) -> bool {
        self.mounts.iter().any(|mount| mount.entry.is_below(directory))
    }

    /// Returns the names in `directory` that exist independently of the storage, in order: mounts, the landing
    /// directory, and their parents.
    #[must_use]
    pub(crate) fn names_in(&self, directory: &VirtualPath) -> BTreeSet<String> {
        let first = |relative: &str| relative.split('/').next().map(str::to_owned);
        let entries = self.mounts.iter().map(|mount| &mount.entry).chain([&self.landing]);
        entries.filter_map(|entry| entry.relative_to(directory).and_then(first)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(entry: &str, prefix: &str) -> Mount {
        Mount { entry: path(entry), prefix: Prefix::parse(prefix).unwrap(), permissions: Permissions::ALL }
    }

    fn path(raw: &str) -> VirtualPath {
        VirtualPath::configured(raw).unwrap()
    }

    #[test]
    fn mounts_that_make_no_tree_are_refused_with_a_sentence() {
        let refused = |list: &[Mount]| Mounts::new(list.iter().cloned(), path("/")).unwrap_err().to_string();
        assert!(refused(&[]).starts_with("the user has no mount"));
        assert_eq!(
            refused(&[mount("/a", "x/"), mount("/a", "y/")]),
            "two mounts have the entry `/a`: entries must be unique"
        );
    }

    #[test]
    fn the_landing_directory_lies_in_the_tree() {
        let landing = |landing| Mounts::new([mount("/team/in", "acme/")], path(landing));
        for good in ["/", "/team", "/team/in", "/team/in/today"] {
            assert_eq!(landing(good).unwrap().landing().as_str(), good);
        }
        assert_eq!(landing("/else").unwrap_err(), InvalidMounts::LandingOutside(path("/else")));
    }

    #[test]
    fn the_landing_directory_fits_into_a_key() {
        let long = format!("/{}", "s".repeat(255)).repeat(4);
        let error = Mounts::new([mount("/", "acme/")], path(&long)).unwrap_err();
        assert_eq!(error, InvalidMounts::Landing { landing: path(&long), reason: InvalidPath::TooLong });
        assert!(error.to_string().ends_with("`: the path is longer than 1024 bytes"), "{error}");
    }

    #[test]
    fn a_permission_that_is_missing_is_denied() {
        let mount = Mount { permissions: Permissions::ALL.without(Permission::Delete), ..mount("/", "acme/") };
        assert_eq!(mount.demand(Permission::Delete), Err(Denied(Permission::Delete)));
        assert_eq!(mount.demand(Permission::Read), Ok(()));
    }
}
