//! Authentication, the loopback address, limits on memory, and the hooks of other tests.

use super::{BUCKET, S3Site, SECRET, answer, client, is, pattern, refusal};
use aws_sdk_s3::primitives::ByteStream;
use fake_aws::{AwsSettings, Failure, FakeAws, StartError, StorageKind};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_wrong_secret_is_refused_and_so_is_none() {
    let site = S3Site::in_memory().await;
    let wrong = client(&site.s3, "another-secret");
    let put = wrong.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(refusal(put), is("SignatureDoesNotMatch", 403));
    assert_eq!(refusal(wrong.list_objects_v2().bucket(BUCKET).send().await), is("SignatureDoesNotMatch", 403));
    assert!(unsigned(&site, &format!("GET /{BUCKET}")).await.starts_with("HTTP/1.1 403 "));
    assert!(unsigned(&site, "GET /").await.starts_with("HTTP/1.1 403 "));
    let owner = site.client.head_bucket().bucket(BUCKET).expected_bucket_owner("999999999999").send().await;
    assert_eq!(refusal(owner).1, 403);
    assert_eq!(client(&site.s3, SECRET).list_objects_v2().bucket(BUCKET).send().await.unwrap().key_count(), Some(0));
}

/// Returns the answer to a request without a signature.
async fn unsigned(site: &S3Site, request: &str) -> String {
    answer(&site.s3, request).await
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let settings = AwsSettings {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..AwsSettings::one_user("AKDEMO", SECRET, &[], StorageKind::Memory { max_bytes: 1 })
    };
    assert!(matches!(FakeAws::start(settings).await, Err(StartError::NotLoopback(_))));
}

#[tokio::test]
async fn what_memory_cannot_hold_is_refused_and_what_is_removed_makes_room() {
    let site = S3Site::start(StorageKind::Memory { max_bytes: 9 << 20 }).await;
    site.put("a", pattern(6 << 20)).await;
    let put = || site.client.put_object().bucket(BUCKET).key("b").body(ByteStream::from(pattern(6 << 20))).send();
    assert_eq!(refusal(put().await), is("InsufficientStorage", 507));
    assert_eq!(site.read("a").await.len(), 6 << 20);
    site.client.delete_object().bucket(BUCKET).key("a").send().await.unwrap();
    put().await.unwrap();
}

#[tokio::test]
async fn requests_are_counted_and_fail_on_demand() {
    let site = S3Site::in_memory().await;
    site.put("a", "x").await;
    site.s3.fail("HeadObject", Failure::AccessDenied, 1);
    site.s3.fail("PutObject", Failure::SlowDown, 2);
    let head = || site.client.head_object().bucket(BUCKET).key("a").send();
    assert_eq!(refusal(head().await).1, 403);
    head().await.unwrap();
    // Larger than any socket buffer: the client must see the answer nevertheless.
    let put = || site.client.put_object().bucket(BUCKET).key("b").body(ByteStream::from(pattern(16 << 20))).send();
    assert_eq!(refusal(put().await), is("SlowDown", 503));
    assert_eq!(refusal(put().await), is("SlowDown", 503));
    put().await.unwrap();
    let requests = site.s3.requests();
    assert_eq!((requests["HeadObject"], requests["PutObject"]), (2, 4));

    site.s3.delay(Duration::from_millis(30));
    let begun = Instant::now();
    head().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn a_stopped_s3_frees_its_address() {
    // An address that no other test uses, because another test could take the port as soon as it is free.
    let listen = ([127, 0, 0, 2], 0).into();
    let storage = StorageKind::Memory { max_bytes: 1 << 20 };
    let settings = AwsSettings { listen, ..AwsSettings::one_user("AKDEMO", SECRET, &[], storage) };
    let first = FakeAws::start(settings.clone()).await.unwrap();
    let settings = AwsSettings { listen: first.address, ..settings };
    first.stop().await;
    let again = FakeAws::start(settings.clone()).await.unwrap();
    assert!(matches!(FakeAws::start(settings).await, Err(StartError::Listen(..))));
    again.stop().await;
}
