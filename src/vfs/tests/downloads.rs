//! OPEN for reading: which version and which errors it returns.

use super::*;
use crate::testing::bucket::Moment;

#[tokio::test]
async fn a_download_is_the_file() {
    let session = UserTree::start();
    let content: Vec<u8> = (0..3 * MIB).map(|n| u8::try_from(n % 251).unwrap()).collect();
    session.bucket.insert("acme/a", content.clone());
    let handle = session.open_read(&path("/a")).await.unwrap();
    assert_eq!((handle.metadata().size, handle.path().as_str()), (content.len() as u64, "/a"));
    for (offset, len) in [(0, 100), (content.len() - 10, 100), (content.len(), 100), (MIB, MIB)] {
        let end = (offset + len).min(content.len());
        let read = handle.read(offset as u64, u32::try_from(len).unwrap()).await.unwrap().concat();
        assert!(read == content[offset..end], "{len} bytes from {offset}");
    }
}

// S55: A file in an archive can't be opened for reading.
#[tokio::test]
async fn a_directory_or_a_missing_name_cannot_be_read() {
    let session = UserTree::start();
    session.bucket.insert("acme/dir/x", "");
    session.bucket.insert("acme/cold", "x");
    session.bucket.archive("acme/cold");
    assert!(matches!(session.open_read(&path("/")).await, Err(Error::IsDirectory)));
    for forbidden in [false, true] {
        if forbidden {
            session.bucket.forbid_missing();
        }
        assert!(matches!(session.open_read(&path("/dir")).await, Err(Error::IsDirectory)));
        assert!(matches!(session.open_read(&path("/missing")).await, Err(Error::NotFound)));
        assert!(matches!(session.open_read(&path("/cold")).await, Err(Error::Archived)));
    }
}

// S25: If S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
#[tokio::test]
async fn where_both_are_open_reaches_the_file_and_opendir_the_directory() {
    let session = UserTree::start();
    session.bucket.insert("acme/both", "file");
    session.bucket.insert("acme/both/x", "");
    assert_eq!(session.stat(&path("/both")).await.unwrap().kind, Kind::File);
    let handle = session.open_read(&path("/both")).await.unwrap();
    assert_eq!(handle.read(0, 10).await.unwrap().concat(), b"file");
    assert_eq!(session.names("/both").await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_cached_size_expires() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", vec![7; 9 * MIB]);
    session.stat(&path("/a")).await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    session.open_read(&path("/a")).await.unwrap();
    assert_eq!(session.requested(), [Verb::Head, Verb::Read]);
}

// S154: CREAT without WRITE, APPEND and TRUNC opens a file that is there for reading, and makes no new version of …
#[tokio::test]
async fn a_create_opens_a_file_that_another_session_creates_meanwhile() {
    for exclusive in [false, true] {
        let session = UserTree::start();
        let opened = session.open_create(&path("/a"), exclusive, NewAttributes::default()).await.unwrap();
        let CreateOutcome::Missing(pending) = opened else { panic!("there is nothing") };
        let asked = if exclusive { vec![] } else { vec![Verb::Read, Verb::List] };
        assert_eq!(session.requested(), [asked, vec![Verb::Head, Verb::List]].concat());
        assert_eq!(session.stat(&path("/a")).await.unwrap().size, 0, "this session sees it");
        session.bucket.insert("acme/a", "another's");
        assert!(matches!(pending.create_empty(PATIENCE).await, Err(Error::AlreadyExists)));
        assert_eq!(session.bucket.bytes("acme/a").unwrap(), "another's");
        assert_eq!(session.requested(), [Verb::Put, Verb::Head], "whose it is, where the answer was lost");
        let again = session.open_create(&path("/a"), exclusive, NewAttributes::default()).await;
        match again {
            Ok(CreateOutcome::Found(handle)) if !exclusive => assert_eq!(handle.metadata().size, 9),
            Err(Error::AlreadyExists) if exclusive => {}
            other => panic!("{other:?}"),
        }
    }
}

// S154: CREAT without WRITE, APPEND and TRUNC opens a file that is there for reading, and makes no new version of …
#[tokio::test]
async fn an_empty_file_that_is_being_made_keeps_its_name() {
    let session = UserTree::start();
    let opened = session.open_create(&path("/a"), false, NewAttributes::default()).await.unwrap();
    let CreateOutcome::Missing(pending) = opened else { panic!("there is nothing") };
    let hold = session.bucket.hold(Verb::Put, Moment::Request);
    let making = tokio::spawn(async move { pending.create_empty(PATIENCE).await });
    session.bucket.arrived(Verb::Put, 1).await;
    let renamed = session.rename(&path("/a"), &path("/b"), Replace::No).await;
    assert!(matches!(renamed, Err(Error::NotFound)), "{renamed:?}");
    drop(hold);
    making.await.unwrap().unwrap();
    assert_eq!(session.bucket.keys(), ["acme/a"]);
}

// S157: A name that is gone is reported as missing, and one that has just appeared is found, also if S3 answers 403 …
#[tokio::test]
async fn a_file_removed_during_a_read_is_missing_whatever_s3_answers() {
    for scoped in [false, true] {
        let session = UserTree::start();
        if scoped {
            session.bucket.forbid_missing();
        }
        session.bucket.insert("acme/a", vec![7; 40 * MIB]);
        let handle = session.open_read(&path("/a")).await.unwrap();
        handle.read(0, 10).await.unwrap();
        session.bucket.delete("acme/a");
        let read = handle.read(39 * MIB as u64, 10).await;
        assert!(matches!(read, Err(Error::NotFound)), "{scoped}: {read:?}");
        session.bucket.insert("acme/b", vec![7; 40 * MIB]);
        let handle = session.open_read(&path("/b")).await.unwrap();
        session.bucket.insert("acme/b", "another");
        let read = handle.read(39 * MIB as u64, 10).await;
        assert!(matches!(read, Err(Error::Changed(_))), "{scoped}: {read:?}");
    }
}

// S157: A name that is gone is reported as missing, and one that has just appeared is found, also if S3 answers 403 …
#[tokio::test]
async fn a_file_that_appears_between_two_questions_is_found() {
    for scoped in [false, true] {
        for stat in [false, true] {
            let session = UserTree::start();
            if scoped {
                session.bucket.forbid_missing();
            }
            let hold = session.bucket.hold(Verb::List, Moment::Request);
            let at = path("/a");
            let look =
                async { if stat { session.stat(&at).await.map(drop) } else { session.open_read(&at).await.map(drop) } };
            let (looked, ()) = tokio::join!(look, async {
                session.bucket.arrived(Verb::List, 1).await;
                session.bucket.insert_with("acme/a", "new", [("mtime".to_owned(), "7".to_owned())].into());
                drop(hold);
            });
            match looked {
                Ok(()) => {}
                // S3 answered that the file wasn't there.
                Err(Error::NotFound) => assert!(!scoped && !stat),
                Err(error) => panic!("{scoped} {stat}: {error}"),
            }
            assert_eq!(session.stat(&at).await.unwrap().times.modified, 7, "of its metadata, not of a listing");
        }
    }
}
