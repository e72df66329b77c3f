//! A vendor's bucket with two tenants whose names are nearly alike, and a second bucket.

use crate::support::{
    demo::client,
    scope::{storage, tenants},
    seaweedfs::{self, SeaweedFs},
};
use aws_credential_types::Credentials;
use aws_sdk_s3::{Client, config::Region};
use fake_aws::{
    AwsSettings, FakeAws, StorageKind,
    iam::{self, AccountId, IamUser, Policy},
};
use std::sync::Arc;
use wharfinger::{
    account::{BaseCredentials, Permission, Permissions, Role, Storage, StorageCredentials},
    cloud::{S3Buckets, Scope, SessionPolicy},
    name::Prefix,
};

/// Content of every object that a session of acme must never read.
pub const SECRET: &str = "globex's secret";

/// A store with its objects. Everything below [`Site::prefix`] belongs to acme.
pub struct Site {
    /// Bucket of both tenants.
    pub bucket: String,
    /// The second bucket.
    pub other: String,
    /// Acme's prefix in `bucket`.
    pub prefix: String,
    /// A client with full access.
    pub admin: Client,
    /// Acme's bucket with its role, as config states it.
    storage: Storage,
    /// Kept running as long as the site exists.
    store: RunningStore,
}

enum RunningStore {
    Demo(FakeAws),
    SeaweedFs(#[expect(dead_code, reason = "held for its Drop")] Arc<SeaweedFs>),
}

/// The account of the demo's site.
pub const ACCOUNT: &str = "111122223333";
/// The external ID that its roles require.
pub const EXTERNAL_ID: &str = "wh-5d0a1c77";

/// The policies of a role.
pub struct RolePolicies {
    pub trust: String,
    /// `None` allows everything.
    pub policy: Option<String>,
}

impl Site {
    /// A site on the demo's S3 and STS, whose trust policy requires the external ID.
    pub async fn demo(promise: &str) -> Self {
        Self::demo_with(promise, Vec::new()).await
    }

    /// Like [`Site::demo`], with further roles in the account, by their names.
    pub async fn demo_with(promise: &str, roles: Vec<(String, RolePolicies)>) -> Self {
        let account: AccountId = ACCOUNT.parse().unwrap();
        let user = |name: &str, policy: Policy| IamUser {
            account: account.clone(),
            name: name.to_owned(),
            access_key_id: name.to_owned(),
            secret_access_key: "secret".to_owned(),
            policy,
        };
        let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": "arn:aws:iam::111122223333:user/server"},
            "Condition": {"StringEquals": {"sts:ExternalId": "wh-5d0a1c77"}}}}"#;
        let everything = RolePolicies { trust: trust.to_owned(), policy: None };
        let role = |(name, document): (String, RolePolicies)| iam::IamRole {
            account: account.clone(),
            name,
            trust: document.trust.parse().unwrap(),
            policy: document.policy.map_or_else(Policy::everything, |policy| policy.parse().unwrap()),
            max_session: iam::IamRole::DEFAULT_MAX_SESSION,
        };
        let roles = [("tenants".to_owned(), everything)].into_iter().chain(roles).map(role).collect();
        let assume = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
        let running = FakeAws::start(AwsSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![user("server", assume.parse().unwrap()), user("admin", Policy::everything())],
            roles,
            buckets: ["vendor", "other"].map(|bucket| (bucket.to_owned(), account.clone())).into(),
            bucket_settings: std::collections::BTreeMap::new(),
            session_lifetime: None,
            storage: StorageKind::Memory { max_bytes: 64 << 20 },
        })
        .await
        .unwrap();
        let endpoint = format!("http://{}", running.address);
        let role = Role {
            arn: "arn:aws:iam::111122223333:role/tenants".parse().unwrap(),
            external_id: EXTERNAL_ID.parse().unwrap(),
            sts_endpoint: Some(endpoint.clone()),
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
        };
        let storage = storage("vendor", &endpoint, "server", "secret");
        let admin = client(&endpoint, Credentials::new("admin", "secret", None, None, "test"));
        Self::new(storage, role, admin, "other".to_owned(), promise, RunningStore::Demo(running)).await
    }

    /// A site on SeaweedFS, below a prefix for this promise.
    pub async fn seaweedfs(promise: &str) -> Self {
        let seaweedfs = SeaweedFs::shared().await;
        let storage = seaweedfs.storage();
        let role = Role {
            arn: seaweedfs::ROLE.parse().unwrap(),
            external_id: "wh-no-store-but-aws-asks-for-it".parse().unwrap(),
            sts_endpoint: Some(seaweedfs.endpoint()),
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
        };
        let admin = Credentials::new(seaweedfs::ACCESS_KEY_ID, seaweedfs::SECRET_ACCESS_KEY, None, None, "test");
        let other = format!("other-{}", promise.replace('_', "-"));
        let other: String = other.chars().take(63).collect();
        let other = other.trim_end_matches('-').to_owned();
        let client = client(&seaweedfs.endpoint(), admin);
        client.create_bucket().bucket(&other).send().await.unwrap();
        Self::new(storage, role, client, other, promise, RunningStore::SeaweedFs(seaweedfs)).await
    }

    async fn new(
        storage: Storage,
        role: Role,
        admin: Client,
        other: String,
        promise: &str,
        store: RunningStore,
    ) -> Self {
        let credentials = StorageCredentials { role: Some(role), ..storage.credentials };
        let storage = Storage { credentials, ..storage };
        let site =
            Self { bucket: storage.bucket.clone(), other, prefix: format!("{promise}/acme/"), admin, storage, store };
        for (bucket, key) in site.foreign() {
            site.put(&bucket, &key, SECRET).await;
        }
        site
    }

    /// True on SeaweedFS, which enforces some rules less strictly than S3.
    pub fn is_seaweedfs(&self) -> bool {
        matches!(self.store, RunningStore::SeaweedFs(_))
    }

    /// Has the following requests to S3 come through a VPC endpoint. Only on the demo.
    pub fn come_through(&self, endpoint: Option<&str>) {
        match &self.store {
            RunningStore::Demo(aws) => aws.set_source_vpce(endpoint),
            RunningStore::SeaweedFs(_) => panic!("SeaweedFS knows no endpoints"),
        }
    }

    /// Returns keys outside acme's prefix: neighbours with similar names, the directory above, and the second bucket.
    pub fn foreign(&self) -> Vec<(String, String)> {
        let above = self.prefix.trim_end_matches("acme/");
        let keys = ["acme-archive/secret", "acme2", "acm/secret", "globex/secret", "secret"];
        let mut foreign: Vec<_> = keys.map(|key| (self.bucket.clone(), format!("{above}{key}"))).into();
        foreign.push((self.other.clone(), format!("{}secret", self.prefix)));
        foreign
    }

    /// Puts an object with full access.
    pub async fn put(&self, bucket: &str, key: &str, content: &str) {
        let body = content.as_bytes().to_vec().into();
        self.admin.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    /// Returns an object's content, read with full access.
    pub async fn content(&self, bucket: &str, key: &str) -> Option<String> {
        let answer = self.admin.get_object().bucket(bucket).key(key).send().await.ok()?;
        let bytes = answer.body.collect().await.unwrap().to_vec();
        Some(String::from_utf8(bytes).unwrap())
    }

    /// Returns a client with the credentials that the server gets for a session of acme's alice.
    pub async fn session(&self, permissions: &[Permission]) -> Client {
        let (tenant, user) = ("acme".parse().unwrap(), "alice".parse().unwrap());
        let prefix = Prefix::parse(&self.prefix).unwrap();
        let permissions = permissions.iter().copied().collect();
        let buckets = S3Buckets::new(tenants([("acme", self.storage.clone())]));
        let scope = Scope::new(&tenant, &user, &prefix, permissions);
        client(self.endpoint(), buckets.session_credentials(scope).await.unwrap())
    }

    /// Session policy with all permissions.
    pub fn policy(&self) -> String {
        self.policy_of(Permissions::ALL)
    }

    /// Session policy with these permissions.
    pub fn policy_of(&self, permissions: Permissions) -> String {
        let prefix = Prefix::parse(&self.prefix).unwrap();
        SessionPolicy::new(&self.storage, &prefix, permissions).unwrap().as_str().to_owned()
    }

    /// The session policy of the janitor.
    pub fn policy_of_janitor(&self) -> String {
        let prefix = Prefix::parse(&self.prefix).unwrap();
        SessionPolicy::for_janitor(&self.storage, &prefix).unwrap().as_str().to_owned()
    }

    /// Returns a client in a session of the same role with another policy.
    pub async fn session_under(&self, policy: &str) -> Client {
        let role = self.storage.credentials.role.as_ref().unwrap();
        self.session_of(role.arn.as_str(), Some(policy)).await
    }

    /// Returns a client in a session of a role, with the external ID of acme's. Without a policy the session may do what
    /// the role may.
    pub async fn session_of(&self, role_arn: &str, policy: Option<&str>) -> Client {
        let role = self.storage.credentials.role.as_ref().unwrap();
        let BaseCredentials::Static { access_key_id, secret_access_key } = &self.storage.credentials.base else {
            panic!("the tests ask with an access key");
        };
        let base = Credentials::new(access_key_id, secret_access_key.expose(), None, None, "test");
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(role.sts_endpoint.clone().unwrap())
            .credentials_provider(base)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let sts = aws_sdk_sts::Client::from_conf(config.build());
        let assumed = sts
            .assume_role()
            .role_arn(role_arn)
            .external_id(role.external_id.as_str())
            .role_session_name("under-another-policy")
            .set_policy(policy.map(str::to_owned))
            .send()
            .await
            .unwrap();
        let key = assumed.credentials.unwrap();
        let token = Some(key.session_token);
        client(self.endpoint(), Credentials::new(key.access_key_id, key.secret_access_key, token, None, "test"))
    }

    fn endpoint(&self) -> &str {
        self.storage.endpoint.as_deref().unwrap()
    }
}
