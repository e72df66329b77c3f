//! The form of a path as the client wrote it, which a parsed [`VirtualPath`](super::VirtualPath) no longer has.

/// True if a path, as the client wrote it, can only mean a directory.
#[must_use]
pub(crate) fn names_a_directory(raw: &[u8]) -> bool {
    matches!(last_name(raw), b"" | b"." | b"..")
}

/// True if a path, as the client wrote it, ends in `.` or `..`. Such names can't be removed or renamed.
#[must_use]
pub(crate) fn ends_in_dots(raw: &[u8]) -> bool {
    let end = raw.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last.saturating_add(1));
    matches!(last_name(raw.get(..end).unwrap_or_default()), b"." | b"..")
}

fn last_name(raw: &[u8]) -> &[u8] {
    raw.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_or_dots_at_the_end_make_a_directory() {
        for raw in ["", "/", "a/", "a//", "a/.", "a/..", ".", "..", "a/./"] {
            assert!(names_a_directory(raw.as_bytes()), "{raw:?}");
        }
        for raw in ["a", "/a", "a/b", "a/.b", "a/..b", "a.", "..."] {
            assert!(!names_a_directory(raw.as_bytes()), "{raw:?}");
        }
        for raw in [".", "..", "a/.", "a/..", "a/./", "a/..//", "./"] {
            assert!(ends_in_dots(raw.as_bytes()), "{raw:?}");
        }
        for raw in ["", "/", "a", "a/", "a//", "a/.b", "..a/", "../a"] {
            assert!(!ends_in_dots(raw.as_bytes()), "{raw:?}");
        }
    }
}
