//! Reads one object: one version of it, in any pattern of READs, with several GETs at once if that pays.
//!
//! The OPEN fetches the first 8 MiB. After it, a READ is answered from ranges that are here or requested. Up to four
//! sequences of READs are prefetched. A READ elsewhere fetches only the bytes that it asks for. Bytes are handed out as
//! they stream in.
//!
//! Invariant: every byte is of the version that the OPEN saw. Memory beyond the bytes that READs ask for comes from the
//! process's budget. It is at most 136 MiB, and is returned if others need it more, or if the client sends no READ for
//! ten seconds. Without it, a READ fetches the bytes that it asks for. Dropping the reader ends all its tasks.
//!
//! The parts: `prefetch.rs` follows the client's READs, and `sequence.rs` one sequence of them. `plan.rs` decides what
//! to fetch, `fill.rs` fetches it, `buffer.rs` holds one range and `ranges.rs` all of them.

mod buffer;
mod file_prefetch;
mod fill;
mod plan;
mod prefetch;
mod ranges;
mod sequence;
#[cfg(test)]
mod tests;

pub(crate) use file_prefetch::FilePrefetch;

use crate::{
    memory::{Charge, TenantMemory},
    name::{BucketId, Key},
    store::{Bucket, ETag, Error, Headers, Object, Pin, Result, ask},
};
use buffer::RangeMemory;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use plan::{ReaderState, SMALL_BYTES};
use prefetch::RANGE_BYTES;
use ranges::RangeLookup;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// An object opened for reading. READs run concurrently, in any order; dropping one of them harms no other.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<ReaderInner>,
}

#[derive(Debug)]
struct ReaderInner {
    bucket: Arc<dyn Bucket>,
    key: Key,
    object: Object,
    memory: TenantMemory,
    state: Mutex<ReaderState>,
}

impl Reader {
    /// The id of the bucket that it reads from.
    pub(crate) fn bucket(&self) -> &BucketId {
        self.shared.bucket.id()
    }

    /// Opens `key` with 1 request: a GET of the first 8 MiB, or of the first 256 KiB if there is little memory. It is a
    /// HEAD if there is none, or if the object was `seen` to be larger, because then the client may begin anywhere.
    /// `If-Match` confirms the seen version. If the object was replaced, one more request asks without it.
    ///
    /// Of an empty object that was not seen, only its emptiness is known: S3 answers with an error that has no
    /// attributes.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: no object, or S3 says 403 and a listing (1 more request) shows none.
    /// - [`Error::Archived`]: the object must be restored first.
    pub(crate) async fn open(
        bucket: Arc<dyn Bucket>,
        key: Key,
        seen: Option<&Object>,
        memory: TenantMemory,
    ) -> Result<Self> {
        if seen.is_some_and(|seen| seen.size > RANGE_BYTES) {
            return Self::open_by_head(bucket, key, memory).await;
        }
        let (charge, first_bytes) = match memory.charge_range(RANGE_BYTES) {
            Some(charge) => (charge, RANGE_BYTES),
            None => match memory.charge_small_file(SMALL_BYTES) {
                Some(charge) => (charge, SMALL_BYTES),
                None => return Self::open_by_head(bucket, key, memory).await,
            },
        };
        // Without the pin's version: an older version is not the current object.
        let pin = seen.map(|seen| Pin { etag: seen.pin.etag.clone(), version: None });
        let read = async |pin: Option<&Pin>| ask(&*bucket, &key, || bucket.read(&key, 0..first_bytes, pin)).await;
        let (answer, seen) = match read(pin.as_ref()).await {
            Err(Error::Conflict { .. }) if seen.is_some() => (read(None).await, None),
            answer => (answer, seen),
        };
        let read = match answer {
            Ok(read) => read,
            Err(Error::RangeNotSatisfiable { size: Some(0) }) => {
                let object = seen.filter(|seen| seen.size == 0).cloned().unwrap_or_else(empty);
                return Ok(Self::new(bucket, key, object, memory, None));
            }
            Err(Error::RangeNotSatisfiable { .. }) => return Self::open_by_head(bucket, key, memory).await,
            Err(error) => return Err(error),
        };
        let range = 0..first_bytes.min(read.object.size);
        if read.range != range {
            return Err(Error::Broken(format!("asked for bytes {range:?}, got {:?}", read.range)));
        }
        let memory_of_range = memory_of(&memory, charge, range.end);
        let reader = Self::new(bucket, key, read.object, memory, Some(0));
        if !range.is_empty() {
            reader.shared.state().start(&reader.shared, range, memory_of_range, Some(read.body));
        }
        Ok(reader)
    }

    /// Opens an object that is known to be empty. No request.
    #[must_use]
    pub(crate) fn of_empty(bucket: Arc<dyn Bucket>, key: Key, memory: TenantMemory) -> Self {
        Self::new(bucket, key, empty(), memory, None)
    }

    /// The largest object that [`open_whole`](Self::open_whole) takes, in bytes.
    pub(super) const MAX_WHOLE_BYTES: u64 = SMALL_BYTES;

    /// Opens `key` if it still is `pin`, an object of `size` bytes, in the memory of `charge`. 1 request, for all of
    /// it.
    pub(super) async fn open_whole(
        bucket: Arc<dyn Bucket>,
        key: Key,
        (size, charge): (u64, Charge),
        pin: &Pin,
        memory: TenantMemory,
    ) -> Result<Self> {
        let read = bucket.read(&key, 0..size, Some(pin)).await?;
        // Some stores ignore `If-Match`.
        if read.object.pin.etag != pin.etag {
            return Err(Error::Conflict { request: "GET answered with another version".into() });
        }
        if read.range != (0..size) {
            return Err(Error::Broken(format!("asked for {size} bytes, got {:?}", read.range)));
        }
        let reader = Self::new(bucket, key, read.object, memory, Some(0));
        reader.shared.state().start(&reader.shared, read.range, RangeMemory::Charged(charge), Some(read.body));
        Ok(reader)
    }

    async fn open_by_head(bucket: Arc<dyn Bucket>, key: Key, memory: TenantMemory) -> Result<Self> {
        let object = ask(&*bucket, &key, || bucket.head(&key)).await?;
        if object.archived {
            return Err(Error::Archived);
        }
        Ok(Self::of(bucket, key, object, memory))
    }

    /// Reads `object`, which an earlier request described. Sends no request before the first READ.
    #[must_use]
    pub(crate) fn of(bucket: Arc<dyn Bucket>, key: Key, object: Object, memory: TenantMemory) -> Self {
        Self::new(bucket, key, object, memory, None)
    }

    fn new(bucket: Arc<dyn Bucket>, key: Key, object: Object, memory: TenantMemory, head: Option<u64>) -> Self {
        let state = Mutex::new(ReaderState::new(head));
        Self { shared: Arc::new(ReaderInner { bucket, key, object, memory, state }) }
    }

    /// The object as the OPEN saw it.
    #[must_use]
    pub(crate) fn object(&self) -> &Object {
        &self.shared.object
    }

    /// The bytes at `offset`, as slices of S3's pieces, in order: `len` bytes in all, fewer only at the end of the
    /// object, none behind it. They are held in memory, so the caller bounds `len`.
    ///
    /// Poll the READs of a sequence first in their order. If they come slightly out of order, the reader still
    /// recognizes the sequence.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the object was overwritten and the bucket keeps no versions, else those of the GET.
    pub(crate) async fn read(&self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        let want = offset..offset.saturating_add(len.into()).min(self.shared.object.size);
        if want.is_empty() {
            return Ok(Vec::new());
        }
        let demand = Demand::new(&self.shared, want)?;
        loop {
            // Looked up again each time, because a READ can need several ranges.
            let arrival = match self.shared.state().ranges.look(&demand.want)? {
                RangeLookup::Complete(pieces) => return Ok(pieces),
                RangeLookup::Wait(arrival) => arrival,
            };
            // An error means that the range ended without its bytes. The next look reports why.
            let _woken = arrival.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Breaks the cycle: the tasks and the state hold each other.
        let ranges = self.shared.state().ranges.clear();
        drop(ranges);
    }
}

/// A READ and the ranges that it needs. They stay until it has ended.
struct Demand<'a> {
    shared: &'a ReaderInner,
    want: Range<u64>,
}

impl<'a> Demand<'a> {
    fn new(shared: &'a Arc<ReaderInner>, want: Range<u64>) -> Result<Self> {
        let mut state = shared.state();
        let unneeded = state.plan(shared, &want)?;
        state.ranges.hold(&want);
        drop(state);
        drop(unneeded);
        Ok(Self { shared, want })
    }
}

impl Drop for Demand<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let ReaderState { ranges, prefetch, .. } = &mut *state;
        let unneeded = ranges.release(&self.want, prefetch);
        drop(state);
        drop(unneeded);
    }
}

impl ReaderInner {
    fn state(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock()
    }

    /// Memory for a range of at most [`SMALL_BYTES`], from that of small files.
    fn small_file(&self, bytes: u64) -> Option<RangeMemory> {
        let charge = if bytes <= SMALL_BYTES { self.memory.charge_small_file(bytes) } else { None };
        charge.map(RangeMemory::Charged)
    }

    /// Appends the next bytes of a range.
    fn deliver(&self, id: u64, piece: Bytes) {
        self.state().deliver(id, piece);
    }

    /// Fails a range, unless it is complete.
    fn fail(&self, id: u64, error: &Error) {
        let unneeded = self.state().fail(id, error);
        drop(unneeded);
    }

    /// Drops a range if the client is silent, or if others need its memory and no READ needed it recently. Returns
    /// `true` if the range is gone.
    fn evict(&self, id: u64) -> bool {
        let evicted = self.state().evict(id);
        !evicted.is_empty()
    }
}

/// The memory of the first range of `bytes`: that of small files if it is one, else as much of `charge`.
fn memory_of(memory: &TenantMemory, mut charge: Charge, bytes: u64) -> RangeMemory {
    let small = if bytes <= SMALL_BYTES { memory.charge_small_file(bytes) } else { None };
    small.or_else(|| charge.split(bytes)).map_or(RangeMemory::Charged(charge), RangeMemory::Charged)
}

fn empty() -> Object {
    let pin = Pin { etag: ETag(String::new()), version: None };
    Object { size: 0, pin, modified: 0, metadata: BTreeMap::new(), headers: Headers::default(), archived: false }
}
