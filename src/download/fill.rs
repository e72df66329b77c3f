//! One GET: it puts the bytes into a range as they come, resumes a body that breaks or stalls, and returns memory that
//! others need.
//!
//! Invariant: every request names the version that the OPEN saw, and each answer is checked to be of that version.

use super::ReaderInner;
use crate::store::{Body, Error, Result, ask};
use futures_util::StreamExt;
use std::{ops::Range, sync::Arc, time::Duration};

/// The number of times that the body of one range may break.
const MAX_BREAKS: u32 = 4;
/// The pause after the first break. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The time that a body may take regardless of its length, and the speed that it needs beyond that, in bytes a
/// millisecond.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
const FLOOR_BYTES_PER_MS: u64 = 100;
/// The time after which an unused prefetched range is evicted, if others need its memory.
const PRESSURE_PERIOD: Duration = Duration::from_millis(500);

/// The reason why a body ended before its range did.
enum Interruption {
    /// The body broke or came too slowly, and can be resumed.
    Body(Error),
    /// The request itself failed. The bucket has already retried it as often as makes sense.
    Request(Error),
}

/// Fills the range, from `body` if its GET was already answered. Runs until the range is dropped.
pub(super) async fn fill(shared: Arc<ReaderInner>, id: u64, range: Range<u64>, body: Option<Body>, evictable: bool) {
    let filling = RangeFill { shared: &shared, id };
    tokio::select! {
        biased;
        () = filling.run(range, body) => {}
        () = filling.give_way(), if evictable => return,
    }
    if evictable {
        filling.give_way().await;
    }
}

struct RangeFill<'a> {
    shared: &'a ReaderInner,
    id: u64,
}

impl RangeFill<'_> {
    async fn run(&self, range: Range<u64>, mut body: Option<Body>) {
        let mut at = range.start;
        for breaks in 0..=MAX_BREAKS {
            let error = match self.stream(&mut at, range.end, body.take()).await {
                Ok(()) => return,
                Err(Interruption::Body(_)) if breaks < MAX_BREAKS => {
                    tokio::time::sleep(FIRST_PAUSE * 2u32.pow(breaks)).await;
                    continue;
                }
                Err(Interruption::Body(error) | Interruption::Request(error)) => error,
            };
            self.shared.fail(self.id, &error);
            return;
        }
    }

    /// Streams the bytes from `at` to `end`. Leaves `at` at the end of the received bytes.
    async fn stream(&self, at: &mut u64, end: u64, body: Option<Body>) -> Result<(), Interruption> {
        let body = match body {
            Some(body) => body,
            None => self.request(*at..end).await.map_err(Interruption::Request)?,
        };
        let due = BODY_PATIENCE + Duration::from_millis((end - *at) / FLOOR_BYTES_PER_MS);
        let too_slow = || Error::Unreachable(format!("a body that took longer than {due:?}"));
        let received = tokio::time::timeout(due, self.receive(at, end, body)).await;
        received.unwrap_or_else(|_| Err(too_slow())).map_err(Interruption::Body)
    }

    async fn receive(&self, at: &mut u64, end: u64, mut body: Body) -> Result<()> {
        while *at < end {
            let mut piece = match body.next().await {
                Some(piece) => piece?,
                None => return Err(Error::Broken("a body shorter than its range".into())),
            };
            // A body longer than its range is truncated: the rest belongs to another range.
            piece.truncate(usize::try_from(end - *at).unwrap_or(usize::MAX));
            *at += piece.len() as u64;
            self.shared.deliver(self.id, piece);
        }
        Ok(())
    }

    async fn request(&self, range: Range<u64>) -> Result<Body> {
        let ReaderInner { bucket, key, object, .. } = self.shared;
        let pin = &object.pin;
        let read = ask(&**bucket, key, || bucket.read(key, range.clone(), Some(pin))).await?;
        // Some stores ignore `If-Match`.
        if read.object.pin.etag != pin.etag {
            return Err(Error::Conflict { request: "GET answered with another version".into() });
        }
        if read.range != range {
            return Err(Error::Broken(format!("asked for bytes {range:?}, got {:?}", read.range)));
        }
        Ok(read.body)
    }

    /// Returns once the range is evicted: the client was silent for a while, or memory is short and no READ has needed
    /// the range.
    async fn give_way(&self) {
        loop {
            tokio::time::sleep(PRESSURE_PERIOD).await;
            if self.shared.evict(self.id) {
                return;
            }
        }
    }
}

/// A task that ends in any other way must not leave READs waiting. No effect if all bytes have come.
impl Drop for RangeFill<'_> {
    fn drop(&mut self) {
        self.shared.fail(self.id, &Error::Broken("the GET was abandoned".into()));
    }
}
