//! Requests to S3 on the wire, header by header, and answers that a well-behaved store seldom gives.

use crate::support::{
    scope,
    wire::{RecordedRequest, Wire, answer},
};
use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wharfinger::{
    account::{
        BaseCredentials, BucketAddress, Checksums, Encryption, ObjectSettings, ObjectTag, PayloadSigning, Secret,
        Storage, StorageCredentials,
    },
    name::{BucketId, Key, Prefix},
    store::{
        Bucket, Condition, ETag, Error, Headers, ListScope, MultipartUpload, NewObject, Part, Payload, Pin,
        RemovalCondition, UploadId, VersionId,
    },
};

const OWNER: &str = "111122223333";

#[tokio::test]
async fn a_put_goes_out_unsigned_with_its_checksum_and_length() {
    let wire = Wire::answering([stored()]).await;
    let bucket = bucket(storage(&wire)).await;
    let object = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), ..NewObject::default() };
    bucket.put(&key(), payload(), &object, Condition::Absent).await.unwrap();
    let asked = &wire.asked()[0];
    assert_eq!(asked.line, "PUT /vendor/acme/a%20b?x-id=PutObject");
    assert_eq!(asked.body, b"goods");
    let expected = [
        ("content-length", "5"),
        ("content-type", "application/octet-stream"),
        ("if-none-match", "*"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-checksum-crc64nvme", CHECKSUM),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-expected-bucket-owner", OWNER),
        ("x-amz-meta-mtime", "17"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging", "origin=sftp%2F1"),
    ];
    assert_eq!(said(asked), expected);
}

#[tokio::test]
async fn what_is_told_of_bytes_is_read_from_a_head_and_said_again() {
    const SAID: [(&str, &str); 7] = [
        ("cache-control", "no-store"),
        ("content-disposition", "inline"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-type", "text/csv"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("x-amz-website-redirect-location", "/b"),
    ];
    let created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let told = [("etag", "\"e\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
    let head = answer(200, &[&SAID[..], &told].concat(), "");
    let wire = Wire::answering([head, stored(), answer(200, &[], created)]).await;
    let bucket = bucket(storage(&wire)).await;
    let headers = bucket.head(&key()).await.unwrap().headers;
    assert_eq!(headers.content_type.as_deref(), Some("text/csv"));
    let object = NewObject { headers, ..NewObject::default() };
    bucket.put(&key(), payload(), &object, Condition::Always).await.unwrap();
    bucket.create_upload(&key(), &object).await.unwrap();
    for asked in &wire.asked()[1..] {
        for (name, value) in SAID {
            assert_eq!(asked.header(name), Some(value), "{name} in {}", asked.line);
        }
    }
}

#[tokio::test]
async fn the_answer_about_a_stored_object_is_returned_whole() {
    let ids = [("x-amz-request-id", "R1"), ("x-amz-version-id", "v1")];
    let put = [&ids[..], &[("etag", "\"e\""), ("x-amz-checksum-crc64nvme", CHECKSUM)]].concat();
    let checked = format!("<ETag>\"e\"</ETag><ChecksumCRC64NVME>{CHECKSUM}</ChecksumCRC64NVME>");
    let completed = format!("<CompleteMultipartUploadResult>{checked}</CompleteMultipartUploadResult>");
    let copied = format!("<CopyObjectResult>{checked}</CopyObjectResult>");
    let answers = [answer(200, &put, ""), answer(200, &ids, &completed), answer(200, &ids, &copied), stored()];
    let wire = Wire::answering(answers).await;
    let bucket = bucket(storage(&wire)).await;
    let (object, etag) = (NewObject::default(), ETag("\"e\"".to_owned()));
    let pin = Pin { etag: etag.clone(), version: None };
    let part = Part { number: 1, etag: etag.clone(), size: 5, crc64: None };
    for said in [
        bucket.put(&key(), payload(), &object, Condition::Always).await,
        bucket.complete_upload(&key(), &UploadId("u".to_owned()), &[part], Condition::Always).await,
        bucket.copy(&key(), &pin, &key(), Some(&object), Condition::Always).await,
    ] {
        let said = said.unwrap();
        assert_eq!(said.pin, Pin { etag: etag.clone(), version: Some(VersionId("v1".to_owned())) });
        assert_eq!((said.crc64, said.request_id.as_deref()), (Some(payload().crc64), Some("R1")));
    }
    let said = bucket.put(&key(), payload(), &object, Condition::Always).await.unwrap();
    assert_eq!((said.pin.version, said.crc64, said.request_id), (None, None, None), "a store that says less");
}

#[tokio::test]
async fn a_signed_payload_is_hashed_and_a_store_without_crc64_gets_none() {
    let wire = Wire::answering([stored(), stored()]).await;
    let storage =
        Storage { payload_signing: PayloadSigning::Signed, checksums: Checksums::WhenRequired, ..bare(&wire) };
    let bucket = bucket(storage).await;
    bucket.put(&key(), payload(), &NewObject::default(), Condition::Always).await.unwrap();
    bucket.upload_part(&key(), &UploadId("u".to_owned()), 1, payload()).await.unwrap();
    let sha256 = hex::encode(Sha256::digest(b"goods"));
    for asked in wire.asked() {
        assert_eq!(asked.body, b"goods");
        let expected = [
            ("content-length", "5"),
            ("content-type", "application/octet-stream"),
            ("x-amz-content-sha256", sha256.as_str()),
        ];
        assert_eq!(said(&asked), expected, "{}", asked.line);
    }
}

#[tokio::test]
async fn a_multipart_upload_is_checked_part_by_part_and_as_a_whole() {
    let created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let completed = "<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag></CompleteMultipartUploadResult>";
    let wire = Wire::answering([answer(200, &[], created), stored(), stored(), answer(200, &[], completed)]).await;
    let bucket = bucket(storage(&wire)).await;
    let object = NewObject::default();
    let upload = bucket.create_upload(&key(), &object).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=2 {
        parts.push(bucket.upload_part(&key(), &upload, number, payload()).await.unwrap());
    }
    let stored = bucket.complete_upload(&key(), &upload, &parts, Condition::Absent).await.unwrap();
    assert_eq!(stored.pin, Pin { etag: ETag("\"e-2\"".to_owned()), version: None });

    let asked = wire.asked();
    let says = |asked: &RecordedRequest, name: &str| asked.header(name).map(str::to_owned);
    assert_eq!(says(&asked[0], "x-amz-checksum-algorithm").as_deref(), Some("CRC64NVME"));
    assert_eq!(says(&asked[0], "x-amz-checksum-type").as_deref(), Some("FULL_OBJECT"));
    assert_eq!(says(&asked[0], "x-amz-server-side-encryption-aws-kms-key-id").as_deref(), Some("key"));
    assert_eq!(asked[1].line, "PUT /vendor/acme/a%20b?x-id=UploadPart&partNumber=1&uploadId=u");
    let part = [
        ("content-length", "5"),
        ("content-type", "application/octet-stream"),
        ("x-amz-checksum-crc64nvme", CHECKSUM),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-expected-bucket-owner", OWNER),
        ("x-amz-request-payer", "requester"),
    ];
    assert_eq!(said(&asked[1]), part);
    let whole = crc_fast::checksum(Crc64Nvme, b"goodsgoods").to_be_bytes();
    assert_eq!(says(&asked[3], "x-amz-checksum-crc64nvme"), Some(base64(whole)));
    assert_eq!(says(&asked[3], "x-amz-checksum-type").as_deref(), Some("FULL_OBJECT"));
    assert_eq!(says(&asked[3], "x-amz-mp-object-size").as_deref(), Some("10"));
    assert_eq!(says(&asked[3], "if-none-match").as_deref(), Some("*"));
}

#[tokio::test]
async fn a_copy_names_both_ends_exactly() {
    let copied =
        "<CopyObjectResult><ETag>\"e\"</ETag><LastModified>2026-11-23T22:21:51.000Z</LastModified></CopyObjectResult>";
    let wire = Wire::answering([answer(200, &[], copied)]).await;
    let bucket = bucket(storage(&wire)).await;
    let source = below().key("a+b?c#d%2e é").unwrap();
    let copy = bucket.copy(&source, &pin(None), &key(), None, Condition::Absent).await.unwrap();
    assert_eq!((copy.pin.etag, copy.modified), (ETag("\"e\"".into()), Some(1_795_472_511)));
    let asked = &wire.asked()[0];
    assert_eq!(asked.line, "PUT /vendor/acme/a%20b?x-id=CopyObject");
    let expected = [
        ("if-none-match", "*"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-copy-source", "vendor/acme/a%2Bb%3Fc%23d%252e%20%C3%A9"),
        ("x-amz-copy-source-if-match", "\"e\""),
        ("x-amz-expected-bucket-owner", OWNER),
        ("x-amz-metadata-directive", "COPY"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-source-expected-bucket-owner", OWNER),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging-directive", "COPY"),
    ];
    assert_eq!(said_but(asked, &["content-length", "x-amz-content-sha256"]), expected);
}

#[tokio::test]
async fn every_request_names_the_owner_of_the_bucket() {
    let refused = || answer(403, &[], "");
    let wire = Wire::answering((0..7).map(|_| refused())).await;
    let bucket = bucket(storage(&wire)).await;
    let upload = UploadId("u".to_owned());
    assert!(bucket.head(&key()).await.is_err());
    assert!(bucket.read(&key(), 0..1, None).await.is_err());
    assert!(bucket.abort_upload(&key(), &upload).await.is_err());
    assert!(bucket.remove(&key(), RemovalCondition::Matches(pin(None).etag)).await.is_err());
    assert!(bucket.list(ListScope::Below(&below()), None, 1).await.is_err());
    assert!(bucket.list_parts(&key(), &upload, 0).await.is_err());
    assert!(bucket.list_uploads(&below(), None).await.is_err());
    let asked = wire.asked();
    assert_eq!(asked.len(), 7);
    for asked in &asked {
        assert_eq!(asked.header("x-amz-expected-bucket-owner"), Some(OWNER), "{}", asked.line);
    }
    assert_eq!(asked[3].header("if-match"), Some("\"e\""));
    assert_eq!(asked[4].line, "GET /vendor/?list-type=2&encoding-type=url&max-keys=1&prefix=acme%2F");
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error() {
    let error = "<Error><Code>InvalidRequest</Code><Message>no</Message><RequestId>R1</RequestId></Error>";
    let wire = Wire::answering([answer(200, &[], error), answer(200, &[], error)]).await;
    let bucket = bucket(storage(&wire)).await;
    let copied = bucket.copy(&key(), &pin(None), &key(), None, Condition::Always).await;
    assert!(matches!(&copied, Err(Error::Refused { code, .. }) if code == "InvalidRequest"), "{copied:?}");
    let upload = UploadId("u".to_owned());
    let completed = bucket.complete_upload(&key(), &upload, &[], Condition::Always).await;
    assert!(matches!(&completed, Err(Error::Refused { code, .. }) if code == "InvalidRequest"), "{completed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_after_an_error_and_after_a_race() {
    let raced = "<Error><Code>ConditionalRequestConflict</Code></Error>";
    let wire = Wire::answering([answer(500, &[], ""), answer(409, &[], raced), stored()]).await;
    let bucket = bucket(storage(&wire)).await;
    bucket.put(&key(), payload(), &NewObject::default(), Condition::Absent).await.unwrap();
    let bodies: Vec<_> = wire.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, [b"goods"; 3]);
}

// S135: A deletion whose answer from S3 was lost, or was 503, counts as done by the session that asked for it, if …
#[tokio::test(start_paused = true)]
async fn a_deletion_tells_its_own_success_from_anothers() {
    let (gone, raced) = (|| answer(404, &[], "<Error><Code>NoSuchKey</Code></Error>"), "ConditionalRequestConflict");
    let raced = || answer(409, &[], &format!("<Error><Code>{raced}</Code></Error>"));
    let (forbidden, changed) = (|| answer(403, &[], ""), || answer(412, &[], ""));
    let (failed, done) = (|| answer(500, &[], ""), || answer(204, &[], ""));
    // The connection closes without an answer.
    let silence = String::new;
    let (present, pinned) = (RemovalCondition::Present, RemovalCondition::Matches(pin(None).etag));
    for condition in [present, pinned] {
        let cases = [
            (vec![done()], "done"),
            (vec![gone()], "another's"),
            (vec![raced(), gone()], "another's"),
            (vec![failed(), gone()], "done"),
            (vec![silence(), gone()], "done"),
            (vec![silence(), raced(), gone()], "done"),
            (vec![forbidden()], "forbidden"),
            (vec![silence(), forbidden()], "unknown"),
            (vec![raced(), done()], "done"),
            (vec![changed()], "changed"),
            (vec![silence(), changed()], "unknown"),
        ];
        for (answers, expected) in cases {
            let (count, said) = (answers.len(), format!("{condition:?} {answers:?}"));
            let wire = Wire::answering(answers).await;
            let removed = bucket(storage(&wire)).await.remove(&key(), condition.clone()).await;
            let found = match &removed {
                Ok(()) => "done",
                Err(Error::NotFound) => "another's",
                Err(Error::Forbidden { .. }) => "forbidden",
                Err(Error::Conflict { .. }) => "changed",
                Err(Error::Unreachable(_)) => "unknown",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{said}");
            let value = if condition == RemovalCondition::Present { "*" } else { "\"e\"" };
            let asked = wire.asked();
            assert_eq!(asked.len(), count, "{said}");
            assert!(asked.iter().all(|asked| asked.header("if-match") == Some(value)), "{said}");
        }
    }
    let wire = Wire::answering([gone()]).await;
    bucket(storage(&wire)).await.remove(&key(), RemovalCondition::Always).await.unwrap();
    assert_eq!(wire.asked()[0].header("if-match"), None);
}

#[tokio::test]
async fn a_copy_says_what_it_is_given_and_keeps_the_tags() {
    let copied = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
    let wire = Wire::answering([answer(200, &[], copied)]).await;
    let headers = Headers {
        cache_control: Some("no-store".to_owned()),
        content_type: Some("text/csv".to_owned()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        ..Headers::default()
    };
    let object = NewObject { metadata: [("mtime".to_owned(), "17".to_owned())].into(), headers };
    let source = below().key("a").unwrap();
    let bucket = bucket(storage(&wire)).await;
    let copy = bucket.copy(&source, &pin(None), &key(), Some(&object), Condition::Always).await.unwrap();
    assert_eq!(copy.modified, None, "not every store says it");
    let asked = &wire.asked()[0];
    for (name, value) in [
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging-directive", "COPY"),
        ("x-amz-copy-source-if-match", "\"e\""),
        ("x-amz-meta-mtime", "17"),
        ("content-type", "text/csv"),
        ("cache-control", "no-store"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_pinned_read_continues_with_the_version_of_its_pin() {
    let changed = || answer(412, &[], "<Error><Code>PreconditionFailed</Code></Error>");
    let wire =
        Wire::answering([changed(), got("bytes 0-4/5", "goods"), changed(), changed(), answer(403, &[], "")]).await;
    let bucket = bucket(storage(&wire)).await;
    let pinned = pin(Some("v1"));
    let read = bucket.read(&key(), 0..5, Some(&pinned)).await.unwrap();
    assert_eq!(read.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"goods");
    assert!(matches!(bucket.read(&key(), 0..5, Some(&pin(None))).await, Err(Error::Conflict { .. })));
    assert!(matches!(bucket.read(&key(), 0..5, Some(&pinned)).await, Err(Error::Conflict { .. })));
    let lines: Vec<_> =
        wire.asked().into_iter().map(|asked| (asked.line.contains("versionId=v1"), asked.headers)).collect();
    assert_eq!(lines.iter().map(|(versioned, _)| *versioned).collect::<Vec<_>>(), [false, true, false, false, true]);
    assert!(lines.iter().all(|(_, headers)| headers["if-match"] == "\"e\"" && headers["range"] == "bytes=0-4"));
}

#[tokio::test]
async fn a_pinned_read_outlives_the_removal_of_its_object_in_a_versioned_bucket() {
    let removed = || answer(404, &[("x-amz-delete-marker", "true")], "<Error><Code>NoSuchKey</Code></Error>");
    // The answer to a role that may list only a prefix.
    let denied = || answer(403, &[], "<Error><Code>AccessDenied</Code></Error>");
    for missing in [removed(), denied()] {
        let wire = Wire::answering([missing.clone(), got("bytes 0-4/5", "goods"), missing.clone()]).await;
        let bucket = bucket(storage(&wire)).await;
        let read = bucket.read(&key(), 0..5, Some(&pin(Some("v1")))).await.unwrap();
        assert_eq!(read.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"goods");
        let gone = bucket.read(&key(), 0..5, Some(&pin(None))).await;
        assert!(matches!(gone, Err(Error::NotFound | Error::Forbidden { .. })), "{gone:?}");
        assert_eq!(wire.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_truncated_body_is_an_error() {
    let cut_off = got("bytes 0-4/5", "goods").replace("goods", "go");
    let wire = Wire::answering([cut_off]).await;
    let read = bucket(storage(&wire)).await.read(&key(), 0..5, None).await.unwrap();
    let bytes = read.body.try_collect::<Vec<_>>().await;
    assert!(matches!(bytes, Err(Error::Unreachable(_) | Error::Broken(_))), "{bytes:?}");
}

#[tokio::test]
async fn refusals_say_what_s3_said() {
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    let wire = Wire::answering([
        answer(403, &[("x-amz-request-id", "R1")], denied),
        answer(416, &[("content-range", "bytes */3")], "<Error><Code>InvalidRange</Code></Error>"),
        answer(403, &[], "<Error><Code>InvalidObjectState</Code></Error>"),
        answer(404, &[], ""),
    ])
    .await;
    let bucket = bucket(storage(&wire)).await;
    let read = async || bucket.read(&key(), 7..9, None).await.unwrap_err();
    assert_eq!(read().await.to_string(), "S3 denied access (AccessDenied, HTTP 403, request R1: no)");
    assert!(matches!(read().await, Error::RangeNotSatisfiable { size: Some(3) }));
    assert!(matches!(read().await, Error::Archived));
    assert!(matches!(bucket.head(&key()).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_listing_holds_names_that_xml_cannot() {
    let listing = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>\
        <Contents><Key>acme/a%01+%2B</Key><Size>1</Size><ETag>\"e\"</ETag><LastModified>2026-11-23T22:21:51Z</LastModified>\
        </Contents></ListBucketResult>";
    let wire = Wire::answering([answer(200, &[], listing)]).await;
    let page = bucket(storage(&wire)).await.list(ListScope::Below(&below()), None, 1000).await.unwrap();
    assert_eq!(page.objects[0].raw_key, "acme/a\u{1} +");
    assert!(page.next.is_none());
}

#[tokio::test]
async fn a_list_of_parts_continues_behind_a_number() {
    let parts = "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>9</NextPartNumberMarker>\
        <Part><PartNumber>8</PartNumber><Size>5</Size><ETag>\"e\"</ETag>\
        <ChecksumCRC64NVME>AsaBc3BK4Vs=</ChecksumCRC64NVME></Part>\
        <Part><PartNumber>9</PartNumber><Size>0</Size><ETag>e</ETag></Part></ListPartsResult>";
    let gone = "<Error><Code>NoSuchUpload</Code></Error>";
    let wire = Wire::answering([answer(200, &[], parts), answer(404, &[], gone)]).await;
    let bucket = bucket(storage(&wire)).await;
    let page = bucket.list_parts(&key(), &UploadId("u".to_owned()), 7).await.unwrap();
    assert!(page.more);
    let read: Vec<_> = page.parts.iter().map(|part| (part.number, part.size, &*part.etag.0, part.crc64)).collect();
    let crc64 = crc_fast::checksum(Crc64Nvme, b"goods");
    assert_eq!(read, [(8, 5, "\"e\"", Some(crc64)), (9, 0, "\"e\"", None)]);
    let gone = bucket.list_parts(&key(), &UploadId("u".to_owned()), 9).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
    let line = "GET /vendor/acme/a%20b?x-id=ListParts&max-parts=1000&part-number-marker=7&uploadId=u";
    assert_eq!(wire.asked()[0].line, line);
}

#[tokio::test]
async fn a_list_of_uploads_says_who_began_them_and_continues_behind_one() {
    let uploads = "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextKeyMarker>acme/a%01+%2B</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker>\
        <Upload><Key>acme/a%01+%2B</Key><UploadId>u1</UploadId><Initiated>2026-11-23T22:21:51Z</Initiated>\
        <Initiator><ID>arn:aws:sts::111122223333:assumed-role/r/s</ID></Initiator></Upload>\
        </ListMultipartUploadsResult>";
    let wire = Wire::answering([answer(200, &[], uploads), answer(200, &[], "<ListMultipartUploadsResult/>")]).await;
    let bucket = bucket(storage(&wire)).await;
    let page = bucket.list_uploads(&below(), None).await.unwrap();
    let expected = MultipartUpload {
        raw_key: "acme/a\u{1} +".to_owned(),
        upload: UploadId("u1".to_owned()),
        initiated: 1_795_472_511,
        initiator: Some("arn:aws:sts::111122223333:assumed-role/r/s".to_owned()),
    };
    assert_eq!(page.uploads, [expected]);
    let last = bucket.list_uploads(&below(), page.next.as_ref()).await.unwrap();
    assert_eq!((last.uploads, last.next), (vec![], None));
    let lines: Vec<_> = wire.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[0], "GET /vendor/?uploads&encoding-type=url&max-uploads=1000&prefix=acme%2F");
    assert_eq!(
        lines[1],
        "GET /vendor/?uploads&encoding-type=url&key-marker=acme%2Fa%01%20%2B&max-uploads=1000&prefix=acme%2F\
         &upload-id-marker=u1"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_nobody_listens_at_is_unreachable() {
    let wire = Wire::answering([]).await;
    let storage = storage(&wire);
    wire.close().await;
    let head = bucket(storage).await.head(&key()).await.unwrap_err();
    assert!(matches!(head, Error::Unreachable(_)), "{head:?}");
    assert!(head.to_string().ends_with("Connection refused (os error 111)"), "{head}");
    assert!(!head.to_string().contains('{'), "{head}");
}

/// base64 of the big-endian CRC-64/NVME of `goods`.
const CHECKSUM: &str = "AsaBc3BK4Vs=";

fn base64(bytes: [u8; 8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

/// The headers that this crate determines. Headers that change with each request, or only name the SDK, are left out.
fn said(asked: &RecordedRequest) -> Vec<(&str, &str)> {
    said_but(asked, &[])
}

fn said_but<'a>(asked: &'a RecordedRequest, also: &[&str]) -> Vec<(&'a str, &'a str)> {
    const OF_THE_SDK: [&str; 7] = [
        "accept",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "host",
        "user-agent",
        "x-amz-user-agent",
    ];
    let headers = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, _)| *name != "x-amz-date" && !OF_THE_SDK.contains(name) && !also.contains(name)).collect()
}

fn stored() -> String {
    answer(200, &[("etag", "\"e\"")], "")
}

fn got(content_range: &str, body: &str) -> String {
    let modified = ("last-modified", "Mon, 23 Nov 2026 22:21:51 GMT");
    answer(206, &[("etag", "\"e\""), modified, ("content-range", content_range)], body)
}

async fn bucket(storage: Storage) -> Arc<dyn Bucket> {
    scope::bucket(storage, "").await
}

/// A bucket with every setting that adds headers to requests.
fn storage(wire: &Wire) -> Storage {
    Storage {
        expected_bucket_owner: Some(OWNER.to_owned()),
        objects: ObjectSettings {
            storage_class: Some("STANDARD_IA".to_owned()),
            encryption: Encryption::SseKms { key: Some("key".to_owned()), bucket_key: Some(true) },
            bucket_owner_full_control: true,
            tags: vec![ObjectTag { key: "origin".to_owned(), value: "sftp/1".to_owned() }],
            requester_pays: true,
        },
        ..bare(wire)
    }
}

fn bare(wire: &Wire) -> Storage {
    Storage {
        id: BucketId::new("vendor", Some(&wire.endpoint())),
        prefix: Prefix::parse("").unwrap(),
        bucket: "vendor".to_owned(),
        region: "eu-central-1".to_owned(),
        endpoint: Some(wire.endpoint()),
        address: BucketAddress::default(),
        path_style: true,
        expected_bucket_owner: None,
        source_vpc_endpoints: Vec::new(),
        objects: ObjectSettings::default(),
        payload_signing: PayloadSigning::default(),
        checksums: Checksums::default(),
        credentials: StorageCredentials {
            base: BaseCredentials::Static {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: Secret::from("secret".to_owned()),
            },
            role: None,
        },
    }
}

fn pin(version: Option<&str>) -> Pin {
    Pin { etag: ETag("\"e\"".to_owned()), version: version.map(|version| VersionId(version.to_owned())) }
}

fn below() -> Prefix {
    Prefix::parse("acme/").unwrap()
}

fn key() -> Key {
    below().key("a b").unwrap()
}

/// `goods`, in two pieces.
fn payload() -> Payload {
    let pieces = vec![Bytes::from_static(b"goo"), Bytes::from_static(b"ds")];
    Payload { pieces, crc64: crc_fast::checksum(Crc64Nvme, b"goods") }
}
