//! A session's own uploads in its listings.

use super::*;

/// The names, kinds and sizes that a listing shows.
fn shown(entries: &[Entry]) -> Vec<(&str, Kind, u64)> {
    let entries = entries.iter().filter(|entry| !entry.name.starts_with('.'));
    entries.map(|entry| (entry.name.as_str(), entry.metadata.kind, entry.metadata.size)).collect()
}

// S188: RMDIR of a directory in which, or deeper below which, the session is uploading a file is refused: the …
#[tokio::test]
async fn a_directory_that_a_session_uploads_into_is_not_empty_for_it() {
    for at in ["/d/x", "/d/e/f/x"] {
        let session = UserTree::start();
        session.mkdir(&path("/d"), NewAttributes::default()).await.unwrap();
        session.mkdir(&path("/dx"), NewAttributes::default()).await.unwrap();
        let mut upload = session.create(at).await;
        assert!(matches!(session.rmdir(&path("/d")).await, Err(Error::NotEmpty)), "{at}");
        session.rmdir(&path("/dx")).await.unwrap();
        upload.write(0, "x".into()).await.unwrap();
        upload.close().await.unwrap();
        assert!(matches!(session.rmdir(&path("/d")).await, Err(Error::NotEmpty)), "{at}");
        assert_eq!(session.names("/d").await, [at.split('/').nth(2).unwrap()]);
    }
}

#[tokio::test]
async fn an_upload_keeps_no_directory_for_others_nor_once_it_is_gone() {
    let session = UserTree::start();
    for at in ["/a", "/b", "/c", "/d"] {
        session.mkdir(&path(at), NewAttributes::default()).await.unwrap();
    }
    let removed = session.create("/a/x").await;
    session.remove(&path("/a/x")).await.unwrap();
    session.rmdir(&path("/a")).await.unwrap();
    removed.close().await.unwrap();

    session.create("/b/x").await.discard().await;
    session.rmdir(&path("/b")).await.unwrap();

    let renamed = session.create("/c/x").await;
    session.rename(&path("/c/x"), &path("/d/x"), Replace::No).await.unwrap();
    session.rmdir(&path("/c")).await.unwrap();
    assert!(matches!(session.rmdir(&path("/d")).await, Err(Error::NotEmpty)));
    session.another().rmdir(&path("/d")).await.unwrap();
    drop(renamed);
    assert!(session.bucket.keys().is_empty(), "{:?}", session.bucket.keys());
}

/// STAT and RMDIR agree whether the directory exists.
#[tokio::test]
async fn a_directory_that_an_upload_is_to_make_is_not_there_before() {
    let session = UserTree::start();
    let upload = session.create("/new/x").await;
    for answer in [
        session.stat(&path("/new")).await.map(|_| ()),
        session.open_directory(&path("/new")).await.map(|_| ()),
        session.rmdir(&path("/new")).await,
    ] {
        assert!(matches!(answer, Err(Error::NotFound)), "{answer:?}");
    }
    assert!(session.names("/").await.is_empty());
    upload.close().await.unwrap();
    assert_eq!(session.names("/new").await, ["x"]);
}

/// A directory that only the node remembers, because it could get no marker.
#[tokio::test]
async fn a_directory_that_was_emptied_counts_uploads_too() {
    let session = UserTree::start();
    session.bucket.insert("acme/d/x", "x");
    let denied = store::Error::Forbidden { request: "403".into() };
    session.bucket.fail(Verb::Put, Moment::Request, denied);
    session.remove(&path("/d/x")).await.unwrap();
    assert!(session.bucket.keys().is_empty());
    let upload = session.create("/d/y").await;
    assert_eq!(session.names("/d").await, ["y"]);
    assert!(matches!(session.rmdir(&path("/d")).await, Err(Error::NotEmpty)));
    upload.discard().await;
    session.rmdir(&path("/d")).await.unwrap();
}

// S189: A session's listings show the files that it was uploading when they began as its STAT shows them, each once …
#[tokio::test]
async fn a_listing_shows_its_sessions_uploads_as_stat_does() {
    let session = UserTree::start();
    for key in ["acme/d/", "acme/d/a", "acme/d/c", "acme/d/e/x", "acme/d/old", "acme/d/zz"] {
        session.bucket.insert(key, "");
    }
    let times = Times { accessed: 5, modified: 7 };
    let attributes = NewAttributes { times: Some(times), mode: Some(0o600) };
    let pending = session.open_write(&path("/d/b"), CREATE, attributes).await.unwrap();
    let mut first = pending.admit(PATIENCE).await.unwrap();
    first.write(0, "bytes".into()).await.unwrap();
    let mut replaces = session.create("/d/old").await;
    replaces.write(0, "newer".into()).await.unwrap();
    let last = session.create("/d/zzz").await;
    let _deeper = session.create("/d/new/x").await;
    let _elsewhere = session.create("/x").await;
    // Each OPEN asks in the background if its name is free.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    session.requested();

    let entries = session.entries("/d").await;
    assert_eq!(session.requested(), [Verb::List]);
    let file = Kind::File;
    let listed = [("a", file, 0), ("b", file, 5), ("c", file, 0), ("e", Kind::Directory, 0), ("old", file, 5)];
    assert_eq!(shown(&entries), [&listed[..], &[("zz", file, 0), ("zzz", file, 0)]].concat());
    for name in ["b", "old", "zzz"] {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry.metadata, session.stat(&path(&format!("/d/{name}"))).await.unwrap(), "{name}");
    }
    assert_eq!(entries[3].metadata.times, times);
    assert_eq!(session.another().names("/d").await, ["a", "c", "e", "old", "zz"]);

    for upload in [first, replaces, last] {
        upload.close().await.unwrap();
    }
    assert_eq!(session.names("/d").await, ["a", "b", "c", "e", "old", "zz", "zzz"]);
}

#[tokio::test]
async fn an_upload_that_ends_while_its_directory_is_listed_is_shown_once() {
    let session = UserTree::start();
    for n in 0..2_500 {
        session.bucket.insert(&format!("acme/{n:05}"), "");
    }
    for at in ["/00000-new", "/01500-new", "/02499-new", "/zzz"] {
        let mut upload = session.create(at).await;
        upload.write(0, "x".into()).await.unwrap();
        let mut directory = session.open_directory(&path("/")).await.unwrap();
        let (mut names, mut upload) = (Vec::new(), Some(upload));
        loop {
            let before = names.len();
            directory
                .next(|entry| {
                    names.push((entry.name.clone(), entry.metadata.size));
                    names.len() % 100 != 0
                })
                .await
                .unwrap();
            if let Some(upload) = upload.take() {
                upload.close().await.unwrap();
            }
            if names.len() == before {
                break;
            }
        }
        let found: Vec<_> = names.iter().filter(|(name, _)| at.ends_with(name.as_str()) && name.len() > 2).collect();
        assert_eq!(found, [&(at[1..].to_owned(), 1)], "{at}");
        session.remove(&path(at)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_of_uploads_alone_is_not_the_end() {
    let session = UserTree::start();
    let _uploads = [session.create("/b").await, session.create("/a").await];
    assert_eq!(session.names("/").await, ["a", "b"]);
    for n in 0..1_000 {
        session.bucket.insert(&format!("acme/{n:04}"), "");
    }
    assert_eq!(session.names("/").await.len(), 1_002);
}

/// A listing needs `list`, also for the session's own uploads.
#[tokio::test]
async fn a_user_without_list_sees_mounts_alone() {
    let blind = Permissions::ALL.without(Permission::List);
    let session = UserTree::with_mounts(&[("/", "acme/", blind), ("/m", "other/", Permissions::ALL)]);
    let _upload = session.create("/x").await;
    assert_eq!(session.names("/").await, ["m"]);
    let _inside = session.create("/m/x").await;
    assert_eq!(session.names("/m").await, ["x"]);
}
