//! The double is held to the observed behaviour of S3.

use super::*;
use crate::name::Prefix;
use futures_util::TryStreamExt;
use std::sync::Arc;

const MIB: usize = 1024 * 1024;

fn key(name: &str) -> Key {
    Prefix::parse("").unwrap().key(name).unwrap()
}

fn payload(bytes: Vec<u8>) -> Payload {
    Payload { crc64: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes), pieces: vec![bytes.into()] }
}

fn code(error: Error) -> String {
    match error {
        Error::Refused { code, .. } => code,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn an_empty_object_satisfies_no_range() {
    let bucket = MemoryBucket::new();
    bucket.insert("empty", "");
    bucket.insert("small", "abc");
    let refused = |size| matches!(size, Err(Error::RangeNotSatisfiable { size: Some(0 | 3) }));
    assert!(refused(bucket.read(&key("empty"), 0..10, None).await));
    assert!(refused(bucket.read(&key("small"), 3..10, None).await));
    let read = bucket.read(&key("small"), 1..10, None).await.unwrap();
    assert_eq!((read.range.clone(), read.object.size), (1..3, 3));
    assert_eq!(read.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"bc");
}

#[tokio::test]
async fn conditions_and_pins_conflict() {
    let bucket = MemoryBucket::new();
    let old = bucket.insert("x", "old").pin;
    bucket.insert("x", "new");
    let new = NewObject::default();
    let put = bucket.put(&key("x"), payload(b"y".to_vec()), &new, Condition::Absent).await;
    assert!(matches!(put, Err(Error::Conflict { .. })));
    assert!(matches!(bucket.read(&key("x"), 0..1, Some(&old)).await, Err(Error::Conflict { .. })));
    assert!(matches!(
        bucket.remove(&key("x"), RemovalCondition::Matches(old.etag.clone())).await,
        Err(Error::Conflict { .. })
    ));
    let copy = bucket.copy(&key("x"), &old, &key("z"), None, Condition::Always).await;
    assert!(matches!(copy, Err(Error::Conflict { .. })));
    assert!(bucket.remove(&key("nothing"), RemovalCondition::Always).await.is_ok());
    for condition in [RemovalCondition::Present, RemovalCondition::Matches(old.etag)] {
        assert!(matches!(bucket.remove(&key("nothing"), condition).await, Err(Error::NotFound)));
    }
}

#[tokio::test]
async fn a_version_outlives_its_overwriting() {
    let bucket = MemoryBucket::versioned();
    let old = bucket.insert("x", "old").pin;
    bucket.insert("x", "new");
    let read = bucket.read(&key("x"), 0..3, Some(&old)).await.unwrap();
    assert_eq!(read.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"old");
}

#[tokio::test]
async fn parts_must_be_as_s3_wants_them() {
    let bucket = MemoryBucket::new();
    let (x, new) = (key("x"), NewObject { metadata: [("mtime".into(), "1".into())].into(), ..NewObject::default() });
    let upload = bucket.create_upload(&x, &new).await.unwrap();
    let large = bucket.upload_part(&x, &upload, 1, payload(vec![1; 5 * MIB])).await.unwrap();
    let small = bucket.upload_part(&x, &upload, 2, payload(vec![2; 5 * MIB - 1])).await.unwrap();
    let last = bucket.upload_part(&x, &upload, 3, payload(vec![3; 1])).await.unwrap();
    let complete = async |parts: &[&Part]| {
        let parts: Vec<Part> = parts.iter().copied().cloned().collect();
        bucket.complete_upload(&x, &upload, &parts, Condition::Always).await
    };
    assert_eq!(code(complete(&[&large, &small, &last]).await.unwrap_err()), "EntityTooSmall");
    assert_eq!(code(complete(&[&large, &last]).await.unwrap_err()), "InvalidPartOrder");
    assert_eq!(code(complete(&[&large, &Part { number: 2, ..last.clone() }]).await.unwrap_err()), "InvalidPart");
    assert_eq!(bucket.bytes("x"), None);
    complete(&[&large, &small]).await.unwrap();
    assert_eq!(bucket.bytes("x").unwrap().len(), 10 * MIB - 1);
    assert_eq!(bucket.metadata("x").unwrap(), new.metadata);
    assert_eq!(bucket.open_uploads(), 0);
    assert!(matches!(complete(&[&large]).await, Err(Error::NotFound)));
    let wrong = Payload { crc64: 1, ..payload(vec![0]) };
    assert_eq!(code(bucket.put(&x, wrong, &new, Condition::Always).await.unwrap_err()), "BadDigest");
}

#[tokio::test]
async fn an_object_in_parts_has_the_time_at_which_its_upload_began() {
    let bucket = MemoryBucket::new();
    bucket.set_time(7);
    let upload = bucket.create_upload(&key("x"), &NewObject::default()).await.unwrap();
    bucket.set_time(9);
    let part = bucket.upload_part(&key("x"), &upload, 1, payload(vec![1])).await.unwrap();
    bucket.complete_upload(&key("x"), &upload, &[part], Condition::Always).await.unwrap();
    let plain = bucket.put(&key("y"), payload(vec![1]), &NewObject::default(), Condition::Always).await.unwrap().pin;
    bucket.set_time(11);
    bucket.copy(&key("y"), &plain, &key("z"), None, Condition::Always).await.unwrap();
    for (name, modified) in [("x", 7), ("y", 9), ("z", 11)] {
        assert_eq!(bucket.head(&key(name)).await.unwrap().modified, modified, "{name}");
    }
}

#[tokio::test]
async fn parts_and_uploads_are_listed_a_thousand_at_a_time() {
    let bucket = MemoryBucket::new();
    let (x, new) = (key("x"), NewObject::default());
    let upload = bucket.create_upload(&x, &new).await.unwrap();
    for number in (2..=1002).rev() {
        bucket.upload_part(&x, &upload, number, payload(vec![7])).await.unwrap();
    }
    let first = bucket.list_parts(&x, &upload, 0).await.unwrap();
    let last = bucket.list_parts(&x, &upload, first.parts.last().unwrap().number).await.unwrap();
    assert_eq!((first.parts.len(), first.parts[0].number, first.more), (1000, 2, true));
    assert_eq!((last.parts.len(), last.parts[0].number, last.more), (1, 1002, false));
    assert!(matches!(bucket.list_parts(&key("y"), &upload, 0).await, Err(Error::NotFound)));

    bucket.initiate_as("arn:aws:sts::111122223333:assumed-role/theirs/job");
    for _ in 0..1001 {
        bucket.create_upload(&key("d/x"), &new).await.unwrap();
    }
    let directory = Prefix::parse("d/").unwrap();
    let first = bucket.list_uploads(&directory, None).await.unwrap();
    let last = bucket.list_uploads(&directory, first.next.as_ref()).await.unwrap();
    assert_eq!((first.uploads.len(), last.uploads.len(), &last.next), (1000, 1, &None));
    assert_ne!(first.uploads.last(), last.uploads.last());
    let initiators = [&first, &last].map(|page| page.uploads[0].initiator.as_deref());
    assert_eq!(initiators, [Some("arn:aws:sts::111122223333:assumed-role/theirs/job"); 2]);
    let behind = UploadsToken { key: "d/y".to_owned(), upload: String::new() };
    let behind = bucket.list_uploads(&Prefix::parse("").unwrap(), Some(&behind)).await.unwrap();
    assert_eq!((behind.uploads.len(), &behind.uploads[0].upload, &behind.uploads[0].initiator), (1, &upload, &None));
}

#[tokio::test]
async fn listings_sort_by_bytes_and_count_directories() {
    let bucket = MemoryBucket::new();
    for name in ["d/", "d/foo/1", "d/foo/2", "d/foo-bar", "d/foo.txt", "d/z", "e"] {
        bucket.insert(name, "");
    }
    let directory = Prefix::parse("d/").unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = bucket.list(ListScope::Directory(&directory), after.as_ref(), 1).await.unwrap();
        names.extend(page.objects.into_iter().map(|object| object.raw_key).chain(page.directories));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["d/", "d/foo-bar", "d/foo.txt", "d/foo/", "d/z"]);
    assert_eq!(bucket.count(Verb::List), 5);
    let below = bucket.list(ListScope::Below(&directory), None, 1000).await.unwrap();
    assert_eq!((below.objects.len(), below.next), (6, None));
    let starting = bucket.list(ListScope::StartingWith(&key("d/foo")), None, 1).await.unwrap();
    assert_eq!(starting.objects[0].raw_key, "d/foo-bar");
    assert!(starting.next.is_some());
}

#[tokio::test]
async fn changes_are_recorded_in_their_order_an_overwrite_as_one() {
    let bucket = MemoryBucket::new();
    bucket.insert("before", "x");
    bucket.record_changes();
    bucket.insert("x", "old");
    let put = bucket.put(&key("x"), payload(b"new".to_vec()), &NewObject::default(), Condition::Always).await;
    let copied = bucket.copy(&key("x"), &put.unwrap().pin, &key("y"), None, Condition::Always).await;
    copied.unwrap();
    bucket.remove(&key("x"), RemovalCondition::Always).await.unwrap();
    bucket.remove(&key("nothing"), RemovalCondition::Always).await.unwrap();
    let changes: Vec<_> = bucket.changes().into_iter().map(|change| (change.raw_key, change.bytes)).collect();
    let recorded = |name: &str, bytes: Option<&'static str>| (name.to_owned(), bytes.map(Bytes::from));
    assert_eq!(
        changes,
        [recorded("x", Some("old")), recorded("x", Some("new")), recorded("y", Some("new")), recorded("x", None)]
    );
}

#[tokio::test]
async fn the_script_fails_loses_and_holds() {
    let bucket = Arc::new(MemoryBucket::new());
    bucket.forbid_missing();
    assert!(matches!(bucket.head(&key("x")).await, Err(Error::Forbidden { .. })));
    bucket.fail(Verb::Put, Moment::Request, Error::Credentials("gone".into()));
    bucket.fail(Verb::Put, Moment::Answer, Error::Unreachable("lost".into()));
    let put = async || bucket.put(&key("x"), payload(vec![1]), &NewObject::default(), Condition::Always).await;
    assert!(matches!(put().await, Err(Error::Credentials(_))));
    assert_eq!(bucket.bytes("x"), None);
    assert!(matches!(put().await, Err(Error::Unreachable(_))));
    assert_eq!(bucket.bytes("x").unwrap(), [1].as_slice());

    let hold = bucket.hold(Verb::Remove, Moment::Request);
    let task = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { bucket.remove(&key("x"), RemovalCondition::Always).await }
    });
    bucket.arrived(Verb::Remove, 1).await;
    assert!(bucket.bytes("x").is_some());
    hold.release(1);
    task.await.unwrap().unwrap();
    assert!(bucket.bytes("x").is_none());

    bucket.insert("y", vec![7; 100]);
    bucket.break_body(10);
    let read = bucket.read(&key("y"), 0..100, None).await.unwrap();
    assert!(matches!(read.body.try_collect::<Vec<_>>().await, Err(Error::Unreachable(_))));
}
