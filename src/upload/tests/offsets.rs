//! The offsets and the order of WRITEs.

use super::*;

// S63: A hole of at most 64 MiB reads as zeros; a WRITE that would leave a larger one is refused.
#[tokio::test]
async fn holes_read_as_zeros_up_to_a_limit() {
    let fixture = UploadFixture::new();
    let mut upload = fixture.start().await;
    let hole = 64 * MIB;
    upload.write(hole as u64, Bytes::from_static(b"end")).await.unwrap();
    assert_eq!(upload.read(hole as u64 - 1, 9).unwrap().bytes, b"\0end".as_slice());
    assert!(fixture.budget.used() <= MIN_PART_BYTES, "a hole takes no memory");
    upload.finish(Condition::Always).await.unwrap();
    let mut expected = vec![0; hole];
    expected.extend(b"end");
    fixture.assert_stored("x", &expected);

    let mut upload = fixture.start().await;
    let written = upload.write(hole as u64 + 1, Bytes::from_static(b"x")).await;
    assert!(matches!(written, Err(UploadError::HoleTooLarge { limit }) if limit == hole as u64));
    assert!(matches!(upload.write(0, Bytes::from_static(b"x")).await, Err(UploadError::Poisoned(_))));
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Poisoned(_))));
    fixture.assert_nothing_left();
}

// S62: WRITEs may come in any order, as many as a client has in flight; without APPEND the offsets say what the …
#[tokio::test]
async fn a_gap_is_waited_for_as_long_as_its_bytes_may_be_in_flight() {
    let fixture = UploadFixture::new();
    let whole = content(40 * MIB);
    let piece = |at: usize| Bytes::copy_from_slice(&whole[at..whole.len().min(at + WRITE)]);
    let mut upload = fixture.start().await;
    // The most WRITEs that a client may have in flight, the first one last.
    for at in (0..64 * WRITE).step_by(WRITE).rev() {
        assert_eq!(fixture.bucket.verbs(), []);
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    for at in (64 * WRITE..whole.len()).step_by(WRITE) {
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &whole);

    let mut upload = fixture.start().await;
    for at in (WRITE..whole.len()).step_by(WRITE) {
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    let late = upload.write(0, Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(UploadError::AlreadyShipped { .. })), "{late:?}");
    upload.abort().await;
    fixture.assert_nothing_left();
}

// S69: READ of bytes that have left the server's memory, and WRITE to them, are refused; the latter ends the upload.
#[tokio::test]
async fn rewriting_what_is_shipped_poisons() {
    let fixture = UploadFixture::new();
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    assert!(upload.read(PART as u64 - 1, 1).is_none());
    let rewritten = upload.write(PART as u64 - 1, Bytes::from_static(b"xx")).await;
    assert!(matches!(rewritten, Err(UploadError::AlreadyShipped { shipped }) if shipped == PART as u64));
    let Err(UploadError::Poisoned(cause)) = upload.finish(Condition::Always).await else { panic!("published") };
    assert!(cause.contains("already stored"), "{cause}");
    assert_eq!(fixture.bucket.bytes("x"), None);
    assert_eq!(fixture.bucket.count(Verb::AbortUpload), 1);
    fixture.assert_nothing_left();
}

// S106: A file larger than the tenant's `max_object_bytes` is refused at the WRITE that would make it so.
#[tokio::test]
async fn too_large_poisons() {
    let fixture = UploadFixture::new();
    let mut upload = fixture.upload("x", UploadOptions { max_object_bytes: 10, ..UploadFixture::options() }).await;
    upload.write(0, Bytes::from_static(b"0123456789")).await.unwrap();
    for offset in [10, u64::MAX] {
        let mut upload = fixture.upload("x", UploadOptions { max_object_bytes: 10, ..UploadFixture::options() }).await;
        let written = upload.write(offset, Bytes::from_static(b"x")).await;
        assert!(matches!(written, Err(UploadError::TooLarge { limit: 10 })));
    }
    upload.finish(Condition::Always).await.unwrap();
}

/// The writes of a file, shuffled within batches of `in_flight`, as a client may send them.
fn shuffled(writes: usize, in_flight: usize) -> impl Strategy<Value = Vec<usize>> {
    let batches = (0..writes).collect::<Vec<_>>();
    let batches: Vec<_> = batches.chunks(in_flight).map(|batch| Just(batch.to_vec()).prop_shuffle()).collect();
    batches.prop_map(|batches| batches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_writes_doesnt_matter(
        (write, order) in select(vec![(WRITE, 64), (32 * 1024, 64)])
            .prop_flat_map(|(write, in_flight)| (Just(write), shuffled(21 * MIB / write, in_flight))),
        budget in select(vec![MIN_PART_BYTES, 12 << 20, 1 << 30]),
    ) {
        run(async {
            let (fixture, whole) = (UploadFixture::with_budget(budget), content(21 * MIB / write * write));
            let mut upload = fixture.start().await;
            for index in order {
                let piece = Bytes::copy_from_slice(&whole[index * write..(index + 1) * write]);
                upload.write((index * write) as u64, piece).await.unwrap();
                assert!(fixture.budget.used() <= budget);
            }
            upload.finish(Condition::Always).await.unwrap();
            fixture.assert_stored("x", &whole);
        });
    }

    #[test]
    fn what_is_acknowledged_is_stored(
        writes in prop::collection::vec((0..12 * MIB, 1..MIB, any::<u8>()), 1..40),
        budget in select(vec![MIN_PART_BYTES, 1 << 30]),
    ) {
        run(async {
            let (fixture, mut model) = (UploadFixture::with_budget(budget), Vec::new());
            let mut upload = fixture.start().await;
            let mut refused = false;
            for (at, len, byte) in writes {
                match upload.write(at as u64, Bytes::from(vec![byte; len])).await {
                    Ok(()) => {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].fill(byte);
                    }
                    Err(UploadError::AlreadyShipped { shipped }) => {
                        assert!((at as u64) < shipped);
                        refused = true;
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            if refused {
                upload.finish(Condition::Always).await.unwrap_err();
                assert_eq!(fixture.bucket.keys(), [""; 0]);
                fixture.assert_nothing_left();
            } else {
                upload.finish(Condition::Always).await.unwrap();
                fixture.assert_stored("x", &model);
            }
        });
    }
}
