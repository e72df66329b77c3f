//! Verifications of accounts on fake-aws: one that is right, and one for each way to be wrong.

use super::*;
use crate::{
    account::{BaseCredentials, Encryption, ObjectSettings, Permission, Role, Storage, StorageCredentials, Tenant},
    cloud::{RolePolicy, RoleTrust},
    name::{BucketId, TenantName},
};
use fake_aws::{
    AwsSettings, BucketSettings, FakeAws, StorageKind,
    iam::{AccountId, IamRole, IamUser, KmsKeyArn, Policy},
};
use std::{collections::BTreeMap, sync::Arc};

const SERVER: &str = "arn:aws:iam::111122223333:user/server";
const ACCOUNT: &str = "444455556666";
const KEY: &str = "arn:aws:kms:us-east-1:444455556666:key/1234abcd";

/// An account of a customer, whose parts a test makes wrong before it is opened.
struct TestAccount {
    permissions: Permissions,
    /// The tenant's file.
    role: Role,
    prefix: &'static str,
    owner: &'static str,
    kms_key: Option<&'static str>,
    /// The account.
    trust: Option<String>,
    policy: Option<String>,
    bucket: BucketSettings,
}

impl TestAccount {
    fn right() -> Self {
        Self {
            permissions: Permissions::ALL,
            role: Role {
                arn: format!("arn:aws:iam::{ACCOUNT}:role/wharfinger").parse().unwrap(),
                external_id: "wh-5d0a1c77".parse().unwrap(),
                sts_endpoint: None,
                session_tags: true,
                source_identity: true,
                accept_without_external_id: false,
                via: None,
            },
            prefix: "sftp/",
            owner: ACCOUNT,
            kms_key: None,
            trust: None,
            policy: None,
            bucket: BucketSettings::default(),
        }
    }

    /// The text of the trust policy that `tenant policy` prints.
    fn trust(&self) -> String {
        let trust = RoleTrust::new(&self.role, &SERVER.parse().unwrap(), &name());
        serde_json::to_string(&trust).unwrap()
    }

    /// The text of the role's policy that `tenant policy` prints.
    fn policy(&self) -> String {
        let key = self.kms_key;
        let policy = RolePolicy::new(&self.storage("http://127.0.0.1:1"), self.permissions, key).unwrap();
        serde_json::to_string(&policy).unwrap()
    }

    fn storage(&self, endpoint: &str) -> Storage {
        let role = Role { sts_endpoint: Some(endpoint.to_owned()), ..self.role.clone() };
        let secret_access_key = "secret".to_owned().into();
        let encryption = match self.kms_key {
            None => Encryption::Bucket,
            Some(key) => Encryption::SseKms { key: Some(key.to_owned()), bucket_key: None },
        };
        let base = BaseCredentials::Static { access_key_id: "server".to_owned(), secret_access_key };
        Storage {
            id: BucketId::new("exchange", Some(endpoint)),
            bucket: "exchange".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            path_style: true,
            expected_bucket_owner: Some(self.owner.to_owned()),
            objects: ObjectSettings { encryption, ..ObjectSettings::default() },
            credentials: StorageCredentials { base, role: Some(role) },
            ..Storage::of_a_test(self.prefix)
        }
    }

    async fn open(self) -> OpenAccount {
        let (vendor, customer): (AccountId, AccountId) = ("111122223333".parse().unwrap(), ACCOUNT.parse().unwrap());
        let server = IamUser {
            account: vendor.clone(),
            name: "server".to_owned(),
            access_key_id: "server".to_owned(),
            secret_access_key: "secret".to_owned(),
            policy: Policy::everything(),
        };
        let role = IamRole {
            account: customer.clone(),
            name: "wharfinger".to_owned(),
            trust: self.trust.clone().unwrap_or_else(|| self.trust()).parse().unwrap(),
            policy: self.policy.clone().unwrap_or_else(|| self.policy()).parse().unwrap(),
            max_session: IamRole::DEFAULT_MAX_SESSION,
        };
        let aws = FakeAws::start(AwsSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![server],
            roles: vec![role],
            buckets: vec![("exchange".to_owned(), customer.clone()), ("other".to_owned(), customer)],
            bucket_settings: BTreeMap::from([("exchange".to_owned(), self.bucket.clone())]),
            access_points: Vec::new(),
            session_lifetime: None,
            storage: StorageKind::Memory { max_bytes: 64 << 20 },
        })
        .await
        .unwrap();
        let storage = self.storage(&format!("http://{}", aws.address));
        OpenAccount { aws, storage, permissions: self.permissions, read_only: false }
    }
}

fn name() -> TenantName {
    "globex".parse().unwrap()
}

struct OpenAccount {
    aws: FakeAws,
    storage: Storage,
    permissions: Permissions,
    read_only: bool,
}

impl OpenAccount {
    async fn verify(&self) -> VerifyReport {
        self.verify_until(&CancellationToken::new(), &mut |_| {}).await
    }

    async fn verify_until(
        &self,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(VerifyProgress<'_>) + Send),
    ) -> VerifyReport {
        let (tenant, storage) = (Arc::new(Tenant::new(name())), Arc::new(self.storage.clone()));
        let setup = TenantSetup { tenant, storage, users: Vec::new() };
        let principal = SERVER.parse().unwrap();
        let request = VerifyRequest {
            setup: &setup,
            server_principal: Some(&principal),
            permissions: self.permissions,
            read_only: self.read_only,
            other_bucket: Some("other".to_owned()),
        };
        verify(&AccountChecks::new(), &request, stop, tell).await.unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.aws.objects("exchange").unwrap().into_keys().collect()
    }
}

/// The steps that failed, with their causes and cures.
fn failed(report: &VerifyReport) -> Vec<(VerifyStep, String)> {
    let failed = report.steps.iter().filter_map(|step| match &step.outcome {
        StepOutcome::Failed { cause, cure } => Some((step.step, format!("{cause}; {cure}"))),
        _ => None,
    });
    failed.collect()
}

fn not_tried(report: &VerifyReport) -> Vec<VerifyStep> {
    let steps = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::NotTried { .. }));
    steps.map(|step| step.step).collect()
}

/// Requires that exactly these steps failed, and that each says the words.
fn require_failed(report: &VerifyReport, wanted: &[(VerifyStep, &str)]) {
    let failed = failed(report);
    let steps: Vec<VerifyStep> = failed.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, wanted.iter().map(|(step, _)| *step).collect::<Vec<_>>(), "{failed:#?}");
    for ((step, said), (_, words)) in failed.iter().zip(wanted) {
        assert!(said.contains(words), "{step:?}: {said}");
    }
    assert!(!report.proved);
}

#[tokio::test]
async fn an_account_that_is_right_is_proved_and_nothing_stays() {
    let account = TestAccount::right().open().await;
    account.aws.put_zeros("exchange", "sftp/of-before", 3).unwrap();
    let report = account.verify().await;
    assert_eq!((failed(&report), not_tried(&report)), (vec![], vec![]));
    assert!(report.proved && report.left.is_empty(), "{report:?}");
    assert_eq!(account.keys(), ["sftp/of-before"]);
    assert!(account.aws.uploads("exchange").is_empty() && account.aws.objects("other").unwrap().is_empty());
    let steps: Vec<VerifyStep> = report.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps.len(), 25, "all but those for tenants who may write or read less: {steps:?}");
}

#[tokio::test]
async fn a_role_that_does_not_ask_for_the_external_id_is_found() {
    let right = TestAccount::right();
    let trust = right.trust().replace("\"StringEquals\":{\"sts:ExternalId\":[\"wh-5d0a1c77\"]},", "");
    let report = TestAccount { trust: Some(trust), ..right }.open().await.verify().await;
    let words = "require `sts:ExternalId` with StringEquals: `wharfinger tenant policy globex` prints it";
    require_failed(&report, &[(VerifyStep::NoExternalId, words), (VerifyStep::WrongExternalId, words)]);
}

#[tokio::test]
async fn a_role_that_takes_other_external_ids_is_found_and_may_be_accepted() {
    let right = TestAccount::right();
    let trust = right
        .trust()
        .replace("\"StringEquals\":{\"sts:ExternalId\":[\"wh-5d0a1c77\"]}", "\"Null\":{\"sts:ExternalId\":\"false\"}");
    let mut account = TestAccount { trust: Some(trust), ..right }.open().await;
    let report = account.verify().await;
    require_failed(&report, &[(VerifyStep::WrongExternalId, "with a wrong external ID")]);
    account.storage.credentials.role.as_mut().unwrap().accept_without_external_id = true;
    let report = account.verify().await;
    assert!(report.proved);
    let accepted = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Accepted { .. }));
    assert_eq!(accepted.map(|step| step.step).collect::<Vec<_>>(), [VerifyStep::WrongExternalId]);
}

#[tokio::test]
async fn a_role_that_admits_everyone_with_the_external_id_is_found() {
    let right = TestAccount::right();
    let trust = right.trust().replace(&format!("{SERVER:?}"), "\"*\"");
    let report = TestAccount { trust: Some(trust), ..right }.open().await.verify().await;
    require_failed(&report, &[(VerifyStep::OtherIdentity, "must name the server alone")]);
}

#[tokio::test]
async fn a_missing_action_is_named() {
    use VerifyStep::{Abort, CopyInParts, Delete, Get, Listing, Multipart, Put, Range, Tags};
    for (action, steps) in [
        ("s3:ListBucket", &[Listing][..]),
        ("s3:PutObject", &[Put, Multipart]),
        ("s3:GetObject", &[Get, Range]),
        ("s3:DeleteObject", &[Delete]),
        ("s3:AbortMultipartUpload", &[Abort]),
        ("s3:ListMultipartUploadParts", &[Abort]),
        ("s3:PutObjectTagging", &[Tags]),
        ("s3:GetObjectTagging", &[Tags]),
    ] {
        let right = TestAccount::right();
        let policy = right.policy().replace(&format!("{action:?},"), "").replace(&format!(",{action:?}"), "");
        let policy = policy.replace(&format!("{action:?}"), "\"s3:GetObjectVersion\"");
        let report = TestAccount { policy: Some(policy), ..right }.open().await.verify().await;
        let failed = failed(&report);
        for step in steps {
            let said = failed.iter().find(|(found, _)| found == step).map(|(_, said)| said.as_str());
            assert!(
                said.is_some_and(|said| said.contains(action) && said.contains("tenant policy globex")),
                "{action} {step:?}: {failed:#?}"
            );
        }
        assert!(failed.iter().all(|(step, _)| *step != CopyInParts || action != "s3:ListBucket"), "{failed:?}");
    }
}

#[tokio::test]
async fn a_policy_for_another_prefix_is_found() {
    let right = TestAccount::right();
    let policy = right.policy().replace("sftp/", "ftp/");
    let report = TestAccount { policy: Some(policy), ..right }.open().await.verify().await;
    let failed = failed(&report);
    assert_eq!(failed[0].0, VerifyStep::Listing);
    assert!(failed[0].1.contains("s3:ListBucket below the tenant's prefix"), "{failed:?}");
}

#[tokio::test]
async fn another_owner_is_found() {
    let account = TestAccount { owner: "999999999999", ..TestAccount::right() };
    let failed = failed(&account.open().await.verify().await);
    assert_eq!(failed[0].0, VerifyStep::Listing, "{failed:?}");
}

#[tokio::test]
async fn a_kms_key_that_the_role_may_not_use_is_found() {
    let bucket = BucketSettings { kms_key: Some(KEY.parse().unwrap()), ..BucketSettings::default() };
    let without = TestAccount { bucket: bucket.clone(), ..TestAccount::right() };
    let failed_steps = failed(&without.open().await.verify().await);
    assert_eq!(failed_steps[0].0, VerifyStep::Put);
    assert!(
        failed_steps[0].1.contains("kms:GenerateDataKey") && failed_steps[0].1.contains("--kms-key"),
        "{failed_steps:?}"
    );

    let with = TestAccount { bucket, kms_key: Some(KEY), ..TestAccount::right() }.open().await;
    let report = with.verify().await;
    assert_eq!(failed(&report), []);
    let encryption = report.steps.iter().find(|step| step.step == VerifyStep::Encryption).unwrap();
    assert!(
        matches!(&encryption.outcome, StepOutcome::Proved { detail: Some(said) } if said == &format!("aws:kms with {KEY}"))
    );
    with.aws.disable_kms_keys(&[KEY.parse::<KmsKeyArn>().unwrap()]);
    let failed = failed(&with.verify().await);
    assert!(failed[0].0 == VerifyStep::Put && failed[0].1.contains("disabled"), "{failed:?}");
}

#[tokio::test]
async fn a_public_bucket_is_found() {
    let bucket = BucketSettings { public_read: true, ..BucketSettings::default() };
    let report = TestAccount { bucket, ..TestAccount::right() }.open().await.verify().await;
    let failed = failed(&report);
    assert!(
        failed.iter().any(|(step, said)| *step == VerifyStep::PublicAccess && said.contains("block public access")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_found() {
    let account = TestAccount::right().open().await;
    account.aws.set_clock_offset(-90);
    require_failed(
        &account.verify().await,
        &[(VerifyStep::Clock, "s ahead of that of AWS; set this machine's clock right")],
    );
    account.aws.set_clock_offset(3_600);
    let failed = failed(&account.verify().await);
    assert!(failed.iter().any(|(step, said)| *step == VerifyStep::Clock && said.contains("behind")), "{failed:?}");
}

#[tokio::test]
async fn a_store_that_is_not_there_is_told_once() {
    let mut account = TestAccount::right().open().await;
    let nowhere = || Some("http://127.0.0.1:1".to_owned());
    account.storage.endpoint = nowhere();
    account.storage.credentials.role.as_mut().unwrap().sts_endpoint = nowhere();
    let report = account.verify().await;
    let failed = failed(&report);
    let steps: Vec<VerifyStep> = failed.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [VerifyStep::Identity, VerifyStep::Role, VerifyStep::PublicAccess]);
    assert!(
        failed.iter().all(|(_, said)| said.contains("no answer from") && said.contains("sts_endpoint")),
        "{failed:?}"
    );
    assert!(not_tried(&report).contains(&VerifyStep::Put) && report.left.is_empty());
}

#[tokio::test]
async fn a_verification_that_may_only_read_writes_nothing() {
    let mut account = TestAccount::right().open().await;
    account.aws.put_zeros("exchange", "sftp/of-before", 3).unwrap();
    account.read_only = true;
    let report = account.verify().await;
    assert_eq!((failed(&report), not_tried(&report)), (vec![], vec![]));
    let counts = account.aws.requests();
    for operation in ["PutObject", "DeleteObject", "CreateMultipartUpload", "CopyObject", "PutObjectTagging"] {
        assert!(!counts.contains_key(operation), "{counts:?}");
    }
    assert_eq!(account.keys(), ["sftp/of-before"]);
}

#[tokio::test]
async fn what_a_drop_box_leaves_is_listed() {
    let permissions = [Permission::Write].into_iter().collect();
    let account = TestAccount { permissions, ..TestAccount::right() }.open().await;
    let report = account.verify().await;
    assert_eq!(failed(&report), []);
    let left: Vec<String> = account.keys().iter().map(|key| format!("s3://exchange/{key}")).collect();
    assert_eq!((report.left.clone(), report.left.len()), (left, 2));
    assert_eq!(not_tried(&report), [VerifyStep::CleanUp]);
}

#[tokio::test]
async fn a_verification_that_is_stopped_cleans_up() {
    let (account, stop) = (TestAccount::right().open().await, CancellationToken::new());
    let mut tell = |progress: VerifyProgress<'_>| {
        if let VerifyProgress::Begins(VerifyStep::Get) = progress {
            stop.cancel();
        }
    };
    let report = account.verify_until(&stop, &mut tell).await;
    assert!(account.keys().is_empty() && report.left.is_empty(), "{:?}", account.keys());
    assert!(not_tried(&report).contains(&VerifyStep::Get));
    assert!(report.stopped && !report.proved);
}
