//! Files that hold the bytes of one request each, written once and never changed.

use super::{error::Result, unique};
use bytes::Bytes;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::task::spawn_blocking;

/// A file of bytes. It is removed with its last user unless a record names it.
#[derive(Debug)]
pub struct DataFile {
    path: PathBuf,
    /// Its length.
    pub bytes: u64,
    named: AtomicBool,
}

impl DataFile {
    /// A file that a record names, found at start.
    pub fn found(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes, named: AtomicBool::new(true) }
    }

    /// Its name, for a record.
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// Whether a record names it, so that it shall stay.
    pub fn set_named(&self, named: bool) {
        self.named.store(named, Ordering::Relaxed);
    }

    /// Up to `bytes` from `offset` on, which must be there. `open` is the file from an earlier read that ended at
    /// `offset`; it comes back for the next one.
    pub fn read(&self, open: Option<File>, offset: u64, bytes: u64) -> io::Result<(Bytes, File)> {
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

    /// Another file of the same bytes, which shares the space where the file system can.
    pub fn duplicate(&self) -> io::Result<Self> {
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
            tracing::warn!(path = %self.path.display(), %error, "a data file of the demo's S3 could not be removed");
        }
    }
}

/// A [`DataFile`] that is being written. Dropped early, it leaves nothing.
pub struct FileWriter {
    target: DataFile,
    file: File,
}

impl FileWriter {
    /// Begins a file in the directory `data`.
    pub async fn create(data: &Path) -> Result<Self> {
        let path = data.join(unique());
        let create = move || -> io::Result<Self> {
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            Ok(Self { target: DataFile { path, bytes: 0, named: AtomicBool::new(false) }, file })
        };
        Ok(blocking(create).await?)
    }

    /// Appends `block`.
    pub async fn push(mut self, block: Bytes) -> Result<Self> {
        let push = move || -> io::Result<Self> {
            self.file.write_all(&block)?;
            self.target.bytes += block.len() as u64;
            Ok(self)
        };
        Ok(blocking(push).await?)
    }

    /// The whole file, on the disk.
    pub async fn finish(self) -> Result<DataFile> {
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
