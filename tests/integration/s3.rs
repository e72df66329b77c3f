//! The contract of `Bucket` as `store` relies on it. It holds for the bucket in memory, which most tests use, and for
//! an independent S3 through the SDK.

use crate::support::seaweedfs::SeaweedFs;
use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use futures_util::TryStreamExt;
use std::{ops::Range, sync::Arc};
use wharfinger::{
    account::{BaseCredentials, Checksums, PayloadSigning, Permissions, Secret, Storage, StorageCredentials},
    journal::{Journal, MemoryJournal, Owner, RenamedNames},
    name::{Key, Prefix},
    objects::{self, DirectoryState, ObjectsError, Tree},
    store::{
        self, Bucket, Condition, ETag, Error, Headers, ListScope, ListedObject, NewObject, Part, Payload, Pin,
        RemovalCondition, Result, StoredObject, UploadId,
    },
    testing::MemoryBucket,
};

const MIB: usize = 1024 * 1024;

/// Names with characters that are special in a URL, a header or XML.
const ODD_NAMES: [&str; 12] = [
    "two words",
    " edges ",
    "what?",
    "a#b",
    "100%",
    "%2e%2E",
    "a+b",
    r"back\slash",
    "\"quoted\" & <tagged>",
    "Füße-ελληνικά-日本語-🚢",
    "a=b;c,d:e@f$g!h*i'(j)|[k]{l}^`~",
    "e\u{301}",
];

/// Runs each promise on each bucket, below a prefix for that promise.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Shelf::in_memory(stringify!($promise))).await;
            })*
        }
        mod on_seaweedfs {
            $(#[tokio::test]
            async fn $promise() {
                let seaweedfs = super::SeaweedFs::shared().await;
                let bucket = super::SeaweedFs::bucket(seaweedfs.storage()).await;
                super::$promise(super::Shelf::on_seaweedfs(bucket, stringify!($promise))).await;
            })*
        }
    };
}

promises![
    what_was_put_is_there,
    what_was_removed_is_not,
    every_verb_preserves_odd_names,
    ranges_end_with_the_object,
    every_range_of_an_empty_object_is_unsatisfiable,
    a_read_is_pinned,
    absent_means_absent,
    a_removal_is_pinned,
    a_removal_of_what_must_be_there_says_whether_it_was,
    a_copy_takes_the_metadata_that_it_is_given,
    a_copy_is_pinned_and_keeps_metadata,
    parts_become_an_object_at_once,
    an_upload_is_completed_from_what_is_listed_of_it,
    open_uploads_are_listed_by_their_names,
    a_part_may_be_a_range_of_an_object,
    what_must_match_is_replaced_only_while_it_does,
    an_aborted_upload_leaves_nothing,
    a_wrong_checksum_is_refused,
    listings_come_in_pages_sorted_by_bytes,
    a_listing_of_a_directory_shows_its_own_entries,
    a_listing_can_ask_for_one_name,
    an_empty_directory_is_made_renamed_and_found_empty,
    many_are_removed_at_once_each_pinned,
    a_directory_is_renamed_with_all_that_is_in_it,
    a_copy_in_parts_begins_pinned,
];

async fn what_was_put_is_there(shelf: Shelf) {
    let key = shelf.key("in/a.txt");
    let object = NewObject { metadata: [("mtime".to_owned(), "1700000000".to_owned())].into(), ..NewObject::default() };
    let payload = payload(&[b"good", b"", b"s"]);
    let stored = shelf.bucket.put(&key, payload, &object, Condition::Always).await.unwrap();
    let head = shelf.bucket.head(&key).await.unwrap();
    assert_eq!((head.size, &head.pin.etag), (5, &stored.pin.etag));
    assert_eq!(head.metadata, object.metadata);
    assert!(!head.archived && head.modified > 1_700_000_000);
    let read = shelf.bucket.read(&key, 0..100, None).await.unwrap();
    assert_eq!((read.range, read.object.size, read.object.pin), (0..5, 5, head.pin));
    assert_eq!(read.object.metadata, object.metadata);
    assert_eq!(shelf.bytes(&key, 0..100).await.unwrap(), b"goods");
}

async fn what_was_removed_is_not(shelf: Shelf) {
    let key = shelf.key("a");
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
    assert!(matches!(shelf.bytes(&key, 0..1).await, Err(Error::NotFound)));
    shelf.put("a", b"x").await;
    shelf.bucket.remove(&key, RemovalCondition::Always).await.unwrap();
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
    shelf.bucket.remove(&key, RemovalCondition::Always).await.unwrap();
}

async fn every_verb_preserves_odd_names(shelf: Shelf) {
    for name in ODD_NAMES {
        let (source, target) = (shelf.key(&format!("from/{name}")), shelf.key(&format!("to {name}/{name}")));
        let stored = shelf.put(&format!("from/{name}"), name.as_bytes()).await;
        let copied = shelf.bucket.copy(&source, &stored.pin, &target, None, Condition::Always).await;
        copied.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(shelf.bytes(&target, 0..100).await.unwrap(), name.as_bytes());
        if !(shelf.is_seaweedfs && name.contains('\\')) {
            let listed = shelf.list(ListScope::StartingWith(&target)).await;
            assert_eq!(listed.0, [target.as_str()], "{name:?}");
        }
        shelf.bucket.remove(&target, RemovalCondition::Always).await.unwrap();
        assert!(matches!(shelf.bucket.head(&target).await, Err(Error::NotFound)), "{name:?}");
        shelf.bucket.head(&source).await.unwrap();
    }
    let names = shelf.list(ListScope::Below(&shelf.prefix)).await.0;
    let slash = if shelf.is_seaweedfs { "/" } else { "\\" };
    let mut expected =
        ODD_NAMES.map(|name| shelf.key(&format!("from/{}", name.replace('\\', slash))).as_str().to_owned());
    expected.sort_unstable();
    assert_eq!(names, expected);
}

async fn ranges_end_with_the_object(shelf: Shelf) {
    shelf.put("a", b"0123456789").await;
    let key = shelf.key("a");
    for (range, expected) in [(0..1, "0"), (3..5, "34"), (0..10, "0123456789"), (9..10, "9"), (5..u64::MAX, "56789")] {
        assert_eq!(shelf.bytes(&key, range.clone()).await.unwrap(), expected.as_bytes(), "{range:?}");
    }
    for range in [10..11, 100..200, 5..5] {
        let read = shelf.bytes(&key, range.clone()).await;
        assert!(matches!(read, Err(Error::RangeNotSatisfiable { size: None | Some(10) })), "{range:?} {read:?}");
    }
}

async fn every_range_of_an_empty_object_is_unsatisfiable(shelf: Shelf) {
    let stored = shelf.put("empty", b"").await;
    let key = shelf.key("empty");
    let head = shelf.bucket.head(&key).await.unwrap();
    assert_eq!((head.size, head.pin.etag), (0, stored.pin.etag));
    let read = shelf.bytes(&key, 0..8).await;
    assert!(matches!(read, Err(Error::RangeNotSatisfiable { size: None | Some(0) })), "{read:?}");
}

async fn a_read_is_pinned(shelf: Shelf) {
    let first = shelf.put("a", b"first").await;
    let key = shelf.key("a");
    assert_eq!(shelf.pinned_bytes(&key, &first.pin).await.unwrap(), b"first");
    shelf.put("a", b"second").await;
    let read = shelf.pinned_bytes(&key, &first.pin).await;
    assert!(matches!(read, Err(Error::Conflict { .. })), "{read:?}");
}

async fn absent_means_absent(shelf: Shelf) {
    let key = shelf.key("a");
    let nothing = NewObject::default();
    let put = || shelf.bucket.put(&key, payload(&[b"first"]), &nothing, Condition::Absent);
    put().await.unwrap();
    assert!(matches!(put().await, Err(Error::Conflict { .. })));
    assert_eq!(shelf.bytes(&key, 0..9).await.unwrap(), b"first");
    let (upload, part) = shelf.upload_of_one_part(&key, b"second").await;
    let completed = shelf.bucket.complete_upload(&key, &upload, &[part], Condition::Absent).await;
    assert!(matches!(completed, Err(Error::Conflict { .. })), "{completed:?}");
    assert_eq!(shelf.bytes(&key, 0..9).await.unwrap(), b"first");
    shelf.bucket.abort_upload(&key, &upload).await.unwrap();
}

async fn a_removal_is_pinned(shelf: Shelf) {
    let first = shelf.put("a", b"first").await;
    let second = shelf.put("a", b"second").await;
    let key = shelf.key("a");
    let removed = shelf.bucket.remove(&key, RemovalCondition::Matches(first.pin.etag)).await;
    assert!(matches!(removed, Err(Error::Conflict { .. })), "{removed:?}");
    assert_eq!(shelf.bytes(&key, 0..9).await.unwrap(), b"second");
    shelf.bucket.remove(&key, RemovalCondition::Matches(second.pin.etag)).await.unwrap();
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
}

async fn a_removal_of_what_must_be_there_says_whether_it_was(shelf: Shelf) {
    let (key, pin) = (shelf.key("a"), shelf.put("a", b"x").await.pin);
    shelf.bucket.remove(&key, RemovalCondition::Present).await.unwrap();
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
    for condition in [RemovalCondition::Present, RemovalCondition::Matches(pin.etag)] {
        let removed = shelf.bucket.remove(&key, condition.clone()).await;
        // For a missing key, SeaweedFS answers that another version is there.
        let is_unclear = shelf.is_seaweedfs && matches!(removed, Err(Error::Conflict { .. }));
        assert!(is_unclear || matches!(removed, Err(Error::NotFound)), "{removed:?}");
        let removed = objects::remove(&*shelf.bucket, &key, condition).await;
        assert!(matches!(removed, Err(Error::NotFound)), "{removed:?}");
    }
}

async fn a_copy_takes_the_metadata_that_it_is_given(shelf: Shelf) {
    let (source, target) = (shelf.key("a"), shelf.key("b"));
    let pin = shelf.put("a", b"goods").await.pin;
    let metadata = [("mode".to_owned(), "33188".to_owned())].into();
    let headers = Headers { content_type: Some("text/csv".to_owned()), ..Headers::default() };
    let object = NewObject { metadata, headers };
    shelf.bucket.copy(&source, &pin, &target, Some(&object), Condition::Absent).await.unwrap();
    let head = shelf.bucket.head(&target).await.unwrap();
    assert_eq!((head.metadata, head.headers.content_type), (object.metadata, object.headers.content_type));
    assert_eq!(shelf.bytes(&target, 0..100).await.unwrap(), b"goods");
}

async fn a_copy_is_pinned_and_keeps_metadata(shelf: Shelf) {
    let (source, target) = (shelf.key("a"), shelf.key("b"));
    let object = NewObject { metadata: [("mode".to_owned(), "33188".to_owned())].into(), ..NewObject::default() };
    let stored = shelf.bucket.put(&source, payload(&[b"goods"]), &object, Condition::Always).await.unwrap();
    let other = Pin { etag: ETag("\"00000000000000000000000000000000\"".to_owned()), version: None };
    let copied = shelf.bucket.copy(&source, &other, &target, None, Condition::Always).await;
    assert!(matches!(copied, Err(Error::Conflict { .. })), "{copied:?}");
    let copy = shelf.bucket.copy(&source, &stored.pin, &target, None, Condition::Always).await.unwrap();
    let head = shelf.bucket.head(&target).await.unwrap();
    assert_eq!((head.size, head.pin.etag, head.metadata), (5, copy.pin.etag, object.metadata));
    let missing = shelf.bucket.copy(&shelf.key("c"), &stored.pin, &target, None, Condition::Always).await;
    assert!(matches!(missing, Err(Error::NotFound)), "{missing:?}");
}

async fn an_empty_directory_is_made_renamed_and_found_empty(shelf: Shelf) {
    let (source, target) = (shelf.key("new folder"), shelf.key("named"));
    let object = NewObject { metadata: [("mode".to_owned(), "16877".to_owned())].into(), ..NewObject::default() };
    objects::make_directory(Arc::clone(&shelf.bucket), &source, object.clone()).await.unwrap();
    let again = objects::make_directory(Arc::clone(&shelf.bucket), &source, object).await;
    assert!(matches!(again, Err(ObjectsError::IsDirectory)), "{again:?}");
    objects::rename(&*shelf.bucket, &source, &target, false, &store::NoObserver, None).await.unwrap();
    let state = async |key: &Key| objects::directory_state(&*shelf.bucket, &key.as_directory()).await.unwrap();
    assert_eq!(state(&source).await, DirectoryState::Absent);
    assert!(matches!(state(&target).await, DirectoryState::Empty { .. }));
    let marker = shelf.bucket.head(&target.as_directory().marker().unwrap()).await.unwrap();
    // SeaweedFS returns no metadata of an object whose name ends in a slash.
    assert!(shelf.is_seaweedfs || marker.metadata.get("mode").is_some_and(|mode| mode == "16877"));
}

async fn many_are_removed_at_once_each_pinned(shelf: Shelf) {
    let mut objects = Vec::new();
    for name in ["a", "b", "two words", "a&b<c>", "Füße", "sub/x", "sub/y"] {
        objects.push((shelf.key(name), shelf.put(name, name.as_bytes()).await.pin));
    }
    shelf.put("a", b"another").await;
    shelf.bucket.remove(&shelf.key("b"), RemovalCondition::Always).await.unwrap();
    let answers = shelf.bucket.remove_many(&objects).await.unwrap();
    assert_eq!(answers.len(), objects.len());
    assert!(matches!(answers[0], Err(Error::Conflict { .. })), "{answers:?}");
    assert!(answers[1..].iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(shelf.list(ListScope::Below(&shelf.prefix)).await.0, [shelf.key("a").as_str()]);
}

async fn a_directory_is_renamed_with_all_that_is_in_it(shelf: Shelf) {
    let (old, new) = (shelf.key("old"), shelf.key("new"));
    objects::make_directory(Arc::clone(&shelf.bucket), &old, NewObject::default()).await.unwrap();
    objects::make_directory(Arc::clone(&shelf.bucket), &shelf.key("old/empty"), NewObject::default()).await.unwrap();
    let metadata = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), ..NewObject::default() };
    for name in ["old/a", "old/sub/b c", "old/sub/Füße"] {
        shelf.bucket.put(&shelf.key(name), payload(&[name.as_bytes()]), &metadata, Condition::Always).await.unwrap();
    }
    shelf.put("older", b"a neighbour").await;
    let refused = objects::rename(&*shelf.bucket, &old, &new, false, &store::NoObserver, None).await;
    assert!(matches!(refused, Err(ObjectsError::NotEmpty)), "{refused:?}");
    let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
    let names = RenamedNames::new(shelf.prefix.clone(), "old", "new").unwrap();
    let tree = Tree { owner, names, permissions: Permissions::ALL };
    let journal = Arc::new(MemoryJournal::default()) as Arc<dyn Journal>;
    let renamed = objects::rename_tree(&*shelf.bucket, &journal, tree, 10, &store::NoObserver).await.unwrap();
    assert_eq!(renamed.moved.len(), 5);
    let mut names = ["new/", "new/a", "new/empty/", "new/sub/Füße", "new/sub/b c"].map(|name| shelf.raw(name));
    names.sort_unstable();
    assert_eq!(shelf.list(ListScope::Below(&new.as_directory())).await.0, names);
    assert!(!objects::directory_exists(&*shelf.bucket, &old.as_directory()).await.unwrap());
    assert_eq!(shelf.bytes(&shelf.key("older"), 0..100).await.unwrap(), b"a neighbour");
    assert_eq!(shelf.bytes(&shelf.key("new/sub/b c"), 0..100).await.unwrap(), b"old/sub/b c");
    assert_eq!(shelf.bucket.head(&shelf.key("new/a")).await.unwrap().metadata, metadata.metadata);
}

async fn a_copy_in_parts_begins_pinned(shelf: Shelf) {
    let (source, key) = (shelf.key("source"), shelf.key("copy"));
    let bytes = vec![7; 6 * MIB];
    let headers = Headers { content_type: Some("text/csv".to_owned()), ..Headers::default() };
    let typed = NewObject { headers, ..NewObject::default() };
    let stored = shelf.bucket.put(&source, payload(&[&bytes]), &typed, Condition::Always).await.unwrap();
    let object = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), ..NewObject::default() };
    let upload = shelf.bucket.create_copy(&key, &source, &stored.pin, &object).await.unwrap();
    let part = shelf.bucket.copy_part(&key, &upload, 1, &source, &stored.pin, 0..6 * MIB as u64).await.unwrap();
    shelf.bucket.complete_upload(&key, &upload, &[part], Condition::Absent).await.unwrap();
    let head = shelf.bucket.head(&key).await.unwrap();
    assert_eq!((head.size, head.metadata), (6 * MIB as u64, object.metadata.clone()));
    assert_eq!(head.headers.content_type.as_deref(), Some("text/csv"));
    shelf.put("source", b"another").await;
    let late = shelf.bucket.create_copy(&key, &source, &stored.pin, &object).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
}

async fn parts_become_an_object_at_once(shelf: Shelf) {
    let key = shelf.key("large");
    let object =
        NewObject { metadata: [(NewObject::TOKEN.to_owned(), "token".to_owned())].into(), ..NewObject::default() };
    let upload = shelf.bucket.create_upload(&key, &object).await.unwrap();
    let (first, second) = (vec![1; 5 * MIB], vec![2; 5 * MIB]);
    let payloads = [payload(&[&first[..MIB], &first[MIB..]]), payload(&[&second]), payload(&[b"tail"])];
    let mut parts = Vec::new();
    for (number, payload) in (1..).zip(payloads) {
        parts.push(shelf.bucket.upload_part(&key, &upload, number, payload).await.unwrap());
    }
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
    let completed = shelf.bucket.complete_upload(&key, &upload, &parts, Condition::Absent).await.unwrap();
    let head = shelf.bucket.head(&key).await.unwrap();
    assert_eq!((head.size, head.pin, head.metadata), (10 * MIB as u64 + 4, completed.pin, object.metadata));
    let (seam, end) = (5 * MIB as u64, 10 * MIB as u64);
    assert_eq!(shelf.bytes(&key, seam - 1..seam + 1).await.unwrap(), [1, 2]);
    assert_eq!(shelf.bytes(&key, end..end + 100).await.unwrap(), b"tail");
    assert!(shelf.bytes(&key, 0..seam).await.unwrap() == first);
}

async fn an_upload_is_completed_from_what_is_listed_of_it(shelf: Shelf) {
    let key = shelf.key("large");
    let upload = shelf.bucket.create_upload(&key, &NewObject::default()).await.unwrap();
    let first = vec![1; 5 * MIB];
    let mut parts = Vec::new();
    for (number, bytes) in [(3, &b"tail"[..]), (1, &first), (2, &first)] {
        parts.push(shelf.bucket.upload_part(&key, &upload, number, payload(&[bytes])).await.unwrap());
    }
    parts.sort_by_key(|part| part.number);
    let listed = shelf.bucket.list_parts(&key, &upload, 0).await.unwrap();
    assert!(!listed.more);
    assert_eq!(listed.parts.len(), 3);
    for (listed, part) in listed.parts.iter().zip(&parts) {
        assert_eq!((listed.number, listed.size, &listed.etag), (part.number, part.size, &part.etag));
        assert!(listed.crc64 == part.crc64 || shelf.is_seaweedfs && listed.crc64.is_none(), "{listed:?}");
    }
    let behind = shelf.bucket.list_parts(&key, &upload, 2).await.unwrap();
    assert_eq!(behind.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [3]);
    assert!(shelf.bucket.list_parts(&key, &upload, 3).await.unwrap().parts.is_empty());
    shelf.bucket.complete_upload(&key, &upload, &listed.parts, Condition::Absent).await.unwrap();
    assert_eq!(shelf.bytes(&key, 10 * MIB as u64..u64::MAX).await.unwrap(), b"tail");
    let gone = shelf.bucket.list_parts(&key, &upload, 0).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
}

async fn open_uploads_are_listed_by_their_names(shelf: Shelf) {
    // SeaweedFS claims to encode the names of uploads, but doesn't.
    let odd = if shelf.is_seaweedfs { "a b" } else { "a b+%" };
    let keys = [odd, "b/c", "b/c", "ü"].map(|name| shelf.key(name));
    let mut begun = Vec::new();
    for key in &keys {
        begun.push((key.as_str(), shelf.bucket.create_upload(key, &NewObject::default()).await.unwrap().0));
    }
    begun.sort_unstable();
    let listed = shelf.bucket.list_uploads(&shelf.prefix, None).await.unwrap();
    let mut names: Vec<_> = listed.uploads.iter().map(|open| (open.raw_key.as_str(), open.upload.0.clone())).collect();
    names.sort_unstable();
    assert_eq!((names, listed.next), (begun.clone(), None));
    assert!(listed.uploads.iter().all(|open| open.initiated > 1_700_000_000));
    for (key, (_, upload)) in keys.iter().zip(begun) {
        shelf.bucket.abort_upload(key, &UploadId(upload)).await.unwrap();
    }
    assert_eq!(shelf.bucket.list_uploads(&shelf.prefix, None).await.unwrap().uploads, []);
}

async fn a_part_may_be_a_range_of_an_object(shelf: Shelf) {
    let (source, key) = (shelf.key("source"), shelf.key("patched"));
    let old: Vec<u8> = (0..12 * MIB).map(|at| u8::try_from(at / MIB).unwrap()).collect();
    let stored = shelf.bucket.put(&source, payload(&[&old]), &NewObject::default(), Condition::Always).await.unwrap();
    let upload = shelf.bucket.create_upload(&key, &NewObject::default()).await.unwrap();
    let range = MIB as u64..6 * MIB as u64;
    let copied = shelf.bucket.copy_part(&key, &upload, 1, &source, &stored.pin, range).await.unwrap();
    assert_eq!(copied.size, 5 * MIB as u64);
    let tail = shelf.bucket.upload_part(&key, &upload, 2, payload(&[b"tail"])).await.unwrap();
    shelf.bucket.complete_upload(&key, &upload, &[copied, tail], Condition::Always).await.unwrap();
    let expected = [&old[MIB..6 * MIB], b"tail"].concat();
    assert!(shelf.bytes(&key, 0..12 * MIB as u64).await.unwrap() == expected);
    shelf.put("source", b"another").await;
    let upload = shelf.bucket.create_upload(&key, &NewObject::default()).await.unwrap();
    let late = shelf.bucket.copy_part(&key, &upload, 1, &source, &stored.pin, 0..5 * MIB as u64).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    shelf.bucket.abort_upload(&key, &upload).await.unwrap();
}

async fn what_must_match_is_replaced_only_while_it_does(shelf: Shelf) {
    let key = shelf.key("a");
    let put = async |bytes: &[u8], condition| {
        shelf.bucket.put(&key, payload(&[bytes]), &NewObject::default(), condition).await
    };
    let first = put(b"first", Condition::Always).await.unwrap().pin.etag;
    put(b"second", Condition::Matches(first.clone())).await.unwrap();
    let late = put(b"third", Condition::Matches(first.clone())).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    let (upload, part) = shelf.upload_of_one_part(&key, b"fourth").await;
    let late =
        shelf.bucket.complete_upload(&key, &upload, std::slice::from_ref(&part), Condition::Matches(first)).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    let second = shelf.bucket.head(&key).await.unwrap().pin.etag;
    // S3 keeps an upload whose condition failed. SeaweedFS removes it.
    let (upload, part) =
        if shelf.is_seaweedfs { shelf.upload_of_one_part(&key, b"fourth").await } else { (upload, part) };
    shelf.bucket.complete_upload(&key, &upload, &[part], Condition::Matches(second)).await.unwrap();
    assert_eq!(shelf.bytes(&key, 0..10).await.unwrap(), b"fourth");
}

async fn an_aborted_upload_leaves_nothing(shelf: Shelf) {
    let key = shelf.key("a");
    let (upload, part) = shelf.upload_of_one_part(&key, b"goods").await;
    shelf.bucket.abort_upload(&key, &upload).await.unwrap();
    shelf.bucket.abort_upload(&key, &upload).await.unwrap();
    let completed = shelf.bucket.complete_upload(&key, &upload, &[part], Condition::Always).await;
    assert!(matches!(completed, Err(Error::NotFound)), "{completed:?}");
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
}

async fn a_wrong_checksum_is_refused(shelf: Shelf) {
    let key = shelf.key("a");
    let wrong = || Payload { crc64: 1, ..payload(&[b"goods"]) };
    let put = shelf.bucket.put(&key, wrong(), &NewObject::default(), Condition::Always).await;
    assert!(matches!(put, Err(Error::Refused { .. })), "{put:?}");
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
    let upload = shelf.bucket.create_upload(&key, &NewObject::default()).await.unwrap();
    let part = shelf.bucket.upload_part(&key, &upload, 1, wrong()).await;
    assert!(matches!(part, Err(Error::Refused { .. })), "{part:?}");
    shelf.bucket.abort_upload(&key, &upload).await.unwrap();
    let (upload, mut part) = shelf.upload_of_one_part(&key, b"goods").await;
    part.crc64 = part.crc64.map(|crc64| crc64 ^ 1);
    let completed = shelf.bucket.complete_upload(&key, &upload, &[part], Condition::Always).await;
    assert!(matches!(completed, Err(Error::Refused { .. })), "{completed:?}");
    assert!(matches!(shelf.bucket.head(&key).await, Err(Error::NotFound)));
}

async fn listings_come_in_pages_sorted_by_bytes(shelf: Shelf) {
    let names = ["foo-bar", "foo.txt", "foo/a", "foo/b", "foo0", "é", "日"];
    for name in names.iter().rev() {
        shelf.put(name, name.as_bytes()).await;
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = shelf.bucket.list(ListScope::Below(&shelf.prefix), after.as_ref(), 3).await.unwrap();
        assert!(page.objects.len() <= 3 && page.directories.is_empty());
        seen.extend(page.objects.iter().map(|object| (shelf.name(object), object.size)));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if shelf.is_seaweedfs {
        seen.sort_unstable();
    }
    assert_eq!(seen, names.map(|name| (name.to_owned(), name.len() as u64)));
    assert_eq!(pages, 3);
}

async fn a_listing_of_a_directory_shows_its_own_entries(shelf: Shelf) {
    for name in ["a.txt", "dir/deep/b", "dir/c", "dir-neighbour"] {
        shelf.put(name, b"x").await;
    }
    let directory = ListScope::Directory(&shelf.prefix);
    let (objects, directories) = shelf.list(directory).await;
    assert_eq!(objects, [shelf.raw("a.txt"), shelf.raw("dir-neighbour")]);
    assert_eq!(directories, [shelf.raw("dir/")]);
    let marker = shelf.key("made").as_directory().marker().unwrap();
    shelf.bucket.put(&marker, Payload::default(), &NewObject::default(), Condition::Always).await.unwrap();
    assert_eq!(shelf.list(directory).await.1, [shelf.raw("dir/"), shelf.raw("made/")]);
    assert_eq!(shelf.list(ListScope::Below(&shelf.key("made").as_directory())).await.0, [shelf.raw("made/")]);
    let listed = shelf.bucket.list(directory, None, 1000).await.unwrap();
    assert_eq!(listed.objects[0].etag, shelf.bucket.head(&shelf.key("a.txt")).await.unwrap().pin.etag);
}

async fn a_listing_can_ask_for_one_name(shelf: Shelf) {
    for name in ["a", "a/b", "ab", "b"] {
        shelf.put(name, b"x").await;
    }
    let page = shelf.bucket.list(ListScope::StartingWith(&shelf.key("a")), None, 2).await.unwrap();
    let names: Vec<_> = page.objects.iter().map(|object| shelf.name(object)).collect();
    assert_eq!(names, ["a", "a/b"]);
    assert!(page.next.is_some());
    let nothing = shelf.bucket.list(ListScope::StartingWith(&shelf.key("c")), None, 2).await.unwrap();
    assert!(nothing.objects.is_empty() && nothing.next.is_none());
}

#[tokio::test]
async fn every_setting_of_an_endpoint_works_on_seaweedfs() {
    let seaweedfs = SeaweedFs::shared().await;
    for payload_signing in [PayloadSigning::Unsigned, PayloadSigning::Signed] {
        for checksums in [Checksums::Crc64Nvme, Checksums::WhenRequired] {
            let bucket = SeaweedFs::bucket(Storage { payload_signing, checksums, ..seaweedfs.storage() }).await;
            let test = format!("{payload_signing:?}-{checksums:?}");
            what_was_put_is_there(Shelf::on_seaweedfs(bucket.clone(), &test)).await;
            parts_become_an_object_at_once(Shelf::on_seaweedfs(bucket, &test)).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_no_missing_file() {
    let seaweedfs = SeaweedFs::shared().await;
    let mut storage = seaweedfs.storage();
    storage.credentials = StorageCredentials {
        base: BaseCredentials::Static {
            access_key_id: "wharfinger".to_owned(),
            secret_access_key: Secret::from("wrong".to_owned()),
        },
        role: None,
    };
    let bucket = SeaweedFs::bucket(storage).await;
    let listed = bucket.list(ListScope::Below(&below("any")), None, 1).await;
    assert!(matches!(listed, Err(Error::Credentials(_))), "{listed:?}");
    let head = bucket.head(&below("any").key("a").unwrap()).await;
    assert!(matches!(head, Err(Error::Forbidden { .. })), "{head:?}");
}

/// A bucket, with the prefix of one test.
struct Shelf {
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    /// True on SeaweedFS. It lists `\` as `/` although it finds both keys, and sorts by path: `foo/a` before `foo-bar`.
    is_seaweedfs: bool,
}

impl Shelf {
    fn in_memory(test: &str) -> Self {
        Self { bucket: Arc::new(MemoryBucket::new()), prefix: below(test), is_seaweedfs: false }
    }

    fn on_seaweedfs(bucket: Arc<dyn Bucket>, test: &str) -> Self {
        Self { bucket, prefix: below(test), is_seaweedfs: true }
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.key(name).unwrap()
    }

    fn raw(&self, name: &str) -> String {
        format!("{}{name}", self.prefix.as_str())
    }

    fn name(&self, listed: &ListedObject) -> String {
        listed.raw_key.strip_prefix(self.prefix.as_str()).unwrap().to_owned()
    }

    async fn put(&self, name: &str, bytes: &[u8]) -> StoredObject {
        let stored =
            self.bucket.put(&self.key(name), payload(&[bytes]), &NewObject::default(), Condition::Always).await;
        stored.unwrap_or_else(|error| panic!("{name:?}: {error}"))
    }

    async fn upload_of_one_part(&self, key: &Key, bytes: &[u8]) -> (UploadId, Part) {
        let upload = self.bucket.create_upload(key, &NewObject::default()).await.unwrap();
        let part = self.bucket.upload_part(key, &upload, 1, payload(&[bytes])).await.unwrap();
        (upload, part)
    }

    async fn bytes(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        let read = self.bucket.read(key, range, None).await?;
        Ok(read.body.try_collect::<Vec<_>>().await?.concat())
    }

    async fn pinned_bytes(&self, key: &Key, pin: &Pin) -> Result<Vec<u8>> {
        let read = self.bucket.read(key, 0..u64::MAX, Some(pin)).await?;
        Ok(read.body.try_collect::<Vec<_>>().await?.concat())
    }

    /// Returns objects and directories of one page.
    async fn list(&self, scope: ListScope<'_>) -> (Vec<String>, Vec<String>) {
        let page = self.bucket.list(scope, None, 1000).await.unwrap();
        (page.objects.into_iter().map(|object| object.raw_key).collect(), page.directories)
    }
}

fn below(test: &str) -> Prefix {
    Prefix::parse(&format!("{test}/")).unwrap()
}

fn payload(pieces: &[&[u8]]) -> Payload {
    let crc64 = crc_fast::checksum(Crc64Nvme, &pieces.concat());
    Payload { pieces: pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect(), crc64 }
}
