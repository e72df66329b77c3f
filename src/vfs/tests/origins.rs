//! The user and the session in the metadata of files, for a tenant that wants them.

use super::*;
use crate::account::ObjectMetadata;
use std::collections::BTreeMap;

const BOTH: ObjectMetadata = ObjectMetadata { user: true, session: true };
const NEITHER: ObjectMetadata = ObjectMetadata { user: false, session: false };
/// The flags of a program that changes a file, or resumes it.
const CHANGE: WriteOptions = WriteOptions { create: false, ..KEEP };

/// A session of a user on the node of `first`, by the id of its records.
fn session(first: &UserTree, id: &str, name: &str, object_metadata: ObjectMetadata) -> UserTree {
    let (user, tenant) = (Arc::new(user(name, ALL)), Arc::new(Tenant { object_metadata, ..acme() }));
    let vfs = Vfs::observed(id.into(), &user, &tenant, &first.node, Arc::new(NoObserver));
    let (node, bucket, journal) = (Arc::clone(&first.node), Arc::clone(&first.bucket), Arc::clone(&first.journal));
    UserTree { vfs, node, bucket, journal }
}

/// The origin in the metadata of an object: its user and its session.
fn origin(tree: &UserTree, raw_key: &str) -> (Option<String>, Option<String>) {
    let metadata: BTreeMap<String, String> = tree.bucket.metadata(raw_key).unwrap();
    (metadata.get("uploaded-by").cloned(), metadata.get("session").cloned())
}

fn named(user: &str, session: &str) -> (Option<String>, Option<String>) {
    (Some(user.to_owned()), Some(session.to_owned()))
}

async fn change(tree: &UserTree, at: &str) {
    let mut handle = tree.open(at, CHANGE).await.unwrap();
    handle.write(1, Bytes::from_static(b"new")).await.unwrap();
    handle.close().await.unwrap();
}

#[tokio::test]
async fn new_files_name_as_much_as_the_tenant_wants() {
    let first = UserTree::start();
    for (user, session_too) in [(false, false), (true, false), (false, true), (true, true)] {
        let wanted = ObjectMetadata { user, session: session_too };
        let tree = session(&first, "5f0c-1", "alice", wanted);
        // The second is uploaded in parts.
        for bytes in [3, 20 * MIB] {
            tree.upload("/a", vec![7; bytes]).await;
            let expected = (user.then(|| "alice".to_owned()), session_too.then(|| "5f0c-1".to_owned()));
            assert_eq!(origin(&tree, "acme/a"), expected, "{bytes}");
        }
    }
}

#[tokio::test]
async fn a_changed_file_names_who_changed_it_and_a_renamed_one_who_uploaded_it() {
    let first = UserTree::start();
    let (alice, bob) = (session(&first, "one", "alice", BOTH), session(&first, "two", "bob", BOTH));
    alice.upload("/a", "old bytes").await;
    bob.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    assert_eq!(origin(&first, "acme/b"), named("alice", "one"));
    change(&bob, "/b").await;
    assert_eq!(origin(&first, "acme/b"), named("bob", "two"));
    let only_user = ObjectMetadata { user: true, ..NEITHER };
    change(&session(&first, "three", "carol", only_user), "/b").await;
    assert_eq!(origin(&first, "acme/b"), (Some("carol".to_owned()), None), "another's session isn't named");
    change(&session(&first, "four", "dave", NEITHER), "/b").await;
    assert_eq!(origin(&first, "acme/b"), (Some("carol".to_owned()), None), "it is like any metadata then");
}

#[tokio::test]
async fn a_resumed_file_names_the_session_that_began_it() {
    for starts_over in [false, true] {
        let first = UserTree::start();
        let (one, two) = (session(&first, "one", "alice", BOTH), session(&first, "two", "alice", BOTH));
        let mut handle = one.create("/a").await;
        handle.write(0, vec![7; 20 * MIB].into()).await.unwrap();
        handle.leave().await;
        let stored = two.stat(&path("/a")).await.unwrap().size;
        assert!(stored > 0);
        let mut handle = two.open("/a", CHANGE).await.unwrap();
        handle.write(if starts_over { 0 } else { stored }, Bytes::from_static(b"rest")).await.unwrap();
        handle.close().await.unwrap();
        let expected = if starts_over { named("alice", "two") } else { named("alice", "one") };
        assert_eq!(origin(&two, "acme/a"), expected);
    }
}
