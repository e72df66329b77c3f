//! Every operation without each permission that it needs: it is refused without a request to S3.

use super::*;

/// An operation on a tree with the file `/file`, the empty directory `/dir` and nothing at `/new`.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Download,
    CreateThere,
    CreateNew,
    Empty,
    UploadNew,
    UploadOver,
    SetAttributes,
    List,
    Remove,
    RemoveDirectory,
    MakeDirectory,
    Rename,
    RenameDirectory,
    RenameOver,
}

use Operation::*;

impl Operation {
    async fn run(self, session: &UserTree) -> Result<()> {
        let (file, dir, new) = (path("/file"), path("/dir"), path("/new"));
        match self {
            Download => session.open_read(&file).await.map(drop),
            CreateThere => Box::pin(create(session, "/other")).await,
            CreateNew => Box::pin(create(session, "/new")).await,
            Empty => session
                .open("/file", WriteOptions { write: false, create: false, ..CREATE })
                .await?
                .close()
                .await
                .map(drop),
            UploadNew => session.open("/new", CREATE).await?.close().await.map(drop),
            UploadOver => session.open("/file", CREATE).await?.close().await.map(drop),
            SetAttributes => session.set_attributes(&file, super::SetAttributes::default()).await,
            List => session.open_directory(&dir).await.map(drop),
            Remove => session.remove(&file).await,
            RemoveDirectory => session.rmdir(&dir).await,
            MakeDirectory => session.mkdir(&new, NewAttributes::default()).await,
            Rename => session.rename(&file, &new, Replace::No).await,
            RenameDirectory => session.rename(&dir, &new, Replace::No).await,
            RenameOver => session.rename(&path("/other"), &file, Replace::Yes).await,
        }
    }
}

/// The permissions that each operation needs.
const NEEDS: &[(Operation, &[Permission])] = &[
    (Download, &[Permission::Read]),
    (CreateThere, &[Permission::Read]),
    (CreateNew, &[Permission::Write]),
    (Empty, &[Permission::Write, Permission::Overwrite]),
    (UploadNew, &[Permission::Write]),
    (UploadOver, &[Permission::Write, Permission::Overwrite]),
    (SetAttributes, &[Permission::Write]),
    (List, &[Permission::List]),
    (Remove, &[Permission::Delete]),
    (RemoveDirectory, &[Permission::Delete]),
    (MakeDirectory, &[Permission::Mkdir]),
    (Rename, &[Permission::Rename]),
    (RenameDirectory, &[Permission::Rename]),
    (RenameOver, &[Permission::Rename, Permission::Overwrite]),
];

/// Sends OPEN with CREAT alone.
async fn create(session: &UserTree, at: &str) -> Result<()> {
    match session.open_create(&path(at), false, NewAttributes::default()).await? {
        CreateOutcome::Found(_) => Ok(()),
        CreateOutcome::Missing(pending) => pending.create_empty(PATIENCE).await.map(drop),
    }
}

fn session(permissions: Permissions) -> UserTree {
    let session = UserTree::with_permissions(permissions);
    for key in ["acme/file", "acme/other", "acme/dir/"] {
        session.bucket.insert(key, "");
    }
    session
}

// S15: An operation needs the permissions that this table says, and no other.
#[tokio::test]
async fn an_operation_needs_just_its_permissions() {
    for (operation, needs) in NEEDS {
        let session = session(needs.iter().copied().collect());
        operation.run(&session).await.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
    }
}

// S15: An operation needs the permissions that this table says, and no other.
#[tokio::test]
async fn an_operation_fails_without_any_of_its_permissions() {
    for (operation, needs) in NEEDS {
        for missing in *needs {
            let session = session(Permissions::ALL.without(*missing));
            let before = session.bucket.keys();
            match operation.run(&session).await {
                Err(Error::Denied(denied)) => assert_eq!(denied, *missing, "{operation:?}"),
                other => panic!("{operation:?} without {missing}: {other:?}"),
            }
            assert_eq!(session.bucket.keys(), before, "{operation:?} without {missing}");
            // These are checked only after S3 was asked for the name.
            if !matches!(
                (operation, missing),
                (_, Permission::Overwrite | Permission::Mkdir) | (CreateThere | CreateNew, _)
            ) {
                assert_eq!(session.requested(), [], "{operation:?} without {missing}");
            }
        }
    }
}

// S15: An operation needs the permissions that this table says, and no other.
#[tokio::test]
async fn stat_needs_no_permission() {
    let session = session(Permissions::NONE);
    assert_eq!(session.stat(&path("/file")).await.unwrap().kind, Kind::File);
    assert_eq!(session.stat(&path("/dir")).await.unwrap().kind, Kind::Directory);
}

// S17: Without `overwrite` an upload replaces nothing: where a file is OPEN is refused, and the upload goes with …
#[tokio::test]
async fn a_drop_box_takes_new_files_and_replaces_none() {
    let session = session([Permission::Write].into_iter().collect());
    session.bucket.insert("acme/new-1", "a neighbour");
    session.upload("/new", "mine").await;
    assert_eq!(session.requested(), [Verb::List, Verb::List, Verb::Put], "of the name and of the directory");
    for options in [CREATE, KEEP, WriteOptions { create: false, ..CREATE }, WriteOptions { write: false, ..CREATE }] {
        let opened = session.open("/file", options).await;
        assert!(matches!(opened, Err(Error::Denied(Permission::Overwrite))), "{options:?}");
    }
    let mut handle = session.create("/late").await;
    handle.write(0, Bytes::from_static(b"mine")).await.unwrap();
    session.bucket.insert("acme/late", "another's");
    assert!(matches!(handle.close().await, Err(Error::Denied(Permission::Overwrite))));
    assert_eq!(session.bucket.bytes("acme/late").unwrap(), "another's");
}

// S15: An operation needs the permissions that this table says, and no other.
#[tokio::test]
async fn a_user_without_mkdir_learns_which_directories_exist() {
    let session = session(Permissions::ALL.without(Permission::Mkdir));
    for at in ["/file", "/dir"] {
        let made = session.mkdir(&path(at), NewAttributes::default()).await;
        assert!(matches!(made, Err(Error::AlreadyExists)), "{at}: {made:?}");
    }
    let made = session.mkdir(&path("/new"), NewAttributes::default()).await;
    assert!(matches!(made, Err(Error::Denied(Permission::Mkdir))), "{made:?}");
}

// S18: READ on a handle that is open for both needs no `read` for what was written through it, and needs it for what …
#[tokio::test]
async fn new_bytes_can_be_read_back_without_read() {
    let session = session([Permission::Write].into_iter().collect());
    let mut handle = session.open("/new", WriteOptions { read: true, ..CREATE }).await.unwrap();
    handle.write(0, Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(handle.read(1, 10).await.unwrap().concat(), b"ine");
}

// S16: Permissions are those of the mount that a path lies in.
#[tokio::test]
async fn permissions_are_those_of_the_mount() {
    let reads = [Permission::Read, Permission::List].into_iter().collect();
    let writes = [Permission::Write].into_iter().collect();
    let session = UserTree::with_mounts(&[("/out", "acme/out/", reads), ("/in", "acme/in/", writes)]);
    session.bucket.insert("acme/out/a", "x");
    session.bucket.insert("acme/in/a", "x");
    assert!(session.open_read(&path("/out/a")).await.is_ok());
    assert!(matches!(session.open_read(&path("/in/a")).await, Err(Error::Denied(Permission::Read))));
    assert!(session.open("/in/b", CREATE).await.is_ok());
    assert!(matches!(session.open("/out/b", CREATE).await, Err(Error::Denied(Permission::Write))));
    assert!(session.open_directory(&path("/")).await.is_ok());
    assert!(matches!(session.open_directory(&path("/in")).await, Err(Error::Denied(Permission::List))));
}
