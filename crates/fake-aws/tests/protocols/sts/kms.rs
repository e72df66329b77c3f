//! Encryption with KMS: the permissions that S3 asks for in the caller's name, and the headers of its answers.

use super::{Cloud, denied, refusal};
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ChecksumMode, CompletedMultipartUpload, CompletedPart, ServerSideEncryption},
};
use fake_aws::{AwsSettings, BucketSettings, StorageKind, iam::KmsKeyArn};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

async fn keyed(bucket_key: bool) -> Cloud {
    Cloud::with_bucket(BucketSettings { kms_key: Some(KEY.parse().unwrap()), bucket_key, ..BucketSettings::default() })
        .await
}

/// A client in a session that may do all in S3, and `actions` in KMS under a condition.
async fn session(cloud: &Cloud, actions: &[&str], condition: &str) -> Client {
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}},
            {{"Effect": "Allow", "Action": {actions:?}, "Resource": "{KEY}"{condition}}}]}}"#
    );
    cloud.scoped(policy).await
}

/// Performs every operation that may need the key, as `client`. Returns the names of those that were denied. An upload
/// and an object `a` that another client made exist.
async fn denied_operations(cloud: &Cloud, client: &Client) -> Vec<&'static str> {
    let owner = cloud.s3_with(super::keys("server"));
    let body = || ByteStream::from_static(b"bytes");
    owner.put_object().bucket("vendor").key("a").body(body()).send().await.unwrap();
    let id = owner.create_multipart_upload().bucket("vendor").key("up").send().await.unwrap().upload_id.unwrap();
    let part = owner.upload_part().bucket("vendor").key("up").upload_id(&id).part_number(1).body(body());
    let part = CompletedPart::builder().part_number(1).set_e_tag(part.send().await.unwrap().e_tag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let mut denied = Vec::new();
    macro_rules! note {
        ($name:literal, $request:expr) => {
            let answer = Box::pin($request.send()).await;
            if answer.is_err() {
                let (code, status, sentence) = refusal(answer);
                assert!(
                    status == 403 && (code == "AccessDenied" || sentence.is_empty()),
                    "{}: {code} {sentence}",
                    $name
                );
                denied.push($name);
            }
        };
    }
    note!("Put", client.put_object().bucket("vendor").key("b").body(body()));
    note!("Get", client.get_object().bucket("vendor").key("a"));
    note!("Head", client.head_object().bucket("vendor").key("a"));
    note!("HeadChecksum", client.head_object().bucket("vendor").key("a").checksum_mode(ChecksumMode::Enabled));
    note!("Create", client.create_multipart_upload().bucket("vendor").key("c"));
    note!("Part", client.upload_part().bucket("vendor").key("up").upload_id(&id).part_number(2).body(body()));
    let part_copy = client.upload_part_copy().bucket("vendor").key("up").upload_id(&id).part_number(3);
    note!("PartCopy", part_copy.copy_source("vendor/a"));
    note!("CopyInto", client.copy_object().bucket("vendor").key("d").copy_source("other/plain"));
    note!("CopyFrom", client.copy_object().bucket("other").key("d").copy_source("vendor/a"));
    note!("List", client.list_objects_v2().bucket("vendor"));
    note!("Tags", client.get_object_tagging().bucket("vendor").key("a"));
    let complete = client.complete_multipart_upload().bucket("vendor").key("up").upload_id(&id);
    note!("Complete", complete.multipart_upload(parts));
    note!("Delete", client.delete_object().bucket("vendor").key("a"));
    denied
}

#[tokio::test]
async fn each_operation_asks_for_its_permissions_on_the_key() {
    let cloud = keyed(false).await;
    cloud.put("other", &["plain"]).await;
    let (generate, decrypt, other) = ("kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey");
    let denied =
        async |actions: &[&str]| Box::pin(denied_operations(&cloud, &session(&cloud, actions, "").await)).await;
    assert_eq!(denied(&[generate, decrypt]).await, [""; 0]);
    assert_eq!(denied(&[decrypt]).await, ["Put", "Create", "Part", "PartCopy", "CopyInto"]);
    assert_eq!(denied(&[generate]).await, ["Get", "HeadChecksum", "Part", "PartCopy", "CopyFrom", "Complete"]);
    let all = ["Put", "Get", "HeadChecksum", "Create", "Part", "PartCopy", "CopyInto", "CopyFrom", "Complete"];
    assert_eq!(denied(&[other]).await, all);

    let client = session(&cloud, &[decrypt], "").await;
    let put = client.put_object().bucket("vendor").key("b").body(ByteStream::from_static(b"x")).send().await;
    let sentence = format!(
        "User: arn:aws:sts::111122223333:assumed-role/data/acme.alice is not authorized to perform: kms:GenerateDataKey \
         on resource: {KEY} because no session policy allows the kms:GenerateDataKey action"
    );
    assert_eq!(refusal(put), ("AccessDenied".to_owned(), 403, sentence));
}

#[tokio::test]
async fn the_key_is_used_through_s3_for_the_object_or_for_its_bucket() {
    let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
    let like = |key: &str, value: &str| format!(r#", "Condition": {{"StringLike": {{"{key}": "{value}"}}}}"#);
    let context = "kms:EncryptionContext:aws:s3:arn";
    for (bucket_key, condition, may) in [
        (false, like("kms:ViaService", "s3.*"), true),
        (false, like("kms:ViaService", "s3.eu-central-1.amazonaws.com"), true),
        (false, like("kms:ViaService", "s3.us-east-1.amazonaws.com"), false),
        (false, like(context, "arn:aws:s3:::vendor/a"), true),
        (false, like(context, "arn:aws:s3:::vendor"), false),
        (true, like(context, "arn:aws:s3:::vendor"), true),
        (true, like(context, "arn:aws:s3:::vendor/*"), false),
    ] {
        let cloud = keyed(bucket_key).await;
        let client = session(&cloud, &actions, &condition).await;
        let put = client.put_object().bucket("vendor").key("a").body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(put.is_ok(), may, "{bucket_key} {condition}");
        cloud.put("vendor", &["a"]).await;
        let get = client.get_object().bucket("vendor").key("a").send().await;
        assert_eq!(get.is_ok(), may, "{bucket_key} {condition}");
    }
}

#[tokio::test]
async fn a_disabled_key_neither_reads_nor_writes() {
    let cloud = keyed(false).await;
    cloud.put("vendor", &["a"]).await;
    let client = cloud.s3_with(super::keys("server"));
    cloud.s3.disable_kms_keys(&[KEY.parse().unwrap()]);
    let disabled = ("KMS.DisabledException".to_owned(), 400, format!("{KEY} is disabled."));
    let put = || client.put_object().bucket("vendor").key("b").body(ByteStream::from(vec![7; 8 << 20])).send();
    assert_eq!(refusal(put().await), disabled);
    assert_eq!(refusal(client.get_object().bucket("vendor").key("a").send().await), disabled);
    client.head_object().bucket("vendor").key("a").send().await.unwrap();
    cloud.put("other", &["plain"]).await;
    let changes = client.copy_object().bucket("vendor").key("b").copy_source("other/plain").send().await;
    assert_eq!(refusal(changes), disabled);
    cloud.s3.disable_kms_keys(&[]);
    put().await.unwrap();
}

#[tokio::test]
async fn a_request_names_another_key_or_none() {
    let cloud = keyed(false).await;
    let client = cloud.s3_with(super::keys("server"));
    let without_keys = session(&cloud, &["kms:DescribeKey"], "").await;
    let put = || client.put_object().bucket("other").key("a").body(ByteStream::from_static(b"x"));
    let kms = || put().server_side_encryption(ServerSideEncryption::AwsKms);
    let named = kms().ssekms_key_id(KEY).bucket_key_enabled(true).send().await.unwrap();
    assert_eq!((named.ssekms_key_id.as_deref(), named.bucket_key_enabled), (Some(KEY), Some(true)));
    let bare = kms().ssekms_key_id("1234abcd").send().await.unwrap().ssekms_key_id.unwrap();
    assert_eq!(bare, "arn:aws:kms:us-east-1:111122223333:key/1234abcd", "the region of the request");
    let (code, status, _) = refusal(kms().ssekms_key_id("alias/files").send().await);
    assert_eq!((code.as_str(), status), ("KMS.NotFoundException", 400));
    let (code, status, _) = refusal(put().ssekms_key_id(KEY).send().await);
    assert_eq!((code.as_str(), status), ("InvalidArgument", 400));
    assert_eq!(refusal(kms().send().await).0, "NotImplemented");
    let theirs = "arn:aws:kms:eu-central-1:444455556666:key/5678";
    let (code, status, sentence) = refusal(kms().ssekms_key_id(theirs).send().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert!(sentence.contains("because the resource does not exist in this Region"), "{sentence}");

    let two_layers = || put().server_side_encryption(ServerSideEncryption::AwsKmsDsse);
    let named = two_layers().ssekms_key_id(KEY).send().await.unwrap();
    let encryption = (named.server_side_encryption, named.ssekms_key_id.as_deref());
    assert_eq!(encryption, (Some(ServerSideEncryption::AwsKmsDsse), Some(KEY)));
    denied(
        without_keys
            .put_object()
            .bucket("other")
            .key("a")
            .server_side_encryption(ServerSideEncryption::AwsKmsDsse)
            .ssekms_key_id(KEY)
            .body(ByteStream::from_static(b"x"))
            .send()
            .await,
    );
    let of_bucket = two_layers().ssekms_key_id(KEY).bucket_key_enabled(true).send().await;
    assert_eq!(refusal(of_bucket).0, "NotImplemented");
    assert_eq!(refusal(two_layers().send().await).0, "NotImplemented");

    let plain = client.put_object().bucket("vendor").key("a").server_side_encryption(ServerSideEncryption::Aes256);
    let plain = plain.body(ByteStream::from_static(b"x")).send().await.unwrap();
    assert_eq!((plain.server_side_encryption, plain.ssekms_key_id), (Some(ServerSideEncryption::Aes256), None));
    without_keys.get_object().bucket("vendor").key("a").send().await.unwrap();
}

#[tokio::test]
async fn answers_name_the_key_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let key: KmsKeyArn = KEY.parse().unwrap();
    let vendor = BucketSettings { kms_key: Some(key), bucket_key: true, ..BucketSettings::default() };
    let start = || {
        let change = |settings: &mut AwsSettings| {
            settings.bucket_settings = [("vendor".to_owned(), vendor.clone())].into();
            settings.storage = StorageKind::Directory(directory.path().to_owned());
        };
        Cloud::with_settings(change)
    };
    let expected = (Some(ServerSideEncryption::AwsKms), Some(KEY.to_owned()), Some(true));
    macro_rules! assert_keyed {
        ($request:expr) => {{
            let answer = $request.send().await.unwrap();
            let encryption = (answer.server_side_encryption(), answer.ssekms_key_id(), answer.bucket_key_enabled());
            assert_eq!(encryption, (expected.0.as_ref(), expected.1.as_deref(), expected.2));
            answer
        }};
    }
    let cloud = start().await;
    let client = cloud.s3_with(super::keys("server"));
    let body = || ByteStream::from_static(b"bytes");
    assert_keyed!(client.put_object().bucket("vendor").key("a").body(body()));
    assert_keyed!(client.get_object().bucket("vendor").key("a"));
    assert_keyed!(client.copy_object().bucket("vendor").key("b").copy_source("vendor/a"));
    let id = assert_keyed!(client.create_multipart_upload().bucket("vendor").key("up")).upload_id.unwrap();
    let part = client.upload_part().bucket("vendor").key("up").upload_id(&id).part_number(1).body(body());
    let part = CompletedPart::builder().part_number(1).set_e_tag(assert_keyed!(part).e_tag).build();
    let copy = client.upload_part_copy().bucket("vendor").key("up").upload_id(&id).part_number(2);
    assert_keyed!(copy.copy_source("vendor/a"));
    let complete = client.complete_multipart_upload().bucket("vendor").key("up").upload_id(&id);
    assert_keyed!(complete.multipart_upload(CompletedMultipartUpload::builder().parts(part).build()));
    cloud.put("other", &["plain"]).await;
    cloud.s3.stop().await;
    let cloud = start().await;
    let client = cloud.s3_with(super::keys("server"));
    for key in ["a", "b", "up"] {
        assert_keyed!(client.head_object().bucket("vendor").key(key));
    }
    let plain = client.head_object().bucket("other").key("plain").send().await.unwrap();
    assert_eq!((plain.server_side_encryption, plain.ssekms_key_id), (Some(ServerSideEncryption::Aes256), None));
    cloud.s3.stop().await;
}
