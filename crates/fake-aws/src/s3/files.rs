//! Files that hold the bytes of one request each. A file is written once and never changed.

use super::error::Result;
use crate::unique::unique;
use bytes::Bytes;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::task::spawn_blocking;

/// A file of bytes. Dropping its last user removes it, unless a record names it.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    pub(crate) bytes: u64,
    named: AtomicBool,
}

impl DataFile {
    /// A file that the start found in a record.
    pub(crate) fn found(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes, named: AtomicBool::new(true) }
    }

    /// File name, for a record.
    pub(crate) fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// Sets whether a record names the file, which keeps it on disk.
    pub(crate) fn set_named(&self, named: bool) {
        self.named.store(named, Ordering::Relaxed);
    }

    /// Reads up to `bytes` from `offset`, which must exist. `open` is the file from an earlier read that ended at
    /// `offset`. The result returns it for the next read.
    pub(crate) fn read(&self, open: Option<File>, offset: u64, bytes: u64) -> io::Result<(Bytes, File)> {
        let mut file = if let Some(file) = open {
            file
        } else {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(offset))?;
            file
        };
        let mut block = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        Read::by_ref(&mut file).take(bytes).read_to_end(&mut block)?;
        if block.len() as u64 != bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a data file is shorter than its record says"));
        }
        Ok((block.into(), file))
    }

    /// Makes another file with the same bytes. The two share disk space if the file system supports it.
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        let path = self.path.with_file_name(unique());
        if fs::hard_link(&self.path, &path).is_err() {
            fs::copy(&self.path, &path)?;
            File::open(&path)?.sync_all()?;
        }
        Ok(Self { path, bytes: self.bytes, named: AtomicBool::new(false) })
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if !*self.named.get_mut()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a data file of the fake S3 could not be removed");
        }
    }
}

/// A [`DataFile`] that is being written. Dropping it before `finish` removes the file.
pub(crate) struct FileWriter {
    target: DataFile,
    file: File,
}

impl FileWriter {
    /// Creates a file in the directory `data`.
    pub(crate) async fn create(data: &Path) -> Result<Self> {
        let path = data.join(unique());
        let create = move || -> io::Result<Self> {
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            Ok(Self { target: DataFile { path, bytes: 0, named: AtomicBool::new(false) }, file })
        };
        Ok(blocking(create).await?)
    }

    /// Appends `block`.
    pub(crate) async fn push(mut self, block: Bytes) -> Result<Self> {
        let push = move || -> io::Result<Self> {
            self.file.write_all(&block)?;
            self.target.bytes += block.len() as u64;
            Ok(self)
        };
        Ok(blocking(push).await?)
    }

    /// Syncs the file to disk and returns it.
    pub(crate) async fn finish(self) -> Result<DataFile> {
        let finish = move || -> io::Result<DataFile> {
            self.file.sync_all()?;
            Ok(self.target)
        };
        Ok(blocking(finish).await?)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await?
}
