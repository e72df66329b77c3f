//! The headers of a tenant's settings of objects, on each kind of request, and the buckets that demand one.

use crate::support::{
    scope,
    wire::{RecordedRequest, Wire, answer},
};
use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use fake_aws::{
    AwsSettings, BucketSettings, FakeAws, StorageKind,
    iam::{IamUser, Policy},
};
use std::sync::Arc;
use wharfinger::{
    account::{Encryption, ObjectSettings, ObjectTag, Storage},
    name::Prefix,
    store::{
        Bucket, Condition, ETag, Error, ListScope, NewObject, Part, Payload, Pin, RemovalCondition, UploadId, VersionId,
    },
};

/// The kinds of requests that create an object.
const CREATIONS: [&str; 4] = ["PutObject", "CreateMultipartUpload", "CreateMultipartUpload of a copy", "CopyObject"];

/// Sends a request of each kind in a bucket with these settings. Returns the requests with the names of their kinds.
async fn requests(objects: ObjectSettings) -> Vec<(&'static str, RecordedRequest)> {
    let created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let copied = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
    let completed = "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>";
    let told = [("etag", "\"e\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
    let tagged = [&told[..], &[("x-amz-tagging-count", "1")]].concat();
    let tags = "<Tagging><TagSet><Tag><Key>of</Key><Value>source</Value></Tag></TagSet></Tagging>";
    let kinds = [
        ("PutObject", answer(200, &[("etag", "\"e\"")], "")),
        ("CreateMultipartUpload", answer(200, &[], created)),
        ("HeadObject of a source", answer(200, &tagged, "")),
        ("GetObjectTagging", answer(200, &[], tags)),
        ("CreateMultipartUpload of a copy", answer(200, &[], created)),
        ("CopyObject", answer(200, &[], copied)),
        ("UploadPart", answer(200, &[("etag", "\"e\"")], "")),
        ("UploadPartCopy", answer(200, &[], "<CopyPartResult><ETag>\"e\"</ETag></CopyPartResult>")),
        ("CompleteMultipartUpload", answer(200, &[], completed)),
        ("AbortMultipartUpload", answer(204, &[], "")),
        ("ListParts", answer(200, &[], "<ListPartsResult/>")),
        ("ListMultipartUploads", answer(200, &[], "<ListMultipartUploadsResult/>")),
        ("HeadObject", answer(200, &told, "")),
        ("GetObject", answer(412, &[], "")),
        ("GetObject of a version", answer(403, &[], "")),
        ("ListObjectsV2", answer(200, &[], "<ListBucketResult/>")),
        ("DeleteObject", answer(204, &[], "")),
        ("DeleteObjects", answer(200, &[], "<DeleteResult/>")),
    ];
    let (names, answers): (Vec<_>, Vec<_>) = kinds.into_iter().unzip();
    let wire = Wire::answering(answers).await;
    let storage = Storage { objects, ..scope::storage("vendor", &wire.endpoint(), "AKIDEXAMPLE", "secret") };
    send_each(&scope::bucket(storage, "").await).await;
    let asked = wire.asked();
    assert_eq!(asked.len(), names.len());
    names.into_iter().zip(asked).collect()
}

async fn send_each(bucket: &Arc<dyn Bucket>) {
    let below = Prefix::parse("acme/").unwrap();
    let (key, source) = (below.key("a").unwrap(), below.key("b").unwrap());
    let (object, upload) = (NewObject::default(), UploadId("u".to_owned()));
    let pin = Pin { etag: ETag("\"e\"".to_owned()), version: Some(VersionId("v".to_owned())) };
    let part = Part { number: 1, etag: pin.etag.clone(), size: 5, crc64: None };
    bucket.put(&key, payload(), &object, Condition::Always).await.unwrap();
    bucket.create_upload(&key, &object).await.unwrap();
    bucket.create_copy(&key, &source, &pin, &object).await.unwrap();
    bucket.copy(&source, &pin, &key, None, Condition::Always).await.unwrap();
    bucket.upload_part(&key, &upload, 1, payload()).await.unwrap();
    bucket.copy_part(&key, &upload, 1, &source, &pin, 0..5).await.unwrap();
    bucket.complete_upload(&key, &upload, &[part], Condition::Always).await.unwrap();
    bucket.abort_upload(&key, &upload).await.unwrap();
    bucket.list_parts(&key, &upload, 0).await.unwrap();
    bucket.list_uploads(&below, None).await.unwrap();
    bucket.head(&key).await.unwrap();
    bucket.read(&key, 0..5, Some(&pin)).await.unwrap_err();
    bucket.list(ListScope::Below(&below), None, 1).await.unwrap();
    bucket.remove(&key, RemovalCondition::Always).await.unwrap();
    bucket.remove_many(&[(key, pin)]).await.unwrap();
}

fn payload() -> Payload {
    Payload { pieces: vec![Bytes::from_static(b"goods")], crc64: crc_fast::checksum(Crc64Nvme, b"goods") }
}

fn encrypted(encryption: Encryption) -> ObjectSettings {
    ObjectSettings { encryption, ..ObjectSettings::default() }
}

#[tokio::test]
async fn encryption_is_told_where_an_object_begins_and_nowhere_else() {
    const HEADERS: [&str; 3] = [
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-bucket-key-enabled",
    ];
    let key = || Some("key".to_owned());
    for (encryption, expected) in [
        (Encryption::Bucket, [None, None, None]),
        (Encryption::SseS3, [Some("AES256"), None, None]),
        (Encryption::SseKms { key: None, bucket_key: None }, [Some("aws:kms"), None, None]),
        (Encryption::SseKms { key: key(), bucket_key: Some(true) }, [Some("aws:kms"), Some("key"), Some("true")]),
        (Encryption::SseKms { key: key(), bucket_key: Some(false) }, [Some("aws:kms"), Some("key"), Some("false")]),
        (Encryption::DsseKms { key: None }, [Some("aws:kms:dsse"), None, None]),
        (Encryption::DsseKms { key: key() }, [Some("aws:kms:dsse"), Some("key"), None]),
    ] {
        for (kind, asked) in requests(encrypted(encryption.clone())).await {
            let said = HEADERS.map(|name| asked.header(name));
            let expected = if CREATIONS.contains(&kind) { expected } else { [None; 3] };
            assert_eq!(said, expected, "{kind} with {encryption:?}");
        }
    }
}

#[tokio::test]
async fn a_storage_class_is_told_where_an_object_begins_and_nowhere_else() {
    let settings = ObjectSettings { storage_class: Some("STANDARD_IA".to_owned()), ..ObjectSettings::default() };
    for (kind, asked) in requests(settings).await {
        let expected = CREATIONS.contains(&kind).then_some("STANDARD_IA");
        assert_eq!(asked.header("x-amz-storage-class"), expected, "{kind}");
    }
}

#[tokio::test]
async fn every_request_says_that_its_sender_pays() {
    let payer = ObjectSettings { requester_pays: true, ..ObjectSettings::default() };
    for (settings, expected) in [(ObjectSettings::default(), None), (payer, Some("requester"))] {
        for (kind, asked) in requests(settings).await {
            assert_eq!(asked.header("x-amz-request-payer"), expected, "{kind}");
            let signature = asked.header("authorization").unwrap();
            assert_eq!(signature.contains("x-amz-request-payer"), expected.is_some(), "{kind}: {signature}");
        }
    }
}

#[tokio::test]
async fn an_acl_is_told_where_an_object_begins_and_nowhere_else() {
    let controlled = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
    for (settings, acl) in [(ObjectSettings::default(), None), (controlled, Some("bucket-owner-full-control"))] {
        for (kind, asked) in requests(settings).await {
            assert_eq!(asked.header("x-amz-acl"), acl.filter(|_| CREATIONS.contains(&kind)), "{kind}");
        }
    }
}

#[tokio::test]
async fn tags_are_told_with_new_files_and_copies_keep_those_of_their_source() {
    let tag = |key: &str, value: &str| ObjectTag { key: key.to_owned(), value: value.to_owned() };
    let tags = vec![tag("cost centre", "a=b&c+d"), tag("größe", "")];
    let tagged = ObjectSettings { tags, ..ObjectSettings::default() };
    let query = "cost%20centre=a%3Db%26c%2Bd&gr%C3%B6%C3%9Fe=";
    for (settings, of_tenant) in [(ObjectSettings::default(), None), (tagged, Some(query))] {
        for (kind, asked) in requests(settings).await {
            let expected = match kind {
                "PutObject" | "CreateMultipartUpload" => of_tenant,
                "CreateMultipartUpload of a copy" => Some("of=source"),
                _ => None,
            };
            assert_eq!(asked.header("x-amz-tagging"), expected, "{kind}");
            let directive = asked.header("x-amz-tagging-directive");
            assert_eq!(directive, (kind == "CopyObject").then_some("COPY"), "{kind}");
        }
    }
}

/// The tags of a copy in parts, for a tenant with tags whose store answers to HEAD without their number.
async fn tags_of_copy(tags: String) -> Result<Option<String>, Error> {
    let created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let told = [("etag", "\"e\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
    let wire = Wire::answering(vec![answer(200, &told, ""), tags, answer(200, &[], created)]).await;
    let tag = ObjectTag { key: "of".to_owned(), value: "tenant".to_owned() };
    let objects = ObjectSettings { tags: vec![tag], ..ObjectSettings::default() };
    let storage = Storage { objects, ..scope::storage("vendor", &wire.endpoint(), "AKIDEXAMPLE", "secret") };
    let below = Prefix::parse("acme/").unwrap();
    let (key, source) = (below.key("a").unwrap(), below.key("b").unwrap());
    let pin = Pin { etag: ETag("\"e\"".to_owned()), version: None };
    scope::bucket(storage, "").await.create_copy(&key, &source, &pin, &NewObject::default()).await?;
    Ok(wire.asked().pop().unwrap().header("x-amz-tagging").map(str::to_owned))
}

#[tokio::test]
async fn a_copy_of_a_tenant_with_tags_reads_them_even_if_their_number_is_not_told() {
    let tags = "<Tagging><TagSet><Tag><Key>of</Key><Value>source</Value></Tag></TagSet></Tagging>";
    let copied = tags_of_copy(answer(200, &[], tags)).await.unwrap();
    assert_eq!(copied.as_deref(), Some("of=source"));
    let none = answer(200, &[], "<Tagging><TagSet/></Tagging>");
    assert_eq!(tags_of_copy(none).await.unwrap(), None);
    for body in ["", "<Error><Code>NotImplemented</Code></Error>"] {
        assert_eq!(tags_of_copy(answer(501, &[], body)).await.unwrap(), None, "the store has no tags");
    }
    let denied = tags_of_copy(answer(403, &[], "<Error><Code>AccessDenied</Code></Error>")).await;
    assert!(matches!(denied, Err(Error::Forbidden { .. })), "{denied:?}");
}

#[tokio::test]
async fn a_bucket_with_requester_pays_serves_a_tenant_of_another_account_that_pays() {
    let user = |account: &str, name: &str| IamUser {
        account: account.parse().unwrap(),
        name: name.to_owned(),
        access_key_id: name.to_owned(),
        secret_access_key: "secret".to_owned(),
        policy: Policy::everything(),
    };
    let settings = BucketSettings { public_read: true, requester_pays: true, ..BucketSettings::default() };
    let aws = FakeAws::start(AwsSettings {
        users: vec![user("111122223333", "owner"), user("444455556666", "reader")],
        buckets: vec![("exchange".to_owned(), "111122223333".parse().unwrap())],
        bucket_settings: [("exchange".to_owned(), settings)].into(),
        ..AwsSettings::one_user("", "", &[], StorageKind::Memory { max_bytes: 1 << 20 })
    });
    let aws = aws.await.unwrap();
    let bucket = async |user: &str, requester_pays: bool| {
        let storage = scope::storage("exchange", &format!("http://{}", aws.address), user, "secret");
        let objects = ObjectSettings { requester_pays, ..ObjectSettings::default() };
        scope::bucket(Storage { objects, ..storage }, "").await
    };
    let below = Prefix::parse("acme/").unwrap();
    let key = below.key("a").unwrap();
    let object = NewObject::default();
    bucket("owner", false).await.put(&key, payload(), &object, Condition::Always).await.unwrap();
    for pays in [false, true] {
        let bucket = bucket("reader", pays).await;
        let answers = [
            bucket.head(&key).await.map(drop),
            bucket.read(&key, 0..5, None).await.map(drop),
            bucket.list(ListScope::Below(&below), None, 1).await.map(drop),
        ];
        for answer in answers {
            assert!(if pays { answer.is_ok() } else { matches!(answer, Err(Error::Forbidden { .. })) }, "{answer:?}");
        }
    }
}
