//! The paths that users send. A [`VirtualPath`] is absolute and normal by construction. The edge parses it once; no
//! code behind it meets a `..`, a `//` or a name that S3's XML can't carry.
//!
//! `\` and `%2e` are ordinary characters: this module is the only one that splits paths.

use super::{
    MAX_KEY_BYTES,
    reserved::{VERIFY_DIRECTORY, is_reserved},
};
use std::{fmt, sync::Arc};

/// S3's limit on a key, and so the maximum length of a path, in bytes.
const MAX_PATH_BYTES: usize = MAX_KEY_BYTES;

/// The maximum length of a name between two slashes, in bytes. It is the limit of file systems, so that clients can
/// download every uploaded name.
const MAX_SEGMENT_BYTES: usize = 255;

/// The reason why a path is invalid, in words that a client may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// The path is not UTF-8. The server never converts a name into another.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// A NUL, another control character, U+FFFE or U+FFFF.
    #[error("the name holds a control character")]
    Unspeakable,
    /// A name between two slashes is one of the server's own.
    #[error("names that begin with `{VERIFY_DIRECTORY}` are reserved")]
    Reserved,
    /// A name between two slashes is too long.
    #[error("a name is longer than {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong,
    /// The whole path is too long.
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// A configured path is not in its normal form.
    #[error("the path must begin with `/` and have no empty, `.` or `..` segment and no `/` at its end")]
    NotNormal,
}

/// A path in a user's tree: `/`, or `/` before each of its names. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualPath(Arc<str>);

impl VirtualPath {
    /// Returns the root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Parses a path from a client. A path without a leading `/` starts at the root.
    ///
    /// Drops empty segments and `.`. A `..` drops the name before it, and stays at the root if there is none.
    ///
    /// # Errors
    /// The path isn't UTF-8, holds a control character or a reserved name, or is too long.
    pub fn parse(raw: &[u8]) -> Result<Self, InvalidPath> {
        Self::root().join(raw)
    }

    /// Parses a path from the config, which must be in its normal form.
    ///
    /// # Errors
    /// The errors of [`parse`](Self::parse), or the path isn't in its normal form.
    pub fn configured(raw: &str) -> Result<Self, InvalidPath> {
        let path = Self::parse(raw.as_bytes())?;
        if path.as_str() == raw { Ok(path) } else { Err(InvalidPath::NotNormal) }
    }

    /// Parses a path from a client. A path without a leading `/` starts at this directory.
    ///
    /// # Errors
    /// The errors of [`parse`](Self::parse).
    pub(crate) fn join(&self, raw: &[u8]) -> Result<Self, InvalidPath> {
        let text = std::str::from_utf8(raw).map_err(|_| InvalidPath::NotUtf8)?;
        if text.chars().any(is_unspeakable) {
            return Err(InvalidPath::Unspeakable);
        }
        let mut segments: Vec<&str> = if text.starts_with('/') { Vec::new() } else { self.segments().collect() };
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                name if name.len() > MAX_SEGMENT_BYTES => return Err(InvalidPath::SegmentTooLong),
                name if is_reserved(name) => return Err(InvalidPath::Reserved),
                name => segments.push(name),
            }
        }
        let path = format!("/{}", segments.join("/"));
        if path.len() > MAX_PATH_BYTES { Err(InvalidPath::TooLong) } else { Ok(Self(path.into())) }
    }

    /// Returns the entry `name` of this directory, or `None` if no client could open `name`, which came from a listing.
    #[must_use]
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        if name.contains('/') || matches!(name, "" | "." | "..") {
            return None;
        }
        self.join(name.as_bytes()).ok()
    }

    /// Returns the parent directory, or `None` for the root.
    #[must_use]
    pub(crate) fn parent(&self) -> Option<Self> {
        let (parent, name) = self.0.rsplit_once('/')?;
        match (parent, name) {
            (_, "") => None,
            ("", _) => Some(Self::root()),
            _ => Some(Self(parent.into())),
        }
    }

    /// Returns the last name; empty for the root.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// True if this path lies below `directory` at any depth. No path lies below itself.
    #[must_use]
    pub(crate) fn is_below(&self, directory: &Self) -> bool {
        self.relative_to(directory).is_some()
    }

    /// Returns the path relative to `directory`, as in `a/b`, or `None` if this path doesn't lie below it.
    #[must_use]
    pub(crate) fn relative_to(&self, directory: &Self) -> Option<&str> {
        let rest = if directory.is_root() { &*self.0 } else { self.0.strip_prefix(&*directory.0)? };
        rest.strip_prefix('/').filter(|relative| !relative.is_empty())
    }

    /// True for the root.
    #[must_use]
    pub(crate) fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// Returns the path as clients see it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }
}

/// True for characters that XML 1.0 can't carry, so S3 couldn't list them, and for other control characters, which
/// could forge log lines.
fn is_unspeakable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

impl fmt::Display for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(raw: &str) -> String {
        VirtualPath::parse(raw.as_bytes()).unwrap().as_str().to_owned()
    }

    // S3: `.`, `//` and a trailing `/` are dropped; `..` drops the name before it and stays at the root. `\` and …
    #[test]
    fn paths_become_absolute_and_normal() {
        for (raw, normal) in [
            ("", "/"),
            (".", "/"),
            ("/", "/"),
            ("..", "/"),
            ("/../../etc", "/etc"),
            ("a//b/./c/", "/a/b/c"),
            ("/a/b/../c", "/a/c"),
            ("/a/../../b", "/b"),
            (r"/..\x/%2e%2e/...", r"/..\x/%2e%2e/..."),
            ("/ /a b/ü", "/ /a b/ü"),
        ] {
            assert_eq!(parse(raw), normal, "{raw:?}");
        }
    }

    #[test]
    fn relative_paths_begin_at_the_directory_they_are_joined_to() {
        let home = VirtualPath::configured("/home/alice").unwrap();
        for (raw, joined) in
            [("", "/home/alice"), (".", "/home/alice"), ("x", "/home/alice/x"), ("../bob", "/home/bob")]
        {
            assert_eq!(home.join(raw.as_bytes()).unwrap().as_str(), joined);
        }
        assert_eq!(home.join(b"/x").unwrap().as_str(), "/x");
    }

    // S1: A path is UTF-8; NUL, other control characters, U+FFFE and U+FFFF are refused.
    #[test]
    fn names_that_cannot_be_stored_or_logged_are_refused() {
        for (raw, reason) in [
            (&b"/a\0b"[..], InvalidPath::Unspeakable),
            (b"/a\nb", InvalidPath::Unspeakable),
            (b"/a\x7f", InvalidPath::Unspeakable),
            ("/\u{fffe}".as_bytes(), InvalidPath::Unspeakable),
            ("/\u{ffff}/..".as_bytes(), InvalidPath::Unspeakable),
            (b"/\xff", InvalidPath::NotUtf8),
            (b"/\xc0\xae\xc0\xae/", InvalidPath::NotUtf8),
        ] {
            assert_eq!(VirtualPath::parse(raw), Err(reason), "{raw:?}");
        }
    }

    // S218: No client sees or opens a directory of `tenant verify`: names that begin with …
    #[test]
    fn names_of_the_server_are_refused_at_any_depth() {
        for raw in [".wharfinger-verify-1f", "/a/.wharfinger-verify-/b", "/.wharfinger-verify-x/../a"] {
            assert_eq!(VirtualPath::parse(raw.as_bytes()), Err(InvalidPath::Reserved), "{raw}");
        }
        assert!(VirtualPath::root().child(".wharfinger-verify-1f").is_none());
        for free in
            ["/.wharfinger-verify", "/.wharfinger-verif-1f", "/a.wharfinger-verify-1f", "/.Wharfinger-verify-1f"]
        {
            assert_eq!(parse(free), free);
        }
    }

    // S2: A path has at most 1,024 bytes, with names of at most 255.
    #[test]
    fn lengths_are_limited_to_what_comes_out_again() {
        let segment = "s".repeat(255);
        assert!(VirtualPath::parse(segment.as_bytes()).is_ok());
        assert_eq!(VirtualPath::parse(format!("{segment}s").as_bytes()), Err(InvalidPath::SegmentTooLong));
        let longest = format!("/{segment}").repeat(4);
        assert_eq!(parse(&longest).len(), 1024);
        assert_eq!(VirtualPath::parse(format!("{longest}/x").as_bytes()), Err(InvalidPath::TooLong));
    }

    #[test]
    fn parents_names_and_places_below() {
        let path = VirtualPath::parse(b"/a/b").unwrap();
        let parent = path.parent().unwrap();
        assert_eq!((parent.as_str(), path.name()), ("/a", "b"));
        assert_eq!(parent.parent(), Some(VirtualPath::root()));
        assert_eq!((VirtualPath::root().parent(), VirtualPath::root().name()), (None, ""));
        assert_eq!(path.relative_to(&VirtualPath::root()), Some("a/b"));
        assert!(path.is_below(&parent) && !path.is_below(&path) && !VirtualPath::root().is_below(&VirtualPath::root()));
        let sibling = VirtualPath::parse(b"/ab").unwrap();
        assert!(!sibling.is_below(&parent));
    }

    #[test]
    fn a_child_is_one_name_that_can_be_opened() {
        let root = VirtualPath::root();
        assert_eq!(root.child("a b").unwrap().as_str(), "/a b");
        for bad in ["", ".", "..", "a/b", "/", "a\nb", &"s".repeat(256)] {
            assert_eq!(root.child(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_configured_path_is_written_as_it_is_meant() {
        assert!(VirtualPath::configured("/in").is_ok());
        for bad in ["", "in", "/in/", "/a/../in", "//in", "/./in"] {
            assert_eq!(VirtualPath::configured(bad), Err(InvalidPath::NotNormal), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_sent_a_path_is_normal_and_parses_to_itself(
            raw in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'\\'), any::<u8>()], 0..64)
        ) {
            if let Ok(path) = VirtualPath::parse(&raw) {
                prop_assert_eq!(VirtualPath::parse(path.as_str().as_bytes()).unwrap(), path.clone());
                prop_assert!(path.as_str().starts_with('/'));
                prop_assert!(path.segments().all(|segment| !matches!(segment, "." | "..")));
                prop_assert!(path.is_root() || !path.as_str().contains("//") && !path.as_str().ends_with('/'));
            }
        }
    }
}
