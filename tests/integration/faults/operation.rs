//! Operations as a client performs them. After an error the client closes its handle and stops.

use super::world::{BIG, BIG_BYTES, OLD};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use wharfinger::{
    name::VirtualPath,
    vfs::{
        CopyRange, Entry, Error, Kind, NewAttributes, Replace, Result, SetAttributes, Times, Vfs, WriteHandle,
        WriteOptions,
    },
};

const MIB: usize = 1 << 20;
static NEW_CONTENT: [u8; 9 * MIB] = [b'n'; 9 * MIB];
const NEW_FILE: WriteOptions =
    WriteOptions { write: true, create: true, truncate: true, read: false, exclusive: false, append: false };
/// Size of OpenSSH's READ.
const READ_BYTES: u32 = 255 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VfsOperation {
    /// A new file of one part, or of several.
    Upload {
        size: usize,
        exclusive: bool,
    },
    /// The same over an existing file.
    Overwrite {
        size: usize,
    },
    Download(&'static str),
    Stat(&'static str),
    List,
    Mkdir,
    Rmdir,
    Remove,
    /// RENAME to a new name.
    Rename,
    /// `posix-rename@openssh.com` onto a file.
    RenameOver,
    RenameEmptyDirectory,
    /// RENAME of a directory that isn't empty, after SETSTAT of times in it.
    RenameDirectory,
    /// SETSTAT of times.
    SetTimes,
    /// SETSTAT of times after the CLOSE of a new file.
    UploadAndSetTimes,
    /// SETSTAT of times, then RENAME.
    SetTimesAndRename,
    /// A WRITE in the middle of a file.
    Patch(&'static str),
    /// An upload that loses its connection and is resumed.
    Resume,
    /// COPY-DATA to a new file.
    Copy(&'static str),
}

/// The answer of an operation.
#[derive(Debug, PartialEq, Eq)]
pub enum OperationAnswer {
    Nothing,
    Bytes(Bytes),
    Names(Vec<String>),
    Kind(Kind, u64),
    /// Modification time of a file that was uploaded, changed or renamed.
    Modified(u32),
}

use VfsOperation::*;

impl VfsOperation {
    pub const SMALL: [Self; 15] = [
        Upload { size: 3, exclusive: false },
        Stat("/dir"),
        Download("/old"),
        List,
        Mkdir,
        SetTimes,
        Overwrite { size: 5 },
        Copy(OLD),
        Stat("/old"),
        RenameOver,
        Rmdir,
        Download("/dir/file"),
        RenameEmptyDirectory,
        Rename,
        Remove,
    ];

    /// Operations that query the journal more than once.
    pub const WITH_JOURNAL: [Self; 6] = [
        UploadAndSetTimes,
        SetTimesAndRename,
        RenameDirectory,
        Patch(OLD),
        Upload { size: 9 * MIB, exclusive: false },
        Resume,
    ];

    pub const ALL: [Self; 27] = [
        Upload { size: 3, exclusive: false },
        Upload { size: 3, exclusive: true },
        Upload { size: 9 * MIB, exclusive: true },
        Overwrite { size: 3 },
        Overwrite { size: 9 * MIB },
        Download(OLD),
        Download(BIG),
        Stat(OLD),
        Stat("/dir"),
        Stat("/nothing"),
        List,
        Mkdir,
        Rmdir,
        Remove,
        Rename,
        RenameOver,
        RenameEmptyDirectory,
        RenameDirectory,
        SetTimes,
        UploadAndSetTimes,
        SetTimesAndRename,
        Patch(OLD),
        Patch(BIG),
        Resume,
        Download("/nothing"),
        Copy(OLD),
        Copy(BIG),
    ];

    pub async fn run(self, vfs: &Vfs) -> Result<OperationAnswer> {
        match self {
            Upload { size, exclusive } => upload(vfs, "/new", size, exclusive).await?,
            Overwrite { size } => upload(vfs, OLD, size, false).await?,
            Download(from) => return download(vfs, from).await.map(OperationAnswer::Bytes),
            Copy(from) => copy(vfs, from, "/copied").await?,
            Stat(at) => {
                let metadata = vfs.stat(&path(at)).await?;
                return Ok(OperationAnswer::Kind(metadata.kind, metadata.size));
            }
            List => return names(vfs).await.map(OperationAnswer::Names),
            Mkdir => vfs.mkdir(&path("/made"), NewAttributes::default()).await?,
            Rmdir => vfs.rmdir(&path("/empty")).await?,
            Remove => vfs.remove(&path("/dir/file")).await?,
            Rename => vfs.rename(&path(OLD), &path("/moved"), Replace::No).await?,
            RenameOver => vfs.rename(&path("/dir/file"), &path(OLD), Replace::Yes).await?,
            RenameEmptyDirectory => vfs.rename(&path("/hollow"), &path("/dir/hollow"), Replace::No).await?,
            RenameDirectory => {
                set_times(vfs, "/dir/file").await?;
                vfs.rename(&path("/dir"), &path("/away"), Replace::No).await?;
                return modified(vfs, "/away/file").await;
            }
            SetTimes => set_times(vfs, OLD).await?,
            UploadAndSetTimes => {
                upload(vfs, "/new", 3, false).await?;
                set_times(vfs, "/new").await?;
                return modified(vfs, "/new").await;
            }
            SetTimesAndRename => {
                set_times(vfs, OLD).await?;
                vfs.rename(&path(OLD), &path("/moved"), Replace::No).await?;
                return modified(vfs, "/moved").await;
            }
            Patch(at) => patch(vfs, at).await?,
            Resume => resume(vfs, "/new").await?,
        }
        Ok(OperationAnswer::Nothing)
    }

    /// True if `error` is the answer to a client that repeats an operation which already took effect.
    pub fn was_done(self, error: &Error) -> bool {
        match self {
            Upload { exclusive: true, .. } | Mkdir => matches!(error, Error::AlreadyExists),
            Rmdir | Remove | RenameOver | RenameDirectory => matches!(error, Error::NotFound),
            // A v3 RENAME that couldn't remove its source has created its target.
            Rename | RenameEmptyDirectory | SetTimesAndRename => {
                matches!(error, Error::NotFound | Error::AlreadyExists)
            }
            _ => false,
        }
    }

    pub fn renames(self) -> bool {
        matches!(self, Rename | RenameOver | RenameEmptyDirectory | RenameDirectory | SetTimesAndRename)
    }
}

async fn upload(vfs: &Vfs, to: &str, size: usize, exclusive: bool) -> Result<()> {
    let options = WriteOptions { exclusive, ..NEW_FILE };
    let pending = vfs.open_write(&path(to), options, NewAttributes::default()).await?;
    let mut handle = pending.admit(Duration::from_secs(1)).await?;
    let content = Bytes::from_static(&NEW_CONTENT).slice(..size);
    for start in (0..size).step_by(MIB) {
        let data = content.slice(start..size.min(start + MIB));
        if let Err(error) = handle.write(start as u64, data).await {
            let closed = handle.close().await;
            assert!(closed.is_err(), "a failed WRITE was followed by a CLOSE that answered OK");
            return Err(error);
        }
    }
    let stored = handle.close().await?;
    assert_eq!(stored.size, size as u64);
    Ok(())
}

async fn copy(vfs: &Vfs, from: &str, to: &str) -> Result<()> {
    let source = vfs.open_read(&path(from)).await?;
    let pending = vfs.open_write(&path(to), NEW_FILE, NewAttributes::default()).await?;
    let mut target = pending.admit(Duration::from_secs(1)).await?;
    if let Err(error) = target.copy(&source, CopyRange { source_offset: 0, length: None, target_offset: 0 }).await {
        let closed = target.close().await;
        assert!(closed.is_err(), "a failed COPY-DATA was followed by a CLOSE that answered OK");
        return Err(error);
    }
    let stored = target.close().await?;
    assert_eq!(stored.size, source.metadata().size);
    Ok(())
}

/// Starts an upload and loses its connection.
pub async fn interrupt(vfs: &Vfs, to: &str) -> Result<()> {
    send(vfs, to, NEW_FILE, 0).await?.leave().await;
    Ok(())
}

async fn resume(vfs: &Vfs, to: &str) -> Result<()> {
    interrupt(vfs, to).await?;
    let start = match vfs.stat(&path(to)).await {
        Ok(metadata) => usize::try_from(metadata.size).unwrap(),
        // The upload was lost, so it starts again.
        Err(Error::NotFound) => 0,
        Err(error) => return Err(error),
    };
    let options = WriteOptions { truncate: start == 0, ..NEW_FILE };
    assert_eq!(send(vfs, to, options, start).await?.close().await?.size, NEW_CONTENT.len() as u64);
    Ok(())
}

/// Opens a handle and writes the new content from `start` on.
async fn send(vfs: &Vfs, to: &str, options: WriteOptions, start: usize) -> Result<WriteHandle> {
    let pending = vfs.open_write(&path(to), options, NewAttributes::default()).await?;
    let mut handle = pending.admit(Duration::from_secs(1)).await?;
    let content = Bytes::from_static(&NEW_CONTENT);
    for at in (start..content.len()).step_by(MIB) {
        if let Err(error) = handle.write(at as u64, content.slice(at..content.len().min(at + MIB))).await {
            handle.leave().await;
            return Err(error);
        }
    }
    Ok(handle)
}

async fn patch(vfs: &Vfs, at: &str) -> Result<()> {
    let size = if at == BIG { BIG_BYTES } else { 13 };
    let options = WriteOptions { create: false, truncate: false, ..NEW_FILE };
    let pending = vfs.open_write(&path(at), options, NewAttributes::default()).await?;
    let mut handle = pending.admit(Duration::from_secs(1)).await?;
    if let Err(error) = handle.write(size / 2, Bytes::from_static(b"new")).await {
        let closed = handle.close().await;
        assert!(closed.is_err(), "a failed WRITE was followed by a CLOSE that answered OK");
        return Err(error);
    }
    assert_eq!(handle.close().await?.size, size);
    Ok(())
}

async fn set_times(vfs: &Vfs, at: &str) -> Result<()> {
    let times = Some(Times { accessed: 1, modified: 2 });
    vfs.set_attributes(&path(at), SetAttributes { times, ..SetAttributes::default() }).await
}

async fn modified(vfs: &Vfs, at: &str) -> Result<OperationAnswer> {
    Ok(OperationAnswer::Modified(vfs.stat(&path(at)).await?.times.modified))
}

async fn download(vfs: &Vfs, from: &str) -> Result<Bytes> {
    let handle = vfs.open_read(&path(from)).await?;
    let mut content = BytesMut::new();
    loop {
        let pieces = handle.read(content.len() as u64, READ_BYTES).await?;
        if pieces.is_empty() {
            return Ok(content.freeze());
        }
        content.extend(pieces);
    }
}

async fn names(vfs: &Vfs) -> Result<Vec<String>> {
    let mut directory = vfs.open_directory(&path("/")).await?;
    let mut names = Vec::new();
    let mut push = |entry: &Entry| {
        names.push(entry.name.clone());
        true
    };
    while directory.next(&mut push).await? > 0 {}
    Ok(names)
}

pub fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}
