//! Headers with which a request promises something to the owner of a bucket: control of the new object, or to pay.

use super::{Cloud, denied, keys, refusal};
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ObjectCannedAcl, RequestPayer},
};
use fake_aws::BucketSettings;

/// Begins an object in each way with an ACL. Returns the error code of each answer, which is empty if it was allowed.
async fn begin(client: &Client, acl: &ObjectCannedAcl) -> [String; 3] {
    let code = |refusal: Option<(String, u16, String)>| refusal.map(|(code, ..)| code).unwrap_or_default();
    let (key, bucket) = ("new", "vendor");
    let body = ByteStream::from_static(b"x");
    let put = client.put_object().bucket(bucket).key(key).acl(acl.clone()).body(body).send().await;
    let create = client.create_multipart_upload().bucket(bucket).key(key).acl(acl.clone()).send().await;
    let copy = client.copy_object().bucket(bucket).key(key).copy_source("vendor/a").acl(acl.clone()).send().await;
    [
        code(put.is_err().then(|| refusal(put))),
        code(create.is_err().then(|| refusal(create))),
        code(copy.is_err().then(|| refusal(copy))),
    ]
}

#[tokio::test]
async fn an_acl_needs_its_permission_and_gives_control_to_the_owner_alone() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["a"]).await;
    let session = async |actions: &[&str]| {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": {actions:?}, "Resource": "*"}}}}"#
        );
        cloud.scoped(policy).await
    };
    let owner_control = ObjectCannedAcl::BucketOwnerFullControl;
    let without = session(&["s3:GetObject", "s3:PutObject"]).await;
    assert_eq!(begin(&without, &owner_control).await, ["AccessDenied"; 3]);
    let with = session(&["s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"]).await;
    assert_eq!(begin(&with, &owner_control).await, [""; 3]);
    assert_eq!(begin(&with, &ObjectCannedAcl::PublicRead).await, ["AccessControlListNotSupported"; 3]);
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:PutObjectAcl", "Resource": "*",
         "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}}]}"#;
    let limited = cloud.scoped(policy.to_owned()).await;
    assert_eq!(begin(&limited, &owner_control).await, [""; 3]);
    assert_eq!(begin(&limited, &ObjectCannedAcl::PublicRead).await, ["AccessDenied"; 3]);
}

#[tokio::test]
async fn other_accounts_say_that_they_pay() {
    let settings = BucketSettings { public_read: true, requester_pays: true, ..BucketSettings::default() };
    let cloud = Cloud::with_bucket(settings).await;
    cloud.put("vendor", &["a"]).await;
    let server = cloud.s3_with(keys("server"));
    server.get_object().bucket("vendor").key("a").send().await.unwrap();
    let other = cloud.s3_with(keys("owner"));
    let payer = RequestPayer::Requester;
    denied(other.get_object().bucket("vendor").key("a").send().await);
    denied(other.head_object().bucket("vendor").key("a").send().await);
    denied(other.list_objects_v2().bucket("vendor").send().await);
    let copy = || other.copy_object().bucket("tenant").key("copy").copy_source("vendor/a");
    denied(copy().send().await);
    other.get_object().bucket("vendor").key("a").request_payer(payer.clone()).send().await.unwrap();
    other.head_object().bucket("vendor").key("a").request_payer(payer.clone()).send().await.unwrap();
    other.list_objects_v2().bucket("vendor").request_payer(payer.clone()).send().await.unwrap();
    copy().request_payer(payer).send().await.unwrap();
    other.list_objects_v2().bucket("tenant").send().await.unwrap();
}
