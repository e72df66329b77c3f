//! The object that a file began as, of which only a part is written anew: reading back what still shows of it.
//!
//! Invariant: every byte of it is of the one version that the upload replaces, or the upload fails.

use super::{PATIENCE, Target, Upload, answer::in_time, parts::replaced, plan::MIN_PART_BYTES};
use crate::store::{Error, Object, Pin, Reader, Result, find};
use bytes::Bytes;
use futures_util::StreamExt;
use std::{ops::Range, sync::Arc};

/// Less than this between two stretches that are read back costs more as a second request, in bytes.
const WORTH_A_REQUEST_BYTES: u64 = 256 * 1024;

/// The object.
#[derive(Debug)]
pub(super) struct Base {
    object: Object,
    /// Whether the file is no longer the same.
    pub(super) changed: bool,
    /// What the file's reader is served from, once there is one.
    pub(super) reader: Option<Reader>,
}

impl Base {
    pub(super) fn new(object: &Object) -> Self {
        Self { object: object.clone(), changed: false, reader: None }
    }

    pub(super) fn pin(&self) -> &Pin {
        &self.object.pin
    }
}

impl Upload {
    /// Whether a byte of the object that the file began as shows in the `len` bytes from `offset`.
    #[must_use]
    pub fn shows_base(&self, offset: u64, len: usize) -> bool {
        !self.buffer.old(offset..offset.saturating_add(len as u64)).is_empty()
    }

    /// Up to `len` bytes from `offset`: fewer at the file's end, none behind it. `None` if some of them are shipped.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the object that the file began as was replaced, or what S3 said.
    pub async fn read(&mut self, offset: u64, len: usize) -> Result<Option<Bytes>> {
        let Some(mut bytes) = self.buffer.read(offset, len) else { return Ok(None) };
        for old in self.buffer.old(offset..offset + bytes.len() as u64) {
            let mut at = old.start;
            while at < old.end {
                let wanted = u32::try_from(old.end - at).unwrap_or(u32::MAX);
                let pieces = self.reader()?.read(at, wanted).await.map_err(replaced)?;
                if pieces.is_empty() {
                    return Err(Error::Broken("an object ended before its size".into()));
                }
                for piece in pieces {
                    let place = usize::try_from(at - offset).unwrap_or(usize::MAX);
                    if let Some(room) = bytes.get_mut(place..place.saturating_add(piece.len())) {
                        room.copy_from_slice(&piece);
                    }
                    at += piece.len() as u64;
                }
            }
        }
        Ok(Some(bytes.freeze()))
    }

    /// Whether S3 copies ranges of the object that the file began as.
    pub(super) fn is_copyable(&self) -> bool {
        self.base.as_ref().is_some_and(|base| base.object.size > MIN_PART_BYTES)
    }

    /// Reads back what still shows of the object in `range`, so that it is shipped with the bytes around it.
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

    /// Makes room for bytes that are read back.
    async fn hold(&mut self, offset: u64) -> Result<()> {
        while !self.buffer.has_room_at(offset) {
            if let Some(block) = self.allowance.block() {
                self.buffer.make_room_at(offset, block);
            } else if let Some(parts) = self.parts.as_mut().filter(|parts| parts.in_flight() > 0) {
                parts.one_arrived().await?;
            } else {
                self.allowance.more(PATIENCE).await?;
            }
        }
        Ok(())
    }

    async fn read_back(&mut self, range: Range<u64>) -> Result<()> {
        let Some(pin) = self.base.as_ref().map(|base| base.pin().clone()) else { return Ok(()) };
        let mut at = range.start;
        while at < range.end {
            let asked_at = at;
            let Target { bucket, key, .. } = &self.target;
            let read = in_time(find::ask(&**bucket, key, || bucket.read(key, at..range.end, Some(&pin)))).await;
            let read = read.map_err(replaced)?;
            let mut body = read.body;
            while let Some(piece) = in_time(async { Ok(body.next().await) }).await? {
                match piece {
                    Ok(piece) => {
                        self.buffer.fill(at, &piece);
                        at += piece.len() as u64;
                    }
                    // It goes on where it broke, as long as it gets on.
                    Err(_) if at > asked_at => break,
                    Err(error) => return Err(error),
                }
            }
            if at == asked_at {
                return Err(Error::Broken("an object ended before its size".into()));
            }
        }
        Ok(())
    }

    fn reader(&mut self) -> Result<&Reader> {
        let Self { base, target, budget, .. } = self;
        let Some(Base { object, reader, .. }) = base else { return Err(Error::NotFound) };
        Ok(reader.get_or_insert_with(|| {
            Reader::of(Arc::clone(&target.bucket), target.key.clone(), object.clone(), Arc::clone(budget))
        }))
    }
}

/// Joins those that lie close together.
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
