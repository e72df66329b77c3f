//! The part of an interrupted upload that S3 retains for the client, and the part that it loses.

use super::*;

// S116: Of an upload in parts that is cut off, S3 keeps what is stored from its first byte on without a gap, for …
// S124: A CLOSE without a WRITE leaves it as it was.
#[tokio::test]
async fn a_close_that_brings_nothing_leaves_it_as_it_was() {
    let session = interrupted().await;
    assert_eq!(session.open("/a", RESUME).await.unwrap().close().await.unwrap().size, STORED as u64);
    assert_eq!(size(&session).await, Some(STORED as u64));
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    let denied = store::Error::Refused { code: "InternalError".into(), message: "no".into(), request: "1".into() };
    session.bucket.fail(Verb::CompleteUpload, Moment::Request, denied);
    assert!(handle.close().await.is_err());
    assert_eq!(size(&session).await, Some(STORED as u64), "the last part isn't complete for a resumed upload");
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), STORED).await.unwrap();
    handle.close().await.unwrap();
    assert_stored(&session, &content(LENGTH));
}

#[tokio::test]
async fn a_hole_or_a_failed_part_ends_the_resumable_part() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(9 * MIB), 0).await.unwrap();
    // The server fills the hole with zeros; the client may have meant to fill it later.
    write(&mut handle, &content(40 * MIB), 12 * MIB).await.unwrap();
    handle.leave().await;
    assert_eq!(size(&session).await, Some(8 * MIB as u64));

    let session = UserTree::start();
    session.bucket.fail(Verb::UploadPart, Moment::Request, store::Error::Unreachable("lost".into()));
    let mut handle = session.create("/a").await;
    let _ = write(&mut handle, &content(LENGTH), 0).await;
    handle.leave().await;
    assert_eq!((size(&session).await, session.bucket.open_uploads()), (None, 0), "the first part is missing");
}

/// The server treats many small holes as zeros, so that it need not remember them all.
#[tokio::test]
async fn no_upload_resumes_behind_zeros_that_no_client_wrote() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    for page in 0..10 * MIB / 4096 {
        handle.write((page * 8192) as u64, Bytes::from_static(&[7; 4096])).await.unwrap();
    }
    handle.leave().await;
    assert_eq!((size(&session).await, session.bucket.open_uploads()), (None, 0));
}

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
#[tokio::test]
async fn a_small_upload_and_a_change_leave_nothing() {
    let session = UserTree::start();
    session.bucket.insert("acme/a", "old");
    let mut handle = session.open("/a", RESUME).await.unwrap();
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    handle.leave().await;
    let mut handle = session.create("/b").await;
    write(&mut handle, &content(MIB), 0).await.unwrap();
    handle.leave().await;
    assert_eq!(session.bucket.open_uploads(), 0);
    assert_eq!(session.bucket.keys(), ["acme/a"]);
    assert_eq!(size(&session).await, Some(3));
    assert!(session.journal.uploads().is_empty());
}

#[tokio::test]
async fn a_client_that_meant_to_change_stored_bytes_leaves_nothing() {
    let session = UserTree::start();
    let mut handle = session.create("/a").await;
    write(&mut handle, &content(LENGTH), 0).await.unwrap();
    assert!(matches!(handle.write(0, Bytes::from_static(b"header")).await, Err(Error::Shipped)));
    handle.leave().await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None));
}

// S125: If a tenant has `partial_uploads = "discard"`, an upload that is cut off leaves nothing.
#[tokio::test]
async fn a_tenant_that_discards_partial_uploads_has_none() {
    let session = UserTree::start();
    let discarding = session.of(user("alice", &ALL), Tenant { partial_uploads_kept_for: None, ..acme() });
    interrupt_in(&discarding).await;
    assert_eq!((session.bucket.open_uploads(), size(&session).await), (0, None));
    assert!(session.journal.uploads().is_empty());
}
