//! Reads the segments of one process in their order, and deletes those that SQL has.

use super::{
    open_transfers::OpenTransfers,
    process_directory::{ProcessDirectory, size_of},
    row::RecordRow,
    spool::{Spool, SpoolLine},
    table::RecordTable,
};
use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    sync::Arc,
};

/// The most rows of a batch, and about the most bytes of its lines.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: u64 = 512 * 1024;

/// A position in the segments of a process: the number of a segment, and an offset there.
pub(super) type SpoolPosition = (u64, u64);

/// The reader of one process's segments.
#[derive(Clone, Debug)]
pub(super) struct SpoolReader {
    pub(super) directory: Arc<ProcessDirectory>,
    /// The first line that SQL doesn't have.
    pub(super) position: SpoolPosition,
}

/// Rows to write, and the position behind them.
#[derive(Debug, Default)]
pub(super) struct RowBatch {
    pub(super) rows: Vec<RecordRow>,
    pub(super) end: SpoolPosition,
    /// The lines that can't be read.
    pub(super) unreadable: u64,
}

impl SpoolReader {
    pub(super) fn new(directory: Arc<ProcessDirectory>) -> Self {
        Self { directory, position: (0, 0) }
    }

    /// True if it reads the segments of this process.
    pub(super) fn is_of(&self, directory: &Arc<ProcessDirectory>) -> bool {
        Arc::ptr_eq(&self.directory, directory)
    }

    /// Reads the next rows before `written`, the end of what the process has written; `None` for one that has ended. An
    /// empty batch has the position behind the last whole line. Blocks.
    pub(super) fn next(&self, written: Option<SpoolPosition>) -> io::Result<RowBatch> {
        let (last, last_bytes) = written.unwrap_or((u64::MAX, u64::MAX));
        let mut batch = RowBatch { end: self.position, ..RowBatch::default() };
        for number in self.directory.segments()?.into_iter().filter(|number| *number <= last) {
            if number < batch.end.0 {
                continue;
            }
            if number > batch.end.0 {
                batch.end = (number, 0);
            }
            let bytes = if number == last { last_bytes } else { u64::MAX };
            if !self.read_segment(&mut batch, bytes)? {
                break;
            }
        }
        Ok(batch)
    }

    /// Adds the rows of a segment from the batch's end on, up to the offset `end`. Returns true if it has no more whole
    /// lines.
    fn read_segment(&self, batch: &mut RowBatch, end: u64) -> io::Result<bool> {
        let mut file = match File::open(self.directory.segment(batch.end.0)) {
            // SQL has its rows.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            file => file?,
        };
        file.seek(SeekFrom::Start(batch.end.1))?;
        let limit = BATCH_BYTES.min(end.saturating_sub(batch.end.1));
        let mut lines = BufReader::new(file).take(limit);
        let mut line = Vec::new();
        while batch.rows.len() < BATCH_ROWS {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                // The limit on the bytes of a batch may have ended it.
                return Ok(lines.limit() > 0 || limit < BATCH_BYTES);
            }
            batch.end.1 += bytes as u64;
            match parse(&line) {
                Some((number, SpoolLine::Row(row))) => batch.add(number, row),
                Some((_, SpoolLine::Open(_))) => {}
                None => batch.unreadable += 1,
            }
        }
        Ok(false)
    }

    /// Deletes the segments before `end`, because SQL has their rows. These rows, and the segment that follows, first
    /// outlive a power cut. Blocks.
    pub(super) fn delete_before(&self, end: SpoolPosition, spool: &Spool) -> io::Result<()> {
        let mut consumed = self.directory.segments()?;
        consumed.retain(|number| *number < end.0);
        if consumed.is_empty() {
            return Ok(());
        }
        spool.sync_sql()?;
        File::open(self.directory.segment(end.0))?.sync_data()?;
        for directory in self.directory.changed_by_new_segments()? {
            directory.sync_data()?;
        }
        for number in consumed {
            let file = self.directory.segment(number);
            let bytes = size_of(&file)?;
            fs::remove_file(file)?;
            spool.note_deleted(bytes);
        }
        Ok(())
    }
}

impl RowBatch {
    fn add(&mut self, number: i64, mut row: RecordRow) {
        row.set_integer("number", number);
        self.rows.push(row);
    }
}

/// Returns the transfers that were open when the process ended. Blocks.
pub(super) fn open_at_the_end(directory: &ProcessDirectory) -> io::Result<OpenTransfers> {
    let mut open = OpenTransfers::default();
    for number in directory.segments()? {
        let file = File::open(directory.segment(number))?;
        for line in BufReader::new(file).split(b'\n') {
            match parse(&line?) {
                Some((_, SpoolLine::Open(line))) => open.note(*line),
                Some((_, SpoolLine::Row(row))) if row.table == RecordTable::Transfers => {
                    if let Some(transfer_id) = row.text("id").and_then(|id| id.parse().ok()) {
                        open.end(&transfer_id);
                    }
                }
                Some((_, SpoolLine::Row(_))) | None => {}
            }
        }
    }
    Ok(open)
}

fn parse(line: &[u8]) -> Option<(i64, SpoolLine)> {
    let end_of_number = line.iter().position(|byte| *byte == b' ')?;
    let (number, json) = line.split_at_checked(end_of_number)?;
    let number = str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, serde_json::from_slice(json).ok()?))
}
