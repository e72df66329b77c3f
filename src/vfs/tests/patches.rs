//! Changes of stored files: the results of OPEN without TRUNC and of sizes that are set, and their requests.

use super::{
    attributes::{TIMES, shown, times_and_mode},
    *,
};
use crate::{store::Headers, testing::bucket::Moment};
use std::collections::BTreeMap;

const UPDATE: WriteOptions = WriteOptions { read: true, create: false, ..KEEP };

fn size(size: u64) -> SetAttributes {
    SetAttributes { size: Some(size), ..SetAttributes::default() }
}

// S74: A file opened for writing without TRUNC begins as it is, and READ shows what was written over what was there.
// S76: A change is a new version of the whole file, which appears when CLOSE answers OK.
#[tokio::test]
async fn a_file_opened_without_trunc_begins_as_it_is() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    let mut handle = session.open("/a", UPDATE).await.unwrap();
    assert_eq!(handle.metadata().size, 9);
    assert_eq!(handle.read(4, 100).await.unwrap().concat(), b"bytes");
    handle.write(0, Bytes::from_static(b"new")).await.unwrap();
    handle.write(9, Bytes::from_static(b"!")).await.unwrap();
    assert_eq!(handle.read(0, 100).await.unwrap().concat(), b"new bytes!");
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "old bytes", "until the CLOSE");
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 10);
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "new bytes!");
}

// S68: With APPEND each WRITE, and each copy, goes to the end of the file in the order of arrival, whatever its offset: …
#[tokio::test]
async fn appending_overwrites_nothing_and_leaves_no_hole_whatever_the_offsets_say() {
    const APPEND: WriteOptions = WriteOptions { read: true, append: true, ..KEEP };
    let session = UserTree::start();
    for old in [None, Some(""), Some("old bytes")] {
        for offsets in [[9, 10, 11], [0, 1, 2], [0, 0, 0], [10, 9, 9], [3, 3, 100], [1 << 40, 0, u64::MAX]] {
            session.bucket.delete("acme/a");
            if let Some(old) = old {
                session.bucket.insert("acme/a", old);
            }
            let old = old.unwrap_or_default();
            let mut handle = session.open("/a", APPEND).await.unwrap();
            for (offset, bytes) in offsets.into_iter().zip(["!", "?", "."]) {
                handle.write(offset, bytes.into()).await.unwrap();
            }
            assert_eq!(handle.read(0, 100).await.unwrap().concat(), format!("{old}!?.").as_bytes(), "{offsets:?}");
            handle.close().await.unwrap();
            assert_eq!(session.bucket.bytes("acme/a").unwrap(), format!("{old}!?."), "{offsets:?}");
        }
    }
}

// S68: With APPEND each WRITE, and each copy, goes to the end of the file in the order of arrival, whatever its offset: …
#[tokio::test]
async fn the_end_is_where_a_size_or_a_copy_has_put_it() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    session.bucket.insert("acme/b", "copied");
    let mut handle = session.open("/a", WriteOptions { append: true, ..KEEP }).await.unwrap();
    handle.write(0, Bytes::from_static(b"!")).await.unwrap();
    handle.set_attributes(size(3)).unwrap();
    let source = session.open_read(&path("/b")).await.unwrap();
    for target_offset in [0, 100] {
        let range = CopyRange { source_offset: 0, length: None, target_offset };
        assert_eq!(handle.copy(&source, range).await.unwrap(), 6);
    }
    handle.set_attributes(size(17)).unwrap();
    handle.write(0, Bytes::from_static(b"?")).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "oldcopiedcopied\0\0?");
}

// S80: A file that was opened and not changed stays the same version.
#[tokio::test]
async fn an_unchanged_file_is_not_stored_again() {
    let session = UserTree::start();
    let before = session.bucket.insert("acme/a", "old bytes");
    let mut handle = session.open("/a", UPDATE).await.unwrap();
    handle.set_attributes(size(9)).unwrap();
    handle.set_attributes(times_and_mode()).unwrap();
    assert_eq!(handle.close().await.unwrap().size, 9);
    assert_eq!(session.requested(), [Verb::Head]);
    assert_eq!(session.bucket.insert("acme/b", "old bytes").pin, before.pin, "the memory's ETags are of the bytes");
    for session in [&session, &session.another()] {
        assert_eq!(shown(session, "/a").await, (TIMES, 0o100_640));
    }
}

// S85: A changed file keeps its mode and the object's other metadata, and shows the time of the change, unless …
#[tokio::test]
async fn a_changed_file_keeps_mode_and_metadata_and_shows_a_new_time() {
    let session = UserTree::start();
    let metadata = [("mtime", "1600000000"), ("atime", "1600000001"), ("mode", "33152"), ("origin", "elsewhere")];
    let metadata: BTreeMap<_, _> = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for by_path in [false, true] {
        session.bucket.insert_with("acme/a", "old bytes", metadata.clone());
        if by_path {
            session.set_attributes(&path("/a"), size(3)).await.unwrap();
        } else {
            let mut handle = session.open("/a", KEEP).await.unwrap();
            assert_eq!((handle.metadata().times.modified, handle.metadata().mode), (1_600_000_000, 0o100_600));
            handle.write(0, Bytes::from_static(b"new")).await.unwrap();
            assert!(handle.metadata().times.modified > 1_700_000_000);
            handle.close().await.unwrap();
        }
        let stored = session.bucket.metadata("acme/a").unwrap();
        assert_eq!((stored["mode"].as_str(), stored["origin"].as_str()), ("33152", "elsewhere"));
        assert!(!stored.contains_key("mtime") && !stored.contains_key("atime"));
        let (times, mode) = shown(&session.another(), "/a").await;
        assert!(times.modified > 1_700_000_000 && mode == 0o100_600);
    }
}

// S85: A changed file keeps its mode and the object's other metadata, and shows the time of the change, unless …
#[tokio::test]
async fn a_changed_file_keeps_what_others_are_told_of_its_bytes_without_a_further_request() {
    let session = UserTree::start();
    let headers =
        Headers { cache_control: Some("no-store".into()), content_type: Some("text/csv".into()), ..Headers::default() };
    for (bytes, requests) in [
        (9, vec![Verb::Head, Verb::Read, Verb::Put]),
        (9 * MIB, vec![Verb::Head, Verb::CreateUpload, Verb::CopyPart, Verb::UploadPart, Verb::CompleteUpload]),
    ] {
        session.bucket.insert("acme/a", vec![7; bytes]);
        assert!(session.bucket.set_headers("acme/a", headers.clone()));
        for change in 1..=2 {
            let mut handle = session.open("/a", WriteOptions { append: true, ..KEEP }).await.unwrap();
            handle.write(0, Bytes::from_static(b"!")).await.unwrap();
            handle.close().await.unwrap();
            assert_eq!(session.requested(), requests, "change {change}");
            assert_eq!(session.bucket.headers("acme/a"), Some(headers.clone()));
        }
        session.set_attributes(&path("/a"), size(3)).await.unwrap();
        assert_eq!(session.bucket.headers("acme/a"), Some(headers.clone()));
        session.upload("/a", "a new file").await;
        assert_eq!(session.bucket.headers("acme/a"), Some(Headers::default()));
        session.requested();
    }
}

// S85: A changed file keeps its mode and the object's other metadata, and shows the time of the change, unless …
#[tokio::test]
async fn a_mode_beside_the_object_stays_with_a_changed_file() {
    let session = UserTree::start();
    session.upload("/a", "old").await;
    session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    let mut handle = session.open("/a", KEEP).await.unwrap();
    assert_eq!((handle.metadata().times.modified, handle.metadata().mode), (TIMES.modified, 0o100_640));
    handle.write(3, Bytes::from_static(b" and new")).await.unwrap();
    handle.close().await.unwrap();
    let (times, mode) = shown(&session.another(), "/a").await;
    assert!(times != TIMES && mode == 0o100_640);
}

// S79: A change replaces the version that was opened, and no other: if another writer has changed or removed the …
#[tokio::test]
async fn a_change_by_another_writer_is_reported_and_not_overwritten() {
    let session = UserTree::start();
    for truncate in [false, true] {
        session.bucket.insert("acme/a", "old bytes");
        let mut handle = session.open("/a", KEEP).await.unwrap();
        if truncate {
            handle.set_attributes(size(0)).unwrap();
        } else {
            handle.write(0, Bytes::from_static(b"new")).await.unwrap();
        }
        session.bucket.insert("acme/a", "theirs");
        assert!(matches!(handle.close().await, Err(Error::Changed(_))));
        assert_eq!(session.bucket.bytes("acme/a").unwrap(), "theirs");
    }
    let hold = session.bucket.hold(Verb::Put, Moment::Request);
    let at = path("/a");
    let (resized, ()) = tokio::join!(session.set_attributes(&at, size(1)), async {
        session.bucket.arrived(Verb::Put, 2).await;
        session.bucket.insert("acme/a", "theirs again");
        drop(hold);
    });
    assert!(matches!(resized, Err(Error::Changed(_))), "{resized:?}");
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "theirs again");
}

// S84: A size that is set by path is set at once, or by the upload of this session that is open; where that can't do …
#[tokio::test]
async fn a_size_set_by_path_reaches_the_open_upload() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    let mut handle = session.open("/a", UPDATE).await.unwrap();
    session.set_attributes(&path("/a"), size(0)).await.unwrap();
    session.set_attributes(&path("/a"), size(4)).await.unwrap();
    assert_eq!(session.stat(&path("/a")).await.unwrap().size, 4);
    assert_eq!(handle.read(0, 10).await.unwrap().concat(), [0; 4]);
    handle.write(4, Bytes::from_static(b"new")).await.unwrap();
    session.set_attributes(&path("/a"), size(5)).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "\0\0\0\0n");

    let mut handle = session.create("/b").await;
    handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
    for refused in [session.set_attributes(&path("/b"), size(1)).await, handle.set_attributes(size(1))] {
        assert!(matches!(refused, Err(Error::Shipped)), "{refused:?}");
    }
    session.set_attributes(&path("/b"), size(17 * MIB as u64)).await.unwrap();
    assert_eq!(handle.close().await.unwrap().size, 17 * MIB as u64);
    assert!(session.bucket.bytes("acme/b").unwrap() == vec![7; 17 * MIB]);
}

// S84: A size that is set by path is set at once, or by the upload of this session that is open; where that can't do …
#[tokio::test]
async fn a_size_that_an_upload_cannot_take_on_fails_its_close() {
    let session = UserTree::start();
    let handle = session.create("/a").await;
    // Each size adds no more than the largest hole, but the later ones exceed it in sum.
    for mib in [60, 120, 180] {
        session.set_attributes(&path("/a"), size(mib << 20)).await.unwrap();
    }
    assert!(handle.close().await.is_err());
    assert!(session.bucket.keys().is_empty());
}

// S18: READ on a handle that is open for both needs no `read` for what was written through it, and needs it for what …
#[tokio::test]
async fn changing_a_file_needs_overwrite_and_reading_what_was_there_needs_read() {
    let session = UserTree::with_permissions(Permissions::ALL.without(Permission::Overwrite));
    session.bucket.insert("acme/a", "old bytes");
    assert!(matches!(session.open("/a", KEEP).await, Err(Error::Denied(Permission::Overwrite))));
    let resized = session.set_attributes(&path("/a"), size(1)).await;
    assert!(matches!(resized, Err(Error::Denied(Permission::Overwrite))));

    let session = UserTree::with_permissions(Permissions::ALL.without(Permission::Read));
    session.bucket.insert("acme/a", "old bytes");
    let mut handle = session.open("/a", UPDATE).await.unwrap();
    handle.write(0, Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(handle.read(0, 3).await.unwrap().concat(), b"new");
    assert!(matches!(handle.read(0, 4).await, Err(Error::Denied(Permission::Read))));
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "new bytes");
}

// S18: READ on a handle that is open for both needs no `read` for what was written through it, and needs it for what …
// S144: A file that is there and is opened for reading and writing, without TRUNC, is no upload until it is changed: by a …
#[tokio::test]
async fn permissions_are_asked_at_open_and_reading_what_was_there_needs_read_before_the_change_too() {
    let opened = async |session: &UserTree| session.open_update(&path("/a"), UPDATE, NewAttributes::default()).await;
    for missing in [Permission::Write, Permission::Overwrite] {
        let session = UserTree::with_permissions(Permissions::ALL.without(missing));
        session.bucket.insert("acme/a", "old bytes");
        assert!(matches!(opened(&session).await, Err(Error::Denied(denied)) if denied == missing));
    }
    let session = UserTree::with_permissions(Permissions::ALL.without(Permission::Read));
    session.bucket.insert("acme/a", "old bytes");
    let Ok(UpdateOutcome::Unchanged(reader, update)) = opened(&session).await else { panic!("it is an upload") };
    assert!(matches!(reader.read(0, 4).await, Err(Error::Denied(Permission::Read))));
    assert_eq!(session.requested(), [Verb::Head]);
    let mut handle = update.begin().unwrap().admit_update(PATIENCE).await.unwrap();
    handle.write(0, Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(handle.read(0, 3).await.unwrap().concat(), b"new");
    assert!(matches!(handle.read(0, 4).await, Err(Error::Denied(Permission::Read))));
    handle.close().await.unwrap();
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "new bytes");
}

#[tokio::test]
async fn former_bytes_of_another_version_are_never_shown() {
    for replaced in [true, false] {
        let session = UserTree::start();
        session.bucket.insert("acme/a", vec![7; 20 * MIB]);
        let mut handle = session.open("/a", UPDATE).await.unwrap();
        handle.write(10 * MIB as u64, Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(handle.read(10 * MIB as u64 - 1, 5).await.unwrap().concat(), b"\x07new\x07");
        if replaced {
            session.bucket.insert("acme/a", vec![8; 20 * MIB]);
        } else {
            session.bucket.delete("acme/a");
        }
        assert_eq!(handle.read(10 * MIB as u64, 3).await.unwrap().concat(), b"new");
        assert!(matches!(handle.read(0, 1).await, Err(Error::Changed(_))), "{replaced}");
        handle.discard().await;
    }
}

// S145: The first change is refused where another handle of the session uploads the file already, and so is all that …
#[tokio::test]
async fn of_two_files_open_for_both_one_is_changed() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    let open = async || match session.open_update(&path("/a"), UPDATE, NewAttributes::default()).await.unwrap() {
        UpdateOutcome::Unchanged(reader, update) => (reader, update),
        UpdateOutcome::Upload(_) => panic!("it is an upload"),
    };
    let ((_, one), (other_reader, other)) = (open().await, open().await);
    assert!(!session.is_uploading(&path("/a")));
    let pending = one.begin().unwrap();
    assert!(session.is_uploading(&path("/a")));
    assert!(matches!(other.begin(), Err(Error::Unsupported(Unsupported::SecondWriter))));
    assert!(!UploadPath::ended(other.path().clone()).is(&path("/a")));
    assert_eq!(other_reader.read(0, 3).await.unwrap().concat(), b"old");
    drop(pending);
    assert!(other.begin().is_ok(), "the first never began");
}

// S86: A file in an archive can be replaced, not changed.
#[tokio::test]
async fn an_archived_file_can_be_replaced_but_not_changed() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    session.bucket.archive("acme/a");
    assert!(matches!(session.open("/a", KEEP).await, Err(Error::Archived)));
    session.upload("/a", "new").await;
    assert_eq!(session.bucket.bytes("acme/a").unwrap(), "new");
}

#[tokio::test]
async fn a_change_costs_what_it_changes() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", vec![1; 20 * MIB]);
    let mut handle = session.open("/a", KEEP).await.unwrap();
    handle.write(20 * MIB as u64, Bytes::from_static(b"x")).await.unwrap();
    handle.close().await.unwrap();
    let head = Verb::Head;
    let mut verbs = session.requested();
    verbs[2..4].sort_by_key(|verb| *verb != Verb::CopyPart);
    assert_eq!(verbs, [head, Verb::CreateUpload, Verb::CopyPart, Verb::UploadPart, Verb::CompleteUpload]);

    session.set_attributes(&path("/a"), size(15 * MIB as u64)).await.unwrap();
    assert_eq!(session.requested(), [head, Verb::CreateUpload, Verb::CopyPart, Verb::CompleteUpload]);
    session.set_attributes(&path("/a"), size(0)).await.unwrap();
    assert_eq!(session.requested(), [head, Verb::Put]);
}

// S157: A name that is gone is reported as missing, and one that has just appeared is found, also if S3 answers 403 …
#[tokio::test]
async fn a_change_of_a_removed_file_is_a_conflict_whatever_s3_answers() {
    for scoped in [false, true] {
        for bytes in [9, 9 * MIB] {
            for written in [3, 9 * MIB] {
                let session = UserTree::start();
                if scoped {
                    session.bucket.forbid_missing();
                }
                session.bucket.insert("acme/a", vec![7; bytes]);
                let mut handle = session.open("/a", UPDATE).await.unwrap();
                handle.write(bytes as u64 - 1, vec![8; written].into()).await.unwrap();
                session.bucket.delete("acme/a");
                let read = handle.read(0, 5).await;
                assert!(matches!(read, Err(Error::Changed(_))), "{scoped} {bytes} {written}: {read:?}");
                let closed = handle.close().await;
                assert!(matches!(closed, Err(Error::Changed(_))), "{scoped} {bytes} {written}: {closed:?}");
                assert!(session.bucket.keys().is_empty());
            }
        }
    }
}
