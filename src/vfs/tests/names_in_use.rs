//! Names in use: nothing is stored below a file or onto a directory. The tests also count the requests for the
//! check.

use super::*;

async fn put(session: &UserTree, at: &str) -> Result<u64> {
    let mut handle = session.open(at, CREATE).await?;
    handle.write(0, Bytes::from_static(b"x")).await?;
    handle.close().await.map(|closed| closed.size)
}

// S131: Nothing is stored below a name that is a file: OPEN, WRITE or CLOSE, MKDIR and RENAME answer that there is no …
#[tokio::test(start_paused = true)]
async fn nothing_is_stored_below_a_file() {
    let session = UserTree::start();
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

// S131: Nothing is stored below a name that is a file: OPEN, WRITE or CLOSE, MKDIR and RENAME answer that there is no …
#[tokio::test(start_paused = true)]
async fn where_two_nodes_stored_both_the_node_that_stored_below_the_file_may_continue() {
    let session = UserTree::start();
    let mut below = session.open("/d/b", CREATE).await.unwrap();
    // The answer has arrived: nothing lies at `/d`.
    tokio::time::sleep(Duration::from_secs(3)).await;
    below.write(0, Bytes::from_static(b"x")).await.unwrap();
    put(&session.elsewhere(), "/d").await.unwrap();
    let made = session.mkdir(&path("/d/a"), NewAttributes::default()).await;
    assert!(matches!(made, Err(Error::BelowFile)), "{made:?}");
    below.close().await.unwrap();
    assert_eq!(session.bucket.keys(), ["acme/d", "acme/d/b"], "as two nodes at the same moment may");
    put(&session, "/d/a").await.unwrap();
}

// S27: An upload onto a name that is a directory is refused, also by a session that hasn't seen it: at OPEN where the …
#[tokio::test(start_paused = true)]
async fn an_upload_onto_a_directory_is_refused_by_every_session() {
    let session = UserTree::start();
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
    session.mkdir(&path("/b"), NewAttributes::default()).await.unwrap();
    session.rename(&path("/b"), &path("/d/moved/here"), Replace::No).await.unwrap();
    assert!(matches!(put(&session, "/d/moved/here").await, Err(Error::IsDirectory)));
    session.bucket.insert("acme/d/2026", "a file beside it");
    put(&session.elsewhere(), "/d/2026").await.unwrap();
}

// S133: A new file costs one LIST of the directory that it lies in, which others that follow within two seconds share, …
#[tokio::test(start_paused = true)]
async fn siblings_share_one_question_and_a_directory_that_was_made_needs_none() {
    let session = UserTree::start();
    session.bucket.insert("acme/d/x", "x");
    let lists = |session: &UserTree| {
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
async fn names_made_during_an_upload_are_not_hidden_by_its_close() {
    let session = UserTree::start();
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
async fn cached_answers_below_a_name_end_when_the_name_changes() {
    let session = UserTree::start();
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
    let session = UserTree::start();
    session.bucket.insert("acme/d/2026/report", "x");
    let mut handle = session.create("/d/2026").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(matches!(handle.write(0, Bytes::from_static(b"x")).await, Err(Error::IsDirectory)));
    assert!(matches!(handle.close().await, Err(Error::Poisoned(_))));
}

// S133: A new file costs one LIST of the directory that it lies in, which others that follow within two seconds share, …
#[tokio::test(start_paused = true)]
async fn a_file_that_took_the_directorys_name_meanwhile_is_noticed() {
    let session = UserTree::start();
    let handle = session.create("/d/x").await;
    tokio::task::yield_now().await;
    session.upload("/d", "a file").await;
    assert!(matches!(handle.close().await, Err(Error::BelowFile)));
    assert_eq!(session.bucket.keys(), ["acme/d"]);
}
