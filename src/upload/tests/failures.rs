//! Uploads that end without a file: nothing is published, and nothing is left behind.

use super::*;

#[tokio::test]
async fn a_failed_part_is_noticed_and_publishes_nothing() {
    for (verb, noticed_by_write) in [(Verb::UploadPart, true), (Verb::CreateUpload, true), (Verb::UploadPart, false)] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        fixture.bucket.fail(verb, Request, Error::Forbidden { request: "R1".into() });
        write_all(&mut upload, &content(PART + 1)).await.unwrap();
        if noticed_by_write {
            fixture.bucket.arrived(verb, 1).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(matches!(
                upload.write(PART as u64, Bytes::from_static(b"x")).await,
                Err(UploadError::Storage(Error::Forbidden { .. }))
            ));
            let Err(UploadError::Poisoned(cause)) = upload.finish(Condition::Always).await else { panic!("published") };
            assert!(cause.contains("R1"));
        } else {
            assert!(matches!(
                upload.finish(Condition::Always).await,
                Err(UploadError::Storage(Error::Forbidden { .. }))
            ));
        }
        assert_eq!(fixture.bucket.keys(), [""; 0]);
        fixture.assert_nothing_left();
    }
}

#[tokio::test]
async fn an_upload_that_somebody_aborted_is_no_missing_file() {
    for verb in [Verb::UploadPart, Verb::CompleteUpload] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(PART + 1)).await.unwrap();
        fixture.bucket.fail(verb, Request, Error::NotFound);
        assert!(
            matches!(upload.finish(Condition::Always).await, Err(UploadError::Storage(Error::UploadGone))),
            "{verb:?}"
        );
        fixture.assert_nothing_left();
    }
}

#[tokio::test]
async fn abort_leaves_nothing_at_any_step() {
    // No request was sent yet.
    let fixture = UploadFixture::new();
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART)).await.unwrap();
    upload.abort().await;
    assert_eq!(fixture.bucket.verbs(), []);
    fixture.assert_nothing_left();

    // The answer to the creation is pending.
    let mut upload = fixture.start().await;
    let hold = fixture.bucket.hold(Verb::CreateUpload, Answer);
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    fixture.bucket.arrived(Verb::CreateUpload, 1).await;
    let mut abort = Box::pin(upload.abort());
    assert!(abort.as_mut().now_or_never().is_none());
    drop(hold);
    abort.await;
    assert_eq!(fixture.bucket.verbs(), [Verb::CreateUpload, Verb::AbortUpload]);
    fixture.assert_nothing_left();

    // Parts are in flight.
    fixture.bucket.forget_requests();
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART)).await.unwrap();
    fixture.bucket.arrived(Verb::UploadPart, 2).await;
    upload.abort().await;
    assert_eq!(fixture.bucket.verbs().last(), Some(&Verb::AbortUpload));
    assert_eq!(fixture.bucket.count(Verb::AbortUpload), 1);
    fixture.assert_nothing_left();
    drop(hold);

    // The completion failed.
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    fixture.bucket.fail(Verb::CompleteUpload, Request, Error::Forbidden { request: "R1".into() });
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Storage(Error::Forbidden { .. }))));
    fixture.assert_nothing_left();
    assert_eq!(fixture.bucket.keys(), [""; 0]);
}

#[tokio::test]
async fn a_dropped_upload_is_aborted_in_the_background() {
    let fixture = UploadFixture::new();
    let _hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    drop(upload);
    fixture.bucket.arrived(Verb::AbortUpload, 1).await;
    tokio::task::yield_now().await;
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn a_write_that_is_interrupted_poisons() {
    let fixture = UploadFixture::with_budget(MIN_PART_BYTES);
    let _hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    assert!(upload.write(0, Bytes::from(content(6 * MIB))).now_or_never().is_none());
    assert!(matches!(upload.write(0, Bytes::new()).await, Err(UploadError::Poisoned(_))));
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Poisoned(_))));
    fixture.assert_nothing_left();
}
