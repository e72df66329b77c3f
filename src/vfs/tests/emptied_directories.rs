//! Directories that S3 only implies get a marker when a session takes something from them.

use super::*;

/// Removes a directory and all its entries that a client sees, from the inside out.
async fn remove_tree(session: &UserTree, at: &str) {
    for Entry { name, metadata } in session.entries(at).await {
        let below = format!("{at}/{name}");
        match metadata.kind {
            _ if matches!(name.as_str(), "." | "..") => {}
            Kind::Directory => Box::pin(remove_tree(session, &below)).await,
            Kind::File => session.remove(&path(&below)).await.unwrap(),
        }
    }
    session.rmdir(&path(at)).await.unwrap();
}

// S23: An upload makes missing parents. A directory without a marker gets one when a session takes something from it, …
#[tokio::test(start_paused = true)]
async fn a_directory_that_s3_only_implies_does_not_end_with_its_last_file() {
    let session = UserTree::start();
    session.upload("/made/by/upload", "x").await;
    session.bucket.insert("acme/out/2026/a.csv", "x");
    session.bucket.insert("acme/moved/from/x", "x");
    assert_eq!(session.names("/made").await, ["by"]);
    session.remove(&path("/made/by/upload")).await.unwrap();
    session.remove(&path("/out/2026/a.csv")).await.unwrap();
    session.rename(&path("/moved/from/x"), &path("/x"), Replace::No).await.unwrap();
    for seen_by in [&session, &session.elsewhere()] {
        for empty in ["/made/by", "/out/2026", "/moved/from"] {
            assert!(seen_by.names(empty).await.is_empty(), "{empty}");
            assert_eq!(seen_by.stat(&path(empty)).await.unwrap().kind, Kind::Directory);
        }
    }
    session.rmdir(&path("/out/2026")).await.unwrap();
    assert!(session.names("/out").await.is_empty(), "RMDIR takes something from it, too");
    session.rename(&path("/moved/from"), &path("/to"), Replace::No).await.unwrap();
    assert!(session.names("/moved").await.is_empty());
    for tree in ["/made", "/out", "/moved"] {
        remove_tree(&session, tree).await;
    }
    assert_eq!(session.bucket.keys(), ["acme/to/", "acme/x"]);
}

// S23: An upload makes missing parents. A directory without a marker gets one when a session takes something from it, …
#[tokio::test(start_paused = true)]
async fn a_tree_that_s3_only_implies_can_be_removed_by_several_sessions() {
    let session = UserTree::start();
    for key in ["a", "y/b", "y/z/c"] {
        session.bucket.insert(&format!("acme/t/x/{key}"), "1");
    }
    let others = [session.another(), session.elsewhere()];
    session.remove(&path("/t/x/y/z/c")).await.unwrap();
    others[0].remove(&path("/t/x/y/b")).await.unwrap();
    others[1].remove(&path("/t/x/a")).await.unwrap();
    for (by, at) in [(1, "/t/x/y/z"), (0, "/t/x/y"), (1, "/t/x"), (0, "/t")] {
        others[by].rmdir(&path(at)).await.unwrap();
    }
    assert!(session.bucket.keys().is_empty());
}

// S23: An upload makes missing parents. A directory without a marker gets one when a session takes something from it, …
#[tokio::test(start_paused = true)]
async fn a_marker_costs_one_request_a_directory_and_none_if_the_node_knows_it() {
    let session = UserTree::start();
    for n in 0..4 {
        session.bucket.insert(&format!("acme/d/{n}"), "x");
    }
    session.remove(&path("/d/0")).await.unwrap();
    assert_eq!(session.bucket.count(Verb::Put), 1);
    session.requested();
    session.another().remove(&path("/d/1")).await.unwrap();
    assert_eq!(session.requested(), [Verb::Head, Verb::Remove]);
    let elsewhere = session.elsewhere();
    elsewhere.names("/d").await;
    session.requested();
    elsewhere.remove(&path("/d/2")).await.unwrap();
    assert_eq!(session.requested(), [Verb::Head, Verb::Remove], "a listing shows it");
    session.mkdir(&path("/e"), NewAttributes::default()).await.unwrap();
    session.upload("/e/x", "x").await;
    session.requested();
    session.rename(&path("/e/x"), &path("/e/y"), Replace::No).await.unwrap();
    session.remove(&path("/e/y")).await.unwrap();
    assert_eq!(session.bucket.count(Verb::Put), 0);
}

// S132: For users who may store nothing, the node remembers for an hour the directories without a marker that they …
#[tokio::test(start_paused = true)]
async fn a_poller_that_may_only_read_and_delete_lists_its_empty_directory_again() {
    let permissions = [Permission::Read, Permission::List, Permission::Delete].into_iter().collect();
    let session = UserTree::with_permissions(permissions);
    for key in ["acme/out/2026/a.csv", "acme/out/2026/b.csv", "acme/box/x"] {
        session.bucket.insert(key, "x");
    }
    for file in ["/out/2026/a.csv", "/out/2026/b.csv", "/box/x"] {
        session.remove(&path(file)).await.unwrap();
    }
    assert!(session.bucket.keys().is_empty(), "it may store nothing");
    let again = session.beside(&[("/", "acme/", permissions)]);
    for empty in ["/out/2026", "/out", "/box"] {
        assert!(again.names(empty).await.is_empty());
        assert_eq!(again.stat(&path(empty)).await.unwrap().kind, Kind::Directory);
        assert_eq!(again.stat_directory(&path(empty)).await.unwrap().kind, Kind::Directory);
        let made = again.mkdir(&path(empty), NewAttributes::default()).await;
        assert!(matches!(made, Err(Error::AlreadyExists)), "{made:?}");
    }
    again.rmdir(&path("/out/2026")).await.unwrap();
    again.rmdir(&path("/out")).await.unwrap();
    for gone in ["/out/2026", "/out"] {
        assert!(matches!(again.stat(&path(gone)).await, Err(Error::NotFound)), "{gone}");
        assert!(matches!(again.rmdir(&path(gone)).await, Err(Error::NotFound)), "{gone}");
    }
    assert!(matches!(session.another().stat(&path("/box")).await, Err(Error::NotFound)), "other credentials");
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(matches!(again.stat(&path("/box")).await, Err(Error::NotFound)));
}
