//! The settings of the spool.

use std::path::{Path, PathBuf};

/// The place of the spool and its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory. Each process of the server makes one of its own in it.
    pub directory: PathBuf,
    /// The most bytes that the files of all processes in it may have together.
    pub max_bytes: u64,
}

impl SpoolSettings {
    /// The bound if the config states none.
    pub(crate) const DEFAULT_MAX_BYTES: u64 = 1 << 30;

    /// The spool beside a SQLite file, with the default bound.
    pub(crate) fn beside(file: &Path) -> Self {
        let mut directory = file.as_os_str().to_owned();
        directory.push(".spool");
        Self { directory: directory.into(), max_bytes: Self::DEFAULT_MAX_BYTES }
    }
}
