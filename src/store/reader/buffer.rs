//! The bytes of one ranged GET as they stream in, and the READs that wait for them. Passive: `fill.rs` brings the
//! bytes, `ranges.rs` decides how long they are kept.
//!
//! Invariant: chunks lie in order without gaps from `start`, and are handed out as slices, never joined or copied.

use crate::store::{Error, Reservation, Result, task::OwnedTask};
use bytes::Bytes;
use std::ops::Range;
use tokio::sync::oneshot;

/// Who answers for a buffer's memory.
#[derive(Debug)]
pub(super) enum Memory {
    /// The process's budget: may be taken away while no READ needs it.
    Budget(Reservation),
    /// The one small range beyond the budget that each reader may have.
    Guaranteed,
    /// The READ that asked for exactly these bytes: they go when it goes.
    Demanded,
}

/// The bytes of one GET.
#[derive(Debug)]
pub(super) struct RangeBuffer {
    pub(super) id: u64,
    range: Range<u64>,
    pub(super) memory: Memory,
    /// Each with the offset of its first byte in the object.
    chunks: Vec<(u64, Bytes)>,
    /// The offset up to which the bytes are there.
    received: u64,
    /// How many bytes were handed out; those handed out twice count twice.
    taken_bytes: u64,
    /// How many READs need bytes of it now.
    pub(super) readers: usize,
    /// Whether a READ needed it since this was last cleared.
    pub(super) touched: bool,
    /// READs that wait for the bytes before an offset.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    failure: Option<Error>,
    _task: OwnedTask<()>,
}

impl RangeBuffer {
    /// A buffer that `task` fills.
    pub(super) fn new(id: u64, range: Range<u64>, memory: Memory, task: OwnedTask<()>) -> Self {
        Self {
            id,
            received: range.start,
            range,
            memory,
            chunks: Vec::new(),
            taken_bytes: 0,
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

    /// Whether it can't be filled.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether as many bytes were handed out as it has.
    pub(super) fn is_taken(&self) -> bool {
        self.taken_bytes >= self.range.end - self.range.start
    }

    /// Takes in the next bytes and wakes those who waited for them.
    pub(super) fn push(&mut self, chunk: Bytes) {
        let start = self.received;
        self.received += chunk.len() as u64;
        self.chunks.push((start, chunk));
        let received = self.received;
        self.wake(|wanted| wanted <= received);
    }

    /// Gives up, unless all bytes are there or it has failed already. Whoever waits gets `error`.
    pub(super) fn fail(&mut self, error: &Error) -> bool {
        let fails = self.received < self.range.end && self.failure.is_none();
        if fails {
            self.failure = Some(error.clone());
            self.wake(|_| true);
        }
        fails
    }

    /// What to wait for before this buffer's share of `want` can be taken; `None`: it is there.
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
        let first = self.chunks.partition_point(|(at, chunk)| at + chunk.len() as u64 <= start);
        for (at, chunk) in self.chunks.iter().skip(first).take_while(|(at, _)| *at < end) {
            let (from, to) = (index(start.saturating_sub(*at)), index(end - at).min(chunk.len()));
            pieces.push(chunk.slice(from..to));
        }
        self.taken_bytes += end.saturating_sub(start);
    }

    fn wake(&mut self, due: impl Fn(u64) -> bool) {
        for (_, sender) in self.waiting.extract_if(.., |(wanted, sender)| due(*wanted) || sender.is_closed()) {
            // A READ that was dropped no longer listens.
            let _gone = sender.send(());
        }
    }
}

/// A length within a chunk.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
