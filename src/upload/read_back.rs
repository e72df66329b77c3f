//! Reads back the bytes of the older object that still show in a changed file.
//!
//! Invariant: every byte of it is of the one version that the upload replaces, or the upload fails.

use super::{BufferedBytes, PATIENCE, Target, Upload, error::Result, parts::replaced};
use crate::store::{Error, Pin, ask, in_time};
use futures_util::StreamExt;
use std::ops::Range;

/// The distance, in bytes, below which two stretches are read back together: a second request would cost more.
const WORTH_A_REQUEST_BYTES: u64 = 256 * 1024;

impl Upload {
    /// True if a byte of the older object shows in the `len` bytes from `offset`.
    #[must_use]
    pub(crate) fn shows_older_object(&self, offset: u64, len: usize) -> bool {
        !self.buffer.old(offset..offset.saturating_add(len as u64)).is_empty()
    }

    /// Up to `len` bytes from `offset`: fewer at the file's end, none behind it. `None` if some of them are shipped.
    #[must_use]
    pub(crate) fn read(&self, offset: u64, len: usize) -> Option<BufferedBytes> {
        let bytes = self.buffer.read(offset, len)?;
        let former = self.buffer.old(offset..offset + bytes.len() as u64);
        Some(BufferedBytes { bytes, former })
    }

    /// Reads back the bytes of the older object that still show in `range`, so that they ship with the bytes around
    /// them.
    pub(super) async fn fill(&mut self, range: Range<u64>) -> Result<()> {
        for stretch in stretches(self.buffer.old(range)) {
            let mut at = stretch.start;
            while at < stretch.end {
                self.hold(at).await?;
                at = self.buffer.around(at).end;
            }
            self.read_back(stretch).await?;
        }
        Ok(())
    }

    /// Makes room for bytes that will be read back.
    async fn hold(&mut self, offset: u64) -> Result<()> {
        while !self.buffer.has_room_at(offset) {
            if let Some(block) = self.memory.block() {
                self.buffer.make_room_at(offset, block);
            } else if let Some(parts) = self.parts.as_mut().filter(|parts| parts.in_flight() > 0) {
                parts.one_arrived().await?;
            } else {
                self.memory.more(PATIENCE).await?;
            }
        }
        Ok(())
    }

    /// The version that the file began as.
    pub(super) fn older_pin(&self) -> Option<Pin> {
        self.older_object().map(|object| object.pin.clone())
    }

    async fn read_back(&mut self, range: Range<u64>) -> Result<()> {
        let Some(pin) = self.older_pin() else { return Ok(()) };
        let mut at = range.start;
        while at < range.end {
            let asked_at = at;
            let Target { bucket, key, .. } = &self.target;
            let read = in_time(ask(&**bucket, key, || bucket.read(key, at..range.end, Some(&pin)))).await;
            let read = read.map_err(replaced)?;
            let mut body = read.body;
            while let Some(piece) = in_time(async { Ok(body.next().await) }).await? {
                match piece {
                    Ok(piece) => {
                        self.buffer.fill(at, &piece);
                        self.charges.note_copied(piece.len() as u64);
                        at += piece.len() as u64;
                    }
                    // A new request continues where the body broke, as long as each one brings bytes.
                    Err(_) if at > asked_at => break,
                    Err(error) => return Err(error.into()),
                }
            }
            if at == asked_at {
                return Err(Error::Broken("an object ended before its size".into()).into());
            }
        }
        Ok(())
    }
}

/// Joins gaps that lie close together.
fn stretches(gaps: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for gap in gaps {
        match stretches.last_mut() {
            Some(last) if gap.start - last.end < WORTH_A_REQUEST_BYTES => last.end = gap.end,
            _ => stretches.push(gap),
        }
    }
    stretches
}
