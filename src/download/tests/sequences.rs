//! The ranges that are fetched for typical access patterns of clients.

use super::*;
use tokio::{join, time::Instant};

// S52: The first READ after a seek brings what it asks for and nothing else.
#[tokio::test]
async fn a_seek_fetches_no_more_than_was_asked_for() {
    let fixture = ReaderFixture::new(64 * MIB);
    let reader = fixture.open().await;
    for number in 0..500u64 {
        let offset = 8 * MIB + (number * 7_654_321) % (56 * MIB - 32768);
        fixture.check(&reader, offset, 32768).await;
    }
    assert!(fixture.asked_bytes() <= 8 * MIB + 500 * 32768, "{}", fixture.asked_bytes());
}

#[tokio::test]
async fn a_sequence_after_a_seek_proves_itself_with_a_few_small_requests() {
    let fixture = ReaderFixture::new(100 * MIB);
    let reader = fixture.open().await;
    for offset in (50 * MIB..99 * MIB).step_by(32768) {
        fixture.check(&reader, offset, 32768).await;
    }
    assert!((8..=16).contains(&fixture.bucket.requests().len()), "{:?}", fixture.bucket.requests());
    // The first range, the sequence, and the bytes prefetched for it up to the end of the object.
    assert_eq!(fixture.asked_bytes(), (8 + 50) * MIB);
}

// S51: The bytes behind READs that follow one another are fetched before they are asked for, also if the READs come …
#[tokio::test]
async fn reads_out_of_order_are_no_seeks() {
    let fixture = ReaderFixture::new(40 * MIB);
    let reader = fixture.open().await;
    let mut offsets: Vec<u64> = (0..40 * MIB).step_by(32768).collect();
    for batch in offsets.chunks_mut(7) {
        batch.reverse();
    }
    stream::iter(offsets).map(|offset| fixture.check(&reader, offset, 32768)).buffer_unordered(64).count().await;
    assert_eq!(fixture.bucket.requests().len(), 5);
}

// S51: The bytes behind READs that follow one another are fetched before they are asked for, also if the READs come …
#[tokio::test]
async fn sequences_side_by_side_over_one_handle_hardly_fetch_a_byte_twice() {
    let fixture = ReaderFixture::new(64 * MIB);
    let reader = fixture.try_open(Some(64 * MIB)).await.unwrap();
    let starts = [0, 16 * MIB, 32 * MIB, 48 * MIB];
    for offset in (0..16 * MIB).step_by(32768) {
        join_all(starts.map(|start| fixture.check(&reader, start + offset, 32768))).await;
    }
    // Allows some bytes twice: a sequence that reaches the start of the next one has prefetched beyond it.
    assert!(fixture.asked_bytes() <= 66 * MIB, "{} bytes", fixture.asked_bytes());
    assert!(fixture.bucket.requests().len() <= 40, "{:?}", fixture.bucket.requests());
}

#[tokio::test]
async fn two_handles_of_one_file_each_fetch_their_part() {
    let fixture = ReaderFixture::new(64 * MIB);
    let (first, second) =
        (fixture.try_open(Some(64 * MIB)).await.unwrap(), fixture.try_open(Some(64 * MIB)).await.unwrap());
    for offset in (0..32 * MIB).step_by(READ_BYTES as usize) {
        join!(fixture.check(&first, offset, READ_BYTES), fixture.check(&second, 32 * MIB + offset, READ_BYTES));
    }
    drop((first, second));
    // The first reader has prefetched into the second's part, as far as its window went.
    assert!(fixture.asked_bytes() <= (64 + 8 * 8) * MIB, "{} bytes", fixture.asked_bytes());
}

// S52: The first READ after a seek brings what it asks for and nothing else.
#[tokio::test]
async fn a_small_random_read_fetches_itself_alone() {
    const PAGE_BYTES: u32 = 4096;
    let fixture = ReaderFixture::new(64 * MIB);
    let reader = fixture.try_open(Some(64 * MIB)).await.unwrap();
    fixture.check(&reader, 0, PAGE_BYTES).await;
    let first_bytes = fixture.asked_bytes();
    let mut seed = 1_u64;
    for _ in 0..500 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let offset = 8 * MIB + (seed >> 33) % (56 * MIB / 4096) * 4096;
        fixture.check(&reader, offset, PAGE_BYTES).await;
    }
    let fetched_bytes = fixture.asked_bytes() - first_bytes;
    assert!(fetched_bytes <= 500 * u64::from(PAGE_BYTES), "{fetched_bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn at_s3_s_distance_a_long_sequence_is_as_fast_as_sixteen_connections() {
    let fixture = ReaderFixture::new(192 * MIB);
    fixture.bucket.answer_after(Duration::from_millis(30));
    fixture.bucket.send_at(80_000_000);
    let reader = fixture.try_open(Some(192 * MIB)).await.unwrap();
    let read = async |range: Range<u64>| {
        let since = Instant::now();
        let reads = stream::iter(range.step_by(1 << 18)).map(|offset| fixture.check(&reader, offset, 1 << 18));
        reads.buffered(64).count().await;
        since.elapsed()
    };
    // One connection would take 1.5 s for the first part and 1.9 s for the 120 MiB of the rest.
    let (first, rest) = (read(0..72 * MIB).await, read(72 * MIB..192 * MIB).await);
    assert!(first <= Duration::from_millis(400), "{first:?} until the sequence is long");
    assert!(rest <= Duration::from_millis(170), "{rest:?} from then on");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_prefetched_while_gets_fail() {
    let fixture = ReaderFixture::new(512 * MIB);
    let reader = fixture.try_open(Some(512 * MIB)).await.unwrap();
    for offset in (0..64 * MIB).step_by(READ_BYTES as usize) {
        fixture.check(&reader, offset, READ_BYTES).await;
    }
    // The ranges that were prefetched for the sequence are here. READs behind them need a GET each.
    let ahead = 64 * MIB + 16 * 8 * MIB;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..100 {
        fixture.bucket.fail(Verb::Read, Moment::Request, Error::Unreachable("connection refused".into()));
    }
    let mut offset = 64 * MIB;
    while reader.read(offset, READ_BYTES).await.is_ok() {
        offset += u64::from(READ_BYTES);
    }
    assert!(offset > ahead - 32 * MIB, "{offset} of {ahead}");
    fixture.bucket.forget_requests();
    for number in 1..=20 {
        offset += u64::from(READ_BYTES);
        reader.read(offset, READ_BYTES).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(fixture.bucket.requests().len(), number, "one GET a READ");
    }
    fixture.bucket.forget_faults();
    fixture.bucket.forget_requests();
    for offset in (offset..offset + 64 * MIB).step_by(READ_BYTES as usize) {
        fixture.check(&reader, offset, READ_BYTES).await;
    }
    assert!(fixture.asked_bytes() > 112 * MIB, "{} bytes: it fetches ahead again", fixture.asked_bytes());
}
