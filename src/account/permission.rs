//! The permissions of a user below a mount.

use std::{fmt, str::FromStr};

/// One permission below a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    /// Download files.
    Read = 1,
    /// Upload new files.
    Write = 1 << 1,
    /// Replace an existing file, by an upload or by a rename onto it.
    Overwrite = 1 << 2,
    /// List directories.
    List = 1 << 3,
    /// Remove files and directories.
    Delete = 1 << 4,
    /// Rename files and directories.
    Rename = 1 << 5,
    /// Create directories.
    Mkdir = 1 << 6,
}

impl Permission {
    /// Every permission, in the order of the reference config.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Write, Self::Overwrite, Self::List, Self::Delete, Self::Rename, Self::Mkdir];

    /// Returns the word for the config and the logs.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Overwrite => "overwrite",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Mkdir => "mkdir",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An unknown name of a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no permission; there are read, write, overwrite, list, delete, rename and mkdir")]
pub struct UnknownPermission(pub(crate) String);

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.as_str() == word).ok_or_else(|| UnknownPermission(word.to_owned()))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The set of all permissions.
    pub const ALL: Self = Self(0x7f);

    /// Returns the permissions that `words` name, in the format of [`Display`](fmt::Display). Skips unknown words,
    /// because a later version may have more permissions.
    #[must_use]
    pub(crate) fn of_known_words(words: &str) -> Self {
        words.split_ascii_whitespace().filter_map(|word| word.parse::<Permission>().ok()).collect()
    }

    /// True if `permission` is in the set.
    #[must_use]
    pub(crate) const fn contains(self, permission: Permission) -> bool {
        self.0 & permission as u8 != 0
    }

    /// Returns the set with `permission` added.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission as u8)
    }

    /// Returns the set with `permission` removed.
    #[must_use]
    pub const fn without(self, permission: Permission) -> Self {
        Self(self.0 & !(permission as u8))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Writes the words, separated by spaces: `read write`.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permissions = Permission::ALL.into_iter().filter(|p| self.contains(*p));
        f.write_str(&permissions.map(Permission::as_str).collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Permission::ALL.into_iter().filter(|p| self.contains(*p))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back_and_others_are_refused() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
        assert_eq!("admin".parse::<Permission>(), Err(UnknownPermission("admin".into())));
    }

    #[test]
    fn a_set_is_written_as_words_and_read_back() {
        let set = Permissions::NONE.with(Permission::Mkdir).with(Permission::Read);
        for (set, words) in [
            (Permissions::NONE, ""),
            (set, "read mkdir"),
            (Permissions::ALL, "read write overwrite list delete rename mkdir"),
        ] {
            assert_eq!(set.to_string(), words);
            assert_eq!(Permissions::of_known_words(words), set);
        }
        assert_eq!(Permissions::of_known_words("read share mkdir"), set, "`share` is none");
    }

    #[test]
    fn all_holds_every_permission_and_without_takes_one() {
        assert_eq!(Permission::ALL.into_iter().collect::<Permissions>(), Permissions::ALL);
        let set = Permissions::ALL.without(Permission::Overwrite);
        assert!(!set.contains(Permission::Overwrite) && set.contains(Permission::Write));
    }
}
