//! The jail: which place of the storage a path means. Keys are made here and nowhere else in the vfs.
//!
//! The longest entry that matches wins and hides what storage has of the same name. The root and the parents of entries
//! exist even where no mount covers them; they only list. The landing directory exists whatever storage has, too.

use super::Error;
use crate::{
    account::{self, Permission, Permissions},
    name::{InvalidPath, InvalidPrefix, Key, Prefix, VirtualPath},
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Mounts that can't make a tree, and why. The words are for the operator who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMounts {
    /// Without a mount there is nothing to see.
    #[error("the user has no mount: add at least one, such as an entry `/`")]
    None,
    /// The entry is no path.
    #[error("mount entry `{}`: {reason}", entry.escape_debug())]
    Entry {
        /// As it was written.
        entry: String,
        /// What is wrong with it.
        reason: InvalidPath,
    },
    /// The prefix is none.
    #[error("mount `{entry}`: {reason}")]
    Prefix {
        /// The mount's entry.
        entry: String,
        /// What is wrong with its prefix.
        reason: InvalidPrefix,
    },
    /// Two mounts in one place.
    #[error("two mounts have the entry `{0}`: entries must be unique")]
    Duplicate(String),
    /// The landing directory is no path.
    #[error("landing directory `{}`: {reason}", landing.escape_debug())]
    Landing {
        /// As it was written.
        landing: String,
        /// What is wrong with it.
        reason: InvalidPath,
    },
    /// The landing directory can never exist.
    #[error("landing directory `{0}` lies in no mount")]
    LandingOutside(String),
}

/// An entry of the tree and the place that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it appears.
    pub entry: VirtualPath,
    /// What it shows.
    pub prefix: Prefix,
    /// What the user may do below it.
    pub permissions: Permissions,
}

impl Mount {
    /// Whether the user may do that here.
    #[must_use]
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Goes on only where the user may do that.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn demand(&self, permission: Permission) -> Result<(), Error> {
        if self.allows(permission) { Ok(()) } else { Err(Error::Denied(permission)) }
    }
}

/// A mount of one user, by its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountNumber(pub(crate) usize);

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// The root or a parent of mounts, in no mount itself: a directory that only lists.
    Virtual,
    /// A mount's entry: the directory of its prefix, which always exists.
    Root(&'a Mount),
    /// A name in a mount that leads to another mount, or to the landing directory, or is that: a directory whatever
    /// storage has, storage's entries in it.
    Parent {
        /// The mount that it lies in.
        mount: &'a Mount,
        /// Its name there.
        key: Key,
    },
    /// A name in a mount.
    Object {
        /// The mount that it lies in.
        mount: &'a Mount,
        /// Its name there.
        key: Key,
    },
    /// In no mount, and no parent of one: nothing is there, and nothing can be put there.
    Nowhere,
}

impl<'a> Place<'a> {
    /// The mount and the prefix of a directory that the path names; `None` where no mount is.
    pub(super) fn directory(&self) -> Option<(&'a Mount, Prefix)> {
        match self {
            Self::Root(mount) => Some((mount, mount.prefix.clone())),
            Self::Parent { mount, key } | Self::Object { mount, key } => Some((mount, key.as_directory())),
            Self::Virtual | Self::Nowhere => None,
        }
    }
}

/// The mounts of one user.
#[derive(Debug, Clone)]
pub struct Mounts {
    /// The longest entry first.
    mounts: Vec<Mount>,
    landing: VirtualPath,
}

impl Mounts {
    /// Checks a user's mounts, and the directory in which sessions start.
    ///
    /// # Errors
    /// When there is no mount, an entry or prefix isn't normal, two entries are equal, or no mount could ever hold the
    /// landing directory.
    pub fn new(mounts: &[account::Mount], landing: &str) -> Result<Self, InvalidMounts> {
        let mut mounts = mounts.iter().map(mount).collect::<Result<Vec<_>, _>>()?;
        if mounts.is_empty() {
            return Err(InvalidMounts::None);
        }
        let mut entries = BTreeSet::new();
        if let Some(twice) = mounts.iter().find(|mount| !entries.insert(mount.entry.clone())) {
            return Err(InvalidMounts::Duplicate(twice.entry.to_string()));
        }
        mounts.sort_by_key(|mount| Reverse(mount.entry.as_str().len()));
        let invalid = |reason| InvalidMounts::Landing { landing: landing.to_owned(), reason };
        let mounts = Self { mounts, landing: VirtualPath::configured(landing).map_err(invalid)? };
        match mounts.resolve(&mounts.landing) {
            Ok(Place::Nowhere) => Err(InvalidMounts::LandingOutside(landing.to_owned())),
            Ok(_) => Ok(mounts),
            Err(_) => Err(invalid(InvalidPath::TooLong)),
        }
    }

    /// The directory in which sessions start.
    #[must_use]
    pub fn landing(&self) -> &VirtualPath {
        &self.landing
    }

    /// What `path` means.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] when the path is too long for S3 together with the mount's prefix.
    pub fn resolve(&self, path: &VirtualPath) -> Result<Place<'_>, Error> {
        let leads_to_landing = || self.landing == *path || self.landing.is_below(path);
        let holds_mounts = || self.mounts.iter().any(|mount| mount.entry.is_below(path));
        let covering = self.mounts.iter().find(|mount| mount.entry == *path || path.is_below(&mount.entry));
        let Some(mount) = covering else {
            return Ok(if path.is_root() || holds_mounts() { Place::Virtual } else { Place::Nowhere });
        };
        let Some(name) = path.relative_to(&mount.entry) else {
            return Ok(Place::Root(mount));
        };
        let key = mount.prefix.key(name).map_err(|_| InvalidPath::TooLong)?;
        Ok(if holds_mounts() || leads_to_landing() {
            Place::Parent { mount, key }
        } else {
            Place::Object { mount, key }
        })
    }

    /// The mount that covers `path`.
    #[must_use]
    pub fn number(&self, path: &VirtualPath) -> Option<MountNumber> {
        let covers = |mount: &Mount| mount.entry == *path || path.is_below(&mount.entry);
        self.mounts.iter().position(covers).map(MountNumber)
    }

    /// The names in `directory` that exist whatever storage has, in order: mounts, the landing directory, and what leads
    /// to them.
    #[must_use]
    pub fn names_in(&self, directory: &VirtualPath) -> BTreeSet<String> {
        let first = |relative: &str| relative.split('/').next().map(str::to_owned);
        let entries = self.mounts.iter().map(|mount| &mount.entry).chain([&self.landing]);
        entries.filter_map(|entry| entry.relative_to(directory).and_then(first)).collect()
    }
}

fn mount(raw: &account::Mount) -> Result<Mount, InvalidMounts> {
    let entry = VirtualPath::configured(&raw.entry)
        .map_err(|reason| InvalidMounts::Entry { entry: raw.entry.clone(), reason })?;
    let prefix =
        Prefix::parse(&raw.prefix).map_err(|reason| InvalidMounts::Prefix { entry: raw.entry.clone(), reason })?;
    Ok(Mount { entry, prefix, permissions: raw.permissions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(entry: &str, prefix: &str) -> account::Mount {
        account::Mount { entry: entry.into(), prefix: prefix.into(), permissions: Permissions::ALL }
    }

    fn mounts(list: &[(&str, &str)]) -> Mounts {
        landing_at("/", list).unwrap()
    }

    fn landing_at(landing: &str, list: &[(&str, &str)]) -> Result<Mounts, InvalidMounts> {
        Mounts::new(&list.iter().map(|(entry, prefix)| raw(entry, prefix)).collect::<Vec<_>>(), landing)
    }

    fn meaning(mounts: &Mounts, path: &str) -> String {
        match mounts.resolve(&VirtualPath::parse(path.as_bytes()).unwrap()).unwrap() {
            Place::Virtual => "virtual".into(),
            Place::Root(mount) => format!("root {}", mount.prefix.as_str()),
            Place::Parent { key, .. } => format!("parent {}", key.as_str()),
            Place::Object { key, .. } => key.as_str().to_owned(),
            Place::Nowhere => "nowhere".into(),
        }
    }

    // S8: The longest entry that matches a path wins.
    #[test]
    fn the_longest_entry_wins() {
        let mounts = mounts(&[("/", "acme/"), ("/a/b", "shared/"), ("/a/b/c", "deep/")]);
        for (path, meant) in [
            ("/", "root acme/"),
            ("/x", "acme/x"),
            ("/a", "parent acme/a"),
            ("/a/x", "acme/a/x"),
            ("/a/bc", "acme/a/bc"),
            ("/a/b", "root shared/"),
            ("/a/b/x", "shared/x"),
            ("/a/b/c", "root deep/"),
            ("/a/b/c/x/y", "deep/x/y"),
        ] {
            assert_eq!(meaning(&mounts, path), meant, "{path}");
        }
    }

    // S10: The root and the parents of mounts exist even where no mount covers them; there they only list.
    #[test]
    fn the_root_and_the_parents_of_entries_are_virtual() {
        let mounts = mounts(&[("/in", "acme/in/"), ("/team/out", "acme/out/"), ("/team/log", "acme/log/")]);
        for (path, meant) in [("/", "virtual"), ("/team", "virtual"), ("/teams", "nowhere"), ("/team/x", "nowhere")] {
            assert_eq!(meaning(&mounts, path), meant, "{path}");
        }
        let names = |path: &str| Vec::from_iter(mounts.names_in(&VirtualPath::parse(path.as_bytes()).unwrap()));
        assert_eq!(names("/"), ["in", "team"]);
        assert_eq!(names("/team"), ["log", "out"]);
        assert!(names("/in").is_empty());
    }

    // S6: With the mount's prefix a path must fit into S3's 1,024 bytes.
    #[test]
    fn a_path_too_long_for_s3_with_its_prefix_is_refused() {
        let mounts = mounts(&[("/", "acme/")]);
        let path = VirtualPath::parse(format!("/{}", "s".repeat(255)).repeat(4).as_bytes()).unwrap();
        assert!(matches!(mounts.resolve(&path), Err(Error::InvalidPath(InvalidPath::TooLong))));
    }

    #[test]
    fn mounts_that_make_no_tree_are_refused_with_a_sentence() {
        let refused = |list: &[account::Mount]| Mounts::new(list, "/").unwrap_err().to_string();
        assert!(refused(&[]).starts_with("the user has no mount"));
        assert_eq!(
            refused(&[raw("/a", "x/"), raw("/a", "y/")]),
            "two mounts have the entry `/a`: entries must be unique"
        );
        assert!(refused(&[raw("/a/", "x/")]).starts_with("mount entry `/a/`: the path must begin with `/`"));
        assert!(refused(&[raw("/a", "acme")]).starts_with("mount `/a`: prefix `acme` doesn't end in `/`"));
    }

    #[test]
    fn the_landing_directory_lies_in_the_tree() {
        let landing = |landing| landing_at(landing, &[("/team/in", "acme/")]);
        for good in ["/", "/team", "/team/in", "/team/in/today"] {
            assert_eq!(landing(good).unwrap().landing().as_str(), good);
        }
        assert_eq!(landing("/else").unwrap_err(), InvalidMounts::LandingOutside("/else".into()));
        assert!(matches!(landing("team"), Err(InvalidMounts::Landing { .. })));
    }

    // S11: The landing directory, and what leads to it, exists whatever storage has.
    #[test]
    fn the_landing_directory_exists_whatever_storage_has() {
        let mounts = landing_at("/in/today", &[("/", "acme/")]).unwrap();
        for (path, meant) in [
            ("/in", "parent acme/in"),
            ("/in/today", "parent acme/in/today"),
            ("/in/today/x", "acme/in/today/x"),
            ("/int", "acme/int"),
        ] {
            assert_eq!(meaning(&mounts, path), meant, "{path}");
        }
        let names = |path: &str| Vec::from_iter(mounts.names_in(&VirtualPath::parse(path.as_bytes()).unwrap()));
        assert_eq!((names("/"), names("/in")), (vec!["in".to_owned()], vec!["today".to_owned()]));
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_prefix_of_its_mount(raw in prop::collection::vec(any::<u8>(), 0..48)) {
            let mounts = mounts(&[("/", "acme/"), ("/in", "acme-in/")]);
            if let Ok(path) = VirtualPath::parse(&raw)
                && let Ok(Place::Object { mount, key } | Place::Parent { mount, key }) = mounts.resolve(&path)
            {
                prop_assert!(key.as_str().starts_with(mount.prefix.as_str()));
                prop_assert!(key.as_str().split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
