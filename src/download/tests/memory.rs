//! The memory that readers hold, and the moments at which they return it.

use super::*;

#[tokio::test]
async fn without_memory_it_still_reads() {
    let fixture = ReaderFixture { budget: Budget::new(0), ..ReaderFixture::new(10 * MIB) };
    let reader = fixture.open().await;
    fixture.check_all(&reader, 1).await;
    assert!(fixture.asked_bytes() <= 11 * MIB);
    fixture.check_all(&reader, 64).await;
}

#[tokio::test]
async fn a_reader_takes_no_more_memory_than_it_has_bytes_to_read() {
    let fixture = ReaderFixture::new(100_000);
    let small = fixture.open().await;
    assert_eq!(fixture.budget.used(), 100_000);
    fixture.check_all(&small, 1).await;
    assert_eq!(fixture.budget.used(), 0, "what was read is given back");
    drop(small);

    let fixture = ReaderFixture::new(3 * MIB);
    let reader = fixture.open().await;
    assert_eq!(fixture.budget.used(), 3 * MIB);
    fixture.check_all(&reader, 8).await;
    assert_eq!(fixture.budget.used(), 0, "what was read is given back");

    let fixture = ReaderFixture::new(100 * MIB);
    let reader = fixture.open().await;
    for offset in (0..30 * MIB).step_by(32768) {
        fixture.check(&reader, offset, 32768).await;
        assert!(fixture.budget.used() <= 136 * MIB);
    }
    assert!(fixture.budget.used() >= 24 * MIB, "a long sequence is fetched ahead");
}

#[tokio::test(start_paused = true)]
async fn a_silent_reader_makes_way_for_uploads_and_resumes_later() {
    let fixture = ReaderFixture { budget: Budget::new(32 * MIB), ..ReaderFixture::new(100 * MIB) };
    let reader = fixture.open().await;
    for offset in (0..12 * MIB).step_by(32768) {
        fixture.check(&reader, offset, 32768).await;
    }
    let others = fixture.budget.of(&"globex".parse().unwrap());
    let upload = others.charge_in_turn(29 * MIB, Duration::from_secs(5)).await.unwrap();
    for offset in (12 * MIB..14 * MIB).step_by(32768) {
        fixture.check(&reader, offset, 32768).await;
    }
    drop(upload);
    for offset in (14 * MIB..40 * MIB).step_by(32768) {
        fixture.check(&reader, offset, 32768).await;
    }
}

// S205: A download whose client sends no READ for ten seconds gives its memory back. The next READ fetches again.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_for_ten_seconds_gives_all_memory_back() {
    for bytes in [100_000, 100 * MIB] {
        let fixture = ReaderFixture::new(bytes);
        let reader = fixture.open().await;
        fixture.check(&reader, 0, 32768).await;
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(fixture.budget.used() > 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(fixture.budget.used(), 0);
        let fetched_bytes = fixture.asked_bytes();
        for number in 1..4 {
            fixture.check(&reader, number * 32768, 32768).await;
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
        let again_bytes = fixture.asked_bytes() - fetched_bytes;
        assert!(again_bytes <= 4 * 100_000, "{again_bytes} bytes for three READs of a client that pauses");
    }
}

#[tokio::test]
async fn without_memory_an_open_asks_head_and_the_first_read_fetches() {
    let fixture = ReaderFixture { budget: Budget::new(16 << 20), ..ReaderFixture::new(100_000) };
    let hog = fixture.budget.of(&"globex".parse().unwrap());
    let _all = (hog.charge(15 << 20).unwrap(), hog.charge_small_file(1 << 20).unwrap());
    let reader = fixture.open().await;
    assert_eq!(fixture.bucket.verbs(), [Verb::Head]);
    fixture.check(&reader, 0, 32768).await;
    assert_eq!(fixture.bucket.verbs(), [Verb::Head, Verb::Read]);
    assert_eq!(fixture.asked_bytes(), 32768);
}

#[tokio::test]
async fn sixty_four_readers_keep_to_the_budget() {
    let fixture = ReaderFixture { budget: Budget::new(64 * MIB), ..ReaderFixture::new(64 * MIB) };
    let readers = join_all((0..64).map(|_| fixture.try_open(Some(64 * MIB)))).await;
    for offset in (0..2 * MIB).step_by(READ_BYTES as usize) {
        join_all(readers.iter().map(|reader| fixture.check(reader.as_ref().unwrap(), offset, READ_BYTES))).await;
        assert!(fixture.budget.used() <= 64 * MIB);
    }
    let unread_bytes = fixture.asked_bytes() - 64 * 2 * MIB;
    assert!(unread_bytes <= 64 * MIB, "{unread_bytes} bytes");
    drop(readers);
    assert_eq!(fixture.budget.used(), 0);
}

/// Counts the requests of 20 readers that read 48 MiB each, beside `stalled` readers that have stopped.
async fn requests_of_busy_readers(stalled: usize) -> usize {
    let fixture = ReaderFixture::new(96 * MIB);
    let open = async |count| join_all((0..count).map(|_| fixture.try_open(Some(96 * MIB)))).await;
    let read = async |readers: &[Result<Reader>], bytes: Range<u64>| {
        for offset in bytes.step_by(READ_BYTES as usize) {
            join_all(readers.iter().map(|reader| fixture.check(reader.as_ref().unwrap(), offset, READ_BYTES))).await;
            // The pace of a network, on the test's clock.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stalled = open(stalled).await;
    read(&stalled, 0..48 * MIB).await;
    assert!(stalled.is_empty() || fixture.budget.used() >= 100 * MIB, "they have fetched ahead");
    let busy = open(20).await;
    // It takes a second until the stalled readers count as stopped.
    read(&busy, 0..16 * MIB).await;
    fixture.bucket.forget_requests();
    read(&busy, 16 * MIB..64 * MIB).await;
    fixture.bucket.count(Verb::Read)
}

#[tokio::test(start_paused = true)]
async fn stalled_readers_leave_the_memory_to_busy_ones() {
    let (alone, beside) = (requests_of_busy_readers(0).await, requests_of_busy_readers(4).await);
    assert!(beside <= alone + alone / 4, "{beside} requests beside stalled readers, {alone} alone");
    assert!(alone <= 20 * 12, "{alone} requests");
}
