//! The two RENAMEs of SFTP.

/// How a rename treats a file at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// The rename fails: RENAME of version 3.
    No,
    /// The rename replaces the file: `posix-rename@openssh.com`. Needs `overwrite`.
    Yes,
}
