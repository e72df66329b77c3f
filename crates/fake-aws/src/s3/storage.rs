//! Storage of the objects: memory, or a directory.

use super::{
    directory::{StorageDirectory, UnusableDirectory},
    store::Store,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::task::spawn_blocking;

/// Storage of the objects.
#[derive(Clone, Debug)]
pub enum StorageKind {
    /// In memory. The objects end with the process.
    Memory {
        /// Limit on objects, parts of open uploads and their names, in bytes. Writes beyond it are refused.
        max_bytes: u64,
    },
    /// Durably, in a directory of its own. Open multipart uploads end with the process.
    Directory(PathBuf),
}

impl StorageKind {
    /// Opens the storage. Of the buckets in a directory, it opens `buckets` alone.
    pub(crate) async fn open(self, buckets: Vec<String>) -> Result<Store, UnusableDirectory> {
        match self {
            Self::Memory { max_bytes } => Ok(Store::in_memory(buckets, max_bytes)),
            Self::Directory(path) => {
                let opened = path.clone();
                spawn_blocking(move || open(&opened, &buckets))
                    .await
                    .unwrap_or_else(|error| Err(error.into()))
                    .map_err(|source| UnusableDirectory { path, source })
            }
        }
    }
}

fn open(path: &Path, buckets: &[String]) -> io::Result<Store> {
    let (directory, mut found) = StorageDirectory::open(path, buckets)?;
    found.retain(|bucket, _| buckets.contains(bucket));
    Store::in_directory(directory, found).map_err(io::Error::other)
}
