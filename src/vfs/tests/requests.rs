//! The requests to S3 that each verb costs, as the table in `docs/limits.md` states them.

use super::{attributes::TIMES, *};
use Verb::{CompleteUpload, Copy, CreateUpload, Head, List, Put, Read, Remove, UploadPart};

#[tokio::test]
async fn stat_of_a_file_is_one_head() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "x");
    session.stat(&path("/a")).await.unwrap();
    assert_eq!(session.requested(), [Head]);
}

#[tokio::test]
async fn stat_of_a_directory_or_of_nothing_is_a_head_and_a_listing() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/x", "x");
    for forbidden in [false, true] {
        if forbidden {
            session.bucket.forbid_missing();
        }
        assert_eq!(session.stat(&path("/dir")).await.unwrap().kind, Kind::Directory);
        assert_eq!(session.requested(), [Head, List]);
        assert!(matches!(session.stat(&path("/di")).await, Err(Error::NotFound)));
        assert_eq!(session.requested(), [Head, List]);
    }
    for n in 0..40 {
        session.bucket.insert(&format!("acme/dir-{n}"), "");
    }
    assert_eq!(session.stat(&path("/dir")).await.unwrap().kind, Kind::Directory);
    assert_eq!(session.requested(), [Head, List, List]);
}

#[tokio::test]
async fn a_small_upload_is_one_put() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    handle.write(0, Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(session.requested(), [List], "of the directory, for all files of the next two seconds");
    assert_eq!(handle.close().await.unwrap().size, 3);
    assert_eq!(session.requested(), [Put]);
    session.create("/empty").await.close().await.unwrap();
    assert_eq!(session.requested(), [Put]);
}

#[tokio::test]
async fn a_larger_upload_is_its_parts_and_two() {
    let session = UserTree::start();
    session.upload("/first", "x").await;
    session.requested();
    session.upload("/a", vec![7; 20 * MIB]).await;
    let requests = session.requested();
    let parts = requests.iter().filter(|verb| **verb == UploadPart).count();
    assert!((2..=4).contains(&parts), "{requests:?}");
    assert_eq!(requests.len(), parts + 2);
    assert_eq!((requests.first(), requests.last()), (Some(&CreateUpload), Some(&CompleteUpload)));
}

#[tokio::test]
async fn opening_an_upload_asks_only_where_the_flags_need_an_answer() {
    let session = UserTree::start();
    session.bucket.insert("acme/empty", "");
    session.open_write(&path("/a"), CREATE, NewAttributes::default()).await.unwrap();
    assert_eq!(session.requested(), []);
    for options in [KEEP, WriteOptions { exclusive: true, ..CREATE }] {
        session.open_write(&path("/a"), options, NewAttributes::default()).await.unwrap();
        assert_eq!(session.requested(), [Head, List]);
    }
    session.open_write(&path("/empty"), KEEP, NewAttributes::default()).await.unwrap();
    assert_eq!(session.requested(), [Head]);
}

#[tokio::test]
async fn a_small_download_is_one_get() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "abc");
    session.bucket.insert("acme/empty", "");
    for (at, bytes) in [("/a", &b"abc"[..]), ("/empty", b"")] {
        let handle = session.open_read(&path(at)).await.unwrap();
        assert_eq!(handle.read(0, 100).await.unwrap().concat(), bytes);
        assert!(handle.read(3, 100).await.unwrap().is_empty());
        assert_eq!(session.requested(), [Read], "{at}");
    }
}

#[tokio::test]
async fn stat_and_open_of_a_large_file_fetch_no_byte() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", vec![7; 9 * MIB]);
    session.stat(&path("/a")).await.unwrap();
    let handle = session.open_read(&path("/a")).await.unwrap();
    assert_eq!(handle.metadata().size, 9 * MIB as u64);
    assert_eq!(session.requested(), [Head, Head]);
}

#[tokio::test]
async fn a_listing_is_one_request_for_a_thousand_names() {
    let session = UserTree::start();
    for n in 0..2500 {
        session.bucket.insert(&format!("acme/dir/{n}"), "");
    }
    assert_eq!(session.entries("/dir").await.len(), 2502);
    assert_eq!(session.requested(), [List, List, List]);
}

#[tokio::test]
async fn mkdir_is_a_listing_and_a_put() {
    let session = UserTree::start();
    session.mkdir(&path("/dir"), NewAttributes::default()).await.unwrap();
    assert_eq!(session.requested(), [List, Put]);
    assert_eq!(session.bucket.bytes("acme/dir/").unwrap(), Bytes::new());
    for n in 0..40 {
        session.bucket.insert(&format!("acme/new-{n}"), "");
    }
    session.mkdir(&path("/new"), NewAttributes::default()).await.unwrap();
    assert_eq!(session.requested(), [List, List, Put], "neighbours cost no more than the budget");
}

#[tokio::test]
async fn rmdir_is_a_listing_and_a_delete() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/", "");
    session.bucket.insert("acme/dir/x", "");
    assert!(matches!(session.rmdir(&path("/dir")).await, Err(Error::NotEmpty)));
    assert_eq!(session.requested(), [List]);
    session.bucket.delete("acme/dir/x");
    session.rmdir(&path("/dir")).await.unwrap();
    assert_eq!(session.requested(), [List, Remove]);
    assert!(session.bucket.keys().is_empty());
}

#[tokio::test]
async fn remove_is_a_head_and_a_delete() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "x");
    session.remove(&path("/a")).await.unwrap();
    assert_eq!(session.requested(), [Head, Remove]);
    assert!(matches!(session.remove(&path("/a")).await, Err(Error::NotFound)));
    assert_eq!(session.requested(), [Head, List]);
}

#[tokio::test]
async fn rename_of_a_file_is_four() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "x");
    for (source, target, replace) in [("/a", "/b", Replace::No), ("/b", "/a", Replace::Yes)] {
        session.rename(&path(source), &path(target), replace).await.unwrap();
        assert_eq!(session.requested(), [Head, List, Copy, Remove]);
    }
    assert_eq!(session.bucket.keys(), ["acme/a"]);
}

#[tokio::test(start_paused = true)]
async fn rename_of_a_file_with_times_is_four_too() {
    let session = UserTree::start();
    let times = SetAttributes { times: Some(TIMES), ..SetAttributes::default() };
    for (source, target) in [("/a.filepart", "/a"), ("/b.filepart", "/b")] {
        session.upload(source, vec![7; 20 * MIB]).await;
        session.set_attributes(&path(source), times).await.unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
        session.requested();
        session.rename(&path(source), &path(target), Replace::No).await.unwrap();
        assert_eq!(session.requested(), [Head, List, Copy, Remove]);
        assert_eq!(session.stat(&path(target)).await.unwrap().times, TIMES);
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_of_a_file_that_was_just_stored_cost_nothing() {
    let session = UserTree::start();
    session.upload("/a", "x").await;
    session.requested();
    let wanted = SetAttributes { mode: Some(0o600), times: Some(TIMES), ..SetAttributes::default() };
    for of in [&session, &session.another()] {
        of.set_attributes(&path("/a"), wanted).await.unwrap();
        of.set_attributes(&path("/a"), wanted).await.unwrap();
    }
    assert_eq!(session.requested(), []);
    tokio::time::advance(Duration::from_secs(2)).await;
    session.set_attributes(&path("/a"), wanted).await.unwrap();
    assert_eq!(session.requested(), [Head]);
    // Another node may have replaced a cached version that this node did not store.
    session.set_attributes(&path("/a"), wanted).await.unwrap();
    session.elsewhere().set_attributes(&path("/a"), wanted).await.unwrap();
    session.set_attributes(&path("/a"), SetAttributes { size: Some(1), ..wanted }).await.unwrap();
    assert_eq!(session.requested(), [Head, Head, Head]);
}

// S10: The root and the parents of mounts exist even where no mount covers them; there they only list.
#[tokio::test]
async fn mounts_and_their_parents_cost_nothing() {
    let session = UserTree::with_mounts(&[("/team/in", "acme/in/", Permissions::ALL)]);
    for at in ["/", "/team", "/team/in"] {
        assert_eq!(session.stat(&path(at)).await.unwrap().kind, Kind::Directory);
    }
    assert_eq!(session.names("/").await, ["team"]);
    assert_eq!(session.requested(), []);
}
