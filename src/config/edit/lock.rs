//! The lock under which the tenants' files are edited: an exclusive `flock` on a hidden file in their directory.
//!
//! The server doesn't take it. The system releases it when its process ends.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::Path,
    thread,
    time::{Duration, Instant},
};

const NAME: &str = ".wharfinger.lock";

/// The longest wait for another edit. An edit takes as long as a check of the config and a reload.
const MAX_WAIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// An acquired lock.
#[derive(Debug)]
pub(super) struct EditLock(#[expect(dead_code, reason = "the open file has the lock")] File);

impl EditLock {
    /// Waits for the lock of the directory.
    ///
    /// # Errors
    /// The file can't be made, or another process has had the lock for the longest wait.
    pub(super) fn acquire(directory: &Path) -> io::Result<Self> {
        let (path, deadline) = (directory.join(NAME), Instant::now() + MAX_WAIT);
        loop {
            let file = open(directory, &path)?;
            loop {
                match file.try_lock() {
                    Ok(()) => break,
                    Err(TryLockError::Error(error)) => return Err(error),
                    Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                        let message = format!("another edit has the lock {} since 30 s", path.display());
                        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                    }
                    Err(TryLockError::WouldBlock) => thread::sleep(POLL_INTERVAL),
                }
            }
            // The file that was waited for may have been removed.
            if fs::metadata(&path).is_ok_and(|named| file.metadata().is_ok_and(|own| own.ino() == named.ino())) {
                return Ok(Self(file));
            }
        }
    }
}

fn open(directory: &Path, path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            share(&file, directory)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(path)?.is_file() {
                let message = format!("{} is no file", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            OpenOptions::new().read(true).write(true).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Lets those who may add files to the directory use the lock. Others must not be able to hold it.
fn share(file: &File, directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    // Only root may give the file away. A process without that right leaves it to its own user.
    let group = fchown(file, None, Some(metadata.gid()));
    if group.is_ok() && metadata.mode() & 0o020 != 0 {
        file.set_permissions(Permissions::from_mode(0o660))?;
    }
    let _ = fchown(file, Some(metadata.uid()), None);
    Ok(())
}
