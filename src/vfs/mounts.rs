//! The jail: resolves a path to its place in the storage. This is the only file of the vfs that makes keys from paths,
//! each through the prefix of a mount.
//!
//! The longest matching entry wins and hides objects of the same name. The root and the parents of entries exist even
//! if no mount covers them; they only list. The landing directory also exists independently of the storage.

use crate::{
    account::{Mount, Mounts},
    name::{InvalidPath, Key, Prefix, VirtualPath},
};

/// A mount of one user, by its index among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MountNumber(pub(crate) usize);

/// The place of a path in the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// The root or a parent of mounts, outside every mount: a directory that only lists.
    Virtual,
    /// A mount's entry: the directory of its prefix. It always exists.
    Root(&'a Mount),
    /// A name in a mount that is the landing directory, or a parent of it or of another mount. It is a directory
    /// independently of the storage, and includes the storage's entries.
    Parent {
        /// The mount of the path.
        mount: &'a Mount,
        /// The key in the bucket.
        key: Key,
    },
    /// Any other name in a mount.
    Object {
        /// The mount of the path.
        mount: &'a Mount,
        /// The key in the bucket.
        key: Key,
    },
    /// A path in no mount that is no parent of one. No object exists there or can be stored there.
    Nowhere,
}

impl<'a> Place<'a> {
    /// Returns the mount and the prefix of the directory that the path names, or `None` if no mount has one.
    pub(super) fn directory(&self) -> Option<(&'a Mount, Prefix)> {
        match self {
            Self::Root(mount) => Some((mount, mount.prefix.clone())),
            Self::Parent { mount, key } | Self::Object { mount, key } => Some((mount, key.as_directory())),
            Self::Virtual | Self::Nowhere => None,
        }
    }
}

/// Resolves `path` among `mounts`. The only maker of keys from paths.
///
/// # Errors
/// If the path with its mount's prefix is too long for S3.
pub(super) fn resolve<'a>(mounts: &'a Mounts, path: &VirtualPath) -> Result<Place<'a>, InvalidPath> {
    let leads_to_landing = || mounts.landing() == path || mounts.landing().is_below(path);
    let holds_mounts = || mounts.has_entries_below(path);
    let Some(mount) = mounts.covering(path) else {
        return Ok(if path.is_root() || holds_mounts() { Place::Virtual } else { Place::Nowhere });
    };
    let Some(name) = path.relative_to(&mount.entry) else {
        return Ok(Place::Root(mount));
    };
    let key = mount.prefix.key(name).map_err(|_| InvalidPath::TooLong)?;
    let is_parent = holds_mounts() || leads_to_landing();
    Ok(if is_parent { Place::Parent { mount, key } } else { Place::Object { mount, key } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Permissions;
    use proptest::prelude::*;

    fn mounts(list: &[(&str, &str)]) -> Mounts {
        landing_at("/", list)
    }

    fn landing_at(landing: &str, list: &[(&str, &str)]) -> Mounts {
        let configured = |path: &str| VirtualPath::configured(path).unwrap();
        let mount = |(entry, prefix): &(&str, &str)| Mount {
            entry: configured(entry),
            prefix: Prefix::parse(prefix).unwrap(),
            permissions: Permissions::ALL,
        };
        Mounts::new(list.iter().map(mount), configured(landing)).unwrap()
    }

    fn meaning(mounts: &Mounts, path: &str) -> String {
        match resolve(mounts, &VirtualPath::parse(path.as_bytes()).unwrap()).unwrap() {
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
        assert_eq!(resolve(&mounts, &path), Err(InvalidPath::TooLong));
    }

    // S11: The landing directory, and what leads to it, exists whatever storage has.
    #[test]
    fn the_landing_directory_exists_whatever_storage_has() {
        let mounts = landing_at("/in/today", &[("/", "acme/")]);
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
                && let Ok(Place::Object { mount, key } | Place::Parent { mount, key }) = resolve(&mounts, &path)
            {
                prop_assert!(key.as_str().starts_with(mount.prefix.as_str()));
                prop_assert!(key.as_str().split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
