//! One GET: its bytes go into a range as they come, a body that breaks or dries up is taken up where it did, and memory
//! that others need is given back.
//!
//! Invariant: every request names the version that the OPEN saw, and the answer is checked to be of it.

use super::Shared;
use crate::store::{Body, Error, Result, find};
use futures_util::StreamExt;
use std::{ops::Range, sync::Arc, time::Duration};

/// How often the body of one range may break.
const MAX_BREAKS: u32 = 4;
/// The pause after the first break; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long a body may take, whatever its length; and the speed that it must have beyond that, in bytes a millisecond.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
const FLOOR_BYTES_PER_MS: u64 = 100;
/// A prefetched range that no READ needed for as long as this is given up when others need its memory.
const PRESSURE_PERIOD: Duration = Duration::from_millis(500);

/// Why a body ended before its range did.
enum Interrupted {
    /// It broke or came too slowly, and may be taken up again.
    Body(Error),
    /// The request itself failed, which the bucket has retried as often as makes sense.
    Request(Error),
}

/// Fills the range, from `body` if its GET has been answered already. Runs until the range is dropped.
pub(super) async fn fill(shared: Arc<Shared>, id: u64, range: Range<u64>, body: Option<Body>, evictable: bool) {
    let filling = Filling { shared: &shared, id };
    tokio::select! {
        biased;
        () = filling.run(range, body) => {}
        () = filling.give_way(), if evictable => return,
    }
    if evictable {
        filling.give_way().await;
    }
}

struct Filling<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Filling<'_> {
    async fn run(&self, range: Range<u64>, mut body: Option<Body>) {
        let mut at = range.start;
        for breaks in 0..=MAX_BREAKS {
            let error = match self.stream(&mut at, range.end, body.take()).await {
                Ok(()) => return,
                Err(Interrupted::Body(_)) if breaks < MAX_BREAKS => {
                    tokio::time::sleep(FIRST_PAUSE * 2u32.pow(breaks)).await;
                    continue;
                }
                Err(Interrupted::Body(error) | Interrupted::Request(error)) => error,
            };
            self.shared.fail(self.id, &error);
            return;
        }
    }

    /// Streams the bytes from `at` to `end`, leaving `at` where they ended.
    async fn stream(&self, at: &mut u64, end: u64, body: Option<Body>) -> Result<(), Interrupted> {
        let body = match body {
            Some(body) => body,
            None => self.request(*at..end).await.map_err(Interrupted::Request)?,
        };
        let due = BODY_PATIENCE + Duration::from_millis((end - *at) / FLOOR_BYTES_PER_MS);
        let too_slow = || Error::Unreachable(format!("a body that took longer than {due:?}"));
        let received = tokio::time::timeout(due, self.receive(at, end, body)).await;
        received.unwrap_or_else(|_| Err(too_slow())).map_err(Interrupted::Body)
    }

    async fn receive(&self, at: &mut u64, end: u64, mut body: Body) -> Result<()> {
        while *at < end {
            let mut chunk = match body.next().await {
                Some(chunk) => chunk?,
                None => return Err(Error::Broken("a body shorter than its range".into())),
            };
            // A body longer than its range is cut: what follows is another range's.
            chunk.truncate(usize::try_from(end - *at).unwrap_or(usize::MAX));
            *at += chunk.len() as u64;
            self.shared.deliver(self.id, chunk);
        }
        Ok(())
    }

    async fn request(&self, range: Range<u64>) -> Result<Body> {
        let Shared { bucket, key, object, .. } = self.shared;
        let pin = &object.pin;
        let read = find::ask(&**bucket, key, || bucket.read(key, range.clone(), Some(pin))).await?;
        // Not every store knows `If-Match`.
        if read.object.pin.etag != pin.etag {
            return Err(Error::Conflict { request: "GET answered with another version".into() });
        }
        if read.range != range {
            return Err(Error::Broken(format!("asked for bytes {range:?}, got {:?}", read.range)));
        }
        Ok(read.body)
    }

    /// Ends when memory is short, and no READ has needed the range for a while: the range is gone then.
    async fn give_way(&self) {
        loop {
            tokio::time::sleep(PRESSURE_PERIOD).await;
            if self.shared.budget.is_tight() && self.shared.evict(self.id) {
                return;
            }
        }
    }
}

/// A task that ends in any other way must not leave READs waiting. Where all bytes came this changes nothing.
impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.shared.fail(self.id, &Error::Broken("the GET was abandoned".into()));
    }
}
