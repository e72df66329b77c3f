//! Tests of the policy's exact text. The tests in `tests/integration/isolation` prove against the demo's S3 and
//! SeaweedFS that each part of it is needed.

use super::*;
use crate::{
    account::{BucketAddress, Encryption, ObjectSettings, ObjectTag, Permission},
    name::BucketId,
};

fn storage(bucket: &str) -> Storage {
    Storage { id: BucketId::new(bucket, None), bucket: bucket.to_owned(), ..Storage::of_a_test("acme/") }
}

fn elsewhere(bucket: &str) -> Storage {
    let endpoint = Some("http://127.0.0.1:8333".to_owned());
    Storage { id: BucketId::new(bucket, endpoint.as_deref()), endpoint, ..storage(bucket) }
}

fn encrypted(key: Option<&str>) -> ObjectSettings {
    let encryption = Encryption::SseKms { key: key.map(str::to_owned), bucket_key: None };
    ObjectSettings { encryption, ..ObjectSettings::default() }
}

fn policy(storage: &Storage, prefix: &str, permissions: &[Permission]) -> Result<String, NoPolicy> {
    let permissions = permissions.iter().copied().collect();
    SessionPolicy::new(storage, &Prefix::parse(prefix).unwrap(), permissions).map(|policy| policy.as_str().to_owned())
}

#[test]
fn it_allows_what_the_permissions_need_below_the_prefix() {
    let read = policy(&storage("vendor"), "tenants/acme/", &[Permission::Read]).unwrap();
    let listing = r#"{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":"arn:aws:s3:::vendor","Condition":{"StringLike":{"s3:prefix":["tenants/acme/*"]}}}"#;
    let objects = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::vendor/tenants/acme/*"}"#;
    let kms = r#"{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*","Condition":{"StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws:s3:::vendor","arn:aws:s3:::vendor/*"],"kms:ViaService":["s3.*"]}}}"#;
    assert_eq!(read, format!(r#"{{"Version":"2012-10-17","Statement":[{listing},{objects},{kms}]}}"#));
}

#[test]
fn a_store_that_is_not_aws_hears_of_kms_only_where_there_is_a_key() {
    let read = |storage: &Storage| policy(storage, "acme/", &[Permission::Read]).unwrap();
    assert!(!read(&elsewhere("vendor")).contains("kms:"));
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let keyed = Storage { objects: encrypted(Some(key)), ..elsewhere("vendor") };
    assert!(read(&keyed).contains(&format!(r#""Resource":"{key}""#)));
    let alias = Storage { objects: encrypted(Some("alias/files")), ..storage("vendor") };
    let any = r#""Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*""#;
    assert!(read(&alias).contains(any));
    let unnamed = Storage { objects: encrypted(None), ..elsewhere("vendor") };
    assert!(read(&unnamed).contains(any), "the store chooses the key");
    let twice = Encryption::DsseKms { key: Some(key.to_owned()) };
    let twice =
        Storage { objects: ObjectSettings { encryption: twice, ..ObjectSettings::default() }, ..storage("vendor") };
    assert!(read(&twice).contains(&format!(r#""Resource":"{key}""#)));
    let by_s3 = ObjectSettings { encryption: Encryption::SseS3, ..ObjectSettings::default() };
    let by_s3 = Storage { objects: by_s3, ..storage("vendor") };
    assert!(read(&by_s3).contains(any), "older objects, and those of other programs, may have a key");
}

#[test]
fn an_acl_is_allowed_where_objects_are_created_and_the_tenant_sets_it() {
    let objects = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
    let controlled = Storage { objects, ..elsewhere("vendor") };
    let write = policy(&controlled, "acme/", &[Permission::Write]).unwrap();
    let control = r#"{"Effect":"Allow","Action":["s3:PutObjectAcl"],"Resource":"arn:aws:s3:::vendor/acme/*","Condition":{"StringEquals":{"s3:x-amz-acl":["bucket-owner-full-control"]}}}"#;
    let without = policy(&elsewhere("vendor"), "acme/", &[Permission::Write]).unwrap();
    let begin = without.strip_suffix("]}").unwrap();
    assert_eq!(write, format!("{begin},{control}]}}"));
    for permissions in [&[Permission::Read][..], &[Permission::Read, Permission::Delete, Permission::List]] {
        let policies = [&controlled, &elsewhere("vendor")].map(|storage| policy(storage, "acme/", permissions));
        assert_eq!(policies[0], policies[1]);
    }
    let payer = ObjectSettings { requester_pays: true, ..ObjectSettings::default() };
    let payer = Storage { objects: payer, ..elsewhere("vendor") };
    let policies = [&payer, &elsewhere("vendor")].map(|storage| policy(storage, "acme/", &Permission::ALL));
    assert_eq!(policies[0], policies[1], "payment needs no action");
}

#[test]
fn tags_are_allowed_where_objects_are_created_and_the_tenant_sets_them() {
    let tags = vec![ObjectTag { key: "origin".to_owned(), value: "sftp".to_owned() }];
    let tagged = Storage { objects: ObjectSettings { tags, ..ObjectSettings::default() }, ..elsewhere("vendor") };
    let write = policy(&tagged, "acme/", &[Permission::Write]).unwrap();
    let actions = r#"["s3:AbortMultipartUpload","s3:ListMultipartUploadParts","s3:PutObject","s3:PutObjectTagging"]"#;
    assert!(write.contains(actions), "{write}");
    assert!(!policy(&elsewhere("vendor"), "acme/", &[Permission::Write]).unwrap().contains("Tagging"));
}

#[test]
fn mkdir_alone_reaches_markers_alone() {
    let mkdir = policy(&elsewhere("vendor"), "acme/", &[Permission::Mkdir]).unwrap();
    assert!(mkdir.contains(r#""Action":["s3:PutObject"],"Resource":"arn:aws:s3:::vendor/acme/*/"}"#), "{mkdir}");
}

#[test]
fn a_whole_bucket_may_be_listed_as_one_likes() {
    let whole = policy(&elsewhere("globex"), "", &[Permission::Read]).unwrap();
    assert!(whole.contains(r#"["s3:ListBucket"],"Resource":"arn:aws:s3:::globex"}"#), "{whole}");
    assert!(whole.contains(r#""Resource":"arn:aws:s3:::globex/*""#), "{whole}");
}

#[test]
fn wildcards_in_a_prefix_are_letters() {
    let odd = policy(&elsewhere("vendor"), "a*b?c$d/é\u{1f600}\"/", &[Permission::Read]).unwrap();
    assert!(odd.is_ascii());
    let escaped = r#"a${*}b${?}c${$}d/\u00e9\ud83d\ude00\"/*"#;
    assert!(odd.contains(&format!("vendor/{escaped}\"")) && odd.contains(&format!("[\"{escaped}\"]")), "{odd}");
}

#[test]
fn access_points_go_by_their_arns() {
    let arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme";
    let point = policy(&storage(arn), "in/", &[Permission::Read]).unwrap();
    assert!(point.contains(&format!(r#""Resource":"{arn}""#)), "{point}");
    assert!(point.contains(&format!(r#""Resource":"{arn}/object/in/*""#)), "{point}");
    assert!(!point.contains("EncryptionContext"), "{point}");
    let alias = storage("acme-xyz-s3alias");
    assert_eq!(policy(&alias, "in/", &[]), Err(NoPolicy::Alias));
    let known = Storage {
        address: BucketAddress { access_point_arn: Some(arn.to_owned()), ..BucketAddress::default() },
        ..alias
    };
    assert_eq!(policy(&known, "in/", &[Permission::Read]), Ok(point), "S3 judges both by the ARN");
}

#[test]
fn other_partitions_have_other_arns() {
    for (region, partition) in [
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
        ("eu-west-1", "aws"),
    ] {
        let storage = Storage { region: region.to_owned(), ..storage("vendor") };
        let read = policy(&storage, "acme/", &[Permission::Read]).unwrap();
        assert!(read.contains(&format!(r#""arn:{partition}:s3:::vendor/acme/*""#)), "{read}");
    }
}

#[test]
fn the_janitor_finds_uploads_and_aborts_its_own() {
    let prefix = Prefix::parse("tenants/ac*me/").unwrap();
    let policy = SessionPolicy::for_janitor(&storage("vendor"), &prefix).unwrap();
    let finds = r#"{"Effect":"Allow","Action":["s3:ListBucketMultipartUploads"],"Resource":"arn:aws:s3:::vendor"}"#;
    let aborts = r#"{"Effect":"Allow","Action":["s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::vendor/tenants/ac${*}me/*"}"#;
    assert_eq!(policy.as_str(), format!(r#"{{"Version":"2012-10-17","Statement":[{finds},{aborts}]}}"#));
    assert_eq!(SessionPolicy::for_janitor(&storage("acme-xyz-s3alias"), &prefix), Err(NoPolicy::Alias));
}

#[test]
fn all_permissions_and_settings_on_the_longest_plain_prefix_fit() {
    let longest = format!("{}/", "p".repeat(511));
    let bucket = "b".repeat(63);
    let key = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    let tags = vec![ObjectTag { key: "origin".to_owned(), value: "sftp".to_owned() }];
    let objects = ObjectSettings { tags, ..encrypted(Some(key)) };
    let controlled = ObjectSettings { bucket_owner_full_control: true, ..objects.clone() };
    let plain = Storage { objects, ..storage(&bucket) };
    assert!(policy(&plain, &longest, &Permission::ALL).unwrap().len() <= MAX_CHARACTERS);
    // The prefix is in one more statement.
    let controlled = Storage { objects: controlled, ..storage(&bucket) };
    let long = format!("{}/", "p".repeat(255));
    assert!(policy(&controlled, &long, &Permission::ALL).unwrap().len() <= MAX_CHARACTERS);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let long = format!("{}/", "é".repeat(255));
    let Err(NoPolicy::TooLong(characters)) = policy(&storage("vendor"), &long, &Permission::ALL) else { panic!() };
    assert!(characters > MAX_CHARACTERS);
}

#[test]
fn permissions_with_one_policy_have_one_widest_set() {
    let sets: Vec<Vec<Permission>> = (0..1 << Permission::ALL.len())
        .map(|bits: usize| {
            let chosen = Permission::ALL.into_iter().enumerate().filter(|(number, _)| bits >> number & 1 == 1);
            chosen.map(|(_, permission)| permission).collect()
        })
        .collect();
    let storage = storage("vendor");
    let policy_and_widest = |set: &Vec<Permission>| {
        let widest = SessionPolicy::widest(set.iter().copied().collect());
        (policy(&storage, "acme/", set).unwrap(), widest)
    };
    let all: Vec<_> = sets.iter().map(policy_and_widest).collect();
    for (one_policy, one_widest) in &all {
        for (policy, widest) in &all {
            assert_eq!(one_policy == policy, one_widest == widest, "{one_widest:?} {widest:?}");
        }
    }
}
