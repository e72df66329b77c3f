//! The jail: for every path and operation, no request names anything outside the user's mounts.

use super::{attributes::TIMES, *};
use proptest::prelude::*;

/// Paths that try to leave `acme/`. Its neighbours are `acme-archive/` and `globex/`.
const ESCAPES: &[&[u8]] = &[
    b"..",
    b"../globex/secret",
    b"/../globex/secret",
    b"in/../../globex/secret",
    b"/in/../../../globex/secret",
    b"//globex/secret",
    b"/globex/secret",
    b"globex/secret",
    b"../acme-archive/secret",
    b"-archive/secret",
    b"/in/../-archive/secret",
    b"..\\globex\\secret",
    b"in\\..\\..\\globex\\secret",
    b"%2e%2e/globex/secret",
    b"..%2fglobex%2fsecret",
    b"%2e%2e%2fglobex%2fsecret",
    b"/in/..%00/globex/secret",
    b"..\0/globex/secret",
    b"/in/\0",
    b"\xc0\xae\xc0\xae/globex/secret",
    b"/\xe2\x80\xa5/globex/secret",
    b"/in/.../globex",
    b"/in/. ./globex",
    b"~globex/secret",
    b"/in",
    b"/in/",
    b"/",
    b"",
    b"acme/in/file",
    b"s3://shared/globex/secret",
    b"/in/../in/file",
];

/// Runs every operation on a path, and ignores errors.
async fn everything(session: &UserTree, raw: &[u8]) {
    let Ok(target) = session.path(raw) else { return };
    let new = NewAttributes { times: Some(TIMES), mode: Some(0o600) };
    let source = path("/in/kept");
    let _ = session.stat(&target).await;
    if let Ok(handle) = session.open_read(&target).await {
        let _ = handle.read(0, 10).await;
    }
    if let Ok(mut directory) = session.open_directory(&target).await {
        while directory.next(|_| true).await.is_ok_and(|count| count > 0) {}
    }
    let _ = session.set_attributes(&target, SetAttributes { mode: Some(0), ..SetAttributes::default() }).await;
    for replace in [Replace::No, Replace::Yes] {
        let _ = session.rename(&source, &target, replace).await;
        let _ = session.rename(&target, &source, replace).await;
    }
    let _ = session.mkdir(&target, new).await;
    let _ = session.rmdir(&target).await;
    for options in [CREATE, KEEP, WriteOptions { exclusive: true, ..CREATE }] {
        if let Ok(mut handle) = session.open(target.as_str(), options).await {
            handle.write(0, Bytes::from_static(b"x")).await.unwrap();
            let _ = handle.close().await;
        }
    }
    let _ = session.remove(&target).await;
}

fn jailed(mounts: &[(&str, &str, Permissions)]) -> UserTree {
    let session = UserTree::with_mounts(mounts);
    for key in ["acme/in/file", "acme/in/kept", "acme/in/dir/", "acme-archive/secret", "globex/secret", "globex/in/"] {
        session.bucket.insert(key, "secret");
    }
    session
}

fn assert_jailed(session: &UserTree, prefix: &str, raw: &[u8]) {
    for request in session.bucket.requests() {
        for name in [Some(&request.name), request.source.as_ref()].into_iter().flatten() {
            assert!(name.starts_with(prefix), "{:?} led to {request:?}", raw.escape_ascii().to_string());
            assert!(!name.split('/').any(|segment| matches!(segment, "." | "..")), "{request:?}");
        }
    }
    for key in ["acme-archive/secret", "globex/secret", "globex/in/"] {
        assert_eq!(session.bucket.bytes(key).unwrap(), "secret", "{:?}", raw.escape_ascii().to_string());
    }
}

const ROOT: &[(&str, &str, Permissions)] = &[("/", "acme/", Permissions::ALL)];
const BELOW_VIRTUAL: &[(&str, &str, Permissions)] = &[("/in", "acme/in/", Permissions::ALL)];

// S7: No path leads out of the user's mounts.
#[tokio::test]
async fn no_operation_leaves_the_jail() {
    for (mounts, prefix) in [(ROOT, "acme/"), (BELOW_VIRTUAL, "acme/in/")] {
        let mut requests = 0;
        for raw in ESCAPES {
            let session = jailed(mounts);
            Box::pin(everything(&session, raw)).await;
            assert_jailed(&session, prefix, raw);
            requests += session.requested().len();
        }
        assert!(requests > 50, "only {requests} requests: the operations must reach the storage to prove anything");
    }
}

// S10: The root and the parents of mounts exist even where no mount covers them; there they only list.
#[tokio::test]
async fn virtual_directories_only_list() {
    let session = jailed(&[("/team/in", "acme/in/", Permissions::ALL)]);
    for raw in ["/", "/team"] {
        let at = path(raw);
        assert!(matches!(session.open_read(&at).await, Err(Error::IsDirectory)));
        assert!(matches!(session.open(raw, CREATE).await, Err(Error::IsDirectory)));
        assert!(matches!(session.mkdir(&at, NewAttributes::default()).await, Err(Error::AlreadyExists)));
        assert!(matches!(session.rmdir(&at).await, Err(Error::Mounted)));
        assert!(matches!(session.remove(&at).await, Err(Error::Mounted)));
        assert!(matches!(session.rename(&at, &path("/team/in/x"), Replace::Yes).await, Err(Error::Mounted)));
    }
    for raw in ["/new", "/team/new"] {
        let at = path(raw);
        assert!(matches!(session.stat(&at).await, Err(Error::NotFound)));
        assert!(matches!(session.open(raw, CREATE).await, Err(Error::OnlyLists)));
        assert!(matches!(session.mkdir(&at, NewAttributes::default()).await, Err(Error::OnlyLists)));
        let renamed = session.rename(&path("/team/in/file"), &at, Replace::No).await;
        assert!(matches!(renamed, Err(Error::OnlyLists)));
    }
    assert_eq!(session.requested(), []);
}

// S12: A mount, the landing directory, and every directory that leads to one can't be renamed, removed or replaced.
// S13: A rename from one mount to another is refused.
#[tokio::test]
async fn a_mount_can_be_neither_renamed_nor_removed_nor_replaced() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::ALL), ("/a/b", "shared/", Permissions::ALL)]);
    session.bucket.insert("acme/a", "a file that the mount's parent hides");
    session.bucket.insert("acme/file", "x");
    for raw in ["/", "/a", "/a/b"] {
        let at = path(raw);
        assert_eq!(session.stat(&at).await.unwrap().kind, Kind::Directory);
        assert!(matches!(session.open(raw, CREATE).await, Err(Error::IsDirectory)));
        assert!(matches!(session.rmdir(&at).await, Err(Error::Mounted)));
        assert!(matches!(session.remove(&at).await, Err(Error::Mounted)));
        assert!(matches!(session.rename(&at, &path("/x"), Replace::Yes).await, Err(Error::Mounted)));
        let onto = session.rename(&path("/file"), &at, Replace::Yes).await;
        assert!(matches!(onto, Err(Error::AlreadyExists)), "{onto:?}");
    }
    let across = session.rename(&path("/file"), &path("/a/b/file"), Replace::No).await;
    assert!(matches!(across, Err(Error::AcrossMounts)));
    assert_eq!(session.requested(), []);
}

#[tokio::test]
async fn two_tenants_with_the_same_names_never_meet() {
    let session = jailed(ROOT);
    let globex = session.beside(&[("/", "globex/", Permissions::ALL)]);
    session.upload("/report", "of acme").await;
    globex.upload("/report", "of globex").await;
    assert_eq!(session.bucket.bytes("acme/report").unwrap(), "of acme");
    assert_eq!(session.bucket.bytes("globex/report").unwrap(), "of globex");
    session.remove(&path("/report")).await.unwrap();
    assert!(globex.stat(&path("/report")).await.is_ok());
}

fn bytes_of_paths() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"/".to_vec()),
        3 => Just(b"..".to_vec()),
        1 => Just(b".".to_vec()),
        1 => Just(b"\\".to_vec()),
        2 => Just(b"in".to_vec()),
        1 => Just(b"globex".to_vec()),
        1 => Just(b"-archive".to_vec()),
        1 => Just(b"%2e".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    // S7: No path leads out of the user's mounts.
    #[test]
    fn no_bytes_leave_the_jail(raw in bytes_of_paths()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for (mounts, prefix) in [(ROOT, "acme/"), (BELOW_VIRTUAL, "acme/in/")] {
            let session = jailed(mounts);
            runtime.block_on(everything(&session, &raw));
            assert_jailed(&session, prefix, &raw);
        }
    }
}
