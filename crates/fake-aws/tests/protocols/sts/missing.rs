//! Missing keys: 404 for callers who may list the whole bucket, 403 for all others.

use super::{Cloud, allow, denied, keys, only, refusal};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

#[tokio::test]
async fn a_missing_key_is_forbidden_to_who_may_list_a_prefix_alone() {
    let cloud = Cloud::start().await;
    let scoped = cloud.scoped(only("p/")).await;
    denied(scoped.head_object().bucket("vendor").key("p/none").send().await);
    denied(scoped.get_object().bucket("vendor").key("p/none").send().await);
    denied(scoped.copy_object().bucket("vendor").key("p/copy").copy_source("vendor/p/none").send().await);
    scoped.delete_object().bucket("vendor").key("p/none").send().await.unwrap();
    let list = scoped.list_objects_v2().bucket("vendor").prefix("p/none").send().await.unwrap();
    assert_eq!(list.key_count(), Some(0), "only a listing tells missing from forbidden");
    denied(scoped.head_bucket().bucket("vendor").send().await);
}

#[tokio::test]
async fn a_missing_key_is_missing_to_who_may_list_the_bucket() {
    let cloud = Cloud::start().await;
    let server = cloud.s3_with(keys("server"));
    assert_eq!(refusal(server.head_object().bucket("vendor").key("none").send().await).1, 404);
    assert_eq!(refusal(server.get_object().bucket("vendor").key("none").send().await).0, "NoSuchKey");
    let copy = server.copy_object().bucket("vendor").key("copy").copy_source("vendor/none").send().await;
    assert_eq!(refusal(copy).0, "NoSuchKey");
    server.head_bucket().bucket("vendor").send().await.unwrap();
    assert_eq!(refusal(server.list_objects_v2().bucket("no-such-bucket").send().await).0, "NoSuchBucket");

    let reader = cloud.s3_with(keys("reader"));
    denied(reader.get_object().bucket("vendor").key("none").send().await);
    denied(reader.list_objects_v2().bucket("vendor").send().await);
}

#[tokio::test]
async fn a_write_on_condition_of_an_etag_needs_to_read() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["a", "b"]).await;
    let writer = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::vendor/*"}}"#;
    let writer = cloud.scoped(writer).await;
    let etag =
        cloud.s3_with(keys("server")).head_object().bucket("vendor").key("a").send().await.unwrap().e_tag.unwrap();
    denied(writer.put_object().bucket("vendor").key("a").if_match(&etag).send().await);
    denied(writer.delete_object().bucket("vendor").key("a").if_match(&etag).send().await);
    let object = ObjectIdentifier::builder().key("a").e_tag(&etag).build().unwrap();
    let several = Delete::builder().objects(object).build().unwrap();
    let several = writer.delete_objects().bucket("vendor").delete(several).send().await.unwrap();
    assert_eq!(several.errors()[0].code(), Some("AccessDenied"));
    writer.put_object().bucket("vendor").key("c").if_none_match("*").send().await.unwrap();
    writer.delete_object().bucket("vendor").key("a").if_match("*").send().await.unwrap();
    let both = cloud.scoped(allow("s3:*", "arn:aws:s3:::vendor/*")).await;
    let etag = both.head_object().bucket("vendor").key("b").send().await.unwrap().e_tag.unwrap();
    both.delete_object().bucket("vendor").key("b").if_match(etag).send().await.unwrap();
}
