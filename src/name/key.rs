//! The names of objects. Only a [`Prefix`] makes a [`Key`], and the key stays below it.
//!
//! There are two makers. [`Prefix::key`] takes names from users and is strict. [`Prefix::adopt`] takes names from a
//! listing, which other programs may have written and which may hold any characters.

use super::reserved::is_reserved;
use serde::{Serialize, Serializer};
use std::fmt;

/// S3's limit on a key, in bytes of UTF-8 ("Naming Amazon S3 objects").
pub const MAX_KEY_BYTES: usize = 1024;

/// The reason why a prefix is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// The prefix has no slash at its end: `acme` would also match `acme-archive/`.
    #[error("prefix `{0}` doesn't end in `/`: without it, it would match its neighbours too")]
    NoSlash(String),
    /// It begins with `/`, or holds an empty, `.`, `..` or reserved segment, or a control character.
    #[error("prefix `{0}` has a leading `/`, an empty, `.` or `..` segment, a reserved one, or a control character")]
    NotNormal(String),
    /// The prefix leaves too few bytes for names.
    #[error("prefix is longer than {} bytes", MAX_KEY_BYTES / 2)]
    TooLong,
}

/// The reason why a name below a prefix is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The name is empty, or has an empty, `.`, `..` or reserved segment, or a control character.
    #[error("the name has an empty, `.` or `..` segment, a reserved one, or a control character")]
    NotNormal,
    /// Prefix and name together are longer than S3 allows.
    #[error("the name is longer than {MAX_KEY_BYTES} bytes with its prefix")]
    TooLong,
}

/// The prefix of keys in a bucket. It ends in `/`, or is explicitly empty, which means the whole bucket.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

impl Prefix {
    /// Parses a configured prefix, such as `tenants/acme/`, or the empty string for a whole bucket.
    ///
    /// # Errors
    /// The prefix doesn't end in `/`, isn't normal, or is longer than half a key.
    pub fn parse(raw: &str) -> Result<Self, InvalidPrefix> {
        if raw.is_empty() {
            return Ok(Self(String::new()));
        }
        let Some(body) = raw.strip_suffix('/') else {
            return Err(InvalidPrefix::NoSlash(raw.to_owned()));
        };
        if !is_normal(body) {
            return Err(InvalidPrefix::NotNormal(raw.to_owned()));
        }
        if raw.len() > MAX_KEY_BYTES / 2 {
            return Err(InvalidPrefix::TooLong);
        }
        Ok(Self(raw.to_owned()))
    }

    /// Returns the key of `name`, a relative path of normal segments (`a.txt`, `in/a.txt`) below this prefix.
    ///
    /// # Errors
    /// `name` is empty, not normal or too long.
    pub fn key(&self, name: &str) -> Result<Key, InvalidKey> {
        if !is_normal(name) {
            return Err(InvalidKey::NotNormal);
        }
        let raw = format!("{}{name}", self.0);
        if raw.len() >= MAX_KEY_BYTES {
            // One byte less than S3's limit, so that a directory of this name has room for its `/`.
            return Err(InvalidKey::TooLong);
        }
        Ok(Key(raw))
    }

    /// Returns the key of an object from a listing of this prefix, or `None` if it doesn't lie below the prefix.
    #[must_use]
    pub fn adopt(&self, raw: &str) -> Option<Key> {
        (raw.starts_with(&self.0) && raw.len() > self.0.len()).then(|| Key(raw.to_owned()))
    }

    /// Returns the key below this prefix that corresponds to `raw` below `other`, or `None` if `raw` doesn't lie there.
    #[must_use]
    pub(crate) fn twin(&self, other: &Self, raw: &str) -> Option<Key> {
        raw.strip_prefix(other.as_str()).map(|name| Key(format!("{}{name}", self.0)))
    }

    /// Returns the key of this directory's marker, a zero-byte object, or `None` for a whole bucket, which needs none.
    #[must_use]
    pub fn marker(&self) -> Option<Key> {
        (!self.0.is_empty()).then(|| Key(self.0.clone()))
    }

    /// Returns the name of a file with this directory's name, or `None` for a whole bucket.
    #[must_use]
    pub(crate) fn without_slash(&self) -> Option<Key> {
        self.0.strip_suffix('/').filter(|name| !name.is_empty()).map(|name| Key(name.to_owned()))
    }

    /// Returns the parent directory, which ends in `/` or is empty, and this directory's name in it. Both are empty for
    /// a whole bucket.
    #[must_use]
    pub(crate) fn parent_and_name(&self) -> (&str, &str) {
        let path = self.0.strip_suffix('/').unwrap_or_default();
        path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
    }

    /// True if every key below `other` lies below this prefix.
    #[must_use]
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Returns the prefix in S3's form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The name of one object, known to lie below the prefix that made it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Returns the prefix of a directory of this name: `a/b` becomes `a/b/`.
    #[must_use]
    pub fn as_directory(&self) -> Prefix {
        if self.0.ends_with('/') { Prefix(self.0.clone()) } else { Prefix(format!("{}/", self.0)) }
    }

    /// Returns the directory that the key lies in, or that it is the marker of.
    #[must_use]
    pub(crate) fn directory(&self) -> Prefix {
        Prefix(self.directory_and_name().0.to_owned())
    }

    /// Returns the directory, which ends in `/` or is empty, and the name in it. Joined they are the key.
    #[must_use]
    pub(crate) fn directory_and_name(&self) -> (&str, &str) {
        let name_at = self.0.rfind('/').map_or(0, |slash| slash + 1);
        self.0.split_at(name_at)
    }

    /// True if XML can carry the name. Names from other programs may hold characters that XML can't express at all.
    #[must_use]
    pub(crate) fn fits_xml(&self) -> bool {
        let fits = |c: char| !(c.is_ascii_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
        self.0.chars().all(fits)
    }

    /// Returns the key in S3's form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// True if no segment is empty, `.`, `..` or reserved, and no character is a control character.
fn is_normal(name: &str) -> bool {
    name.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !is_reserved(segment))
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_ends_in_a_slash_or_is_empty() {
        assert!(Prefix::parse("").is_ok());
        assert!(Prefix::parse("bob/").is_ok());
        assert_eq!(Prefix::parse("bob"), Err(InvalidPrefix::NoSlash("bob".into())));
        for bad in ["/", "/bob/", "a//b/", "a/../b/", "./", "a\n/"] {
            assert_eq!(Prefix::parse(bad), Err(InvalidPrefix::NotNormal(bad.into())), "{bad:?}");
        }
        assert_eq!(Prefix::parse(&format!("{}/", "p".repeat(512))), Err(InvalidPrefix::TooLong));
    }

    #[test]
    fn names_that_are_not_normal_make_no_key() {
        let bob = Prefix::parse("bob/").unwrap();
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "..",
            "../bobby/x",
            "a/../../x",
            "a//b",
            ".",
            "a/./b",
            "a\0b",
            "a\nb",
            "a/.wharfinger-verify-1f/b",
        ] {
            assert_eq!(bob.key(bad), Err(InvalidKey::NotNormal), "{bad:?}");
        }
        assert_eq!(bob.key(&"x".repeat(1020)), Err(InvalidKey::TooLong));
        assert_eq!(bob.key(r"..\x%2e%2e").unwrap().as_str(), r"bob/..\x%2e%2e");
    }

    #[test]
    fn a_listing_can_bring_in_only_what_lies_below() {
        let bob = Prefix::parse("bob/").unwrap();
        assert_eq!(bob.adopt("bobby/x"), None);
        assert_eq!(bob.adopt("bob/"), None);
        assert_eq!(bob.adopt("bob//odd/../x").unwrap().as_str(), "bob//odd/../x");
    }

    #[test]
    fn what_xml_can_not_carry_is_known() {
        let fits = |raw: &str| Prefix::parse("").unwrap().adopt(raw).unwrap().fits_xml();
        assert!(fits("a/<b>&\u{85}ü\u{1f600}"));
        for raw in ["a\u{1}", "a\0", "a\n", "\u{fffe}"] {
            assert!(!fits(raw), "{raw:?}");
        }
    }

    #[test]
    fn a_key_is_a_directory_and_a_name() {
        for (prefix, name, parts) in
            [("", "a", ("", "a")), ("bob/", "a", ("bob/", "a")), ("bob/", "a/b", ("bob/a/", "b"))]
        {
            assert_eq!(Prefix::parse(prefix).unwrap().key(name).unwrap().directory_and_name(), parts);
        }
    }

    #[test]
    fn a_directory_is_a_parent_and_a_name() {
        for (prefix, parts) in [("", ("", "")), ("bob/", ("", "bob")), ("bob/a/", ("bob/", "a"))] {
            assert_eq!(Prefix::parse(prefix).unwrap().parent_and_name(), parts);
        }
    }

    proptest! {
        #[test]
        fn every_key_lies_below_its_prefix(name in ".*") {
            let bob = Prefix::parse("bob/").unwrap();
            if let Ok(key) = bob.key(&name) {
                prop_assert!(key.as_str().starts_with("bob/"));
                prop_assert!(!key.as_str().split('/').any(|segment| segment == ".." || segment.is_empty()));
            }
        }
    }
}
