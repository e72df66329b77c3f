//! The bytes of objects and parts: extents in memory or in files. Reading neither joins nor copies them.

use super::{
    error::Result,
    files::{DataFile, FileWriter},
    memory::Blocks,
};
use bytes::Bytes;
use futures_util::stream;
use s3s::dto::StreamingBlob;
use std::{collections::VecDeque, fs::File, io, ops::Range, sync::Arc};

/// Size of the blocks in which bodies are stored and files are read.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// The bytes of one request: a small object as a whole, or a part of a large one.
#[derive(Clone, Debug)]
pub(crate) enum Extent {
    Memory(Arc<Blocks>),
    File(Arc<DataFile>),
    /// This many zero bytes, which take no memory.
    Zeros(u64),
}

/// The bytes of an object. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) extents: Vec<Extent>,
}

/// Stores the bytes of one request.
pub(crate) enum DataWriter {
    Memory(Blocks),
    File(FileWriter),
}

impl DataWriter {
    pub(crate) async fn push(self, block: Bytes) -> Result<Self> {
        match self {
            Self::Memory(mut blocks) => {
                blocks.push(block)?;
                Ok(Self::Memory(blocks))
            }
            Self::File(writer) => Ok(Self::File(writer.push(block).await?)),
        }
    }

    /// Returns the extent. It survives a crash of the machine once a record names it.
    pub(crate) async fn finish(self) -> Result<Extent> {
        match self {
            Self::Memory(blocks) => Ok(Extent::Memory(Arc::new(blocks))),
            Self::File(writer) => Ok(Extent::File(Arc::new(writer.finish().await?))),
        }
    }
}

impl Data {
    /// Returns the bytes of `range`, which must lie within the data.
    pub(crate) fn read(&self, range: Range<u64>) -> StreamingBlob {
        let reading = Reading { left: self.slices(range), open: None, _data: self.clone() };
        StreamingBlob::wrap(stream::try_unfold(reading, Reading::step))
    }

    fn slices(&self, range: Range<u64>) -> VecDeque<Slice> {
        let mut slices = VecDeque::new();
        let mut at = 0;
        for extent in &self.extents {
            match extent {
                Extent::File(file) => {
                    if let Some(within) = overlap(at, file.bytes, &range) {
                        slices.push_back(Slice::File(Arc::clone(file), within));
                    }
                    at += file.bytes;
                }
                Extent::Zeros(bytes) => {
                    slices.extend(overlap(at, *bytes, &range).map(|within| Slice::Zeros(within.end - within.start)));
                    at += bytes;
                }
                Extent::Memory(blocks) => {
                    for block in &blocks.blocks {
                        if let Some(within) = overlap(at, block.len() as u64, &range) {
                            slices.push_back(Slice::Memory(block.slice(as_usize(within))));
                        }
                        at += block.len() as u64;
                    }
                }
            }
        }
        slices
    }
}

/// Intersection of `range` with a piece of `bytes` bytes at offset `at`, relative to the piece.
fn overlap(at: u64, bytes: u64, range: &Range<u64>) -> Option<Range<u64>> {
    let start = range.start.max(at);
    let end = range.end.min(at + bytes);
    (start < end).then(|| start - at..end - at)
}

/// Converts offsets within one block. They fit because the block was in memory.
fn as_usize(range: Range<u64>) -> Range<usize> {
    let fit = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
    fit(range.start)..fit(range.end)
}

enum Slice {
    Memory(Bytes),
    File(Arc<DataFile>, Range<u64>),
    Zeros(u64),
}

/// A response body that is being sent.
struct Reading {
    left: VecDeque<Slice>,
    /// File of the current slice, positioned at the slice's start.
    open: Option<File>,
    /// Keeps the memory charge, and keeps the files even if the object is removed during the read.
    _data: Data,
}

impl Reading {
    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let (file, range) = match self.left.pop_front() {
            None => return Ok(None),
            Some(Slice::Memory(bytes)) => return Ok(Some((bytes, self))),
            Some(Slice::Zeros(bytes)) => {
                let block = bytes.min(BLOCK_BYTES as u64);
                if block < bytes {
                    self.left.push_front(Slice::Zeros(bytes - block));
                }
                return Ok(Some((Bytes::from_static(&ZEROS).slice(as_usize(0..block)), self)));
            }
            Some(Slice::File(file, range)) => (file, range),
        };
        let block = (range.end - range.start).min(BLOCK_BYTES as u64);
        let rest = range.start + block..range.end;
        let (data_file, open) = (Arc::clone(&file), self.open.take());
        let (bytes, open) = tokio::task::spawn_blocking(move || data_file.read(open, range.start, block)).await??;
        if !rest.is_empty() {
            self.open = Some(open);
            self.left.push_front(Slice::File(file, rest));
        }
        Ok(Some((bytes, self)))
    }
}
