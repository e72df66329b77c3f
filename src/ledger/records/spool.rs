//! The spool: the files of this process that take each record before SQL does.
//!
//! A line is written by the thread that records it, without a wait for the disk: it outlives a kill of the server. All
//! files and their directories are synced each second, for a power cut. If the disk doesn't take a write, one thread waits
//! for it, and the others leave their lines in a bounded queue that the next write empties.
//!
//! ```text
//! directory/PROCESS/lock            locked while the process lives
//! directory/PROCESS/00000001.spool  a segment: lines `NUMBER JSON`
//! ```
//!
//! Invariants:
//! - Lines have the order in which they were recorded. Each row has the next number of its table.
//! - The files never have more bytes than their bound. Failures of clients leave half of it to other records, and all
//!   rows leave a twentieth to what the ends of uploads need.
//! - A segment goes only after the rows in SQL, and the segment behind it, outlive a power cut.

use super::{
    SpoolSettings, open_transfers::OpenTransferLine, process_directory::ProcessDirectory, row::RecordRow,
    segment::Segment, table::RecordTable,
};
use crate::{
    events::{Event, Outcome, Record, RecordSpool, Transfer},
    ledger::error::is_full,
    name::TransferId,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    fs::File,
    io, mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::error;

/// A thread waits this long for another one that writes. After one has waited in vain, none waits until the write ends.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);
/// The most bytes of lines that wait for a write.
const MAX_QUEUED_BYTES: u64 = 16 * 1024 * 1024;

/// A line of the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpoolLine {
    Row(RecordRow),
    Open(Box<OpenTransferLine>),
}

/// The spool of this process.
pub struct Spool {
    settings: SpoolSettings,
    /// The write-ahead log of a SQLite ledger, which SQLite doesn't sync at each commit.
    sql_log: Option<PathBuf>,
    directory: Arc<ProcessDirectory>,
    queue: Mutex<SpoolQueue>,
    segment: Mutex<Segment>,
    is_stalled: AtomicBool,
    counts: SpoolCounts,
    /// Wakes the task that takes the lines to SQL.
    pub(super) appended: Notify,
}

/// The counts of a spool.
#[derive(Debug, Default)]
struct SpoolCounts {
    /// The bytes of all segments, also of those that earlier processes left.
    bytes: AtomicU64,
    lost: AtomicU64,
    is_closed: AtomicBool,
}

/// The state of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The bytes of the segments of this process, and of the ended ones that it took over.
    pub bytes: u64,
    /// The most that they may be.
    pub max_bytes: u64,
    /// The records that were lost since the start, because the spool was full or its disk failed.
    pub lost: u64,
}

/// The lines that wait for a write, in their order.
#[derive(Debug, Default)]
struct SpoolQueue {
    lines: VecDeque<QueuedLine>,
    bytes: u64,
    numbers: HashMap<RecordTable, u64>,
}

#[derive(Debug)]
struct QueuedLine {
    /// Empty if there was no room for the line.
    text: Vec<u8>,
    effect: LineEffect,
}

/// The effect of a line on the open transfers.
#[derive(Debug)]
enum LineEffect {
    None,
    Note(Box<OpenTransferLine>),
    End(TransferId),
}

/// The importance of a line. The less important ones find the spool full earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Importance {
    /// A client can cause any number of them at no cost.
    Failure,
    Ordinary,
    /// The upload has no record without it.
    UploadEnd,
}

impl Spool {
    /// Makes the directory of this process. Blocks.
    ///
    /// # Errors
    /// The directory can't be made. A full disk is no error: each record tries again.
    pub(super) fn open(settings: &SpoolSettings, sql_log: Option<PathBuf>) -> io::Result<Self> {
        let directory = Arc::new(ProcessDirectory::new(&settings.directory));
        let mut first = Segment::new(1);
        match first.begin(&directory, b"") {
            Err(full) if is_full(&full) => {
                let (error, directory) = (&full, settings.directory.display());
                error!(%error, %directory, "the disk of the ledger's spool takes nothing: records are lost");
            }
            begun => begun?,
        }
        Ok(Self {
            settings: settings.clone(),
            sql_log,
            directory,
            queue: Mutex::default(),
            segment: Mutex::new(first),
            is_stalled: AtomicBool::new(false),
            counts: SpoolCounts::default(),
            appended: Notify::new(),
        })
    }

    /// The state now.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus {
            bytes: self.counts.bytes.load(Ordering::Relaxed),
            max_bytes: self.settings.max_bytes,
            lost: self.counts.lost.load(Ordering::Relaxed),
        }
    }

    pub(super) fn directory(&self) -> &Arc<ProcessDirectory> {
        &self.directory
    }

    /// Takes over the directories of processes that have ended. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn take_over_ended(&self) -> io::Result<Vec<ProcessDirectory>> {
        ProcessDirectory::take_over_ended(&self.settings.directory)
    }

    /// The position behind the last line that was written whole.
    pub(super) fn end(&self) -> (u64, u64) {
        self.segment.lock().end()
    }

    /// Counts records that SQL refuses or that can't be read back.
    pub(super) fn note_lost(&self, records: u64) {
        self.counts.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts segments that were written or taken over.
    pub(super) fn note_added(&self, bytes: u64) {
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts deleted segments.
    pub(super) fn note_deleted(&self, bytes: u64) {
        let less = |counted: u64| Some(counted.saturating_sub(bytes));
        let _ = self.counts.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Makes all rows that SQL has outlive a power cut. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn sync_sql(&self) -> io::Result<()> {
        // PostgreSQL syncs each commit.
        let Some(log) = &self.sql_log else { return Ok(()) };
        match File::open(log) {
            // SQLite has moved its rows to the database, and has synced that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            log => log?.sync_data(),
        }
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
        let files = segment.take_unsynced();
        drop(segment);
        let synced = files.iter().try_for_each(|file| file.sync_data());
        if synced.is_err() {
            self.segment.lock().add_unsynced(files);
        }
        synced
    }

    /// Begins another segment, if SQL has all of this one and it isn't new. Blocks.
    pub(super) fn replace_segment(&self, consumed: (u64, u64)) -> io::Result<()> {
        let mut segment = self.segment.lock();
        if segment.end() != consumed || !segment.is_worn() {
            return Ok(());
        }
        // The old segment goes at once, so that a full spool has room for the new one.
        let head = segment.next_head()?;
        self.begin_segment(&mut segment, &head)
    }

    /// Removes the directory if SQL has all lines and no transfer is open. Later records are lost then, and counted.
    /// Call it after the last record. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn close(&self, consumed: (u64, u64)) -> io::Result<()> {
        self.sync()?;
        self.sync_sql()?;
        let segment = self.segment.lock();
        if segment.end() != consumed || !segment.open.is_empty() || !self.queue.lock().lines.is_empty() {
            return Ok(());
        }
        self.counts.is_closed.store(true, Ordering::Relaxed);
        self.directory.remove()
    }

    fn push(&self, line: &SpoolLine, importance: Importance, effect: LineEffect) {
        let Ok(json) = serde_json::to_vec(line) else { return self.note_lost(1) };
        let mut queue = self.queue.lock();
        let number = match line {
            SpoolLine::Row(row) => queue.next_number(row.table),
            SpoolLine::Open(_) => 0,
        };
        let text = [number.to_string().as_bytes(), b" ", &json, b"\n"].concat();
        let queued = queue.bytes.saturating_add(text.len() as u64);
        if queued <= MAX_QUEUED_BYTES && self.has_room(queued, importance) {
            queue.bytes = queued;
            queue.lines.push_back(QueuedLine { text, effect });
            return;
        }
        if matches!(line, SpoolLine::Row(_)) {
            self.note_lost(1);
        }
        // The transfer has ended nevertheless.
        if matches!(effect, LineEffect::End(_)) {
            queue.lines.push_back(QueuedLine { text: Vec::new(), effect });
        }
    }

    /// True if the files may have `bytes` more.
    fn has_room(&self, bytes: u64, importance: Importance) -> bool {
        let max_bytes = self.settings.max_bytes;
        let reserved = match importance {
            Importance::Failure => max_bytes / 2,
            Importance::Ordinary => max_bytes / 20,
            Importance::UploadEnd => 0,
        };
        let is_closed = self.counts.is_closed.load(Ordering::Relaxed);
        !is_closed && self.counts.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= max_bytes - reserved
    }

    /// Writes the lines that wait. Returns when they are written. If another thread waits for the disk for long, that
    /// thread or the next call writes them.
    fn write_queued(&self) {
        loop {
            let patience = if self.is_stalled.load(Ordering::Relaxed) { Duration::ZERO } else { WRITE_PATIENCE };
            // The lock comes before the look at the queue: a thread that holds it may have taken lines that aren't
            // written yet.
            let Some(mut segment) = self.segment.try_lock_for(patience) else {
                self.is_stalled.store(true, Ordering::Relaxed);
                return;
            };
            self.is_stalled.store(false, Ordering::Relaxed);
            let lines = self.queue.lock().take();
            if lines.is_empty() {
                return;
            }
            self.write(&mut segment, lines);
        }
    }

    fn write(&self, segment: &mut Segment, lines: VecDeque<QueuedLine>) {
        // If there is no room for another segment, this one grows.
        if segment.is_long()
            && let Ok(head) = segment.next_head()
            && self.has_room(head.len() as u64, Importance::Ordinary)
        {
            let _ = self.begin_segment(segment, &head);
        }
        let text = lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().concat();
        let is_written = segment.append(&self.directory, &text).is_ok();
        if is_written {
            self.note_added(text.len() as u64);
        }
        for QueuedLine { text, effect } in lines {
            if !is_written && !text.is_empty() && !matches!(effect, LineEffect::Note(_)) {
                self.note_lost(1);
            }
            match effect {
                LineEffect::Note(line) if is_written => segment.open.note(*line),
                LineEffect::End(transfer_id) => segment.open.end(&transfer_id),
                LineEffect::Note(_) | LineEffect::None => {}
            }
        }
    }

    /// Begins another segment, with the lines about the open transfers.
    fn begin_segment(&self, segment: &mut Segment, head: &[u8]) -> io::Result<()> {
        segment.replace(&self.directory, head)?;
        self.note_added(head.len() as u64);
        Ok(())
    }
}

impl RecordSpool for Spool {
    fn append(&self, record: &Record) {
        let importance = Importance::of(&record.event);
        if let Some(line) = OpenTransferLine::of(record).map(Box::new) {
            self.push(&SpoolLine::Open(line.clone()), importance, LineEffect::Note(line));
        } else if let Some(mut row) = RecordRow::of(record) {
            row.set_text("process", self.directory.process.as_str());
            let effect = match &record.event {
                Event::FileClosed { transfer_id, .. } => LineEffect::End(*transfer_id),
                _ => LineEffect::None,
            };
            self.push(&SpoolLine::Row(row), importance, effect);
        } else {
            return;
        }
        self.write_queued();
        self.appended.notify_one();
    }
}

impl Importance {
    fn of(event: &Event) -> Self {
        match event {
            Event::UploadPublishing { .. }
            | Event::FileClosed { transfer: Transfer::Upload, .. }
            | Event::TransferResolved { .. } => Self::UploadEnd,
            Event::RequestFailed { .. }
            | Event::ConnectionRefused { .. }
            | Event::ConnectionEnded { .. }
            | Event::ServiceRefused { .. }
            | Event::LoginRefused { .. } => Self::Failure,
            Event::Changed { outcome, .. } if *outcome != Outcome::Done => Self::Failure,
            _ => Self::Ordinary,
        }
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

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("directory", &self.directory).finish_non_exhaustive()
    }
}
