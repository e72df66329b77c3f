//! A reader on a bucket in memory: the bytes that it returns, and the requests that it sends.

mod bodies;
mod memory;
mod sequences;

use super::*;
use crate::{
    memory::Budget,
    name::Prefix,
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use futures_util::{StreamExt, future::join_all, stream};
use proptest::prelude::*;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const READ_BYTES: u32 = 255 << 10;

/// Bytes that differ at any two places a range apart: the block's length is a prime.
fn content(bytes: u64) -> Bytes {
    let mut seed = 1u32;
    let block = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    });
    let block: Vec<u8> = block.take(65_521).collect();
    let bytes = usize::try_from(bytes).unwrap();
    Bytes::from(block.repeat(bytes / block.len() + 1)).slice(..bytes)
}

struct ReaderFixture {
    bucket: Arc<MemoryBucket>,
    budget: Arc<Budget>,
    content: Bytes,
}

impl ReaderFixture {
    fn new(bytes: u64) -> Self {
        Self::in_bucket(MemoryBucket::new(), bytes)
    }

    fn in_bucket(bucket: MemoryBucket, bytes: u64) -> Self {
        let content = content(bytes);
        bucket.insert("acme/x", content.clone());
        Self { bucket: Arc::new(bucket), budget: Budget::new(364 * MIB), content }
    }

    fn memory(&self) -> TenantMemory {
        self.budget.of(&"acme".parse().unwrap())
    }

    /// Opens the object, which was seen with `seen` bytes.
    async fn try_open(&self, seen: Option<u64>) -> Result<Reader> {
        let key = Prefix::parse("acme/").unwrap().key("x").unwrap();
        let there = if seen == Some(0) { self.bucket.head(&key).await.unwrap() } else { empty() };
        self.bucket.forget_requests();
        let seen = seen.map(|size| Object { size, ..there });
        Reader::open(self.bucket.clone(), key, seen.as_ref(), self.memory()).await
    }

    async fn open(&self) -> Reader {
        self.try_open(None).await.unwrap()
    }

    async fn check(&self, reader: &Reader, offset: u64, len: u32) {
        let bytes = reader.read(offset, len).await.unwrap().concat();
        let start = usize::try_from(offset).unwrap().min(self.content.len());
        let end = (start + len as usize).min(self.content.len());
        assert!(bytes == self.content[start..end], "{len} bytes at {offset} are wrong");
    }

    /// Reads everything as a pipelining client does, with `depth` READs in flight.
    async fn check_all(&self, reader: &Reader, depth: usize) {
        let offsets = (0..self.content.len() as u64).step_by(READ_BYTES as usize);
        stream::iter(offsets).map(|offset| self.check(reader, offset, READ_BYTES)).buffered(depth).count().await;
        assert!(reader.read(self.content.len() as u64, 1).await.unwrap().is_empty());
    }

    /// The number of bytes that the GETs so far asked for.
    fn asked_bytes(&self) -> u64 {
        self.bucket
            .requests()
            .into_iter()
            .filter_map(|request| request.range)
            .map(|range| range.end - range.start)
            .sum()
    }
}

#[tokio::test]
async fn a_file_takes_a_request_for_each_range() {
    for (bytes, gets) in [(1, 1), (8 * MIB, 1), (8 * MIB + 1, 2), (64 * MIB, 8)] {
        for depth in [1, 64] {
            let fixture = ReaderFixture::new(bytes);
            let reader = fixture.open().await;
            fixture.check_all(&reader, depth).await;
            assert_eq!(fixture.bucket.verbs(), vec![Verb::Read; gets], "{bytes} bytes, {depth} in flight");
        }
    }
}

#[tokio::test]
async fn a_file_known_to_be_large_is_read_from_where_the_client_begins() {
    let fixture = ReaderFixture::new(20 * MIB);
    let reader = fixture.try_open(Some(20 * MIB)).await.unwrap();
    assert_eq!(reader.object().size, 20 * MIB);
    fixture.check(&reader, 20 * MIB - 100, 1000).await;
    assert_eq!(fixture.bucket.verbs(), [Verb::Head, Verb::Read]);
    assert_eq!(fixture.asked_bytes(), 100);

    fixture.bucket.forget_requests();
    let reader = fixture.try_open(Some(20 * MIB)).await.unwrap();
    fixture.check_all(&reader, 64).await;
    assert_eq!(fixture.bucket.verbs(), [Verb::Head, Verb::Read, Verb::Read, Verb::Read]);
}

#[tokio::test]
async fn an_empty_file_is_one_request() {
    for known in [None, Some(0)] {
        let fixture = ReaderFixture::new(0);
        let reader = fixture.try_open(known).await.unwrap();
        assert_eq!(reader.object().size, 0);
        assert!(reader.read(0, 10).await.unwrap().is_empty());
        assert_eq!(fixture.bucket.verbs(), [Verb::Read]);
    }
}

#[tokio::test]
async fn a_known_object_is_confirmed_and_another_one_asked_for_again() {
    let fixture = ReaderFixture::new(10);
    let key = Prefix::parse("acme/").unwrap().key("x").unwrap();
    let seen = fixture.bucket.head(&key).await.unwrap();
    let open = || Reader::open(fixture.bucket.clone(), key.clone(), Some(&seen), fixture.memory());
    fixture.bucket.forget_requests();
    assert_eq!(open().await.unwrap().object().pin, seen.pin);
    assert_eq!(fixture.bucket.verbs(), [Verb::Read]);
    for other in ["another one", ""] {
        fixture.bucket.insert("acme/x", other);
        fixture.bucket.forget_requests();
        assert_eq!(open().await.unwrap().object().size, other.len() as u64);
        assert_eq!(fixture.bucket.verbs(), [Verb::Read, Verb::Read]);
    }
    fixture.bucket.delete("acme/x");
    assert!(matches!(open().await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    for known in [None, Some(20 * MIB)] {
        let fixture = ReaderFixture::new(1);
        fixture.bucket.archive("acme/x");
        assert!(matches!(fixture.try_open(known).await, Err(Error::Archived)));
        fixture.bucket.delete("acme/x");
        fixture.bucket.insert("acme/x.txt", "neighbour");
        assert!(matches!(fixture.try_open(known).await, Err(Error::NotFound)));
        fixture.bucket.forbid_missing();
        assert!(matches!(fixture.try_open(known).await, Err(Error::NotFound)));

        let denied = || Error::Forbidden { request: "AccessDenied".into() };
        fixture.bucket.insert("acme/x", "there");
        // The reader asks S3 once more, because the object may have appeared in between.
        for _ in 0..2 {
            fixture.bucket.fail(Verb::Read, Moment::Request, denied());
            fixture.bucket.fail(Verb::Head, Moment::Request, denied());
        }
        assert!(matches!(fixture.try_open(known).await, Err(Error::Forbidden { .. })));
    }
}

#[tokio::test]
async fn behind_the_end_is_nothing_and_costs_nothing() {
    let fixture = ReaderFixture::new(100);
    let reader = fixture.open().await;
    for (offset, len) in [(100, 1), (u64::MAX, u32::MAX), (0, 0), (99, 0)] {
        assert!(reader.read(offset, len).await.unwrap().is_empty());
    }
    fixture.check(&reader, 99, u32::MAX).await;
    assert_eq!(fixture.bucket.requests().len(), 1);
}

#[tokio::test]
async fn reads_of_the_same_bytes_share_a_request() {
    let fixture = ReaderFixture::new(40 * MIB);
    let reader = fixture.open().await;
    join_all((0..10).map(|_| fixture.check(&reader, 30 * MIB, 32768))).await;
    assert_eq!(fixture.bucket.requests().len(), 2);
}

#[tokio::test]
async fn a_read_waits_for_its_own_bytes_only() {
    let fixture = ReaderFixture::new(32 * MIB);
    let reader = fixture.open().await;
    fixture.check(&reader, 0, READ_BYTES).await;
    let _hold = fixture.bucket.hold(Verb::Read, Moment::Answer);
    let late = reader.read(16 * MIB, 10);
    tokio::pin!(late);
    assert!(futures_util::poll!(&mut late).is_pending());
    fixture.check(&reader, 8 * MIB - 100, 100).await;
    assert!(futures_util::poll!(&mut late).is_pending());
}

// S49: A file is one version for as long as it is open; a download never mixes two.
// S50: When a file is overwritten, its download continues with the old version if the bucket keeps it, and fails …
#[tokio::test]
async fn an_overwritten_object_is_an_error_and_never_a_mixture() {
    let fixture = ReaderFixture::new(20 * MIB);
    let reader = fixture.open().await;
    fixture.check(&reader, 0, 1000).await;
    fixture.bucket.insert("acme/x", vec![0; 20 << 20]);
    fixture.check(&reader, 8 * MIB - 1000, 1000).await;
    for _ in 0..3 {
        assert!(matches!(reader.read(8 * MIB - 1000, 2000).await, Err(Error::Conflict { .. })));
        assert!(matches!(reader.read(15 * MIB, 10).await, Err(Error::Conflict { .. })));
    }
    assert_eq!(fixture.bucket.requests().len(), 2, "the version is gone: asking again is of no use");
}

// S50: When a file is overwritten, its download continues with the old version if the bucket keeps it, and fails …
#[tokio::test]
async fn an_overwritten_version_is_read_on_in_a_versioned_bucket() {
    let fixture = ReaderFixture::in_bucket(MemoryBucket::versioned(), 40 * MIB);
    let reader = fixture.open().await;
    fixture.bucket.insert("acme/x", "new");
    fixture.check_all(&reader, 4).await;
}

#[tokio::test]
async fn an_error_reaches_all_who_wait_and_the_next_read_tries_again() {
    let fixture = ReaderFixture::new(20 * MIB);
    let reader = fixture.open().await;
    fixture.bucket.fail(Verb::Read, Moment::Request, Error::Throttled { request: "SlowDown".into() });
    let answers = join_all((0..5).map(|_| reader.read(10 * MIB, 32768))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Throttled { .. }))));
    fixture.check(&reader, 10 * MIB, 32768).await;
    assert_eq!(fixture.bucket.requests().len(), 3);
}

#[tokio::test]
async fn a_dropped_reader_leaves_nothing_running() {
    let fixture = ReaderFixture::new(40 * MIB);
    let reader = fixture.open().await;
    let hold = fixture.bucket.hold(Verb::Read, Moment::Answer);
    {
        let pending = reader.read(20 * MIB, 32768);
        tokio::pin!(pending);
        assert!(futures_util::poll!(&mut pending).is_pending());
    }
    let weak = Arc::downgrade(&reader.shared);
    drop(reader);
    while weak.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.budget.used(), 0);
    drop(hold);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any pattern, any concurrency, any budget: the bytes are the object's.
    #[test]
    fn reads_give_the_objects_bytes(
        reads in proptest::collection::vec((0u64..21 * MIB, 0u32..400_000, 1u64..6), 1..30),
        depth in 1usize..20,
        budget_mib in prop_oneof![Just(0u64), Just(1), Just(10), Just(100)],
        known in any::<bool>(),
    ) {
        let fixture = ReaderFixture { budget: Budget::new(budget_mib * MIB), ..ReaderFixture::new(20 * MIB + 123) };
        // Each tuple is a short sequence.
        let reads = reads.into_iter().flat_map(|(offset, len, count)| {
            (0..count).map(move |number| (offset + number * u64::from(len), len))
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let reader = fixture.try_open(known.then_some(20 * MIB)).await.unwrap();
            stream::iter(reads).map(|(offset, len)| fixture.check(&reader, offset, len)).buffer_unordered(depth).count().await;
        });
    }
}
