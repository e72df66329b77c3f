//! The names that clients can't use: those of the directories in which `wharfinger tenant verify` works.

/// Begins the name of such a directory. A UUID follows.
pub(crate) const VERIFY_DIRECTORY: &str = ".wharfinger-verify-";

/// True for the name, between two slashes, of a directory of the server's own. No path and no listing shows one.
pub(super) fn is_reserved(segment: &str) -> bool {
    segment.starts_with(VERIFY_DIRECTORY)
}
