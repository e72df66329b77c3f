//! The settings of new objects, in buckets as sessions get them. The demo's IAM judges each request under the role that
//! the operator's command prints for the tenant, and under the role that it prints without the settings.

use super::{
    Site,
    site::{ACCOUNT, RolePolicies},
};
use crate::support::scope;
use aws_sdk_s3::{error::ProvideErrorMetadata as _, types::ObjectCannedAcl};
use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use std::sync::Arc;
use wharfinger::{
    account::{Encryption, ObjectSettings, ObjectTag, Permission, Permissions, Storage},
    cloud::{RolePolicy, SessionPolicy},
    name::Prefix,
    store::{Bucket, Condition, Error, NewObject, Payload, Pin},
};

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd";

/// The ways to create an object.
const CREATIONS: [&str; 4] = ["put", "upload", "copy", "copy in parts"];

/// Files are read and written. A user who may rename may set tags anyway.
fn permissions() -> Permissions {
    [Permission::Read, Permission::Write].into_iter().collect()
}

/// The printed policy of the role of a tenant with these settings and permissions.
fn printed(promise: &str, permissions: Permissions, objects: ObjectSettings) -> String {
    let key = objects.encryption.kms_key().map(str::to_owned);
    let storage = Storage {
        prefix: Prefix::parse(&format!("{promise}/acme/")).unwrap(),
        expected_bucket_owner: Some(ACCOUNT.to_owned()),
        objects,
        ..scope::storage("vendor", "http://127.0.0.1:1", "server", "secret")
    };
    serde_json::to_string(&RolePolicy::new(&storage, permissions, key.as_deref()).unwrap()).unwrap()
}

/// A site with the roles `set` and `unset`, whose policies are printed with these settings and without.
async fn site(promise: &str, objects: &ObjectSettings) -> Site {
    let role = |objects| RolePolicies::trusting_the_server(ACCOUNT, printed(promise, permissions(), objects));
    let roles = [("set", objects.clone()), ("unset", ObjectSettings::default())];
    Site::demo_with(promise, roles.map(|(name, objects)| (name.to_owned(), role(objects))).into()).await
}

/// The ARN of a role of the site.
fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn payload() -> Payload {
    Payload { pieces: vec![Bytes::from_static(b"goods")], crc64: crc_fast::checksum(Crc64Nvme, b"goods") }
}

/// Creates an object in each way, or copies `source`, which has no tags. Returns the ways that the store denied.
async fn denied_creations(site: &Site, bucket: &Arc<dyn Bucket>) -> Vec<&'static str> {
    let below = Prefix::parse(&site.prefix).unwrap();
    let key = |name: &str| below.key(name).unwrap();
    site.put(&site.bucket, key("source").as_str(), "goods").await;
    let pin = Pin { etag: bucket.head(&key("source")).await.unwrap().pin.etag, version: None };
    let object = NewObject::default();
    let answers = [
        bucket.put(&key("put"), payload(), &object, Condition::Always).await.map(drop),
        bucket.create_upload(&key("upload"), &object).await.map(drop),
        bucket.copy(&key("source"), &pin, &key("copy"), None, Condition::Always).await.map(drop),
        bucket.create_copy(&key("copy in parts"), &key("source"), &pin, &object).await.map(drop),
    ];
    let is_denied = |answer| match answer {
        Ok(()) => false,
        Err(Error::Forbidden { .. }) => true,
        Err(error) => panic!("{error}"),
    };
    CREATIONS.into_iter().zip(answers).filter_map(|(way, answer)| is_denied(answer).then_some(way)).collect()
}

/// The ways that the store denies under the roles `set` and `unset`, to a tenant with these settings.
async fn denied_under_both(site: &Site, objects: &ObjectSettings) -> [Vec<&'static str>; 2] {
    let mut denied = [Vec::new(), Vec::new()];
    for (denied, role) in denied.iter_mut().zip(["set", "unset"]) {
        let bucket = site.bucket_through(&arn(role), objects.clone(), permissions()).await;
        *denied = denied_creations(site, &bucket).await;
    }
    denied
}

#[tokio::test]
async fn an_acl_needs_the_role_of_a_tenant_with_one() {
    let controlled = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
    let site = site("acl", &controlled).await;
    assert_eq!(denied_under_both(&site, &controlled).await, [vec![], CREATIONS.to_vec()]);
    let denied = denied_under_both(&site, &ObjectSettings::default()).await;
    assert_eq!(denied.concat(), [""; 0]);
}

#[tokio::test]
async fn the_policies_allow_no_other_acl() {
    let controlled = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
    let site = site("other-acl", &controlled).await;
    let prefix = Prefix::parse(&site.prefix).unwrap();
    let storage = Storage { objects: controlled, ..scope::storage("vendor", "http://127.0.0.1:1", "server", "secret") };
    let session = SessionPolicy::new(&storage, &prefix, permissions()).unwrap();
    // The role `tenants` may do everything.
    for (role, policy) in [("set", None), ("tenants", Some(session.as_str()))] {
        let client = site.session_of(&arn(role), policy).await;
        let put = |acl| client.put_object().bucket(&site.bucket).key(format!("{}acl", site.prefix)).acl(acl).send();
        put(ObjectCannedAcl::BucketOwnerFullControl).await.unwrap();
        let denied = put(ObjectCannedAcl::PublicRead).await.unwrap_err().into_service_error();
        assert_eq!(denied.code(), Some("AccessDenied"), "{role}");
    }
}

#[tokio::test]
async fn keys_of_kms_need_the_role_of_a_tenant_with_one() {
    let key = || Some(KEY.to_owned());
    for (number, encryption, expected) in [
        (0, Encryption::SseKms { key: key(), bucket_key: None }, ("aws:kms", None)),
        (1, Encryption::SseKms { key: key(), bucket_key: Some(true) }, ("aws:kms", Some(true))),
        (2, Encryption::DsseKms { key: key() }, ("aws:kms:dsse", None)),
    ] {
        let encrypted = ObjectSettings { encryption, ..ObjectSettings::default() };
        let site = site(&format!("kms-{number}"), &encrypted).await;
        assert_eq!(denied_under_both(&site, &encrypted).await, [vec![], CREATIONS.to_vec()], "{encrypted:?}");
        for name in ["put", "copy"] {
            let head = site.admin(&site.bucket).head_object().bucket(&site.bucket);
            let head = head.key(format!("{}{name}", site.prefix)).send().await.unwrap();
            let algorithm = head.server_side_encryption.unwrap();
            assert_eq!((algorithm.as_str(), head.bucket_key_enabled), expected, "{name}");
            assert_eq!(head.ssekms_key_id.as_deref(), Some(KEY), "{name}");
        }
    }
    let by_s3 = ObjectSettings { encryption: Encryption::SseS3, ..ObjectSettings::default() };
    let site = site("sse-s3", &by_s3).await;
    assert_eq!(denied_under_both(&site, &by_s3).await.concat(), [""; 0]);
}

/// Tags of an object of acme's, in the order of their keys.
async fn tags_of(site: &Site, name: &str) -> Vec<(String, String)> {
    let tags = site.admin(&site.bucket).get_object_tagging().bucket(&site.bucket);
    let tags = tags.key(format!("{}{name}", site.prefix)).send().await.unwrap().tag_set;
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Settings with these tags.
fn tagged(tags: &[(&str, &str)]) -> ObjectSettings {
    let tag = |&(key, value): &(&str, &str)| ObjectTag { key: key.to_owned(), value: value.to_owned() };
    ObjectSettings { tags: tags.iter().map(tag).collect(), ..ObjectSettings::default() }
}

#[tokio::test]
async fn tags_need_the_permission_to_tag() {
    let tagged = tagged(&[("größe", "a=b+c:d e"), ("origin", "sftp")]);
    let site = site("tags", &tagged).await;
    let expected = [("größe".to_owned(), "a=b+c:d e".to_owned()), ("origin".to_owned(), "sftp".to_owned())];
    // A copy in parts reads tags, which only a user who may rename may do.
    let under_both = [vec!["copy in parts"], vec!["put", "upload", "copy in parts"]];
    assert_eq!(denied_under_both(&site, &tagged).await, under_both);
    assert_eq!(tags_of(&site, "put").await, expected);
    assert_eq!(tags_of(&site, "copy").await, [], "a copy has the tags of its source");
}

#[tokio::test]
async fn a_copy_in_parts_keeps_the_tags_of_its_source_or_fails() {
    let tagged = tagged(&[("origin", "sftp")]);
    let renaming = permissions().with(Permission::Rename);
    let role = |permissions| RolePolicies::trusting_the_server(ACCOUNT, printed("twin", permissions, tagged.clone()));
    let roles = [("renaming", renaming), ("writing", permissions())];
    let roles = roles.map(|(name, permissions)| (name.to_owned(), role(permissions)));
    let site = Site::demo_with("twin", roles.into()).await;
    let below = Prefix::parse(&site.prefix).unwrap();
    let (source, target) = (below.key("source").unwrap(), below.key("target").unwrap());
    let copy = async |role: &str| {
        let bucket = site.bucket_through(&arn(role), tagged.clone(), renaming).await;
        bucket.put(&source, payload(), &NewObject::default(), Condition::Always).await?;
        let pin = Pin { etag: bucket.head(&source).await?.pin.etag, version: None };
        let upload = bucket.create_copy(&target, &source, &pin, &NewObject::default()).await?;
        // S3 copies no range of so small a source.
        let part = bucket.upload_part(&target, &upload, 1, payload()).await?;
        bucket.complete_upload(&target, &upload, &[part], Condition::Always).await
    };
    let denied = copy("writing").await.unwrap_err();
    assert!(matches!(denied, Error::Forbidden { .. }), "the role may not read tags: {denied}");
    assert_eq!(tags_of(&site, "source").await, [("origin".to_owned(), "sftp".to_owned())]);
    copy("renaming").await.unwrap();
    assert_eq!(tags_of(&site, "target").await, [("origin".to_owned(), "sftp".to_owned())]);
}
