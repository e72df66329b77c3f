//! OPEN with CREAT, and without WRITE, APPEND and TRUNC: what is there is opened for reading; where nothing is an empty file
//! comes to be, as flock(1) makes its lock file.
//!
//! Invariant: nothing that is there is replaced, or becomes another version.

use super::{Error, NewAttributes, PendingWrite, Place, ReadHandle, Result, Unsupported, Vfs, Writable, WriteOptions};
use crate::{account::Permission, name::VirtualPath};
use std::{sync::Arc, time::Duration};

/// The outcome of OPEN with CREAT.
#[derive(Debug)]
pub enum Created {
    /// The file that was there.
    Found(ReadHandle),
    /// An empty file that may come to be: see [`PendingWrite::make_empty`].
    Missing(Box<PendingWrite>),
}

impl Vfs {
    /// Opens a file for reading, or prepares to make an empty one. Needs `read` for a file that is there, and `write` where
    /// nothing is.
    ///
    /// # Errors
    /// Those of [`open_read`](Self::open_read) and [`open_write`](Self::open_write) but [`Error::NotFound`],
    /// [`Error::AlreadyExists`] where it is `exclusive`, and [`Error::NotReadableYet`] for an upload that was cut off and
    /// can go on.
    pub async fn open_create(&self, path: &VirtualPath, exclusive: bool, attributes: NewAttributes) -> Result<Created> {
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        let options = WriteOptions { create: true, exclusive: true, ..WriteOptions::default() };
        if exclusive {
            return Ok(Created::Missing(Box::new(self.open_write(path, options, attributes).await?)));
        }
        if mount.allows(Permission::Read) {
            match self.open_read(path).await {
                Err(Error::NotFound) => {}
                opened => return Ok(Created::Found(opened?)),
            }
        }
        if self.is_uploading(path) {
            return Err(Unsupported::SecondWriter.into());
        }
        let bucket = self.bucket(mount).await?;
        // EXCL would give it up. While the journal is down there is none.
        if let Ok(Some(_)) = self.partial(self.keeping(mount, &*bucket, &key)).await {
            return Err(Error::NotReadableYet);
        }
        // Without EXCL a lock is in nobody's way.
        match self.find_writable(path, options, attributes, None).await {
            Err(Error::AlreadyExists) => Ok(Created::Found(self.open_read(path).await?)),
            found => {
                let (file, room, cut_off) = found?;
                Ok(Created::Missing(Box::new(file.begin(room, cut_off)?)))
            }
        }
    }
}

impl PendingWrite {
    /// Publishes the file as it is, empty, and opens it for reading: 1 request. It needs no `read`, because no byte is there.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit) and of the handle's close; [`Error::AlreadyExists`] when a file came to be meanwhile.
    pub async fn make_empty(self, deadline: Duration) -> Result<ReadHandle> {
        let Writable { bucket, node, mount, key, .. } = &self.file;
        let (bucket, budget) = (Arc::clone(bucket), Arc::clone(&node.budget));
        let (mount, key, path) = (mount.clone(), key.clone(), self.path().current());
        let handle = self.admit(deadline).await?;
        let metadata = handle.metadata();
        handle.keep_name();
        // Boxed, because all that makes an empty file would be as large.
        Box::pin(handle.close()).await?;
        Ok(ReadHandle::of_empty(bucket, budget, mount, key, path, metadata))
    }
}
