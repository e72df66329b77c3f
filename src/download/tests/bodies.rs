//! Bodies that break, stall or end early.

use super::*;
use crate::testing::bucket::BodyFault;
use tokio::time::Instant;

// S53: A download whose connection to S3 breaks, or stalls, resumes at the byte where it did.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_resumed_where_it_broke() {
    let fixture = ReaderFixture::new(20 * MIB);
    fixture.bucket.break_body(100_000);
    let reader = fixture.open().await;
    fixture.check_all(&reader, 64).await;
    let ranges: Vec<_> = fixture.bucket.requests().into_iter().filter_map(|request| request.range).collect();
    assert_eq!(ranges.len(), 4);
    assert!(ranges.contains(&(100_000..8 * MIB)), "{ranges:?}");
}

// S53: A download whose connection to S3 breaks, or stalls, resumes at the byte where it did.
#[tokio::test(start_paused = true)]
async fn a_body_that_ends_too_soon_or_stalls_is_resumed_too_with_a_deadline_by_its_length() {
    for (fault, least, most) in [(BodyFault::End(300_000), 0, 1), (BodyFault::Stall(300_000), 100, 110)] {
        let fixture = ReaderFixture::new(8 * MIB);
        fixture.bucket.spoil_body(fault);
        let since = Instant::now();
        let reader = fixture.open().await;
        fixture.check_all(&reader, 64).await;
        let ranges: Vec<_> = fixture.bucket.requests().into_iter().filter_map(|request| request.range).collect();
        assert_eq!(ranges, [0..8 * MIB, 300_000..8 * MIB]);
        assert!((least..=most).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    }
}

// S54: A piece that breaks five times fails its READs, and the next READ tries again.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_again_and_again_fails_its_reads() {
    let fixture = ReaderFixture::new(8 * MIB);
    let reader = fixture.open().await;
    fixture.check_all(&reader, 1).await;
    let fixture = ReaderFixture::new(8 * MIB);
    for _ in 0..5 {
        fixture.bucket.break_body(1000);
    }
    let reader = fixture.open().await;
    assert!(matches!(reader.read(6000, 10).await, Err(Error::Unreachable(_))));
    let starts: Vec<_> = fixture.bucket.requests().into_iter().map(|request| request.range.unwrap().start).collect();
    assert_eq!(starts, [0, 1000, 2000, 3000, 4000]);
    fixture.check(&reader, 6000, 10).await;
}
