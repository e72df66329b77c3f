//! The budget that uploads hold. Each upload ends, whatever memory others hold.

use super::*;

#[tokio::test]
async fn four_parts_are_in_flight_at_once_more_where_memory_is_plenty_and_a_full_buffer_withholds_the_reply() {
    for (budget_bytes, in_flight) in [(64 << 20, MIN_IN_FLIGHT), (1 << 30, MAX_IN_FLIGHT)] {
        let fixture = UploadFixture::with_budget(budget_bytes);
        let hold = fixture.bucket.hold(Verb::UploadPart, Request);
        let mut upload = fixture.start().await;
        let whole = content((in_flight + 8) * PART);
        let mut writing = Box::pin(write_all(&mut upload, &whole));
        assert!(writing.as_mut().now_or_never().is_none());
        fixture.bucket.arrived(Verb::UploadPart, in_flight).await;
        assert!(writing.as_mut().now_or_never().is_none());
        assert_eq!(fixture.bucket.count(Verb::UploadPart), in_flight);
        assert!(fixture.budget.used() > ((in_flight + 1) * PART) as u64);
        drop(hold);
        writing.await.unwrap();
        upload.finish(Condition::Always).await.unwrap();
        fixture.assert_stored("x", &whole);
    }
}

#[tokio::test]
async fn what_uploads_have_beyond_four_parts_is_shared_and_leaves_a_quarter() {
    let fixture = UploadFixture::with_budget((256 << 20) / 3 * 4);
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let whole = content(200 * MIB);
    let (mut first, mut second) = (fixture.start().await, fixture.upload("y", UploadFixture::options()).await);
    let (mut one, mut two) = (Box::pin(write_all(&mut first, &whole)), Box::pin(write_all(&mut second, &whole)));
    assert!(one.as_mut().now_or_never().is_none());
    let alone = fixture.budget.used();
    // This much again was free when the last part shipped, and the next part fills.
    assert!((120 << 20..=152 << 20).contains(&alone), "{alone}");
    assert!(two.as_mut().now_or_never().is_none());
    let both = fixture.budget.used();
    assert!(both - alone >= 40 << 20 && both <= 208 << 20, "{alone}, {both}");
    drop(hold);
    one.await.unwrap();
    two.await.unwrap();
    first.finish(Condition::Always).await.unwrap();
    second.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &whole);
    fixture.assert_stored("y", &whole);
}

#[tokio::test]
async fn extra_memory_goes_back_when_it_is_not_needed() {
    let fixture = UploadFixture::new();
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART + 1)).await.unwrap();
    assert!(fixture.budget.used() > 3 * PART as u64);
    drop(hold);
    while fixture.budget.used() > MIN_PART_BYTES {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.budget.used(), MIN_PART_BYTES);
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn the_memory_of_an_abandoned_upload_is_free_before_s3_has_answered() {
    let fixture = UploadFixture::new();
    let _held = fixture.bucket.hold(Verb::UploadPart, Request);
    let hold = fixture.bucket.hold(Verb::AbortUpload, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART)).await.unwrap();
    let aborting = tokio::spawn(upload.abort());
    fixture.bucket.arrived(Verb::AbortUpload, 1).await;
    assert_eq!(fixture.budget.used(), 0);
    drop(hold);
    aborting.await.unwrap();
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_uploads_get_through_a_budget_of_four_parts() {
    let fixture = Arc::new(UploadFixture::with_total(4 * MIN_PART_BYTES));
    let whole = Arc::new(content(6 * MIB + 77));
    let uploads = (0..64).map(|index| {
        let (fixture, whole) = (Arc::clone(&fixture), Arc::clone(&whole));
        tokio::spawn(async move {
            let mut upload = fixture.upload(&format!("{index}"), UploadFixture::options()).await;
            write_all(&mut upload, &whole).await.unwrap();
            assert!(fixture.budget.used() <= 4 * MIN_PART_BYTES);
            upload.finish(Condition::Always).await.unwrap();
        })
    });
    join_all(uploads).await.into_iter().for_each(|joined| joined.unwrap());
    for index in 0..64 {
        fixture.assert_stored(&format!("{index}"), &whole);
    }
}

#[tokio::test(start_paused = true)]
async fn the_overflow_serves_one_upload_after_the_other() {
    let fixture = UploadFixture::with_budget(2 * MIN_PART_BYTES);
    let whole = content(64 * WRITE);
    let backwards = async |upload: &mut Upload, writes: std::ops::Range<usize>| {
        for index in writes.rev() {
            let piece = Bytes::copy_from_slice(&whole[index * WRITE..(index + 1) * WRITE]);
            upload.write((index * WRITE) as u64, piece).await?;
        }
        Ok::<_, UploadError>(())
    };
    let mut first = fixture.upload("first", UploadFixture::options()).await;
    let mut second = fixture.open_for("globex", "second", Origin::New(Gaps::Zeros), UploadFixture::options()).await;
    backwards(&mut first, 1..64).await.unwrap();
    {
        let mut waiting = Box::pin(backwards(&mut second, 0..64));
        assert!(waiting.as_mut().now_or_never().is_none());
        backwards(&mut first, 0..1).await.unwrap();
        first.finish(Condition::Always).await.unwrap();
        waiting.await.unwrap();
    }
    second.finish(Condition::Always).await.unwrap();
    assert!(fixture.bucket.bytes("first").unwrap() == whole);
    fixture.assert_stored("second", &whole);

    // The first client falls silent: the second upload is refused in the end, but doesn't wait for ever.
    let mut first = fixture.upload("silent", UploadFixture::options()).await;
    let mut second = fixture.open_for("globex", "refused", Origin::New(Gaps::Zeros), UploadFixture::options()).await;
    backwards(&mut second, 62..64).await.unwrap();
    backwards(&mut first, 1..64).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(matches!(backwards(&mut second, 0..62).await, Err(UploadError::Busy(BudgetExhausted(PATIENCE)))));
    assert_eq!(started.elapsed(), PATIENCE);
    second.finish(Condition::Always).await.unwrap_err();
    first.abort().await;
    fixture.assert_nothing_left();
    assert_eq!(fixture.bucket.keys(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_behind_a_gap_with_a_full_reservation_does_not_wait_for_ever() {
    let fixture = UploadFixture::with_budget(MIN_PART_BYTES);
    let _silent = fixture.memory().overflow().await.unwrap();
    let mut upload = fixture.start().await;
    let almost_a_part = 5 * MIB - 1;
    write_all(&mut upload, &content(almost_a_part)).await.unwrap();
    let ahead = upload.write(6 * MIB as u64, Bytes::from_static(b"x")).await;
    assert!(matches!(ahead, Err(UploadError::Busy(BudgetExhausted(PATIENCE)))), "{ahead:?}");
    upload.finish(Condition::Always).await.unwrap_err();
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn memory_that_others_give_back_serves_what_waits_for_the_overflow() {
    let fixture = UploadFixture::with_budget(2 * MIN_PART_BYTES);
    let _silent = fixture.memory().overflow().await.unwrap();
    let other = fixture.budget.of(&"globex".parse().unwrap()).charge(MIN_PART_BYTES).unwrap();
    let mut upload = fixture.start().await;
    let almost_a_part = content(5 * MIB - 1);
    write_all(&mut upload, &almost_a_part).await.unwrap();
    {
        let mut ahead = Box::pin(upload.write(6 * MIB as u64, Bytes::from_static(b"x")));
        assert!(ahead.as_mut().now_or_never().is_none());
        assert!(fixture.memory().is_pressed(), "silent uploads and readers are to make way");
        drop(other);
        assert!(matches!(ahead.now_or_never(), Some(Ok(()))));
    }
    // Bytes that come late are no hole.
    let late = content(6 * MIB).split_off(5 * MIB - 1);
    upload.write(5 * MIB as u64 - 1, Bytes::from(late)).await.unwrap();
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &[content(6 * MIB), b"x".to_vec()].concat());
}
