//! A session policy for a prefix: its reach, its limits, and the purpose of each of its rules.

use super::{Cloud, denied, keys, only};
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier},
};

/// Uploads an object in one part.
async fn upload(client: &Client, key: &str) {
    let id = client.create_multipart_upload().bucket("vendor").key(key).send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket("vendor").key(key).upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"mine")).send().await.unwrap();
    let parts = client.list_parts().bucket("vendor").key(key).upload_id(&id).send().await.unwrap();
    assert_eq!(parts.parts().len(), 1);
    let named = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag);
    let named = named.set_checksum_crc64_nvme(part.checksum_crc64_nvme).build();
    let done = CompletedMultipartUpload::builder().parts(named).build();
    let complete = client.complete_multipart_upload().bucket("vendor").key(key).upload_id(&id);
    complete.multipart_upload(done).send().await.unwrap();
}

fn delete(keys: &[&str]) -> Delete {
    let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build().unwrap()).collect();
    Delete::builder().set_objects(Some(objects)).build().unwrap()
}

#[tokio::test]
async fn a_session_does_everything_inside_its_prefix() {
    let cloud = Cloud::start().await;
    let scoped = cloud.scoped(only("p/")).await;
    scoped.put_object().bucket("vendor").key("p/a").body(ByteStream::from_static(b"mine")).send().await.unwrap();
    scoped.get_object().bucket("vendor").key("p/a").send().await.unwrap();
    scoped.head_object().bucket("vendor").key("p/a").send().await.unwrap();
    scoped.copy_object().bucket("vendor").key("p/b").copy_source("vendor/p/a").send().await.unwrap();
    upload(&scoped, "p/c").await;
    let id = scoped.create_multipart_upload().bucket("vendor").key("p/d").send().await.unwrap().upload_id.unwrap();
    scoped.abort_multipart_upload().bucket("vendor").key("p/d").upload_id(id).send().await.unwrap();
    let list = scoped.list_objects_v2().bucket("vendor").prefix("p/").delimiter("/").send().await.unwrap();
    assert_eq!(list.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["p/a", "p/b", "p/c"]);
    scoped.list_objects().bucket("vendor").prefix("p/").send().await.unwrap();
    scoped.delete_object().bucket("vendor").key("p/a").send().await.unwrap();
    let deleted = scoped.delete_objects().bucket("vendor").delete(delete(&["p/b", "p/c"])).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
}

#[tokio::test]
async fn a_session_reaches_nothing_else() {
    let cloud = Cloud::start().await;
    let outside = ["p-x/a", "a", "p", "P/a"];
    cloud.put("vendor", &outside).await;
    cloud.put("other", &["p/a"]).await;
    cloud.put("tenant", &["p/a"]).await;
    let scoped = cloud.scoped(only("p/")).await;
    scoped.put_object().bucket("vendor").key("p/mine").send().await.unwrap();
    let places = outside.map(|key| ("vendor", key)).into_iter().chain([("other", "p/a"), ("tenant", "p/a")]);
    for (bucket, key) in places {
        let large = ByteStream::from(vec![0; 8 << 20]);
        denied(scoped.get_object().bucket(bucket).key(key).send().await);
        denied(scoped.head_object().bucket(bucket).key(key).send().await);
        denied(scoped.put_object().bucket(bucket).key(key).body(large).send().await);
        denied(scoped.delete_object().bucket(bucket).key(key).send().await);
        denied(scoped.copy_object().bucket("vendor").key("p/in").copy_source(format!("{bucket}/{key}")).send().await);
        denied(scoped.copy_object().bucket(bucket).key(key).copy_source("vendor/p/mine").send().await);
        denied(scoped.create_multipart_upload().bucket(bucket).key(key).send().await);
        let part = scoped.upload_part().bucket(bucket).key(key).upload_id("x").part_number(1);
        denied(part.body(ByteStream::from_static(b"x")).send().await);
        denied(scoped.complete_multipart_upload().bucket(bucket).key(key).upload_id("x").send().await);
        denied(scoped.abort_multipart_upload().bucket(bucket).key(key).upload_id("x").send().await);
        denied(scoped.list_parts().bucket(bucket).key(key).upload_id("x").send().await);
        let copied = scoped.upload_part_copy().bucket("vendor").key("p/in").upload_id("x").part_number(1);
        denied(copied.copy_source(format!("{bucket}/{key}")).send().await);
    }
    for prefix in [None, Some(""), Some("p"), Some("p-x/"), Some("P/")] {
        let prefix = prefix.map(str::to_owned);
        denied(scoped.list_objects_v2().bucket("vendor").set_prefix(prefix.clone()).send().await);
        denied(scoped.list_objects().bucket("vendor").set_prefix(prefix).send().await);
    }
    denied(scoped.list_objects_v2().bucket("other").prefix("p/").send().await);
    denied(scoped.list_multipart_uploads().bucket("vendor").prefix("p/").send().await);
    denied(scoped.list_buckets().send().await);
    denied(scoped.get_bucket_location().bucket("vendor").send().await);
    denied(scoped.get_bucket_versioning().bucket("vendor").send().await);
    denied(scoped.create_bucket().bucket("vendor").send().await);
    denied(scoped.put_object_tagging().bucket("vendor").key("p/mine").tagging(tags()).send().await);

    let server = cloud.s3_with(keys("server"));
    for key in outside {
        let there = server.get_object().bucket("vendor").key(key).send().await.unwrap();
        assert_eq!(there.body.collect().await.unwrap().into_bytes(), "theirs", "{key}");
    }
}

fn tags() -> aws_sdk_s3::types::Tagging {
    aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(Vec::new())).build().unwrap()
}

#[tokio::test]
async fn several_keys_are_judged_one_by_one() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["p/a", "p-x/a", "a"]).await;
    let scoped = cloud.scoped(only("p/")).await;
    let delete = delete(&["p-x/a", "p/a", "a", "p/none"]);
    let answer = scoped.delete_objects().bucket("vendor").delete(delete).send().await.unwrap();
    let deleted: Vec<_> = answer.deleted().iter().filter_map(|object| object.key()).collect();
    assert_eq!(deleted, ["p/a", "p/none"]);
    let kept: Vec<_> = answer.errors().iter().map(|error| (error.key().unwrap(), error.code().unwrap())).collect();
    assert_eq!(kept, [("p-x/a", "AccessDenied"), ("a", "AccessDenied")]);
    let server = cloud.s3_with(keys("server"));
    server.head_object().bucket("vendor").key("p-x/a").send().await.unwrap();
    server.head_object().bucket("vendor").key("a").send().await.unwrap();
}

/// Each rule of the policy keeps something out: without it a request succeeds. So these tests would notice if a rule
/// were missing.
#[tokio::test]
async fn a_rule_that_is_missing_lets_something_through() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["p-x/a", "aXb/a", "a*b/a"]).await;
    let reaches = async |policy: String, key: &str| {
        let scoped = cloud.scoped(policy).await;
        scoped.get_object().bucket("vendor").key(key).send().await.is_ok()
    };
    let without_slash = only("p/").replace("vendor/p/*", "vendor/p*");
    assert!(reaches(without_slash, "p-x/a").await && !reaches(only("p/"), "p-x/a").await);
    assert!(reaches(only("a*b/"), "aXb/a").await && !reaches(only("a${*}b/"), "aXb/a").await);
    assert!(reaches(only("a${*}b/"), "a*b/a").await);
    let any_bucket = only("p/").replace("vendor/p/*", "*/p/*");
    cloud.put("other", &["p/a"]).await;
    let elsewhere =
        async |policy: String| cloud.scoped(policy).await.get_object().bucket("other").key("p/a").send().await.is_ok();
    assert!(elsewhere(any_bucket).await && !elsewhere(only("p/")).await);

    let lists = async |policy: &str, prefix: Option<&str>| {
        let list = cloud.scoped(policy).await.list_objects_v2().bucket("vendor").set_prefix(prefix.map(str::to_owned));
        list.send().await.is_ok()
    };
    let condition = r#"{"StringLike": {"s3:prefix": "p/*"}}"#;
    let no_slash = only("p/").replace(condition, r#"{"StringLike": {"s3:prefix": "p*"}}"#);
    assert!(lists(&no_slash, Some("p-x/")).await && !lists(&only("p/"), Some("p-x/")).await);
    let unconditional = only("p/").replace(&format!(",\n              \"Condition\": {condition}"), "");
    assert!(!unconditional.contains("Condition"));
    assert!(lists(&unconditional, None).await && !lists(&only("p/"), None).await);
    assert!(cloud.scoped(unconditional).await.head_bucket().bucket("vendor").send().await.is_ok());

    let uploads = only("p/").replace("\"s3:ListBucket\"", "[\"s3:ListBucket\", \"s3:ListBucketMultipartUploads\"]");
    let uploads = uploads.replace(&format!(",\n              \"Condition\": {condition}"), "");
    let create = cloud.scoped(only("p/")).await.create_multipart_upload().bucket("vendor").key("p/a");
    let begun = create.send().await.unwrap();
    let listed = cloud.scoped(uploads).await.list_multipart_uploads().bucket("vendor").send().await.unwrap();
    let initiators = listed.uploads().iter().map(|upload| (upload.upload_id(), upload.initiator().unwrap().id()));
    let alice = "arn:aws:sts::111122223333:assumed-role/data/acme.alice";
    assert_eq!(initiators.collect::<Vec<_>>(), [(begun.upload_id(), Some(alice))]);
    // A session without a policy has all permissions of its role.
    let open = cloud.s3_with(super::session(&cloud.assume_data().send().await.unwrap()));
    open.get_object().bucket("vendor").key("p-x/a").send().await.unwrap();
}

#[tokio::test]
async fn a_deny_of_all_other_accounts_spares_the_right_one() {
    let cloud = Cloud::start().await;
    let policy = |account: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}},
                {{"Effect": "Deny", "Action": "s3:*", "Resource": "*",
                  "Condition": {{"StringNotEquals": {{"s3:ResourceAccount": "{account}"}}}}}}]}}"#
        )
    };
    let list = async |account| cloud.scoped(policy(account)).await.list_objects_v2().bucket("vendor").send().await;
    list(super::VENDOR).await.unwrap();
    super::denied(list(super::TENANT).await);
}
