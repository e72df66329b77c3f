//! The bytes of one ranged GET as they stream in, and the READs that wait for them. Passive: `fill.rs` brings the
//! bytes, `ranges.rs` decides how long they are kept.
//!
//! Invariant: the pieces follow each other without gaps from `start`. They are handed out as slices, never joined or
//! copied.

use crate::{
    memory::Charge,
    store::{Error, OwnedTask, Result},
};
use bytes::Bytes;
use std::ops::Range;
use tokio::sync::oneshot;

/// The owner of a buffer's memory.
#[derive(Debug)]
pub(super) enum RangeMemory {
    /// The tenant: the range can be evicted while no READ needs it.
    Charged(Charge),
    /// The READ that asked for exactly these bytes: the range ends with it.
    Demanded,
}

/// The bytes of one GET.
#[derive(Debug)]
pub(super) struct RangeBuffer {
    pub(super) id: u64,
    range: Range<u64>,
    pub(super) memory: RangeMemory,
    /// Each piece with the offset of its first byte in the object.
    pieces: Vec<(u64, Bytes)>,
    /// The end of the received bytes, an offset in the object.
    received: u64,
    /// The number of bytes handed out. A byte handed out twice counts twice.
    consumed_bytes: u64,
    /// The number of READs that need bytes of it now.
    pub(super) readers: usize,
    /// True if a READ needed it since this was last cleared.
    pub(super) touched: bool,
    /// READs that wait for all bytes before an offset.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    failure: Option<Error>,
    _task: OwnedTask<()>,
}

impl RangeBuffer {
    /// A buffer that `task` fills.
    pub(super) fn new(id: u64, range: Range<u64>, memory: RangeMemory, task: OwnedTask<()>) -> Self {
        Self {
            id,
            received: range.start,
            range,
            memory,
            pieces: Vec::new(),
            consumed_bytes: 0,
            readers: 0,
            touched: false,
            waiting: Vec::new(),
            failure: None,
            _task: task,
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.range.start
    }

    pub(super) fn end(&self) -> u64 {
        self.range.end
    }

    pub(super) fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// True if others need its memory.
    pub(super) fn is_tight(&self) -> bool {
        matches!(&self.memory, RangeMemory::Charged(charge) if charge.is_tight())
    }

    /// True if its GET has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// True if as many bytes were handed out as it has.
    pub(super) fn is_consumed(&self) -> bool {
        self.consumed_bytes >= self.range.end - self.range.start
    }

    /// Appends the next bytes, and wakes the READs that wait for them.
    pub(super) fn push(&mut self, piece: Bytes) {
        let start = self.received;
        self.received += piece.len() as u64;
        self.pieces.push((start, piece));
        let received = self.received;
        self.wake(|wanted| wanted <= received);
    }

    /// Fails, unless all bytes are here or it has failed before. Waiting READs get `error`. Returns `true` if it failed
    /// now.
    pub(super) fn fail(&mut self, error: &Error) -> bool {
        let fails = self.received < self.range.end && self.failure.is_none();
        if fails {
            self.failure = Some(error.clone());
            self.wake(|_| true);
        }
        fails
    }

    /// The signal to await before this buffer's share of `want` can be taken. `None` if the share is here.
    pub(super) fn wait_for(&mut self, want: &Range<u64>) -> Result<Option<oneshot::Receiver<()>>> {
        let end = want.end.min(self.range.end);
        if end <= self.received {
            return Ok(None);
        }
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push((end, sender));
        Ok(Some(receiver))
    }

    /// Appends this buffer's share of `want` to `pieces`.
    pub(super) fn take(&mut self, want: &Range<u64>, pieces: &mut Vec<Bytes>) {
        let (start, end) = (want.start.max(self.range.start), want.end.min(self.range.end));
        let first = self.pieces.partition_point(|(at, piece)| at + piece.len() as u64 <= start);
        for (at, piece) in self.pieces.iter().skip(first).take_while(|(at, _)| *at < end) {
            let (from, to) = (index(start.saturating_sub(*at)), index(end - at).min(piece.len()));
            pieces.push(piece.slice(from..to));
        }
        self.consumed_bytes += end.saturating_sub(start);
    }

    fn wake(&mut self, due: impl Fn(u64) -> bool) {
        for (_, sender) in self.waiting.extract_if(.., |(wanted, sender)| due(*wanted) || sender.is_closed()) {
            // The READ was dropped and no longer listens.
            let _gone = sender.send(());
        }
    }
}

/// A length within a piece.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
