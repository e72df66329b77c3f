//! Times, modes, sizes and owners: attributes that were answered with OK are shown afterwards.

use super::*;
use crate::{
    journal::{Journal as _, ObjectAttributes, TimesAndMode, Version},
    name::Prefix,
    store::ETag,
};
use std::collections::BTreeMap;

pub(super) const TIMES: Times = Times { accessed: 1_600_000_001, modified: 1_600_000_000 };
const BOTH: NewAttributes = NewAttributes { times: Some(TIMES), mode: Some(0o640) };

pub(super) fn times_and_mode() -> SetAttributes {
    SetAttributes { times: Some(TIMES), mode: Some(0o100_640), ..SetAttributes::default() }
}

pub(super) async fn shown(session: &UserTree, at: &str) -> (Times, u32) {
    let metadata = session.stat(&path(at)).await.unwrap();
    (metadata.times, metadata.mode)
}

pub(super) async fn listed(session: &UserTree, at: &str) -> (Times, u32) {
    let at = path(at);
    let entries = session.entries(at.parent().unwrap().as_str()).await;
    let entry = entries.into_iter().find(|entry| entry.name == at.name()).unwrap();
    (entry.metadata.times, entry.metadata.mode)
}

fn metadata(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

// S25: If S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
#[tokio::test]
async fn where_both_are_setstat_reaches_the_file() {
    let session = UserTree::start();
    session.upload("/both", "a file").await;
    session.bucket.insert("acme/both/below", "that lies below a file");
    let another = session.another();
    assert!(another.mkdir(&path("/both"), NewAttributes::default()).await.is_err());
    another
        .set_attributes(&path("/both"), SetAttributes { mode: Some(0o600), ..SetAttributes::default() })
        .await
        .unwrap();
    assert_eq!(shown(&session.another(), "/both").await.1, 0o100_600);
    session.set_attributes(&path("/both"), times_and_mode()).await.unwrap();
    assert_eq!(shown(&session, "/both").await, (TIMES, 0o100_640));
    assert_eq!(shown(&session.another(), "/both").await, (TIMES, 0o100_640));
}

// S87: Times and modes that come before an object's metadata is sent are stored with it: `mtime` and `atime` in …
// S96: Times that came early enough to be stored are in the journal too, so that listings show them; so is, within a …
#[tokio::test]
async fn attributes_of_open_are_stored_with_the_object() {
    let session = UserTree::start();
    let pending = session.open_write(&path("/a"), CREATE, BOTH).await.unwrap();
    let handle = pending.admit(PATIENCE).await.unwrap();
    assert_eq!((handle.metadata().times, handle.metadata().mode), (TIMES, 0o100_640));
    handle.close().await.unwrap();
    let stored = session.bucket.metadata("acme/a").unwrap();
    assert_eq!((stored["mtime"].as_str(), stored["mode"].as_str()), ("1600000000", "33184"));
    assert_eq!(shown(&session.another(), "/a").await, (TIMES, 0o100_640), "another session sees them too");
    assert_eq!(listed(&session, "/a").await.0, TIMES);
    assert_eq!(listed(&session.another(), "/a").await.0, TIMES, "though a listing tells nothing of metadata");
}

// S75: OPEN's attributes apply to new files alone.
#[tokio::test]
async fn attributes_of_open_are_not_for_a_file_that_is_there() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old bytes");
    let pending = session.open_write(&path("/a"), KEEP, BOTH).await.unwrap();
    let mut handle = pending.admit(PATIENCE).await.unwrap();
    handle.write(0, Bytes::from_static(b"new")).await.unwrap();
    handle.close().await.unwrap();
    let (times, mode) = shown(&session.another(), "/a").await;
    assert!(times != TIMES && mode == 0o100_644, "{times:?} {mode:o}");
}

// S96: Times that came early enough to be stored are in the journal too, so that listings show them; so is, within a …
#[tokio::test(start_paused = true)]
async fn a_mode_that_is_stored_without_times_is_shown_by_listings_too() {
    let session = UserTree::start();
    for (name, mode) in [("/a", 0o640), ("/b", 0o600), ("/plain", 0o644)] {
        let mode = NewAttributes { times: None, mode: Some(mode) };
        let pending = session.open_write(&path(name), CREATE, mode).await.unwrap();
        pending.admit(PATIENCE).await.unwrap().close().await.unwrap();
    }
    let asked = session.journal.asked();
    assert!(!asked.iter().any(|asked| asked.starts_with("replace")), "CLOSE doesn't wait for it: {asked:?}");
    let (another, elsewhere) = (session.another(), session.elsewhere());
    assert_eq!((shown(&another, "/a").await.1, listed(&another, "/a").await.1), (0o100_640, 0o100_640));
    assert_eq!((shown(&elsewhere, "/a").await.1, listed(&elsewhere, "/a").await.1), (0o100_640, 0o100_644));
    session.journal.asked();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(session.journal.asked(), ["add_attribute_notes"], "one statement for both, none for the third");
    for (name, mode) in [("/a", 0o100_640), ("/b", 0o100_600), ("/plain", 0o100_644)] {
        assert_eq!((shown(&elsewhere, name).await.1, listed(&elsewhere, name).await.1), (mode, mode));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((shown(&session, "/b").await.1, listed(&session, "/b").await.1), (0o100_600, 0o100_600));
}

// S96: Times that came early enough to be stored are in the journal too, so that listings show them; so is, within a …
#[tokio::test(start_paused = true)]
async fn a_queued_mode_does_not_overwrite_later_attributes() {
    let session = UserTree::start();
    let mode = NewAttributes { times: None, mode: Some(0o640) };
    let create = async |name: &str| {
        let pending = session.open_write(&path(name), CREATE, mode).await.unwrap();
        pending.admit(PATIENCE).await.unwrap().close().await.unwrap();
    };
    for name in ["/replaced", "/removed", "/renamed", "/set"] {
        create(name).await;
    }
    session.create("/replaced").await.close().await.unwrap();
    session.remove(&path("/removed")).await.unwrap();
    session.rename(&path("/renamed"), &path("/to"), Replace::No).await.unwrap();
    session.set_attributes(&path("/set"), SetAttributes { times: Some(TIMES), ..Default::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(101)).await;
    session.bucket.insert("acme/removed", "");
    let elsewhere = session.elsewhere();
    assert_eq!(listed(&elsewhere, "/replaced").await.1, 0o100_644, "the same bytes have the same ETag");
    assert_eq!(listed(&elsewhere, "/removed").await.1, 0o100_644);
    assert_eq!(listed(&elsewhere, "/to").await.1, 0o100_640);
    assert_eq!(listed(&elsewhere, "/set").await, (TIMES, 0o100_640));
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
#[tokio::test(start_paused = true)]
async fn a_queued_mode_overwrites_the_row_of_an_older_version_and_of_no_younger_one() {
    for (name, apart, shown) in [("a", -1, 0o100_640), ("b", 0, 0o100_640), ("c", 9, 0o100_600)] {
        let (session, file) = (UserTree::start(), format!("/{name}"));
        let mode = NewAttributes { times: None, mode: Some(0o640) };
        let pending = session.open_write(&path(&file), CREATE, mode).await.unwrap();
        pending.admit(PATIENCE).await.unwrap().close().await.unwrap();
        // Meanwhile another node writes the row of another version, and also its file if that is the younger.
        let mut version = Version::stored_now(ETag("older".to_owned()));
        if apart > 0 {
            version.etag = session.bucket.insert(&format!("acme{file}"), "younger").pin.etag;
        }
        let row = ObjectAttributes::new(&version, TimesAndMode { times: None, mode: Some(0o600) });
        let row = ObjectAttributes { set_at: version.modified + apart, ..row };
        let key = Prefix::parse("acme/").unwrap().key(name).unwrap();
        session.journal.replace_attributes(session.bucket.id(), &key, Some(&row)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(101)).await;
        assert_eq!(listed(&session.elsewhere(), &file).await.1, shown, "{apart}");
    }
}

// S87: Times and modes that come before an object's metadata is sent are stored with it: `mtime` and `atime` in …
#[tokio::test]
async fn attributes_that_come_before_the_first_part_are_stored_with_the_object() {
    for by_path in [false, true] {
        let session = UserTree::start();
        let mut handle = session.create("/a").await;
        handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
        if by_path {
            session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
        } else {
            handle.set_attributes(times_and_mode()).unwrap();
        }
        assert_eq!(shown(&session, "/a").await, (TIMES, 0o100_640));
        handle.close().await.unwrap();
        assert_eq!(shown(&session.another(), "/a").await, (TIMES, 0o100_640), "by path: {by_path}");
    }
}

// S89: Times and modes that come later are kept in the journal, which is SQL, by bucket, key and ETag: every session …
#[tokio::test]
async fn attributes_that_come_later_are_shown_too() {
    for by_path in [false, true] {
        let session = UserTree::start();
        let mut handle = session.create("/a").await;
        handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
        if by_path {
            session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
        } else {
            handle.set_attributes(times_and_mode()).unwrap();
        }
        handle.close().await.unwrap();
        for session in [&session, &session.another()] {
            assert_eq!(shown(session, "/a").await, (TIMES, 0o100_640));
            assert_eq!(listed(session, "/a").await, (TIMES, 0o100_640));
        }
    }
    let session = UserTree::start();
    session.upload("/b", "x").await;
    session.set_attributes(&path("/b"), times_and_mode()).await.unwrap();
    for session in [&session, &session.another()] {
        assert_eq!(shown(session, "/b").await, (TIMES, 0o100_640));
        assert_eq!(listed(session, "/b").await, (TIMES, 0o100_640));
    }
}

// S93: Times and modes in the journal follow a RENAME, and end with REMOVE.
#[tokio::test]
async fn attributes_beside_an_object_follow_a_rename_and_end_with_their_version() {
    let session = UserTree::start();
    session.upload("/a.filepart", "x").await;
    session.set_attributes(&path("/a.filepart"), times_and_mode()).await.unwrap();
    session.rename(&path("/a.filepart"), &path("/a"), Replace::No).await.unwrap();
    assert_eq!(shown(&session, "/a").await.0, TIMES);
    session.bucket.insert("acme/a", "replaced by another program");
    assert_ne!(shown(&session, "/a").await.0, TIMES);
    session.upload("/a.filepart", "x").await;
    assert_ne!(shown(&session, "/a.filepart").await.0, TIMES);
}

// S94: STAT shows the times and modes that are stored with the object, those of other programs too, and those in the …
// S95: Listings carry no metadata: READDIR shows what is in the journal, else the time of the upload and the default …
#[tokio::test]
async fn times_of_other_programs_are_shown() {
    let session = UserTree::start();
    session.bucket.insert_with("acme/rclone", "x", metadata(&[("mtime", "1600000000.987654321")]));
    session.bucket.insert_with("acme/s3fs", "x", metadata(&[("mtime", "1600000000"), ("mode", "33152")]));
    session.bucket.insert_with("acme/odd", "x", metadata(&[("mtime", "soon"), ("mode", "rw")]));
    let modified = Times { accessed: 1_600_000_000, modified: 1_600_000_000 };
    assert_eq!(shown(&session, "/rclone").await, (modified, 0o100_644));
    assert_eq!(shown(&session, "/s3fs").await, (modified, 0o100_600));
    assert!(shown(&session, "/odd").await.0.modified > 1_700_000_000, "the time of the upload");
    let (times, mode) = listed(&session, "/s3fs").await;
    assert!(times.modified > 1_700_000_000 && mode == 0o100_644, "a listing tells nothing of metadata");
}

// S102: A directory without a set time shows 00:00 UTC of the day on which it is asked for, on every node, and mode 755 …
#[tokio::test]
async fn directories_show_the_day_and_mode_755_unless_others_were_set() {
    let session = UserTree::start();
    let is_plain = |(times, mode): (Times, u32)| times.modified > 1_700_000_000 && times != TIMES && mode == 0o40_755;
    session.mkdir(&path("/dir"), NewAttributes::default()).await.unwrap();
    assert!(is_plain(shown(&session, "/dir").await));
    session.set_attributes(&path("/dir"), times_and_mode()).await.unwrap();
    assert_eq!(shown(&session, "/dir").await, (TIMES, 0o40_640));
    assert_eq!(listed(&session, "/dir").await, (TIMES, 0o40_640));
    session.rmdir(&path("/dir")).await.unwrap();
    session.mkdir(&path("/dir"), NewAttributes::default()).await.unwrap();
    assert!(is_plain(shown(&session, "/dir").await));
}

// S83: FSETSTAT and SETSTAT of a size cut a file, or add zeros to it, up to 64 MiB at a time.
#[tokio::test]
async fn a_size_is_set_with_the_other_attributes_or_none_is() {
    let session = UserTree::start();
    session.bucket.insert("acme/full", "abc");
    session.bucket.insert("acme/empty", "");
    session.bucket.insert("acme/dir/", "");
    let mut handle = session.create("/live").await;
    handle.write(0, Bytes::from_static(b"ab")).await.unwrap();
    let size = |size| SetAttributes { size: Some(size), times: Some(TIMES), ..SetAttributes::default() };
    for (at, present) in [("/full", 3), ("/empty", 0), ("/live", 2)] {
        for refused in [present + (64 << 20) + 1, u64::MAX] {
            let refused = session.set_attributes(&path(at), size(refused)).await;
            assert!(matches!(refused, Err(Error::HoleTooLarge { .. } | Error::TooLarge { .. })), "{at}");
        }
        assert_ne!(shown(&session, at).await.0, TIMES, "{at}: nothing is set");
        for wanted in [present, present + 1, 1] {
            session.set_attributes(&path(at), size(wanted)).await.unwrap();
            assert_eq!(shown(&session, at).await.0, TIMES, "{at}");
            assert_eq!(session.stat(&path(at)).await.unwrap().size, wanted, "{at}");
        }
    }
    handle.set_attributes(size(1)).unwrap();
    handle.close().await.unwrap();
    let stored = ["acme/full", "acme/empty", "acme/live"].map(|key| session.bucket.bytes(key).unwrap());
    assert_eq!(stored, [&b"a"[..], b"\0", b"a"]);
    assert!(matches!(session.set_attributes(&path("/dir"), size(0)).await, Err(Error::IsDirectory)));
    assert!(matches!(session.set_attributes(&path("/no"), size(0)).await, Err(Error::NotFound)));
}

// S104: Owner and group are 0, and the only owner that can be set is that one. All else is refused, and then nothing …
#[tokio::test]
async fn the_only_owner_that_can_be_set_is_the_present_one() {
    let session = UserTree::start();
    session.bucket.insert("acme/full", "abc");
    let mut handle = session.create("/live").await;
    let owner = |owner| SetAttributes { owner: Some(owner), size: Some(1), ..SetAttributes::default() };
    for refused in [session.set_attributes(&path("/full"), owner((0, 7))).await, handle.set_attributes(owner((7, 0)))] {
        assert!(matches!(refused, Err(Error::Unsupported(Unsupported::Owner))));
    }
    assert_eq!((session.bucket.bytes("acme/full").unwrap().len(), handle.metadata().size), (3, 0));
    session.set_attributes(&path("/full"), owner((0, 0))).await.unwrap();
    handle.set_attributes(owner((0, 0))).unwrap();
}

#[tokio::test]
async fn a_directory_that_is_gone_has_no_attributes_to_set() {
    for by_rename in [false, true] {
        let session = UserTree::start();
        session.upload("/made/x", "x").await;
        if by_rename {
            session.rename(&path("/made"), &path("/x"), Replace::No).await.unwrap();
        } else {
            session.remove(&path("/made/x")).await.unwrap();
            session.rmdir(&path("/made")).await.unwrap();
        }
        let set = session.set_attributes(&path("/made"), times_and_mode()).await;
        assert!(matches!(set, Err(Error::NotFound)), "{set:?}");
    }
}

// S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
#[tokio::test]
async fn a_file_replaced_by_equal_bytes_inherits_nothing() {
    let session = UserTree::start();
    session.upload("/a", "x").await;
    session.set_attributes(&path("/a"), times_and_mode()).await.unwrap();
    session.upload("/a", "x").await;
    assert_ne!(shown(&session, "/a").await, (TIMES, 0o100_640), "S3 gives both versions the same ETag");
    assert_ne!(listed(&session, "/a").await, (TIMES, 0o100_640));
}

/// A SETSTAT of the path may come while an OPEN waits for memory.
#[tokio::test]
async fn attributes_set_between_an_open_and_its_upload_stay_without_a_write() {
    let session = UserTree::start();
    session.upload("/a", "bytes").await;
    for update in [false, true] {
        let options = WriteOptions { read: update, create: false, ..KEEP };
        let pending = match session.open_update(&path("/a"), options, NewAttributes::default()).await.unwrap() {
            UpdateOutcome::Upload(pending) => pending,
            UpdateOutcome::Unchanged(_, unchanged) => unchanged.begin().unwrap(),
        };
        let mode = if update { 0o100_600 } else { 0o100_640 };
        let wanted = SetAttributes { mode: Some(mode), ..times_and_mode() };
        session.set_attributes(&path("/a"), wanted).await.unwrap();
        let handle = if update { pending.admit_update(PATIENCE).await } else { pending.admit(PATIENCE).await };
        session.requested();
        handle.unwrap().close().await.unwrap();
        assert_eq!(session.requested(), [], "the file is unchanged");
        assert_eq!(shown(&session, "/a").await, (TIMES, mode));
    }
}
