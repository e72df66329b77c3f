//! The permissions that tags of objects require.

use super::{Cloud, denied, refusal};
use aws_sdk_s3::{Client, primitives::ByteStream, types::TaggingDirective};

/// A client in a session that may perform `actions` on the bucket `vendor`.
async fn session(cloud: &Cloud, actions: &[&str]) -> Client {
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": {actions:?},
            "Resource": ["arn:aws:s3:::vendor", "arn:aws:s3:::vendor/*"]}}}}"#
    );
    cloud.scoped(policy).await
}

async fn put_tagged(client: &Client, key: &str) -> Result<(), (String, u16, String)> {
    let put = client.put_object().bucket("vendor").key(key).tagging("x=y").body(ByteStream::from_static(b"x"));
    let answer = put.send().await;
    if answer.is_ok() { Ok(()) } else { Err(refusal(answer)) }
}

#[tokio::test]
async fn a_write_with_tags_needs_the_permission_to_tag() {
    let cloud = Cloud::start().await;
    let untagging = session(&cloud, &["s3:PutObject", "s3:GetObject"]).await;
    let (code, status, sentence) = put_tagged(&untagging, "a").await.unwrap_err();
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    let reason =
        "is not authorized to perform: s3:PutObjectTagging on resource: arn:aws:s3:::vendor/a because no session";
    assert!(sentence.contains(reason), "{sentence}");
    denied(untagging.create_multipart_upload().bucket("vendor").key("a").tagging("x=y").send().await);
    untagging.create_multipart_upload().bucket("vendor").key("a").send().await.unwrap();
    let tagging = session(&cloud, &["s3:PutObject", "s3:GetObject", "s3:PutObjectTagging"]).await;
    put_tagged(&tagging, "a").await.unwrap();
    tagging.create_multipart_upload().bucket("vendor").key("a").tagging("x=y").send().await.unwrap();
    // S3 tells the number of tags only to callers who may read them.
    assert_eq!(tagging.head_object().bucket("vendor").key("a").send().await.unwrap().tag_count, None);
    let all = session(&cloud, &["s3:GetObject", "s3:GetObjectTagging"]).await;
    assert_eq!(all.head_object().bucket("vendor").key("a").send().await.unwrap().tag_count, Some(1));
    denied(tagging.get_object_tagging().bucket("vendor").key("a").send().await);
    denied(tagging.delete_object_tagging().bucket("vendor").key("a").send().await);
}

#[tokio::test]
async fn a_copy_of_tags_needs_to_read_and_to_write_them() {
    let cloud = Cloud::start().await;
    let (get, put) = ("s3:GetObjectTagging", "s3:PutObjectTagging");
    put_tagged(&session(&cloud, &["s3:PutObject", put]).await, "tagged").await.unwrap();
    cloud.put("vendor", &["plain"]).await;
    for (tagging, may) in [(vec![], false), (vec![get], false), (vec![put], false), (vec![get, put], true)] {
        let client = session(&cloud, &[&["s3:GetObject", "s3:PutObject"][..], &tagging].concat()).await;
        let copy =
            |source: &str| client.copy_object().bucket("vendor").key("copy").copy_source(format!("vendor/{source}"));
        copy("plain").send().await.unwrap();
        if may {
            copy("tagged").send().await.unwrap();
        } else {
            denied(copy("tagged").send().await);
        }
        let replace = || copy("tagged").tagging_directive(TaggingDirective::Replace);
        replace().send().await.unwrap();
        if tagging.contains(&put) {
            replace().tagging("z=1").send().await.unwrap();
        } else {
            denied(replace().tagging("z=1").send().await);
        }
    }
}
