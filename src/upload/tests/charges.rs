//! The bytes that uploads charge to their tenant's day.

use super::*;
use crate::{
    account::{DailyAmounts, DailyLimits, DailyResource},
    policy::{DailyLimitReached, DailyUsage, TenantUsage},
    testing::StoppedClock,
};
use DailyResource::{BytesCopied, BytesWritten, S3Requests, ZeroBytes};

const NO_LIMITS: DailyLimits =
    DailyLimits { bytes_written: None, zero_bytes: None, bytes_copied: None, s3_requests: None };

/// A bucket whose tenant has `limits`, and its usage.
fn limited(limits: DailyLimits) -> (UploadFixture, Arc<TenantUsage>) {
    let usage = DailyUsage::new(Arc::new(StoppedClock::at(1_700_000_000)));
    let acme = "acme".parse().unwrap();
    usage.set_limits([(&acme, limits)]);
    let bucket = Arc::new(MemoryBucket::used_by(usage.of(&acme)));
    (UploadFixture { bucket, ..UploadFixture::new() }, usage.of(&acme))
}

fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> DailyResource {
    match outcome {
        Err(UploadError::DailyLimit(DailyLimitReached(resource))) => resource,
        other => panic!("{other:?}"),
    }
}

fn bytes(len: usize) -> Bytes {
    Bytes::from(content(len))
}

async fn older(fixture: &UploadFixture, size: usize) -> Origin {
    fixture.bucket.insert("x", content(size));
    let key = Prefix::parse("").unwrap().key("x").unwrap();
    Origin::change(fixture.bucket.head(&key).await.unwrap())
}

// S195: A WRITE beyond the limit on bytes written fails, and then its CLOSE: nothing is published. What S3 has of the file …
#[tokio::test(start_paused = true)]
async fn a_write_beyond_the_limit_fails_and_its_file_is_not_published() {
    let (fixture, usage) = limited(DailyLimits { bytes_written: Some(10), ..NO_LIMITS });
    let mut upload = fixture.start().await;
    upload.write(0, bytes(7)).await.unwrap();
    assert_eq!(refused(upload.write(7, bytes(4)).await), BytesWritten);
    assert!(matches!(upload.write(7, bytes(1)).await, Err(UploadError::Poisoned(_))));
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Poisoned(_))));
    assert_eq!(fixture.bucket.keys(), [""; 0]);
    fixture.assert_nothing_left();
    assert_eq!(usage.amounts().bytes_written, 7, "it counts whatever becomes of the file");
    let mut upload = fixture.start().await;
    upload.write(0, bytes(3)).await.unwrap();
    stored(upload, Condition::Always).await;
    fixture.assert_stored("x", &content(3));
}

// S196: A WRITE behind the end, and a larger size, count the zeros that they add. Beyond the limit they fail, and such …
#[tokio::test(start_paused = true)]
async fn zeros_that_no_client_wrote_count_until_they_are_overwritten_or_removed() {
    let (fixture, usage) = limited(DailyLimits { zero_bytes: Some(1_000), ..NO_LIMITS });
    let zeros = || usage.amounts().zero_bytes;
    let mut upload = fixture.start().await;
    upload.set_size(600).unwrap();
    upload.write(700, bytes(10)).await.unwrap();
    assert_eq!(zeros(), 700);
    assert_eq!(refused(upload.set_size(1_011)), ZeroBytes);
    assert_eq!((upload.size(), zeros()), (710, 700), "nothing changed");
    upload.write(100, bytes(50)).await.unwrap();
    upload.write(120, bytes(50)).await.unwrap();
    assert_eq!(zeros(), 630);
    upload.set_size(400).unwrap();
    assert_eq!(zeros(), 330);
    upload.set_size(1_070).unwrap();
    assert_eq!(zeros(), 1_000);
    assert_eq!(refused(upload.write(1_071, bytes(1)).await), ZeroBytes);
    assert!(upload.finish(Condition::Always).await.is_err());
    assert_eq!(zeros(), 0, "S3 got nothing of it");
    let mut upload = fixture.start().await;
    upload.set_size(1_000).unwrap();
    stored(upload, Condition::Always).await;
    fixture.assert_stored("x", &[0; 1_000]);
    assert_eq!(zeros(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn writes_out_of_order_leave_no_zeros() {
    let (fixture, usage) = limited(DailyLimits { zero_bytes: Some(20 * MIB as u64), ..NO_LIMITS });
    let (mut upload, bytes) = (fixture.start().await, content(20 * MIB));
    for at in [1, 3, 0, 2, 7, 6, 5, 4].map(|at| at * 5 * MIB / 2) {
        upload.write(at as u64, Bytes::copy_from_slice(&bytes[at..at + 5 * MIB / 2])).await.unwrap();
    }
    stored(upload, Condition::Always).await;
    fixture.assert_stored("x", &bytes);
    assert_eq!(usage.amounts(), DailyAmounts { bytes_written: 20 * MIB as u64, ..DailyAmounts::default() });
}

// S197: Bytes that the server copies are those of a file that is renamed, of all files of a directory that is renamed, of …
#[tokio::test(start_paused = true)]
async fn a_change_is_charged_before_it_and_counts_what_was_copied() {
    let size = 30 * MIB;
    let (fixture, usage) = limited(DailyLimits { bytes_copied: Some(size as u64), ..NO_LIMITS });
    let copied = || usage.amounts().bytes_copied;
    let origin = older(&fixture, size).await;
    let mut upload = fixture.open("x", origin.clone(), UploadFixture::options()).await;
    let mut other = fixture.open("x", origin.clone(), UploadFixture::options()).await;
    upload.write(0, bytes(10 * MIB)).await.unwrap();
    assert_eq!(copied(), size as u64, "all of it may stay");
    assert_eq!(refused(other.set_size(0)), BytesCopied);
    assert_eq!(refused(other.write(0, bytes(1)).await), BytesCopied);
    drop(other);
    stored(upload, Condition::Always).await;
    let stays = copied();
    assert!((size - 11 * MIB..=size - 10 * MIB).contains(&usize::try_from(stays).unwrap()), "{stays}");
    let unchanged = fixture.open("x", older(&fixture, 5).await, UploadFixture::options()).await;
    assert!(matches!(unchanged.finish(Condition::Always).await, Ok(FinishedUpload::Unchanged(_))));
    assert_eq!(copied(), stays);
    let mut small = fixture.open("x", older(&fixture, 5).await, UploadFixture::options()).await;
    small.write(5, bytes(1)).await.unwrap();
    stored(small, Condition::Always).await;
    assert_eq!(copied(), stays + 5, "bytes that are read back and sent again are copied too");
}

#[tokio::test(start_paused = true)]
async fn a_copy_beyond_the_limit_sends_nothing() {
    let (fixture, usage) = limited(DailyLimits { bytes_copied: Some(25 * MIB as u64), ..NO_LIMITS });
    fixture.bucket.insert("source", content(20 * MIB));
    let source = Prefix::parse("").unwrap().key("source").unwrap();
    let pin = fixture.bucket.head(&source).await.unwrap().pin;
    for (outcome, name) in [(true, "one"), (false, "two")] {
        let mut upload = fixture.upload(name, UploadFixture::options()).await;
        fixture.bucket.forget_requests();
        let copied = upload.copy(&source, &pin, 0..20 * MIB as u64).await;
        assert_eq!(copied.is_ok(), outcome);
        if outcome {
            stored(upload, Condition::Always).await;
        } else {
            assert_eq!(refused(copied), BytesCopied);
            assert!(upload.finish(Condition::Always).await.is_err());
            assert_eq!(fixture.bucket.verbs(), [], "nothing was asked for");
        }
    }
    let mut upload = fixture.upload("three", UploadFixture::options()).await;
    upload.write_copied(0, bytes(5 * MIB)).await.unwrap();
    assert_eq!(refused(upload.write_copied(5 * MIB as u64, bytes(1)).await), BytesCopied);
    assert_eq!(usage.amounts().bytes_written, 0);
}

#[tokio::test(start_paused = true)]
async fn without_requests_every_write_is_refused_and_answered_ones_are_stored() {
    let (fixture, usage) = limited(DailyLimits { s3_requests: Some(1), ..NO_LIMITS });
    let (mut one, mut other) = (fixture.start().await, fixture.upload("y", UploadFixture::options()).await);
    one.write(0, bytes(7)).await.unwrap();
    other.write(0, bytes(7)).await.unwrap();
    usage.charge_request(false).unwrap();
    assert_eq!(refused(other.write(7, bytes(1)).await), S3Requests);
    stored(one, Condition::Always).await;
    other.abort().await;
    fixture.assert_stored("x", &content(7));
    assert_eq!(fixture.bucket.keys(), ["x"]);
}

// S195: A WRITE beyond the limit on bytes written fails, and then its CLOSE: nothing is published. What S3 has of the file …
#[tokio::test(start_paused = true)]
async fn parts_that_s3_has_stay_after_a_limit() {
    let (fixture, _) = limited(DailyLimits { bytes_written: Some(20 * MIB as u64), ..NO_LIMITS });
    let mut upload = fixture.start().await;
    let outcome = write_all(&mut upload, &content(30 * MIB)).await;
    assert_eq!(refused(outcome), BytesWritten);
    assert!(upload.failure.as_ref().is_some_and(|failure| failure.is_resumable));
}
