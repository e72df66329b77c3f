//! Resuming an upload from its stored parts.

use super::*;
use crate::{
    account::Permissions,
    journal::{Lease, MemoryJournal, Owner, ResumableUpload, Task, TaskJournal as _, Whole},
    name::{BucketId, MountedKey},
    store::Payload,
    upload::{interrupted::ResumedParts, whole::ContiguousParts},
};

/// Takes over an upload. S3 has its parts `stored`, and the journal says that the first `noted` of them are whole.
async fn take(bucket: &MemoryBucket, stored: impl Iterator<Item = u32>, noted: u32) -> Result<ResumedParts> {
    let mount = Prefix::parse("").unwrap();
    let key = mount.key("x").unwrap();
    let upload = bucket.create_upload(&key, &NewObject::default()).await.unwrap();
    let mut whole = ContiguousParts::default();
    for number in stored {
        let part =
            bucket.upload_part(&key, &upload, number, Payload::new(vec![Bytes::from_static(b"x")])).await.unwrap();
        if number <= noted {
            whole.add(&part);
        }
    }
    let whole = Whole { parts: noted, ..whole.so_far() };
    let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
    let place = MountedKey::new(mount, "x").unwrap();
    let payload = ResumableUpload { place, upload, object: NewObject::default(), whole };
    let (id, bucket_id, permissions) = ("1".to_owned(), BucketId::new("files", None), Permissions::ALL);
    let task = Task { id, bucket: bucket_id, owner, permissions: Some(permissions), payload };
    let entered = task.clone().of_any_kind();
    let journal = Arc::new(MemoryJournal::default());
    let free = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
    assert!(journal.enter_task(&entered, &free, Duration::from_hours(1)).await.unwrap());
    let upload_journal =
        UploadJournal { journal, file: entered.subject(), permissions, resumable_for: Duration::from_hours(1) };
    InterruptedUpload { task, upload_journal, is_leased: false, is_untouched: true }.take(bucket).await
}

#[tokio::test]
async fn as_many_parts_are_asked_for_as_are_whole() {
    for (stored, noted, pages) in [(3, 3, 1), (1000, 1000, 1), (1001, 1001, 2), (1500, 3, 1)] {
        let bucket = MemoryBucket::new();
        let taken = take(&bucket, 1..=stored, noted).await.unwrap();
        assert_eq!(taken.parts.iter().map(|part| part.number).collect::<Vec<_>>(), (1..=noted).collect::<Vec<_>>());
        assert_eq!(bucket.count(Verb::ListParts), pages, "{stored} parts, {noted} of them whole");
    }
}

#[tokio::test]
async fn a_part_that_is_missing_ends_it_however_many_come_behind() {
    for missing in [1, 3, 1000, 1001, 1100] {
        let bucket = MemoryBucket::new();
        let taken = take(&bucket, (1..=3000).filter(|number| *number != missing), 1100).await;
        assert!(matches!(taken, Err(UploadError::Storage(Error::UploadGone))), "{missing}");
        assert!(bucket.count(Verb::ListParts) <= 3, "{missing}");
    }
}
