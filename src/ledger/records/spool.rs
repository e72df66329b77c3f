//! The spool: the files of this process that take each record before SQL does.
//!
//! A line is written by the thread that records it, without a wait for the disk: it outlives a kill of the server. All
//! files are synced each second, for a power cut. If the disk doesn't take a write, one thread waits for it, and the
//! others leave their lines in a bounded queue that the next write empties.
//!
//! ```text
//! directory/PROCESS/lock            locked while the process lives
//! directory/PROCESS/00000001.spool  a segment: lines `NUMBER JSON`
//! ```
//!
//! Invariants:
//! - Lines have the order in which they were recorded. Each row has the next number of its table.
//! - A segment begins with the lines about the transfers that are open. So older segments can go as soon as SQL has
//!   their rows.

use super::{
    SpoolSettings,
    open_transfers::{OpenLine, OpenTransfers},
    row::RecordRow,
    table::RecordTable,
};
use crate::{
    events::{Event, Record, RecordSpool},
    ledger::error::is_full,
    name::TransferId,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    mem,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tracing::{error, warn};
use uuid::Uuid;

/// A segment that has this many bytes is followed by another one.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// A segment whose rows SQL has is replaced after this time.
const SEGMENT_AGE: Duration = Duration::from_secs(10);
/// A thread waits this long for another one that writes. After one has waited in vain, none waits until the write ends.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);
/// The most bytes of lines that wait for a write.
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
const LOCK_FILE: &str = "lock";
const SEGMENT_SUFFIX: &str = ".spool";

/// A line of the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpoolLine {
    Row(RecordRow),
    Open(OpenLine),
}

/// The spool of this process.
pub struct Spool {
    max_bytes: u64,
    directory: Arc<ProcessDirectory>,
    queue: Mutex<SpoolQueue>,
    segment: Mutex<Segment>,
    is_stalled: AtomicBool,
    /// The bytes of all segments in the directory, also of those that earlier processes left.
    bytes: AtomicU64,
    lost: AtomicU64,
    /// Wakes the task that takes the lines to SQL.
    pub(super) appended: Notify,
}

/// The state of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The bytes of all segments.
    pub bytes: u64,
    /// The most that they may be.
    pub max_bytes: u64,
    /// The records that were lost since the start, because the spool was full or its disk failed.
    pub lost: u64,
}

/// The directory of one process, which is locked while this value lives.
pub(super) struct ProcessDirectory {
    pub(super) path: PathBuf,
    /// The name of the process in its rows: unique for ever.
    pub(super) process: String,
    /// True when SQL has the rows of all lines.
    is_consumed: AtomicBool,
    /// True when the ends of all interrupted transfers are recorded.
    is_resolved: AtomicBool,
    /// Locked while this value lives. `None` until the directory is made.
    lock: Mutex<Option<File>>,
}

/// The lines that wait for a write, in their order.
#[derive(Debug, Default)]
struct SpoolQueue {
    lines: VecDeque<QueuedLine>,
    bytes: usize,
    numbers: HashMap<RecordTable, u64>,
}

#[derive(Debug)]
struct QueuedLine {
    text: Vec<u8>,
    effect: LineEffect,
}

/// The effect of a line on the open transfers.
#[derive(Debug)]
enum LineEffect {
    None,
    Note(OpenLine),
    End(TransferId),
}

/// The segment that takes lines now.
#[derive(Debug)]
struct Segment {
    /// `None` while the disk has no room for it.
    file: Option<Arc<File>>,
    number: u64,
    bytes: u64,
    began: Instant,
    has_rows: bool,
    open: OpenTransfers,
    /// Segments with lines that may not be on the disk yet.
    unsynced: Vec<Arc<File>>,
}

impl Spool {
    /// Makes the directory of this process, and takes over those of processes that have ended.
    ///
    /// # Errors
    /// The directory can't be made or read.
    pub(super) fn open(settings: &SpoolSettings) -> io::Result<(Self, Vec<ProcessDirectory>)> {
        let directory = Arc::new(ProcessDirectory::new(&settings.directory));
        let mut first = Segment::new(1);
        match first.begin(&directory, b"") {
            // Each record tries again.
            Err(full) if is_full(&full) => {
                let (error, directory) = (&full, settings.directory.display());
                error!(%error, %directory, "the disk of the ledger's spool takes nothing: records are lost");
            }
            begun => begun?,
        }
        let ended = ended_processes(&settings.directory)?;
        let mut bytes = 0;
        for process in &ended {
            for number in segments(&process.path)? {
                bytes += segment_file(&process.path, number).metadata()?.len();
            }
        }
        let spool = Self {
            max_bytes: settings.max_bytes,
            directory,
            queue: Mutex::default(),
            segment: Mutex::new(first),
            is_stalled: AtomicBool::new(false),
            bytes: AtomicU64::new(bytes),
            lost: AtomicU64::new(0),
            appended: Notify::new(),
        };
        Ok((spool, ended))
    }

    /// The state now.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus {
            bytes: self.bytes.load(Ordering::Relaxed),
            max_bytes: self.max_bytes,
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    pub(super) fn directory(&self) -> &Arc<ProcessDirectory> {
        &self.directory
    }

    /// Counts records that SQL refuses or that can't be read back.
    pub(super) fn note_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts deleted segments.
    pub(super) fn note_deleted(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Writes the lines that wait, and syncs all files. Blocks.
    ///
    /// # Errors
    /// The disk's. The files are synced again at the next call.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.write_queued();
        let Some(mut segment) = self.segment.try_lock_for(WRITE_PATIENCE) else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let files = mem::take(&mut segment.unsynced);
        drop(segment);
        let synced = files.iter().try_for_each(|file| file.sync_data());
        if synced.is_err() {
            self.segment.lock().unsynced.extend(files);
        }
        synced
    }

    /// True if SQL has all lines, and no transfer is open.
    pub(super) fn is_finished(&self, consumed: (u64, u64)) -> bool {
        let segment = self.segment.lock();
        (segment.number, segment.bytes) == consumed && segment.open.is_empty() && self.queue.lock().lines.is_empty()
    }

    /// Begins another segment, if SQL has all of this one and it isn't new. Blocks.
    pub(super) fn replace_segment(&self, consumed: (u64, u64)) -> io::Result<()> {
        let mut segment = self.segment.lock();
        let is_consumed = (segment.number, segment.bytes) == consumed;
        if is_consumed && segment.has_rows && segment.began.elapsed() >= SEGMENT_AGE {
            self.begin_segment(&mut segment)?;
        }
        Ok(())
    }

    fn push(&self, line: &SpoolLine, effect: LineEffect) {
        let Ok(json) = serde_json::to_vec(line) else { return self.note_lost(1) };
        let mut queue = self.queue.lock();
        let number = match line {
            SpoolLine::Row(row) => queue.next_number(row.table),
            SpoolLine::Open(_) => 0,
        };
        let text = [number.to_string().as_bytes(), b" ", &json, b"\n"].concat();
        if queue.bytes + text.len() > MAX_QUEUED_BYTES {
            drop(queue);
            return self.note_lost(1);
        }
        queue.bytes += text.len();
        queue.lines.push_back(QueuedLine { text, effect });
    }

    /// Writes the lines that wait. If another thread writes for long, that thread or the next call writes them.
    fn write_queued(&self) {
        while !self.queue.lock().lines.is_empty() {
            let patience = if self.is_stalled.load(Ordering::Relaxed) { Duration::ZERO } else { WRITE_PATIENCE };
            let Some(mut segment) = self.segment.try_lock_for(patience) else {
                self.is_stalled.store(true, Ordering::Relaxed);
                return;
            };
            let lines = self.queue.lock().take();
            self.write(&mut segment, lines);
            self.is_stalled.store(false, Ordering::Relaxed);
        }
    }

    fn write(&self, segment: &mut Segment, lines: VecDeque<QueuedLine>) {
        // If the disk has no room for another segment, this one may still grow.
        if segment.bytes >= SEGMENT_BYTES {
            let _ = self.begin_segment(segment);
        }
        let text = lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().concat();
        let bytes = text.len() as u64;
        let is_full = self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.max_bytes;
        let is_written = !is_full && segment.append(&self.directory, &text).is_ok();
        if is_written {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        for line in lines {
            match line.effect {
                LineEffect::Note(line) if is_written => segment.open.note(line),
                LineEffect::Note(_) => continue,
                LineEffect::End(transfer_id) => segment.open.end(&transfer_id),
                LineEffect::None => {}
            }
            segment.has_rows |= is_written;
            self.note_lost(u64::from(!is_written));
        }
    }

    /// Begins a segment with the lines about the open transfers. The file appears with all of them: the reader deletes
    /// this segment when it sees the next one.
    fn begin_segment(&self, segment: &mut Segment) -> io::Result<()> {
        let mut text = Vec::new();
        for line in segment.open.lines() {
            text.extend(b"0 ");
            serde_json::to_writer(&mut text, &SpoolLine::Open(line))?;
            text.push(b'\n');
        }
        let mut next = Segment::new(segment.number.saturating_add(1));
        next.begin(&self.directory, &text)?;
        self.bytes.fetch_add(next.bytes, Ordering::Relaxed);
        next.open = mem::take(&mut segment.open);
        next.unsynced.append(&mut segment.unsynced);
        *segment = next;
        Ok(())
    }
}

impl RecordSpool for Spool {
    fn append(&self, record: &Record) {
        if let Some(line) = OpenLine::of(record) {
            self.push(&SpoolLine::Open(line.clone()), LineEffect::Note(line));
        } else if let Some(mut row) = RecordRow::of(record) {
            row.set_text("process", self.directory.process.as_str());
            let effect = match &record.event {
                Event::FileClosed { transfer_id, .. } => LineEffect::End(*transfer_id),
                _ => LineEffect::None,
            };
            self.push(&SpoolLine::Row(row), effect);
        } else {
            return;
        }
        self.write_queued();
        self.appended.notify_one();
    }
}

impl SpoolQueue {
    fn next_number(&mut self, table: RecordTable) -> u64 {
        let number = self.numbers.entry(table).or_default();
        *number = number.saturating_add(1);
        *number
    }

    fn take(&mut self) -> VecDeque<QueuedLine> {
        self.bytes = 0;
        mem::take(&mut self.lines)
    }
}

impl Segment {
    fn new(number: u64) -> Self {
        let (began, open, unsynced) = (Instant::now(), OpenTransfers::default(), Vec::new());
        Self { file: None, number, bytes: 0, began, has_rows: false, open, unsynced }
    }

    /// Creates the file with these lines, unless it is there. After an error it isn't.
    fn begin(&mut self, directory: &ProcessDirectory, text: &[u8]) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        directory.make()?;
        let file = segment_file(&directory.path, self.number);
        let unfinished = file.with_extension("new");
        let mut options = OpenOptions::new();
        let mut begun = options.append(true).create(true).mode(0o600).open(&unfinished)?;
        if let Err(error) =
            begun.set_len(0).and_then(|()| begun.write_all(text)).and_then(|()| fs::rename(&unfinished, file))
        {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        let begun = Arc::new(begun);
        self.bytes = text.len() as u64;
        self.unsynced.push(Arc::clone(&begun));
        self.file = Some(begun);
        Ok(())
    }

    /// Appends whole lines. After an error the segment is as before.
    fn append(&mut self, directory: &ProcessDirectory, text: &[u8]) -> io::Result<()> {
        self.begin(directory, b"")?;
        let Some(file) = &self.file else { return Ok(()) };
        if let Err(error) = (&**file).write_all(text) {
            file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += text.len() as u64;
        if !self.unsynced.iter().any(|unsynced| Arc::ptr_eq(unsynced, file)) {
            self.unsynced.push(Arc::clone(file));
        }
        Ok(())
    }
}

impl ProcessDirectory {
    /// The directory of this process, which isn't made yet.
    fn new(spool: &Path) -> Self {
        let process = Uuid::now_v7().to_string();
        Self::with(spool.join(&process), process, None)
    }

    /// Makes the directory and locks it, unless that is done. It gets its name when it is locked: another process takes
    /// over those that aren't.
    fn make(&self) -> io::Result<()> {
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

    /// Takes over the directory of a process that has ended. `None` if the process lives, or if it isn't the directory of
    /// a process.
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

    /// SQL has the rows of all lines of a process that has ended. Returns the bytes of its last segment, which counts no
    /// more. Blocks.
    pub(super) fn note_consumed(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for number in segments(&self.path)? {
            bytes += segment_file(&self.path, number).metadata()?.len();
        }
        self.is_consumed.store(true, Ordering::Release);
        self.remove_finished();
        Ok(bytes)
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

fn ended_processes(spool: &Path) -> io::Result<Vec<ProcessDirectory>> {
    let mut ended = Vec::new();
    for path in entries(spool)? {
        ended.extend(ProcessDirectory::take_over(path));
    }
    // UUIDv7s sort by time.
    ended.sort_unstable_by(|one, other| one.process.cmp(&other.process));
    Ok(ended)
}

/// Returns the numbers of the segments in the directory of a process, in their order.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(SEGMENT_SUFFIX)?.parse().ok();
    let mut numbers: Vec<u64> = entries(directory)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Returns what is in a directory: nothing in one that the disk had no room for.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

pub(super) fn segment_file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}{SEGMENT_SUFFIX}"))
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl fmt::Debug for ProcessDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessDirectory").field(&self.path).finish()
    }
}
