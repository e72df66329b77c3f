//! Directories: when they exist, appear and vanish.

use super::*;

// S19: A directory exists by its marker (a zero-byte object `dir/`) or by what is in it.
#[tokio::test]
async fn a_directory_exists_by_its_marker_or_by_its_content() {
    let session = UserTree::start();
    session.bucket.insert("acme/marked/", "");
    session.bucket.insert("acme/implied/x", "");
    session.bucket.insert("acme/implied-not", "");
    for at in ["/marked", "/implied"] {
        assert_eq!(session.stat(&path(at)).await.unwrap().kind, Kind::Directory);
    }
    assert!(matches!(session.stat(&path("/impl")).await, Err(Error::NotFound)));
    assert!(matches!(session.open_directory(&path("/impl")).await, Err(Error::NotFound)));
    assert!(matches!(session.open_directory(&path("/implied-not")).await, Err(Error::NotDirectory)));
    assert_eq!(session.names("/").await, ["implied-not", "implied", "marked"]);
    assert!(session.names("/marked").await.is_empty());
}

// S20: A mount's root always exists.
#[tokio::test]
async fn the_root_exists_before_anything_is_in_it() {
    let session = UserTree::start();
    assert_eq!(session.stat(&path("/")).await.unwrap().kind, Kind::Directory);
    assert_eq!(session.entries("/").await.len(), 2, "just . and ..");
}

// S22: MKDIR makes missing parents, each with a marker, and refuses a name that is there.
#[tokio::test]
async fn mkdir_refuses_a_name_that_exists() {
    let session = UserTree::start();
    session.bucket.insert("acme/file", "");
    session.bucket.insert("acme/dir/x", "");
    let _uploading = session.create("/live").await;
    for at in ["/file", "/dir", "/live", "/"] {
        let made = session.mkdir(&path(at), NewAttributes::default()).await;
        assert!(matches!(made, Err(Error::AlreadyExists)), "{at}: {made:?}");
    }
    session.mkdir(&path("/a/b/c"), NewAttributes::default()).await.unwrap();
    assert_eq!(session.names("/a").await, ["b"]);
    assert!(["acme/a/", "acme/a/b/", "acme/a/b/c/"].into_iter().all(|marker| session.bucket.bytes(marker).is_some()));
    for inner_first in ["/a/b/c", "/a/b", "/a"] {
        session.rmdir(&path(inner_first)).await.unwrap();
    }
    assert_eq!(session.bucket.keys(), ["acme/dir/x", "acme/file"]);
}

// S26: Names that could not be opened are not listed, but count for RMDIR and RENAME.
#[tokio::test]
async fn rmdir_counts_names_that_cannot_be_shown() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/", "");
    session.bucket.insert("acme/dir//odd", "");
    assert!(session.names("/dir").await.is_empty());
    assert!(matches!(session.rmdir(&path("/dir")).await, Err(Error::NotEmpty)));
}

// S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
#[tokio::test]
async fn rmdir_spares_files_neighbours_and_what_is_missing() {
    let session = UserTree::start();
    for key in ["acme/foo/", "acme/foobar/x", "acme/file"] {
        session.bucket.insert(key, "");
    }
    session.rmdir(&path("/foo")).await.unwrap();
    assert!(matches!(session.rmdir(&path("/foo")).await, Err(Error::NotFound)));
    assert!(matches!(session.rmdir(&path("/file")).await, Err(Error::NotDirectory)));
    assert_eq!(session.bucket.keys(), ["acme/file", "acme/foobar/x"]);
}

// S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
// S25: If S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
#[tokio::test]
async fn remove_takes_files_and_no_directories() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/x", "");
    session.bucket.insert("acme/both", "");
    session.bucket.insert("acme/both/x", "");
    assert!(matches!(session.remove(&path("/dir")).await, Err(Error::IsDirectory)));
    session.remove(&path("/both")).await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/both/x", "acme/dir/x"]);
}

// S26: Names that could not be opened are not listed, but count for RMDIR and RENAME.
#[tokio::test]
async fn names_that_cannot_be_opened_are_not_listed() {
    let session = UserTree::start();
    for key in [
        "acme/a\nb",
        "acme//x",
        "acme/../x",
        "acme/\u{fffe}",
        "acme/good",
        "acme/",
        &format!("acme/{}", "s".repeat(256)),
    ] {
        session.bucket.insert(key, "");
    }
    assert_eq!(session.names("/").await, ["good"]);
}

// S9: A mount hides what storage has of the same name.
#[tokio::test]
async fn mounts_hide_equal_names_in_storage() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::ALL), ("/in/box", "shared/", Permissions::ALL)]);
    for key in ["acme/in/box/hidden", "acme/in/seen", "shared/shown"] {
        session.bucket.insert(key, "");
    }
    assert_eq!(session.names("/").await, ["in"]);
    assert_eq!(session.names("/in").await, ["box", "seen"]);
    assert_eq!(session.names("/in/box").await, ["shown"]);
}

// S14: A directory that holds mounts lists them also to a user without `list`, who sees nothing else in it.
#[tokio::test]
async fn a_directory_of_mounts_lists_them_without_the_permission_to_list() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::NONE), ("/in", "acme/in/", Permissions::ALL)]);
    session.bucket.insert("acme/secret", "");
    assert_eq!(session.names("/").await, ["in"]);
}

/// Takes at most `count` entries.
fn at_most(count: usize) -> impl FnMut(&Entry) -> bool {
    let mut entries = 0..count;
    move |_| entries.next().is_some()
}

#[tokio::test]
async fn readdir_gives_as_many_as_asked_for_and_stays_at_its_end() {
    let session = UserTree::start();
    for n in 0..7 {
        session.bucket.insert(&format!("acme/{n}"), "");
    }
    let mut directory = session.open_directory(&path("/")).await.unwrap();
    let mut lengths = Vec::new();
    for _ in 0..6 {
        lengths.push(directory.next(at_most(4)).await.unwrap());
    }
    assert_eq!(lengths, [4, 4, 1, 0, 0, 0]);
}

// S26: Names that could not be opened are not listed, but count for RMDIR and RENAME.
// S33: A directory is renamed with all that is in it, names that can't be shown included.
#[tokio::test]
async fn a_directory_can_be_renamed_with_all_that_is_in_it() {
    let session = UserTree::start();
    session.mkdir(&path("/dir"), NewAttributes { mode: Some(0o700), times: None }).await.unwrap();
    session.rename(&path("/dir"), &path("/moved"), Replace::No).await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/moved/"]);
    assert_eq!(session.stat(&path("/moved")).await.unwrap().mode, 0o40_700);
    session.upload("/moved/sub/x", "x").await;
    session.bucket.insert("acme/moved//odd", "a name that no client can open");
    session.rename(&path("/moved"), &path("/dir/below"), Replace::Yes).await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/dir/below/", "acme/dir/below//odd", "acme/dir/below/sub/x"]);
    assert!(matches!(session.stat(&path("/moved")).await, Err(Error::NotFound)));
    assert!(matches!(session.stat(&path("/moved/sub")).await, Err(Error::NotFound)));
    assert_eq!(session.stat(&path("/dir/below")).await.unwrap().mode, 0o40_700, "what the session set comes along");
    assert_eq!(session.names("/dir/below/sub").await, ["x"]);
}

// S43: An upload that is open below a directory that is renamed appears under its old name.
#[tokio::test]
async fn an_upload_below_a_directory_that_is_renamed_appears_under_its_old_name() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/a", "a");
    let mut handle = session.create("/dir/x").await;
    handle.write(0, Bytes::from_static(b"x")).await.unwrap();
    session.rename(&path("/dir"), &path("/new"), Replace::No).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/dir/x", "acme/new/a"]);
}

// S29: No RENAME replaces a directory, or anything by a directory.
#[tokio::test]
async fn a_directory_never_replaces_anything() {
    let session = UserTree::start();
    for key in ["acme/full/x", "acme/file", "acme/empty/", "acme/other/x"] {
        session.bucket.insert(key, "");
    }
    let before = session.bucket.keys();
    for target in ["/file", "/empty", "/other"] {
        for replace in [Replace::No, Replace::Yes] {
            let renamed = session.rename(&path("/full"), &path(target), replace).await;
            assert!(matches!(renamed, Err(Error::AlreadyExists)), "{target}: {renamed:?}");
        }
    }
    let below = session.rename(&path("/full"), &path("/full/below"), Replace::No).await;
    assert!(matches!(below, Err(Error::BelowItself)));
    assert_eq!(session.bucket.keys(), before);
}

// S36: A directory of more objects than the tenant's `max_rename_objects` is refused before anything is copied.
// S38: The rename of a directory that holds something needs the journal, and is refused while that is down.
#[tokio::test]
async fn a_full_directory_is_renamed_within_its_limit_and_with_a_journal() {
    let session = UserTree::start();
    for n in 0..2_501 {
        session.bucket.insert(&format!("acme/many/{n}"), "");
    }
    let (many, new) = (path("/many"), path("/new"));
    let renamed = session.rename(&many, &new, Replace::No).await;
    assert!(matches!(renamed, Err(Error::TooManyToRename { limit: 2_500 })), "{renamed:?}");
    session.bucket.delete("acme/many/0");
    session.journal.set_down(true);
    assert!(matches!(session.rename(&many, &new, Replace::No).await, Err(Error::NoJournal(_))));
    assert_eq!(session.bucket.count(Verb::Copy), 0);
    session.bucket.insert("acme/empty/", "");
    session.rename(&path("/empty"), &path("/moved"), Replace::No).await.unwrap();
    session.journal.set_down(false);
    session.rename(&many, &new, Replace::No).await.unwrap();
    assert_eq!(session.names("/new").await.len(), 2_500);
}

// S35: Metadata, times and modes move along with a directory.
#[tokio::test]
async fn attributes_of_the_overlay_follow_a_renamed_directory() {
    let session = UserTree::start();
    session.upload("/dir/kept", "kept").await;
    session.upload("/dir/large", vec![7; 9 * MIB]).await;
    let mode = |mode| SetAttributes { mode: Some(mode), ..SetAttributes::default() };
    session.set_attributes(&path("/dir/kept"), mode(0o600)).await.unwrap();
    session.journal.set_down(true);
    session.set_attributes(&path("/dir/large"), mode(0o640)).await.unwrap();
    session.journal.set_down(false);
    session.bucket.fail(Verb::Copy, Moment::Request, store::Error::Archived);
    let refused = session.rename(&path("/dir"), &path("/new"), Replace::No).await;
    assert!(matches!(refused, Err(Error::Archived)), "{refused:?}");
    assert_eq!(session.stat(&path("/dir/large")).await.unwrap().mode, 0o100_640);
    session.rename(&path("/dir"), &path("/new"), Replace::No).await.unwrap();
    for viewer in [&session, &session.another()] {
        assert_eq!(viewer.stat(&path("/new/kept")).await.unwrap().mode, 0o100_600);
        assert_eq!(viewer.stat(&path("/new/large")).await.unwrap().mode, 0o100_640);
    }
}

// S44: STAT of a directory that a listing of the node showed within two seconds is answered from it, unless a session …
// S45: STAT of a file always asks S3, because a listing knows nothing of the times and modes in an object's metadata.
#[tokio::test(start_paused = true)]
async fn a_listed_directory_is_known_for_two_seconds_and_a_listed_file_is_asked_for() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/x", "");
    session.bucket.insert("acme/dir-1/x", "");
    let metadata = [("mtime".to_owned(), "7".to_owned()), ("mode".to_owned(), "33152".to_owned())].into();
    session.bucket.insert_with("acme/file", "x", metadata);
    let (dir, other) = (path("/dir"), path("/dir-1"));
    let listed = session.entries("/").await;
    let entry = |name: &str| listed.iter().find(|entry| entry.name == name).unwrap().metadata;
    session.requested();
    assert_eq!(session.stat(&dir).await.unwrap(), entry("dir"));
    assert_eq!(session.stat(&other).await.unwrap(), entry("dir-1"));
    assert_eq!(session.requested(), []);
    let file = session.stat(&path("/file")).await.unwrap();
    assert_eq!((file.times.modified, file.mode), (7, 0o100_600), "a listing doesn't know that");
    assert_eq!(session.requested(), [Verb::Head]);
    session.remove(&path("/dir/x")).await.unwrap();
    session.rmdir(&dir).await.unwrap();
    session.requested();
    assert!(matches!(session.stat(&dir).await, Err(Error::NotFound)));
    session.rename(&other, &path("/new"), Replace::No).await.unwrap();
    assert!(matches!(session.stat(&other).await, Err(Error::NotFound)));
    session.entries("/").await;
    session.bucket.delete("acme/new/x");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(session.stat(&path("/new")).await, Err(Error::NotFound)));
}

// S47: A listing keeps two pages of 1,000 names in memory, the one that is being read and the next.
#[tokio::test]
async fn a_directory_of_any_size_is_listed_with_two_pages_in_memory() {
    let session = UserTree::start();
    for n in 0..20_000 {
        session.bucket.insert(&format!("acme/dir/{n:05}"), "");
    }
    let mut directory = session.open_directory(&path("/dir")).await.unwrap();
    let mut given = 0;
    loop {
        let some = directory.next(at_most(128)).await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        given += some;
        // The page whose entries are being returned, and one ahead of it.
        let pages = session.bucket.count(Verb::List);
        assert!(pages <= given.saturating_sub(2).div_ceil(1000) + 1, "{pages} pages after {given} names");
        if some == 0 {
            break;
        }
    }
    assert_eq!((given, session.requested()), (20_002, vec![Verb::List; 20]));
}

// S28: RENAME replaces a file only as `posix-rename@openssh.com`.
// S29: No RENAME replaces a directory, or anything by a directory.
#[tokio::test]
async fn rename_keeps_a_file_at_its_target_unless_it_may_replace() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "a");
    session.bucket.insert("acme/b", "b");
    session.bucket.insert("acme/dir/x", "");
    let (a, b, dir) = (path("/a"), path("/b"), path("/dir"));
    assert!(matches!(session.rename(&a, &b, Replace::No).await, Err(Error::AlreadyExists)));
    assert!(matches!(session.rename(&a, &dir, Replace::No).await, Err(Error::AlreadyExists)));
    assert!(matches!(session.rename(&a, &dir, Replace::Yes).await, Err(Error::IsDirectory)));
    assert!(matches!(session.rename(&a, &path("/a/x"), Replace::No).await, Err(Error::BelowItself)));
    assert!(matches!(session.rename(&path("/no"), &b, Replace::Yes).await, Err(Error::NotFound)));
    session.rename(&a, &a, Replace::Yes).await.unwrap();
    session.rename(&a, &b, Replace::Yes).await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/b", "acme/dir/x"]);
    assert_eq!(session.bucket.bytes("acme/b").unwrap(), "a");
}

// S48: A page of a listing that fails loses no name: the next READDIR asks for it again.
#[tokio::test]
async fn a_page_that_fails_loses_no_name() {
    let session = UserTree::start();
    for n in 0..1500 {
        session.bucket.insert(&format!("acme/{n}"), "");
    }
    let mut directory = session.open_directory(&path("/")).await.unwrap();
    session.bucket.fail(Verb::List, Moment::Request, store::Error::Unreachable("lost".into()));
    session.bucket.fail(Verb::List, Moment::Request, store::Error::Unreachable("lost".into()));
    let (mut names, mut errors) = (0, 0);
    loop {
        match directory.next(at_most(300)).await {
            Ok(0) => break,
            Ok(count) => names += count,
            Err(Error::Storage(_)) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((names, errors), (1502, 1));
}

// S32: If another writer changes a file during its RENAME, the change stays under the old name, and the client is …
#[tokio::test]
async fn a_rename_says_whether_its_target_or_its_source_changed() {
    let no_overwrite = Permissions::ALL.without(Permission::Overwrite);
    for (permissions, replace) in
        [(Permissions::ALL, Replace::No), (Permissions::ALL, Replace::Yes), (no_overwrite, Replace::Yes)]
    {
        for (verb, changed) in [(Verb::Copy, "acme/a"), (Verb::Remove, "acme/a"), (Verb::Copy, "acme/b")] {
            let session = UserTree::with_permissions(permissions);
            session.bucket.insert("acme/a", "first");
            let hold = session.bucket.hold(verb, Moment::Request);
            let (source, target) = (path("/a"), path("/b"));
            let (renamed, ()) = tokio::join!(session.rename(&source, &target, replace), async {
                session.bucket.arrived(verb, 1).await;
                session.bucket.insert(changed, "second");
                drop(hold);
            });
            let right = match (changed, replace) {
                ("acme/a", _) => matches!(renamed, Err(Error::Changed(_))),
                (_, Replace::No) => matches!(renamed, Err(Error::AlreadyExists)),
                _ if permissions == no_overwrite => matches!(renamed, Err(Error::Denied(Permission::Overwrite))),
                _ => matches!(renamed, Ok(())),
            };
            assert!(right, "{changed} at {verb:?}, {permissions:?}, {replace:?}: {renamed:?}");
        }
    }
}

// S21: Bytes in an object `dir/`, which others may have put there, count as something in the directory.
#[tokio::test]
async fn an_object_with_bytes_at_a_directorys_name_is_never_deleted_with_it() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/", "bytes that no user can see");
    assert!(matches!(session.rmdir(&path("/dir")).await, Err(Error::NotEmpty)));
    session.rename(&path("/dir"), &path("/new"), Replace::No).await.unwrap();
    assert_eq!(session.bucket.bytes("acme/new/").unwrap(), "bytes that no user can see");
    assert_eq!(session.bucket.keys(), ["acme/new/"]);
}

#[tokio::test]
async fn mkdir_knows_its_own_success_from_anothers() {
    let lost = || store::Error::Unreachable("lost".into());
    let conflict = || store::Error::Conflict { request: "412".into() };
    for error in [lost(), conflict()] {
        let session = UserTree::start();
        session.bucket.fail(Verb::Put, Moment::Answer, error);
        session.mkdir(&path("/dir"), NewAttributes::default()).await.unwrap();
        assert_eq!(session.bucket.keys(), ["acme/dir/"]);
    }
    let session = UserTree::start();
    let hold = session.bucket.hold(Verb::Put, Moment::Request);
    let at = path("/dir");
    let (made, ()) = tokio::join!(session.mkdir(&at, NewAttributes::default()), async {
        session.bucket.arrived(Verb::Put, 1).await;
        session.bucket.insert("acme/dir/", "");
        drop(hold);
    });
    assert!(matches!(made, Err(Error::AlreadyExists)), "{made:?}");
}

// S11: The landing directory, and what leads to it, exists whatever storage has.
// S12: A mount, the landing directory, and every directory that leads to one can't be renamed, removed or replaced.
#[tokio::test]
async fn the_landing_directory_exists_before_anything_is_in_it_and_stays() {
    let session = UserTree::landing_at("/in/today");
    for (at, entries) in [("/", &["in"][..]), ("/in", &["today"]), ("/in/today", &[])] {
        assert_eq!(session.stat(&path(at)).await.unwrap().kind, Kind::Directory);
        assert_eq!(session.names(at).await, entries, "{at}");
    }
    session.upload("/in/today/x", "x").await;
    session.remove(&path("/in/today/x")).await.unwrap();
    assert!(session.names("/in/today").await.is_empty());
    assert!(matches!(session.rmdir(&path("/in/today")).await, Err(Error::Mounted)));
    let made = session.mkdir(&path("/in"), NewAttributes::default()).await;
    assert!(matches!(made, Err(Error::AlreadyExists)));
    for at in ["/in", "/in/today"] {
        let renamed = session.rename(&path(at), &path("/x"), Replace::No).await;
        assert!(matches!(renamed, Err(Error::Mounted)), "{at}: {renamed:?}");
        assert!(matches!(session.open(at, CREATE).await, Err(Error::IsDirectory)), "{at}");
    }
}

// S151: A page of a listing that shows no name is not the end of it.
#[tokio::test]
async fn a_page_of_which_nothing_is_shown_is_not_the_end() {
    let session = UserTree::with_mounts(&[("/", "acme/", Permissions::ALL), ("/a", "other/", Permissions::ALL)]);
    session.bucket.insert("acme/a", "hidden by a mount");
    session.bucket.begin_listings_empty();
    assert_eq!(session.names("/").await, ["a"]);
    for number in 0..1000 {
        session.bucket.insert(&format!("acme/\u{1}{number}"), "no name");
    }
    session.bucket.insert("acme/z", "x");
    assert_eq!(session.names("/").await, ["a", "z"]);
    assert!(matches!(session.open_directory(&path("/none")).await, Err(Error::NotFound)));
}
