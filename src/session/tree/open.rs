//! The verbs that open files and directories. Each gives the edge a file that carries its record.

use super::{AccountView, SessionTree};
use crate::{
    events::Outcome,
    name::VirtualPath,
    session::{
        FileDownload, OpenDirectory, PendingUpload, UnchangedFile, outcome, progress::TransferPath, registry::OpenMount,
    },
    vfs::{CreateOutcome, Error, NewAttributes, ReadHandle, Result, Unsupported, UpdateOutcome, WriteOptions},
};
use std::{sync::Arc, time::Duration};

/// A file that was opened for writing.
#[derive(Debug)]
pub enum WriteOpening {
    /// The file existed, and the client may also read it. It is a download until its first change.
    Unchanged(FileDownload, Arc<UnchangedFile>),
    /// A new file, one that starts over, or an interrupted upload that is resumed.
    Upload(Box<PendingUpload>),
}

impl SessionTree {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of [`Vfs::open_read`](crate::vfs::Vfs::open_read).
    pub async fn open_read(self: &Arc<Self>, path: &VirtualPath) -> Result<FileDownload> {
        let (handle, mount) = self.recorded("OPEN", path, self.find_to_read(path).await)?;
        Ok(FileDownload::begin(self, handle, mount))
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// Those of [`Vfs::open_directory`](crate::vfs::Vfs::open_directory).
    pub async fn open_directory(self: &Arc<Self>, path: &VirtualPath) -> Result<OpenDirectory> {
        let opened = async {
            let view = self.view_of_request()?;
            let handle = view.vfs.open_directory(path).await?;
            let mount = view.mount_of(path).filter(|_| handle.lists_storage());
            Ok((handle, mount))
        };
        let (handle, mount) = self.recorded("OPENDIR", path, opened.await)?;
        Ok(OpenDirectory::new(self, handle, mount))
    }

    /// Opens a file for reading, and first creates an empty one if there is none. Waits for `turn` before it creates
    /// the file.
    ///
    /// Run it to its end once `turn` has succeeded: S3 may store the file, and a dropped OPEN is recorded as abandoned.
    ///
    /// # Errors
    /// Those of `turn`, of [`Vfs::open_create`](crate::vfs::Vfs::open_create) and of
    /// [`PendingWrite::create_empty`](crate::vfs::PendingWrite::create_empty).
    pub(crate) async fn open_create(
        self: &Arc<Self>,
        path: &VirtualPath,
        (exclusive, attributes): (bool, NewAttributes),
        turn: impl Future<Output = Result<()>>,
        upload_wait: Duration,
    ) -> Result<FileDownload> {
        let opened = self.find_or_create(path, (exclusive, attributes), turn, upload_wait).await;
        let (handle, mount) = self.recorded("OPEN", path, opened)?;
        Ok(FileDownload::begin(self, handle, mount))
    }

    async fn find_to_read(&self, path: &VirtualPath) -> Result<(ReadHandle, Arc<OpenMount>)> {
        loop {
            let view = self.view_of_request()?;
            let handle = view.vfs.open_read(path).await?;
            if let Some(mount) = self.open_mount(&view, path)? {
                return Ok((handle, mount));
            }
        }
    }

    /// Notes that the file at `path`, which was found in `view`, is open. Returns `None` if the path leads to another
    /// mount since a reload: the request then begins again, with the rights that the session has now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no mount holds the path; [`Error::SessionEnds`] if the session has lost its rights.
    fn open_mount(&self, view: &AccountView, path: &VirtualPath) -> Result<Option<Arc<OpenMount>>> {
        let mount = view.mount_of(path).ok_or(Error::NotFound)?;
        Ok(self.entry.open_mount(path, mount)?.map(Arc::new))
    }

    async fn find_or_create(
        self: &Arc<Self>,
        path: &VirtualPath,
        (exclusive, attributes): (bool, NewAttributes),
        turn: impl Future<Output = Result<()>>,
        upload_wait: Duration,
    ) -> Result<(ReadHandle, Arc<OpenMount>)> {
        let (created, mount) = loop {
            let view = self.view_of_request()?;
            let created = view.vfs.open_create(path, exclusive, attributes).await?;
            if let Some(mount) = self.open_mount(&view, path)? {
                break (created, mount);
            }
        };
        let pending = match created {
            CreateOutcome::Found(handle) => return Ok((handle, mount)),
            CreateOutcome::Missing(pending) => pending,
        };
        turn.await?;
        self.vfs().forget_failed_upload(path).await;
        let transfer = self.begin_transfer(TransferPath::Upload(pending.path().clone()));
        match pending.create_empty(upload_wait).await {
            Err(Error::AlreadyExists) if !exclusive => {
                transfer.fail(Outcome::Refused(Error::AlreadyExists.to_string()));
                self.find_to_read(path).await
            }
            made => {
                match &made {
                    Ok((_, published)) => transfer.done(0, published.as_ref()),
                    Err(error) => transfer.fail(outcome(error)),
                }
                made.map(|(handle, _)| (handle, mount))
            }
        }
    }

    /// Opens a file for writing. If this tree is uploading the file, the OPEN waits for `later` and is tried once more.
    /// The output of `later` lives until then.
    ///
    /// # Errors
    /// Those of [`Vfs::open_write`](crate::vfs::Vfs::open_write).
    pub async fn open_write<T>(
        self: &Arc<Self>,
        path: &VirtualPath,
        options: WriteOptions,
        attributes: NewAttributes,
        later: impl Future<Output = T>,
    ) -> Result<WriteOpening> {
        let open = async || loop {
            let view = self.view_of_request()?;
            let opened = view.vfs.open_update(path, options, attributes).await?;
            if let Some(mount) = self.open_mount(&view, path)? {
                return Ok((opened, mount));
            }
        };
        let mut opened = open().await;
        if let Err(Error::Unsupported(Unsupported::SecondWriter)) = opened {
            let _turn = later.await;
            opened = open().await;
        }
        let (opened, mount) = self.recorded("OPEN", path, opened)?;
        Ok(match opened {
            UpdateOutcome::Unchanged(handle, update) => {
                let file = Arc::new(UnchangedFile::new(self, update, Arc::clone(&mount)));
                WriteOpening::Unchanged(FileDownload::unread(self, handle, mount), file)
            }
            UpdateOutcome::Upload(pending) => WriteOpening::Upload(Box::new(PendingUpload::new(self, pending, mount))),
        })
    }
}
