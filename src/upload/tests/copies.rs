//! Parts that S3 copies from other objects.

use super::*;
use crate::{name::Key, store::Pin};

impl UploadFixture {
    /// An object of this content.
    fn other(&self, name: &str, content: &[u8]) -> (Key, Pin) {
        let pin = self.bucket.insert(name, content.to_vec()).pin;
        (Prefix::parse("").unwrap().key(name).unwrap(), pin)
    }
}

#[tokio::test]
async fn what_is_not_at_the_end_of_what_is_shipped_or_fits_a_part_s3_can_not_copy() {
    let fixture = UploadFixture::new();
    let part = PART as u64;
    let mut upload = fixture.start().await;
    assert!(upload.can_copy(0, part + 1));
    assert!(!upload.can_copy(0, part) && !upload.can_copy(1, part + 1));
    upload.write(0, Bytes::from_static(b"x")).await.unwrap();
    assert!(!upload.can_copy(1, part + 1) && !upload.can_copy(0, part + 1));
    upload.abort().await;
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn copies_are_parts_among_others() {
    let (fixture, first, second) = (UploadFixture::new(), content(PART + 5), content(2 * PART));
    let (source, pin) = fixture.other("other", &first);
    let mut upload = fixture.start().await;
    upload.copy(&source, &pin, 0..first.len() as u64).await.unwrap();
    assert_eq!((upload.size(), upload.shipped()), (first.len() as u64, first.len() as u64));
    for (index, piece) in second.chunks(WRITE).enumerate() {
        upload.write((first.len() + index * WRITE) as u64, Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let early = upload.write(PART as u64, Bytes::from_static(b"x")).await;
    assert!(
        matches!(early, Err(UploadError::AlreadyShipped { shipped }) if shipped >= first.len() as u64),
        "{early:?}"
    );
    upload.abort().await;
    let mut upload = fixture.start().await;
    upload.copy(&source, &pin, 5..first.len() as u64).await.unwrap();
    upload.write(PART as u64, Bytes::copy_from_slice(&second)).await.unwrap();
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &[&first[5..], &second].concat());
}

#[tokio::test]
async fn a_copy_that_fails_or_is_dropped_poisons_the_upload() {
    let fixture = UploadFixture::new();
    let (source, pin) = fixture.other("other", &content(PART + 1));
    let all = 0..PART as u64 + 1;
    fixture.bucket.fail(Verb::CopyPart, Request, lost());
    let mut upload = fixture.start().await;
    assert!(matches!(upload.copy(&source, &pin, all.clone()).await, Err(UploadError::Storage(Error::Unreachable(_)))));
    assert!(matches!(upload.copy(&source, &pin, all.clone()).await, Err(UploadError::Poisoned(_))));
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Poisoned(_))));

    let hold = fixture.bucket.hold(Verb::CopyPart, Request);
    let mut upload = fixture.start().await;
    assert!(upload.copy(&source, &pin, all.clone()).now_or_never().is_none());
    drop(hold);
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Poisoned(_))));

    let mut upload =
        fixture.upload("x", UploadOptions { max_object_bytes: PART as u64, ..UploadFixture::options() }).await;
    assert!(matches!(upload.copy(&source, &pin, all).await, Err(UploadError::TooLarge { .. })));
    upload.abort().await;
    assert_eq!(fixture.bucket.bytes("x"), None);
    fixture.assert_nothing_left();
}
