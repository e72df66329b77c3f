//! The files whose changes may change the config, and their contents at one time.
//!
//! ConfigContents are compared, not times: a file may change twice within the resolution of its time, and Kubernetes
//! swaps a symbolic link under files whose times stay.

use super::reading::list_tenant_files;
use crate::files;
use sha2::{Digest as _, Sha256};
use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The bytes of a file that count. No valid file is larger.
const MAX_BYTES: u64 = 16 << 20;

/// The server's file, the files of the tenants' directory, and the files that they name.
#[derive(Clone, Debug)]
pub(crate) struct WatchedFiles {
    pub(super) file: PathBuf,
    /// `None` if the server's file doesn't say.
    pub(super) directory: Option<PathBuf>,
    pub(super) named: Vec<PathBuf>,
}

/// The contents of all files at one time, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConfigContents([u8; 32]);

impl WatchedFiles {
    /// Reads all files. Files that can't be read count with their errors.
    pub(crate) fn contents(&self) -> ConfigContents {
        let mut hash = Sha256::new();
        add_file(&mut hash, &self.file);
        match self.directory.as_deref().map(list_tenant_files) {
            Some(Ok(files)) => files.iter().for_each(|file| add_file(&mut hash, file)),
            Some(Err(error)) => add_error(&mut hash, &error),
            None => {}
        }
        self.named.iter().for_each(|file| add_file(&mut hash, file));
        ConfigContents(hash.finalize().into())
    }
}

/// Adds the path and the content. Each is preceded by its length, so that no two sets of files have one hash.
fn add_file(hash: &mut Sha256, file: &Path) {
    add_bytes(hash, file.as_os_str().as_encoded_bytes());
    let mut content = Vec::new();
    match files::open(file).and_then(|opened| opened.take(MAX_BYTES).read_to_end(&mut content)) {
        Ok(_) => add_bytes(hash, &content),
        Err(error) => add_error(hash, &error),
    }
}

fn add_error(hash: &mut Sha256, error: &io::Error) {
    add_bytes(hash, error.to_string().as_bytes());
}

fn add_bytes(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
