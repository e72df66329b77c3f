//! The directory of one process of the server in the spool. It is locked while the process lives.
//!
//! Invariant: a directory that has the name of a process, and isn't locked, belongs to a process that has ended.

use parking_lot::Mutex;
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tracing::warn;
use uuid::Uuid;

const LOCK_FILE: &str = "lock";
const SEGMENT_SUFFIX: &str = ".spool";

/// The directory of one process, which is locked while this value lives.
pub(super) struct ProcessDirectory {
    pub(super) path: PathBuf,
    /// The name of the process in its rows: unique for ever.
    pub(super) process: String,
    /// True when SQL has the rows of all lines.
    is_consumed: AtomicBool,
    /// True when the ends of all interrupted transfers are recorded.
    is_resolved: AtomicBool,
    /// `None` until the directory is made.
    lock: Mutex<Option<File>>,
}

impl ProcessDirectory {
    /// The directory of this process, which isn't made yet.
    pub(super) fn new(spool: &Path) -> Self {
        let process = Uuid::now_v7().to_string();
        Self::with(spool.join(&process), process, None)
    }

    /// Makes the directory and locks it, unless that is done. It gets its name when it is locked: another process takes
    /// over those that aren't.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut made = self.lock.lock();
        if made.is_some() {
            return Ok(());
        }
        let unlocked = self.path.with_extension("new");
        DirBuilder::new().recursive(true).mode(0o700).create(&unlocked)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(true).mode(0o600).open(unlocked.join(LOCK_FILE))?;
        lock.try_lock()?;
        fs::rename(&unlocked, &self.path)?;
        *made = Some(lock);
        Ok(())
    }

    /// Takes over the directories in `spool` of processes that have ended, the oldest first.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn take_over_ended(spool: &Path) -> io::Result<Vec<Self>> {
        let mut ended: Vec<Self> = entries(spool)?.into_iter().filter_map(Self::take_over).collect();
        // UUIDv7s sort by time.
        ended.sort_unstable_by(|one, other| one.process.cmp(&other.process));
        Ok(ended)
    }

    /// `None` if the process lives, or if it isn't the directory of a process.
    fn take_over(path: PathBuf) -> Option<Self> {
        let process = path.file_name()?.to_str()?.to_owned();
        Uuid::parse_str(&process).ok()?;
        let lock = OpenOptions::new().write(true).open(path.join(LOCK_FILE)).ok()?;
        lock.try_lock().ok()?;
        Some(Self::with(path, process, Some(lock)))
    }

    fn with(path: PathBuf, process: String, lock: Option<File>) -> Self {
        let (is_consumed, is_resolved) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { path, process, is_consumed, is_resolved, lock: Mutex::new(lock) }
    }

    /// Returns the numbers of the segments, in their order. None in a directory that isn't made.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(SEGMENT_SUFFIX)?.parse().ok();
        let mut numbers: Vec<u64> = entries(&self.path)?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Returns the file of a segment.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:08}{SEGMENT_SUFFIX}"))
    }

    /// Returns the bytes of all segments.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let sizes = self.segments()?.into_iter().map(|number| size_of(&self.segment(number)));
        sizes.sum()
    }

    /// Opens the directories whose entries a new segment changes. They are synced so that it outlives a power cut.
    pub(super) fn changed_by_new_segments(&self) -> io::Result<Vec<File>> {
        [Some(self.path.as_path()), self.path.parent()].into_iter().flatten().map(File::open).collect()
    }

    /// SQL has the rows of all lines of a process that has ended.
    pub(super) fn note_consumed(&self) {
        self.is_consumed.store(true, Ordering::Release);
        self.remove_finished();
    }

    /// The ends of all transfers that the end of the process interrupted are recorded, and synced.
    pub(super) fn note_resolved(&self) {
        self.is_resolved.store(true, Ordering::Release);
        self.remove_finished();
    }

    fn remove_finished(&self) {
        let is_finished = self.is_consumed.load(Ordering::Acquire) && self.is_resolved.load(Ordering::Acquire);
        if is_finished && let Err(error) = self.remove() {
            warn!(%error, directory = %self.path.display(), "a directory of the ledger's spool can't be removed");
        }
    }

    /// Removes the directory and all that is in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Returns the size of a file: 0 of one that is deleted.
pub(super) fn size_of(file: &Path) -> io::Result<u64> {
    match file.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => metadata.map(|metadata| metadata.len()),
    }
}

/// Returns what is in a directory: nothing in one that the disk had no room for.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

impl fmt::Debug for ProcessDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessDirectory").field(&self.path).finish()
    }
}
