//! A segment: the file of the spool that takes lines now. It begins with its head, the lines about the transfers that
//! are open, so that older segments can go as soon as SQL has their rows.

use super::{open_transfers::OpenTransfers, process_directory::ProcessDirectory, spool::SpoolLine};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    mem,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::Arc,
    time::{Duration, Instant},
};

/// A segment with this many bytes behind its head is followed by another one, or with more if its head is larger: heads
/// are never more than half of what is written.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// A segment whose rows SQL has is replaced after this time.
const SEGMENT_AGE: Duration = Duration::from_secs(10);

/// The segment that takes lines now.
#[derive(Debug)]
pub(super) struct Segment {
    /// `None` while the disk has no room for it.
    file: Option<Arc<File>>,
    number: u64,
    head_bytes: u64,
    bytes: u64,
    began: Instant,
    pub(super) open: OpenTransfers,
    /// Files and directories that may not be on the disk yet.
    unsynced: Vec<Arc<File>>,
}

impl Segment {
    pub(super) fn new(number: u64) -> Self {
        let (began, open, unsynced) = (Instant::now(), OpenTransfers::default(), Vec::new());
        Self { file: None, number, head_bytes: 0, bytes: 0, began, open, unsynced }
    }

    /// The position behind its last line.
    pub(super) fn end(&self) -> (u64, u64) {
        (self.number, self.bytes)
    }

    /// True if another one should follow.
    pub(super) fn is_long(&self) -> bool {
        self.bytes.saturating_sub(self.head_bytes) >= SEGMENT_BYTES.max(self.head_bytes)
    }

    /// True if it has lines behind its head, and isn't new.
    pub(super) fn is_worn(&self) -> bool {
        self.bytes > self.head_bytes && self.began.elapsed() >= SEGMENT_AGE
    }

    /// Creates the file with these lines, unless it is there. After an error it isn't.
    pub(super) fn begin(&mut self, directory: &ProcessDirectory, head: &[u8]) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        directory.make()?;
        let changed = directory.changed_by_new_segments()?;
        let file = directory.segment(self.number);
        let unfinished = file.with_extension("new");
        let mut options = OpenOptions::new();
        let mut begun = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        // The file appears with its whole head.
        if let Err(error) = begun.write_all(head).and_then(|()| fs::rename(&unfinished, file)) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        let begun = Arc::new(begun);
        self.unsynced.push(Arc::clone(&begun));
        self.unsynced.extend(changed.into_iter().map(Arc::new));
        self.head_bytes = head.len() as u64;
        self.bytes = self.head_bytes;
        self.file = Some(begun);
        Ok(())
    }

    /// Appends whole lines. After an error the segment is as before: the next lines overwrite those that were written in
    /// part.
    pub(super) fn append(&mut self, directory: &ProcessDirectory, text: &[u8]) -> io::Result<()> {
        self.begin(directory, b"")?;
        let Some(file) = &self.file else { return Ok(()) };
        if let Err(error) = file.write_all_at(text, self.bytes) {
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        if !self.unsynced.iter().any(|unsynced| Arc::ptr_eq(unsynced, file)) {
            self.unsynced.push(Arc::clone(file));
        }
        Ok(())
    }

    /// Returns the head of the segment that follows.
    ///
    /// # Errors
    /// A line can't be written as JSON.
    pub(super) fn next_head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        for line in self.open.lines() {
            head.extend(b"0 ");
            serde_json::to_writer(&mut head, &SpoolLine::Open(Box::new(line.clone())))?;
            head.push(b'\n');
        }
        Ok(head)
    }

    /// Begins the segment that follows, with its head.
    ///
    /// # Errors
    /// The disk's: this segment takes the next lines then.
    pub(super) fn replace(&mut self, directory: &ProcessDirectory, head: &[u8]) -> io::Result<()> {
        let mut next = Self::new(self.number.saturating_add(1));
        next.begin(directory, head)?;
        next.open = mem::take(&mut self.open);
        next.unsynced.append(&mut self.unsynced);
        *self = next;
        Ok(())
    }

    /// Takes the files and directories that may not be on the disk yet.
    pub(super) fn take_unsynced(&mut self) -> Vec<Arc<File>> {
        mem::take(&mut self.unsynced)
    }

    /// Gives files back that could not be synced.
    pub(super) fn add_unsynced(&mut self, files: Vec<Arc<File>>) {
        self.unsynced.extend(files);
    }
}
