//! Publishing a file: its requests, and the owner of the object after a lost answer.

use super::*;
use crc_fast::CrcAlgorithm::Crc64Nvme;

#[tokio::test]
async fn a_file_of_one_part_is_one_request() {
    for len in [0, 1, PART - 1, PART] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert_eq!(upload.size(), len as u64);
        assert!(upload.object_mut().is_some());
        upload.finish(Condition::Always).await.unwrap();
        assert_eq!(fixture.bucket.verbs(), [Verb::Put], "{len} bytes");
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn a_larger_file_is_its_parts_and_two() {
    for (len, parts) in [(PART + 1, 2), (2 * PART, 2), (7 * PART + 3, 8)] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert!(upload.object_mut().is_none());
        upload.finish(Condition::Always).await.unwrap();
        assert_eq!(fixture.bucket.count(Verb::UploadPart), parts, "{len} bytes");
        assert_eq!(fixture.bucket.verbs().len(), parts + 2);
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn metadata_and_a_token_go_with_either_kind() {
    for len in [1, PART + 1] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        upload.object_mut().unwrap().metadata.insert("mtime".into(), "1".into());
        write_all(&mut upload, &content(len)).await.unwrap();
        upload.finish(Condition::Always).await.unwrap();
        let metadata = fixture.bucket.metadata("x").unwrap();
        assert_eq!(metadata["mtime"], "1");
        assert_eq!(metadata[NewObject::TOKEN].len(), 32);
    }
}

#[tokio::test]
async fn what_is_published_is_what_s3_answered() {
    for len in [0, 1, PART + 1] {
        for is_versioned in [false, true] {
            let mut fixture = UploadFixture::new();
            if is_versioned {
                fixture.bucket = Arc::new(MemoryBucket::versioned());
            }
            let mut upload = fixture.start().await;
            write_all(&mut upload, &content(len)).await.unwrap();
            let StoredUpload { published, in_parts_for, .. } = stored(upload, Condition::Always).await;
            assert_eq!(in_parts_for.is_some(), len > PART);
            let there = fixture.bucket.head(&published.key).await.unwrap();
            assert_eq!((published.key.as_str(), published.size), ("x", len as u64));
            assert_eq!(published.version.is_some(), is_versioned);
            let Published { etag, version, .. } = published;
            assert_eq!(Pin { etag, version }, there.pin);
            assert_eq!(published.checksum, Some(crc_fast::checksum(Crc64Nvme, &content(len))));
            assert!(published.request_id.is_some());
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_our_own_success_is_success() {
    let conflict = || Error::Conflict { request: "R1".into() };
    for (len, verb, error) in [
        (1, Verb::Put, lost()),
        (1, Verb::Put, conflict()),
        (PART + 1, Verb::CompleteUpload, lost()),
        (PART + 1, Verb::CompleteUpload, Error::NotFound),
    ] {
        let fixture = UploadFixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        fixture.bucket.fail(verb, Answer, error);
        let StoredUpload { published, .. } = stored(upload, Condition::Absent).await;
        assert_eq!(fixture.bucket.count(Verb::Head), 1);
        assert_eq!(fixture.bucket.count(Verb::AbortUpload), 0);
        let there = fixture.bucket.head(&published.key).await.unwrap();
        assert_eq!(
            (published.etag, published.version, published.size),
            (there.pin.etag, there.pin.version, len as u64)
        );
        assert_eq!((published.checksum, published.request_id), (None, None), "the answer had them");
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn anothers_object_is_not_our_success() {
    for (len, verb, error) in [(1, Verb::Put, lost()), (PART + 1, Verb::CompleteUpload, Error::NotFound)] {
        let fixture = UploadFixture::new();
        fixture.bucket.insert_with("x", "theirs", [(NewObject::TOKEN.to_owned(), "0".repeat(32))].into());
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        fixture.bucket.fail(verb, Request, error);
        upload.finish(Condition::Always).await.unwrap_err();
        assert_eq!(fixture.bucket.count(Verb::Head), 1);
        fixture.assert_stored("x", b"theirs");
    }
}

#[tokio::test]
async fn absent_means_absent() {
    for len in [1, PART + 1] {
        let fixture = UploadFixture::new();
        fixture.bucket.insert("x", "theirs");
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert!(matches!(upload.finish(Condition::Absent).await, Err(UploadError::Storage(Error::Conflict { .. }))));
        fixture.assert_stored("x", b"theirs");
    }
}
