//! What directories are, and how they come and go.

use super::*;

// S19: A directory exists by its marker (a zero-byte object `dir/`) or by what is in it.
#[tokio::test]
async fn a_directory_exists_by_its_marker_or_by_what_is_in_it() {
    let session = Session::start();
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
    let session = Session::start();
    assert_eq!(session.stat(&path("/")).await.unwrap().kind, Kind::Directory);
    assert_eq!(session.entries("/").await.len(), 2, "just . and ..");
}

/// Removes a directory with all that a client sees in it, from the inside out.
async fn remove_tree(session: &Session, at: &str) {
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
    let session = Session::start();
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
    let session = Session::start();
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
async fn a_marker_costs_one_request_a_directory_and_none_where_it_was_seen() {
    let session = Session::start();
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

// S132: Of a user who may store nothing, the node remembers for an hour which directories without a marker its users …
#[tokio::test(start_paused = true)]
async fn a_poller_that_may_only_read_and_delete_lists_its_empty_directory_again() {
    let permissions = [Permission::Read, Permission::List, Permission::Delete].into_iter().collect();
    let session = Session::with_permissions(permissions);
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

async fn put(session: &Session, at: &str) -> Result<u64> {
    let mut handle = session.open(at, CREATE).await?;
    handle.write(0, Bytes::from_static(b"x")).await?;
    handle.close().await
}

// S131: Nothing is stored below a name that is a file: OPEN, WRITE or CLOSE, MKDIR and RENAME answer that there is no …
#[tokio::test(start_paused = true)]
async fn nothing_is_stored_below_a_file() {
    let session = Session::start();
    session.bucket.insert("acme/d/report.csv", "a file");
    session.upload("/y", "y").await;
    session.mkdir(&path("/e"), NewAttributes::default()).await.unwrap();
    for by in [&session, &session.another(), &session.elsewhere()] {
        for below in ["/d/report.csv/x", "/d/report.csv/a/b/x"] {
            let stored = put(by, below).await;
            assert!(matches!(stored, Err(Error::BelowFile)), "{below}: {stored:?}");
            let made = by.mkdir(&path(below), NewAttributes::default()).await;
            assert!(matches!(made, Err(Error::BelowFile)), "{below}: {made:?}");
            for source in ["/y", "/e"] {
                let renamed = by.rename(&path(source), &path(below), Replace::No).await;
                assert!(matches!(renamed, Err(Error::BelowFile)), "{below}: {renamed:?}");
            }
        }
    }
    assert_eq!(session.bucket.keys(), ["acme/d/report.csv", "acme/e/", "acme/y"]);
    session.upload("/d/out", "a file that was just stored").await;
    for below in ["/d/out/x", "/d/out/a/b/x"] {
        let opened = session.another().open(below, CREATE).await;
        assert!(matches!(opened, Err(Error::BelowFile)), "at OPEN, for clients that don't look at CLOSE");
    }
    session.remove(&path("/d/out")).await.unwrap();
    session.bucket.insert("acme/d/report.csv/x", "S3 holds both");
    put(&session.elsewhere(), "/d/report.csv/y").await.unwrap();
}

// S27: An upload onto a name that is a directory is refused, also by a session that hasn't seen it: at OPEN where the …
#[tokio::test(start_paused = true)]
async fn an_upload_onto_a_directory_is_refused_by_every_session() {
    let session = Session::start();
    session.bucket.insert("acme/d/2026/report", "x");
    session.mkdir(&path("/d/made"), NewAttributes::default()).await.unwrap();
    for number in 0..1500 {
        session.bucket.insert(&format!("acme/many/{number:04}"), "");
    }
    session.bucket.insert("acme/many/z/x", "x");
    let keys = session.bucket.keys();
    for by in [&session, &session.another(), &session.elsewhere()] {
        for at in ["/d", "/d/2026", "/d/made", "/many/z", "/many/z"] {
            let stored = put(by, at).await;
            assert!(matches!(stored, Err(Error::IsDirectory)), "{at}: {stored:?}");
        }
    }
    assert_eq!(session.bucket.keys(), keys);
    session.bucket.insert("acme/d/2026", "a file beside it");
    put(&session.elsewhere(), "/d/2026").await.unwrap();
}

// S133: A new file costs one LIST of the directory that it lies in, which others that follow within two seconds share, …
#[tokio::test(start_paused = true)]
async fn siblings_share_one_question_and_a_directory_that_was_made_needs_none() {
    let session = Session::start();
    session.bucket.insert("acme/d/x", "x");
    let lists = |session: &Session| {
        let lists = session.bucket.count(Verb::List);
        session.bucket.forget_requests();
        lists
    };
    let mut handles = Vec::new();
    for number in 0..8 {
        handles.push(session.create(&format!("/d/{number}")).await);
    }
    for handle in handles {
        handle.close().await.unwrap();
    }
    assert_eq!(lists(&session), 1);
    put(&session.another(), "/d/9").await.unwrap();
    assert_eq!(lists(&session), 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    put(&session, "/d/10").await.unwrap();
    assert_eq!(lists(&session), 1);
    session.mkdir(&path("/d/new"), NewAttributes::default()).await.unwrap();
    session.mkdir(&path("/d/new/er"), NewAttributes::default()).await.unwrap();
    lists(&session);
    for number in 0..8 {
        put(&session, &format!("/d/new/er/{number}")).await.unwrap();
    }
    assert_eq!(lists(&session), 0, "put -r makes its directories");
    session.bucket.insert("acme/d/new/er/late/x", "x");
    assert!(matches!(put(&session, "/d/new/er").await, Err(Error::IsDirectory)));
    session.mkdir(&path("/d/new/er/dir"), NewAttributes::default()).await.unwrap();
    assert!(matches!(put(&session, "/d/new/er/dir").await, Err(Error::IsDirectory)), "made since");
    put(&session, "/d/new/er/implied/x").await.unwrap();
    assert!(matches!(put(&session, "/d/new/er/implied").await, Err(Error::IsDirectory)), "implied since");
}

// S27: An upload onto a name that is a directory is refused, also by a session that hasn't seen it: at OPEN where the …
#[tokio::test(start_paused = true)]
async fn what_another_session_makes_while_an_upload_is_open_is_not_hidden_by_its_close() {
    let session = Session::start();
    let another = session.another();
    for wait in [Duration::ZERO, Duration::from_secs(5)] {
        session.upload("/known", "x").await;
        let mut handle = session.create("/d").await;
        handle.write(0, Bytes::from_static(b"x")).await.unwrap();
        tokio::time::sleep(wait).await;
        another.mkdir(&path("/d"), NewAttributes::default()).await.unwrap();
        another.upload("/d/f", "x").await;
        assert!(matches!(handle.close().await, Err(Error::IsDirectory)), "{wait:?}");
        assert_eq!(session.bucket.keys(), ["acme/d/", "acme/d/f", "acme/known"]);

        let mut handle = session.create("/d/new/big").await;
        handle.write(0, Bytes::from_static(b"x")).await.unwrap();
        tokio::time::sleep(wait).await;
        another.remove(&path("/d/f")).await.unwrap();
        another.rmdir(&path("/d")).await.unwrap();
        another.upload("/d", "a file").await;
        assert!(matches!(handle.close().await, Err(Error::BelowFile)), "{wait:?}");
        assert_eq!(session.bucket.keys(), ["acme/d", "acme/known"]);
        session.remove(&path("/d")).await.unwrap();
    }
}

// S131: Nothing is stored below a name that is a file: OPEN, WRITE or CLOSE, MKDIR and RENAME answer that there is no …
#[tokio::test(start_paused = true)]
async fn what_was_known_below_a_name_ends_with_what_the_name_is() {
    let session = Session::start();
    session.upload("/x", "a file").await;
    assert!(matches!(put(&session, "/x/y/z").await, Err(Error::BelowFile)));
    session.remove(&path("/x")).await.unwrap();
    put(&session, "/x/y/z").await.unwrap();
    session.remove(&path("/x/y/z")).await.unwrap();
    for directory in ["/x/y", "/x"] {
        session.rmdir(&path(directory)).await.unwrap();
    }
    session.upload("/x", "a file again").await;
    assert!(matches!(put(&session.another(), "/x/y/z").await, Err(Error::BelowFile)));
}

// S27: An upload onto a name that is a directory is refused, also by a session that hasn't seen it: at OPEN where the …
#[tokio::test(start_paused = true)]
async fn a_write_is_refused_once_the_answer_is_there() {
    let session = Session::start();
    session.bucket.insert("acme/d/2026/report", "x");
    let mut handle = session.create("/d/2026").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(matches!(handle.write(0, Bytes::from_static(b"x")).await, Err(Error::IsDirectory)));
    assert!(matches!(handle.close().await, Err(Error::Poisoned(_))));
}

// S133: A new file costs one LIST of the directory that it lies in, which others that follow within two seconds share, …
#[tokio::test(start_paused = true)]
async fn a_file_that_took_the_directorys_name_meanwhile_is_noticed() {
    let session = Session::start();
    let handle = session.create("/d/x").await;
    tokio::task::yield_now().await;
    session.upload("/d", "a file").await;
    assert!(matches!(handle.close().await, Err(Error::BelowFile)));
    assert_eq!(session.bucket.keys(), ["acme/d"]);
}

// S22: MKDIR makes missing parents, each with a marker, and refuses a name that is there.
#[tokio::test]
async fn mkdir_refuses_what_is_there() {
    let session = Session::start();
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
    let session = Session::start();
    session.bucket.insert("acme/dir/", "");
    session.bucket.insert("acme/dir//odd", "");
    assert!(session.names("/dir").await.is_empty());
    assert!(matches!(session.rmdir(&path("/dir")).await, Err(Error::NotEmpty)));
}

// S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
#[tokio::test]
async fn rmdir_spares_files_neighbours_and_what_is_missing() {
    let session = Session::start();
    for key in ["acme/foo/", "acme/foobar/x", "acme/file"] {
        session.bucket.insert(key, "");
    }
    session.rmdir(&path("/foo")).await.unwrap();
    assert!(matches!(session.rmdir(&path("/foo")).await, Err(Error::NotFound)));
    assert!(matches!(session.rmdir(&path("/file")).await, Err(Error::NotDirectory)));
    assert_eq!(session.bucket.keys(), ["acme/file", "acme/foobar/x"]);
}

// S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
// S25: Where S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
#[tokio::test]
async fn remove_takes_files_and_no_directories() {
    let session = Session::start();
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
    let session = Session::start();
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
    let session = Session::with_mounts(&[("/", "acme/", Permissions::ALL), ("/in/box", "shared/", Permissions::ALL)]);
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
    let session = Session::with_mounts(&[("/", "acme/", Permissions::NONE), ("/in", "acme/in/", Permissions::ALL)]);
    session.bucket.insert("acme/secret", "");
    assert_eq!(session.names("/").await, ["in"]);
}

/// Takes so many entries.
fn at_most(count: usize) -> impl FnMut(&Entry) -> bool {
    let mut taken = 0..count;
    move |_| taken.next().is_some()
}

#[tokio::test]
async fn readdir_gives_as_many_as_asked_for_and_stays_at_its_end() {
    let session = Session::start();
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
    let session = Session::start();
    session.mkdir(&path("/dir"), NewAttributes { mode: Some(0o700), times: None }).await.unwrap();
    session.rename(&path("/dir"), &path("/moved"), Replace::No).await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/moved/"]);
    assert_eq!(session.stat(&path("/moved")).await.unwrap().mode, 0o40_700);
    session.upload("/moved/sub/x", "x").await;
    session.bucket.insert("acme/moved//odd", "a name that nobody can open");
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
    let session = Session::start();
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
    let session = Session::start();
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
    let session = Session::start();
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
async fn what_the_session_alone_knows_of_files_comes_along_with_their_directory() {
    let session = Session::start();
    session.upload("/dir/kept", "kept").await;
    session.upload("/dir/large", vec![7; 9 * MIB]).await;
    let mode = |mode| SetAttributes { mode: Some(mode), ..SetAttributes::default() };
    session.set_attributes(&path("/dir/kept"), mode(0o600)).await.unwrap();
    session.journal.set_down(true);
    session.set_attributes(&path("/dir/large"), mode(0o640)).await.unwrap();
    session.journal.set_down(false);
    session.bucket.fail(Verb::Copy, store::memory::Moment::Request, store::Error::Archived);
    let refused = session.rename(&path("/dir"), &path("/new"), Replace::No).await;
    assert!(matches!(refused, Err(Error::Archived)), "{refused:?}");
    assert_eq!(session.stat(&path("/dir/large")).await.unwrap().mode, 0o100_640);
    session.rename(&path("/dir"), &path("/new"), Replace::No).await.unwrap();
    for seen_by in [&session, &session.another()] {
        assert_eq!(seen_by.stat(&path("/new/kept")).await.unwrap().mode, 0o100_600);
        assert_eq!(seen_by.stat(&path("/new/large")).await.unwrap().mode, 0o100_640);
    }
}

// S44: STAT of a directory that a listing of the node showed within two seconds is answered from it, unless a session …
// S45: STAT of a file always asks S3, because a listing knows nothing of the times and modes in an object's metadata.
#[tokio::test(start_paused = true)]
async fn a_listed_directory_is_known_for_two_seconds_and_a_listed_file_is_asked_for() {
    let session = Session::start();
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
    let session = Session::start();
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
        // The page that is being given out, and one ahead of it.
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
async fn rename_keeps_what_is_at_its_target_unless_told_otherwise() {
    let session = Session::start();
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
    let session = Session::start();
    for n in 0..1500 {
        session.bucket.insert(&format!("acme/{n}"), "");
    }
    let mut directory = session.open_directory(&path("/")).await.unwrap();
    session.bucket.fail(Verb::List, store::memory::Moment::Request, store::Error::Unreachable("lost".into()));
    session.bucket.fail(Verb::List, store::memory::Moment::Request, store::Error::Unreachable("lost".into()));
    let (mut names, mut errors) = (0, 0);
    loop {
        match directory.next(at_most(300)).await {
            Ok(0) => break,
            Ok(taken) => names += taken,
            Err(Error::Storage(_)) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((names, errors), (1502, 1));
}

// S32: A file that somebody else changes during its RENAME stays as changed under its old name, and the client is …
#[tokio::test]
async fn a_rename_says_whether_its_target_or_its_source_changed() {
    let no_overwrite = Permissions::ALL.without(Permission::Overwrite);
    for (permissions, replace) in
        [(Permissions::ALL, Replace::No), (Permissions::ALL, Replace::Yes), (no_overwrite, Replace::Yes)]
    {
        for (verb, changed) in [(Verb::Copy, "acme/a"), (Verb::Remove, "acme/a"), (Verb::Copy, "acme/b")] {
            let session = Session::with_permissions(permissions);
            session.bucket.insert("acme/a", "first");
            let hold = session.bucket.hold(verb, store::memory::Moment::Request);
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
    let session = Session::start();
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
        let session = Session::start();
        session.bucket.fail(Verb::Put, store::memory::Moment::Answer, error);
        session.mkdir(&path("/dir"), NewAttributes::default()).await.unwrap();
        assert_eq!(session.bucket.keys(), ["acme/dir/"]);
    }
    let session = Session::start();
    let hold = session.bucket.hold(Verb::Put, store::memory::Moment::Request);
    let at = path("/dir");
    let (made, ()) = tokio::join!(session.mkdir(&at, NewAttributes::default()), async {
        session.bucket.arrived(Verb::Put, 1).await;
        session.bucket.insert("acme/dir/", "");
        drop(hold);
    });
    assert!(matches!(made, Err(Error::AlreadyExists)), "{made:?}");
}

// S11: The landing directory, and what leads to it, exists whatever storage has.
// S12: What is, or leads to, a mount or the landing directory can't be renamed, removed or replaced.
#[tokio::test]
async fn the_landing_directory_exists_before_anything_is_in_it_and_stays() {
    let session = Session::landing_at("/in/today");
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
    let session = Session::with_mounts(&[("/", "acme/", Permissions::ALL), ("/a", "other/", Permissions::ALL)]);
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
