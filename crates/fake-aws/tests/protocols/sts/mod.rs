//! STS and IAM behave as AWS's do, seen through the SDKs: trust policies decide who may assume a role, and
//! session policies what a session may reach.

mod access_points;
mod clock;
mod identities;
mod kms;
mod missing;
mod policies;
mod promises;
mod public;
mod role_calls;
mod scope;
mod tagging;
mod tokens;
mod trust;

use aws_sdk_s3::{
    config::{Credentials, Region, SharedCredentialsProvider},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use aws_sdk_sts::operation::assume_role::{AssumeRoleOutput, builders::AssumeRoleFluentBuilder};
use fake_aws::{
    AwsSettings, BucketSettings, FakeAws, StorageKind,
    iam::{IamRole, IamUser, Policy},
};
use std::{fmt::Debug, time::SystemTime};

/// Account of the vendor, with the buckets `vendor` and `other`.
const VENDOR: &str = "111122223333";
/// Account of a tenant, with the bucket `tenant`.
const TENANT: &str = "444455556666";
/// External ID that the tenant's role requires.
const EXTERNAL_ID: &str = "wharfinger:acme/1";

/// A running S3 and STS, with users, roles and buckets of two accounts.
struct Cloud {
    s3: FakeAws,
}

impl Cloud {
    async fn start() -> Self {
        Self::with_sessions_of(None).await
    }

    /// Starts with sessions of this lifetime. `None` grants the lifetime that the caller asks for.
    async fn with_sessions_of(session_lifetime: Option<std::time::Duration>) -> Self {
        Self::with_settings(|settings| settings.session_lifetime = session_lifetime).await
    }

    /// Starts with the bucket `vendor` as `settings` says.
    async fn with_bucket(settings: BucketSettings) -> Self {
        Self::with_settings(|all| all.bucket_settings = [("vendor".to_owned(), settings)].into()).await
    }

    async fn with_settings(change: impl FnOnce(&mut AwsSettings)) -> Self {
        let user = |account: &str, name: &str, policy: Policy| IamUser {
            account: account.parse().unwrap(),
            name: name.to_owned(),
            access_key_id: format!("AK{}", name.to_uppercase()),
            secret_access_key: format!("secret of {name}"),
            policy,
        };
        let everything = Policy::everything;
        let reader = allow("s3:GetObject", "arn:aws:s3:::*").parse().unwrap();
        let bucket = |name: &str, account: &str| (name.to_owned(), account.parse().unwrap());
        let mut settings = AwsSettings {
            users: vec![
                user(VENDOR, "server", everything()),
                user(VENDOR, "reader", reader),
                user(TENANT, "owner", everything()),
                user("777788889999", "stranger", everything()),
            ],
            roles: roles(),
            buckets: vec![bucket("vendor", VENDOR), bucket("other", VENDOR), bucket("tenant", TENANT)],
            ..AwsSettings::one_user("", "", &[], StorageKind::Memory { max_bytes: 64 << 20 })
        };
        change(&mut settings);
        Self { s3: FakeAws::start(settings).await.unwrap() }
    }

    /// Returns an STS client of a user.
    fn sts(&self, user: &str) -> aws_sdk_sts::Client {
        self.sts_with(keys(user))
    }

    fn sts_with(&self, credentials: Credentials) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", self.s3.address))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// Returns an S3 client with these credentials.
    fn s3_with(&self, credentials: Credentials) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", self.s3.address))
            .force_path_style(true)
            .credentials_provider(credentials)
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// AssumeRole of the tenant's role by the vendor's server, with the right external ID.
    fn assume_tenant_role(&self) -> AssumeRoleFluentBuilder {
        assume(&self.sts("server"), TENANT, "wharfinger").external_id(EXTERNAL_ID)
    }

    /// AssumeRole of the vendor's own role.
    fn assume_data(&self) -> AssumeRoleFluentBuilder {
        assume(&self.sts("server"), VENDOR, "data")
    }

    /// Returns a client in a session of the vendor's role with a session policy.
    async fn scoped(&self, policy: impl Into<String>) -> aws_sdk_s3::Client {
        self.s3_with(session(&self.assume_data().policy(policy).send().await.unwrap()))
    }

    /// Puts objects as the owner of the bucket.
    async fn put(&self, bucket: &str, keys: &[&str]) {
        let owner = self.s3_with(self::keys(if bucket == "tenant" { "owner" } else { "server" }));
        for key in keys {
            let body = ByteStream::from_static(b"theirs");
            owner.put_object().bucket(bucket).key(*key).body(body).send().await.unwrap();
        }
    }
}

/// All roles. Each trust policy is for particular tests.
fn roles() -> Vec<IamRole> {
    let role = |account: &str, name: &str, trust: &str, policy: &str| IamRole {
        account: account.parse().unwrap(),
        name: name.to_owned(),
        trust: trust.parse().unwrap(),
        policy: policy.parse().unwrap(),
        max_session: IamRole::DEFAULT_MAX_SESSION,
    };
    let vendor = allow("*", "*");
    let tenant = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::tenant", "arn:aws:s3:::tenant/*"]}]}"#;
    let external = format!(r#", "Condition": {{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}"#);
    let tags = r#", "Condition": {"StringEquals": {"aws:RequestTag/tenant": "acme"}}"#;
    let named = r#", "Condition": {"StringLike": {"sts:SourceIdentity": "a*", "sts:RoleSessionName": "acme.*"}}"#;
    let root = format!("arn:aws:iam::{VENDOR}:root");
    let all = r#"["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]"#;
    let assume = "\"sts:AssumeRole\"";
    let data = format!("arn:aws:iam::{VENDOR}:role/data");
    vec![
        role(VENDOR, "data", &trusting(&root, all, ""), &vendor),
        role(VENDOR, "plain", &trusting(&root, assume, ""), &vendor),
        role(VENDOR, "tagged", &trusting(&root, all, tags), &vendor),
        role(VENDOR, "named", &trusting(&root, all, named), &vendor),
        IamRole {
            max_session: std::time::Duration::from_hours(12),
            ..role(VENDOR, "chained", &trusting(&data, all, ""), &vendor)
        },
        role(TENANT, "wharfinger", &trusting(VENDOR, assume, &external), tenant),
    ]
}

fn trusting(principal: &str, actions: &str, condition: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}},
            "Action": {actions}{condition}}}}}"#
    )
}

fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement":
            [{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}]}}"#
    )
}

/// The server's policy for a prefix of the bucket `vendor`. The prefix ends in `/`.
fn only(prefix: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject",
              "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], "Resource": "arn:aws:s3:::vendor/{prefix}*"}},
            {{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::vendor",
              "Condition": {{"StringLike": {{"s3:prefix": "{prefix}*"}}}}}}]}}"#
    )
}

/// Credentials of a user.
fn keys(user: &str) -> Credentials {
    Credentials::new(format!("AK{}", user.to_uppercase()), format!("secret of {user}"), None, None, "test")
}

/// Credentials of a session.
fn session(output: &AssumeRoleOutput) -> Credentials {
    let keys = output.credentials().unwrap();
    let token = Some(keys.session_token().to_owned());
    Credentials::new(keys.access_key_id(), keys.secret_access_key(), token, None, "test")
}

fn assume(sts: &aws_sdk_sts::Client, account: &str, role: &str) -> AssumeRoleFluentBuilder {
    sts.assume_role().role_arn(format!("arn:aws:iam::{account}:role/{role}")).role_session_name("acme.alice")
}

/// Returns the size of policy and tags, in percent of the allotted space. STS still answers it, although AWS deprecated
/// it.
#[allow(deprecated)]
fn packed(output: &AssumeRoleOutput) -> Option<i32> {
    output.packed_policy_size()
}

#[allow(clippy::disallowed_methods, reason = "the expirations are in the system's time")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Returns the code, the HTTP status and the sentence of a request that must fail.
fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    answer: Result<T, SdkError<E, aws_smithy_runtime_api::http::Response>>,
) -> (String, u16, String) {
    let error = answer.expect_err("this is refused");
    let status = error.raw_response().expect("there is an answer").status().as_u16();
    let [code, message] = [error.code(), error.message()].map(|text| text.unwrap_or_default().to_owned());
    (code, status, message)
}

/// Asserts that a request is denied.
#[track_caller]
fn denied<T: Debug, E: ProvideErrorMetadata + Debug>(
    answer: Result<T, SdkError<E, aws_smithy_runtime_api::http::Response>>,
) {
    let (code, status, message) = refusal(answer);
    assert_eq!(status, 403, "{code}: {message}");
    // HEAD has no body, so the SDK derives the code from the status.
    assert!(code == "AccessDenied" || code.is_empty() || code == "Forbidden", "{code}: {message}");
}
