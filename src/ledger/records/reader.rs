//! Reads the segments of one process in their order, and deletes those that SQL has.

use super::{
    open_transfers::OpenTransfers,
    row::RecordRow,
    spool::{ProcessDirectory, Spool, SpoolLine, segment_file, segments},
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

/// The reader of one process's segments.
#[derive(Clone, Debug)]
pub(super) struct SpoolReader {
    pub(super) directory: Arc<ProcessDirectory>,
    /// The first line that SQL doesn't have: the number of its segment, and its offset there.
    pub(super) position: (u64, u64),
}

/// Rows to write, and the position behind them.
#[derive(Debug, Default)]
pub(super) struct RowBatch {
    pub(super) rows: Vec<RecordRow>,
    pub(super) end: (u64, u64),
    /// The lines that can't be read.
    pub(super) unreadable: u64,
}

impl SpoolReader {
    pub(super) fn new(directory: Arc<ProcessDirectory>) -> Self {
        Self { directory, position: (0, 0) }
    }

    /// Reads the next rows. An empty batch has the position behind the last whole line. Blocks.
    pub(super) fn next(&self) -> io::Result<RowBatch> {
        let mut batch = RowBatch { end: self.position, ..RowBatch::default() };
        for number in segments(&self.directory.path)? {
            if number < batch.end.0 {
                continue;
            }
            if number > batch.end.0 {
                batch.end = (number, 0);
            }
            let is_whole = self.read_segment(&mut batch)?;
            if !is_whole {
                break;
            }
        }
        Ok(batch)
    }

    /// Adds the rows of a segment from the batch's end on. Returns true if the segment has no more whole lines.
    fn read_segment(&self, batch: &mut RowBatch) -> io::Result<bool> {
        let mut file = File::open(segment_file(&self.directory.path, batch.end.0))?;
        file.seek(SeekFrom::Start(batch.end.1))?;
        let mut lines = BufReader::new(file).take(BATCH_BYTES);
        let mut line = Vec::new();
        while batch.rows.len() < BATCH_ROWS {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                // The limit on bytes may have ended it.
                return Ok(lines.limit() > 0);
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

    /// True if it reads the segments of this process.
    pub(super) fn is_of(&self, directory: &Arc<ProcessDirectory>) -> bool {
        Arc::ptr_eq(&self.directory, directory)
    }

    /// Deletes the segments before `end`, because SQL has their rows. Blocks.
    pub(super) fn delete_before(&self, end: (u64, u64), spool: &Spool) -> io::Result<()> {
        for number in segments(&self.directory.path)?.into_iter().take_while(|number| *number < end.0) {
            let file = segment_file(&self.directory.path, number);
            let bytes = file.metadata()?.len();
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
    for number in segments(&directory.path)? {
        let file = File::open(segment_file(&directory.path, number))?;
        for line in BufReader::new(file).split(b'\n') {
            match parse(&line?) {
                Some((_, SpoolLine::Open(line))) => open.note(line),
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
