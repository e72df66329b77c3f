//! The key of a file together with the mount that it is reached through.

use super::{InvalidKey, Key, Prefix};

/// A key, and the prefix of the mount that it lies below.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MountedKey {
    mount: Prefix,
    key: Key,
}

impl MountedKey {
    /// Returns the key of `name`, a relative path of normal segments, below `mount`.
    ///
    /// # Errors
    /// `name` is empty, not normal or too long.
    pub fn new(mount: Prefix, name: &str) -> Result<Self, InvalidKey> {
        let key = mount.key(name)?;
        Ok(Self { mount, key })
    }

    /// Returns `key` with its mount, or `None` if the key doesn't lie below the mount.
    #[must_use]
    pub(crate) fn of(mount: &Prefix, key: &Key) -> Option<Self> {
        Some(Self { mount: mount.clone(), key: mount.adopt(key.as_str())? })
    }

    /// Returns the prefix of the mount.
    #[must_use]
    pub(crate) fn mount(&self) -> &Prefix {
        &self.mount
    }

    /// Returns the complete key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the name below the mount.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.key.as_str().get(self.mount.as_str().len()..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_key_lies_below_its_mount() {
        let mount = |raw: &str| Prefix::parse(raw).unwrap();
        for (prefix, name) in [("acme/", "in/a"), ("", "acme/in/a")] {
            let file = MountedKey::new(mount(prefix), name).unwrap();
            assert_eq!((file.key().as_str(), file.name(), file.mount()), ("acme/in/a", name, &mount(prefix)));
            assert_eq!(MountedKey::of(&mount(prefix), file.key()), Some(file));
        }
        for outside in ["../globex", "", "a//b", "/", "a/../../globex"] {
            assert!(MountedKey::new(mount("acme/"), outside).is_err(), "{outside:?}");
        }
        assert_eq!(MountedKey::of(&mount("globex/"), &mount("acme/").key("a").unwrap()), None);
    }
}
