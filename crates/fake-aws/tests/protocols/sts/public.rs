//! A bucket whose policy lets everyone read, as a careless owner leaves it.

use super::{Cloud, allow, denied, keys, only, refusal};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Region},
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};
use fake_aws::{BucketSettings, Failure};

/// A cloud with the public bucket `vendor`.
async fn public() -> Cloud {
    let cloud = Cloud::with_bucket(BucketSettings { public_read: true, ..BucketSettings::default() }).await;
    cloud.put("vendor", &["p/a", "q/b"]).await;
    cloud.put("other", &["a"]).await;
    cloud
}

/// A client that signs nothing.
fn nobody(cloud: &Cloud) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", cloud.s3.address))
        .force_path_style(true)
        .allow_no_auth()
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

#[tokio::test]
async fn everyone_reads_a_public_bucket_without_a_signature() {
    let cloud = public().await;
    let nobody = nobody(&cloud);
    let get = nobody.get_object().bucket("vendor").key("p/a").send().await.unwrap();
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"theirs");
    nobody.head_object().bucket("vendor").key("p/a").send().await.unwrap();
    nobody.head_bucket().bucket("vendor").send().await.unwrap();
    assert_eq!(nobody.list_objects_v2().bucket("vendor").send().await.unwrap().key_count(), Some(2));
    assert_eq!(nobody.list_objects().bucket("vendor").prefix("q/").send().await.unwrap().contents().len(), 1);
    let missing = refusal(nobody.get_object().bucket("vendor").key("none").send().await);
    assert_eq!((missing.0.as_str(), missing.1), ("NoSuchKey", 404));
    denied(nobody.get_object().bucket("other").key("a").send().await);
    denied(nobody.list_objects_v2().bucket("other").send().await);
    denied(nobody.list_buckets().send().await);
    cloud.s3.fail("GetObject", Failure::SlowDown, 1);
    assert_eq!(refusal(nobody.get_object().bucket("vendor").key("p/a").send().await).0, "SlowDown");
}

#[tokio::test]
async fn nobody_writes_without_a_signature() {
    let cloud = public().await;
    let nobody = nobody(&cloud);
    let body = || ByteStream::from_static(b"x");
    denied(nobody.put_object().bucket("vendor").key("p/a").body(body()).send().await);
    denied(nobody.delete_object().bucket("vendor").key("p/a").send().await);
    denied(nobody.copy_object().bucket("vendor").key("c").copy_source("vendor/p/a").send().await);
    denied(nobody.create_multipart_upload().bucket("vendor").key("c").send().await);
    denied(nobody.upload_part().bucket("vendor").key("c").upload_id("1").part_number(1).body(body()).send().await);
    denied(nobody.list_multipart_uploads().bucket("vendor").send().await);
    denied(nobody.get_object_tagging().bucket("vendor").key("p/a").send().await);
    denied(nobody.delete_object_tagging().bucket("vendor").key("p/a").send().await);
    let key = ObjectIdentifier::builder().key("p/a").build().unwrap();
    let delete = Delete::builder().objects(key).build().unwrap();
    let removed = nobody.delete_objects().bucket("vendor").delete(delete).send().await.unwrap();
    assert_eq!((removed.deleted().len(), removed.errors()[0].code()), (0, Some("AccessDenied")));
    let owner = cloud.s3_with(keys("server"));
    assert_eq!(owner.list_objects_v2().bucket("vendor").send().await.unwrap().key_count(), Some(2));
}

#[tokio::test]
async fn a_session_policy_still_restricts_a_session_in_a_public_bucket() {
    let cloud = public().await;
    let get = async |client: &Client, key: &str| client.get_object().bucket("vendor").key(key).send().await;
    let session = cloud.scoped(only("p/")).await;
    get(&session, "p/a").await.unwrap();
    denied(get(&session, "q/b").await);
    denied(session.list_objects_v2().bucket("vendor").prefix("q/").send().await);
    // A user may read although its own policy doesn't allow to list, but not write.
    let reader = cloud.s3_with(keys("reader"));
    reader.list_objects_v2().bucket("vendor").send().await.unwrap();
    denied(reader.delete_object().bucket("vendor").key("q/b").send().await);
    // From another account, the caller's own policy must allow it too.
    let owner = cloud.s3_with(keys("owner"));
    get(&owner, "q/b").await.unwrap();
    denied(owner.put_object().bucket("vendor").key("q/b").body(ByteStream::from_static(b"x")).send().await);
    let tenant = cloud.assume_tenant_role().policy(allow("s3:GetObject", "arn:aws:s3:::tenant/*")).send().await;
    denied(get(&cloud.s3_with(super::session(&tenant.unwrap())), "q/b").await);
}

#[tokio::test]
async fn objects_with_a_key_of_kms_are_not_public() {
    let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd".parse().unwrap();
    let settings = BucketSettings { kms_key: Some(arn), public_read: true, ..BucketSettings::default() };
    let cloud = Cloud::with_bucket(settings).await;
    cloud.put("vendor", &["a"]).await;
    let (code, status, sentence) = refusal(nobody(&cloud).get_object().bucket("vendor").key("a").send().await);
    assert_eq!((code.as_str(), status), ("InvalidArgument", 400));
    assert!(sentence.contains("require AWS Signature Version 4"), "{sentence}");
    nobody(&cloud).head_object().bucket("vendor").key("a").send().await.unwrap();
}
