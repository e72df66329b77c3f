//! A vendor's bucket with two tenants whose names are nearly alike, and a second bucket.

mod access_point;
mod ways;

pub use access_point::PointAddress;
pub use ways::EscapeWay;

use crate::support::{
    demo::{client, client_by_host},
    ministack::Ministack,
    scope::{storage, tenants},
    seaweedfs::{self, SeaweedFs},
};
use access_point::SitePoint;
use aws_credential_types::Credentials;
use aws_sdk_s3::{Client, config::Region};
use fake_aws::{
    AwsSettings, FakeAws, StorageKind,
    iam::{self, AccountId, IamUser, Policy},
};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use wharfinger::{
    account::{
        BaseCredentials, ObjectSettings, Permission, Permissions, PrincipalArn, Role, Storage, StorageCredentials,
    },
    cloud::{BucketSource as _, RolePolicy, RoleTrust, S3Buckets, Scope, SessionPolicy},
    name::Prefix,
    store::Bucket,
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
    /// A client with full access to the buckets of [`ACCOUNT`], or of SeaweedFS.
    admin: Client,
    /// A client with full access to those of [`TENANTS_ACCOUNT`].
    tenants_admin: Option<Client>,
    /// Acme's bucket with its role, as config states it.
    storage: Storage,
    /// The access point in front of acme's mount.
    point: Option<SitePoint>,
    /// Kept running as long as the site exists.
    store: RunningStore,
}

enum RunningStore {
    Demo(FakeAws),
    SeaweedFs(#[expect(dead_code, reason = "held for its Drop")] Arc<SeaweedFs>),
    Ministack(#[expect(dead_code, reason = "held for its Drop")] Arc<Ministack>),
}

/// The account of the demo's site.
pub const ACCOUNT: &str = "111122223333";
/// The account of a tenant with a bucket of its own.
const TENANTS_ACCOUNT: &str = "444455556666";
/// The buckets of that account.
const TENANTS_BUCKETS: [&str; 2] = ["exchange", "archive"];
/// A bucket for a tenant that has all of it.
const WHOLE_BUCKET: &str = "whole";
/// The buckets of [`ACCOUNT`].
const BUCKETS: [&str; 3] = ["vendor", "other", WHOLE_BUCKET];
/// The policy of the server's own user.
const ASSUME: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
/// The trust policy of the vendor's role for all tenants.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::111122223333:user/server"},
    "Condition": {"StringEquals": {"sts:ExternalId": "wh-5d0a1c77"}}}}"#;
/// The external ID that the demo's roles require.
pub const EXTERNAL_ID: &str = "wh-5d0a1c77";

/// The policies of a role.
pub struct RolePolicies {
    pub trust: String,
    /// `None` allows everything.
    pub policy: Option<String>,
}

impl RolePolicies {
    /// The role of `account` that trusts the server with the printed trust policy.
    pub fn trusting_the_server(account: &str, policy: String) -> Self {
        let server: PrincipalArn = format!("arn:aws:iam::{ACCOUNT}:user/server").parse().unwrap();
        let role = demo_role(&format!("arn:aws:iam::{account}:role/wharfinger"), "http://127.0.0.1:1");
        let trust = RoleTrust::new(&role, &server, &"acme".parse().unwrap());
        Self { trust: serde_json::to_string(&trust).unwrap(), policy: Some(policy) }
    }

    /// The printed role of the tenant with an account of its own.
    fn of_the_exchange() -> Self {
        let policy = RolePolicy::new(&exchange("http://127.0.0.1:1"), Permissions::ALL, None).unwrap();
        Self::trusting_the_server(TENANTS_ACCOUNT, serde_json::to_string(&policy).unwrap())
    }
}

/// Makes the accounts of the demo in a new ministack. Returns the access key of the server.
fn prepare(ministack: &Ministack) -> (String, String) {
    for (account, buckets) in [(ACCOUNT, BUCKETS.as_slice()), (TENANTS_ACCOUNT, &TENANTS_BUCKETS)] {
        for bucket in buckets {
            ministack.add_bucket(account, bucket);
        }
    }
    let key = ministack.add_user(ACCOUNT, "server", ASSUME);
    let everything = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    ministack.add_role(ACCOUNT, "tenants", TRUST, everything);
    let RolePolicies { trust, policy } = RolePolicies::of_the_exchange();
    ministack.add_role(TENANTS_ACCOUNT, "wharfinger", &trust, &policy.unwrap());
    key
}

/// A role of the demo, as config states it.
fn demo_role(arn: &str, endpoint: &str) -> Role {
    Role {
        arn: arn.parse().unwrap(),
        external_id: EXTERNAL_ID.parse().unwrap(),
        sts_endpoint: Some(endpoint.to_owned()),
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    }
}

/// The bucket of the tenant with an account of its own, without its role.
fn exchange(endpoint: &str) -> Storage {
    Storage {
        prefix: Prefix::parse("sftp/").unwrap(),
        expected_bucket_owner: Some(TENANTS_ACCOUNT.to_owned()),
        ..storage(TENANTS_BUCKETS[0], endpoint, "server", "secret")
    }
}

impl Site {
    /// A site on the demo's S3 and STS, whose trust policy requires the external ID.
    pub async fn demo(promise: &str) -> Self {
        Self::demo_with(promise, Vec::new()).await
    }

    /// Like [`Site::demo`], with further roles in the account, by their names.
    pub async fn demo_with(promise: &str, roles: Vec<(String, RolePolicies)>) -> Self {
        let (account, tenants): (AccountId, AccountId) = (ACCOUNT.parse().unwrap(), TENANTS_ACCOUNT.parse().unwrap());
        let user = |account: &AccountId, name: &str, policy: Policy| IamUser {
            account: account.clone(),
            name: name.to_owned(),
            access_key_id: name.to_owned(),
            secret_access_key: "secret".to_owned(),
            policy,
        };
        let everything = RolePolicies { trust: TRUST.to_owned(), policy: None };
        let role = |account: &AccountId, name: String, document: RolePolicies| iam::IamRole {
            account: account.clone(),
            name,
            trust: document.trust.parse().unwrap(),
            policy: document.policy.map_or_else(Policy::everything, |policy| policy.parse().unwrap()),
            max_session: iam::IamRole::DEFAULT_MAX_SESSION,
        };
        let printed = RolePolicies::of_the_exchange();
        let roles = [("tenants".to_owned(), everything)].into_iter().chain(roles);
        let roles = roles.map(|(name, document)| role(&account, name, document));
        let roles = roles.chain([role(&tenants, "wharfinger".to_owned(), printed)]).collect();
        let buckets = BUCKETS.map(|bucket| (bucket.to_owned(), account.clone()));
        let tenants_buckets = TENANTS_BUCKETS.map(|bucket| (bucket.to_owned(), tenants.clone()));
        let running = FakeAws::start(AwsSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![
                user(&account, "server", ASSUME.parse().unwrap()),
                user(&account, "admin", Policy::everything()),
                user(&tenants, "tenants-admin", Policy::everything()),
            ],
            roles,
            buckets: buckets.into_iter().chain(tenants_buckets).collect(),
            bucket_settings: access_point::delegating(),
            access_points: access_point::access_points(),
            session_lifetime: None,
            storage: StorageKind::Memory { max_bytes: 64 << 20 },
        })
        .await
        .unwrap();
        let endpoint = format!("http://{}", running.address);
        let role = demo_role("arn:aws:iam::111122223333:role/tenants", &endpoint);
        let storage = storage("vendor", &endpoint, "server", "secret");
        let [admin, tenants_admin] = ["admin", "tenants-admin"]
            .map(|user| client(&endpoint, Credentials::new(user, "secret", None, None, "test")));
        let mut site = Self::new(storage, role, admin, "other".to_owned(), promise, RunningStore::Demo(running));
        site.tenants_admin = Some(tenants_admin);
        site.fill().await;
        site
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
            via: None,
        };
        let admin = Credentials::new(seaweedfs::ACCESS_KEY_ID, seaweedfs::SECRET_ACCESS_KEY, None, None, "test");
        let other = format!("other-{}", promise.replace('_', "-"));
        let other: String = other.chars().take(63).collect();
        let other = other.trim_end_matches('-').to_owned();
        let client = client(&seaweedfs.endpoint(), admin);
        client.create_bucket().bucket(&other).send().await.unwrap();
        let site = Self::new(storage, role, client, other, promise, RunningStore::SeaweedFs(seaweedfs));
        site.fill().await;
        site
    }

    /// A site on ministack, below a prefix for this promise.
    pub async fn ministack(promise: &str) -> Self {
        let ministack = spawn_blocking(|| Ministack::shared(prepare)).await.unwrap();
        let endpoint = ministack.endpoint();
        let (access_key_id, secret) = ministack.access_key();
        let storage = storage("vendor", &endpoint, access_key_id, secret);
        let role = demo_role("arn:aws:iam::111122223333:role/tenants", &endpoint);
        // ministack doesn't check the secret of root.
        let [admin, tenants_admin] = [ACCOUNT, TENANTS_ACCOUNT]
            .map(|account| client(&endpoint, Credentials::new(account, "secret", None, None, "test")));
        let store = RunningStore::Ministack(ministack);
        let mut site = Self::new(storage, role, admin, "other".to_owned(), promise, store);
        site.tenants_admin = Some(tenants_admin);
        site.fill().await;
        site
    }

    fn new(storage: Storage, role: Role, admin: Client, other: String, promise: &str, store: RunningStore) -> Self {
        let credentials = StorageCredentials { role: Some(role), ..storage.credentials };
        let storage = Storage { credentials, ..storage };
        let (bucket, prefix) = (storage.bucket.clone(), format!("{promise}/acme/"));
        Self { bucket, other, prefix, admin, tenants_admin: None, storage, point: None, store }
    }

    /// Puts the objects that acme must not reach.
    async fn fill(&self) {
        for (bucket, key) in self.foreign() {
            self.put(&bucket, &key, SECRET).await;
        }
    }

    /// The site with acme's mount in a directory of its prefix.
    pub async fn with_nested_mount(mut self) -> Self {
        self.prefix.push_str("inbox/");
        self.fill().await;
        self
    }

    /// The site with a bucket of acme's own.
    pub async fn with_whole_bucket(mut self) -> Self {
        let mut name = WHOLE_BUCKET.to_owned();
        if self.is_seaweedfs() {
            name = self.other.replacen("other", WHOLE_BUCKET, 1);
            self.admin.create_bucket().bucket(&name).send().await.unwrap();
        }
        self.other = std::mem::replace(&mut self.bucket, name);
        self.storage.bucket.clone_from(&self.bucket);
        self.prefix.clear();
        self.fill().await;
        self
    }

    /// The site with acme's bucket and role in an account of its own. The role has the printed policies. Not on
    /// SeaweedFS, which has one account.
    pub async fn with_own_account(mut self) -> Self {
        let endpoint = self.endpoint().to_owned();
        let role = demo_role(&format!("arn:aws:iam::{TENANTS_ACCOUNT}:role/wharfinger"), &endpoint);
        let credentials = StorageCredentials { role: Some(role), ..self.storage.credentials };
        self.storage = Storage { credentials, ..exchange(&endpoint) };
        [self.bucket, self.other] = TENANTS_BUCKETS.map(str::to_owned);
        "sftp/".clone_into(&mut self.prefix);
        self.fill().await;
        self
    }

    /// Returns a client with full access to a bucket.
    pub fn admin(&self, bucket: &str) -> &Client {
        self.tenants_admin.as_ref().filter(|_| TENANTS_BUCKETS.contains(&bucket)).unwrap_or(&self.admin)
    }

    /// True on SeaweedFS, which enforces some rules less strictly than S3.
    pub fn is_seaweedfs(&self) -> bool {
        matches!(self.store, RunningStore::SeaweedFs(_))
    }

    /// True on ministack, which judges a key without its slash at the end.
    pub fn is_ministack(&self) -> bool {
        matches!(self.store, RunningStore::Ministack(_))
    }

    /// Has the following requests to S3 come through a VPC endpoint. Only on the demo.
    pub fn come_through(&self, endpoint: Option<&str>) {
        match &self.store {
            RunningStore::Demo(aws) => aws.set_source_vpce(endpoint),
            RunningStore::SeaweedFs(_) | RunningStore::Ministack(_) => panic!("they know no endpoints"),
        }
    }

    /// Puts an object with full access.
    pub async fn put(&self, bucket: &str, key: &str, content: &str) {
        let body = content.as_bytes().to_vec().into();
        self.admin(bucket).put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    /// Returns an object's content, read with full access.
    pub async fn content(&self, bucket: &str, key: &str) -> Option<String> {
        let answer = self.admin(bucket).get_object().bucket(bucket).key(key).send().await.ok()?;
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
        self.client(buckets.session_credentials(scope).await.unwrap())
    }

    /// Returns the bucket as the server gives it to acme's alice, in a session of another role.
    pub async fn bucket_through(
        &self,
        role_arn: &str,
        objects: ObjectSettings,
        permissions: Permissions,
    ) -> Arc<dyn Bucket> {
        let role = self.storage.credentials.role.clone().map(|role| Role { arn: role_arn.parse().unwrap(), ..role });
        let credentials = StorageCredentials { role, ..self.storage.credentials.clone() };
        let storage = Storage { objects, credentials, ..self.storage.clone() };
        let (tenant, user) = ("acme".parse().unwrap(), "alice".parse().unwrap());
        let prefix = Prefix::parse(&self.prefix).unwrap();
        let scope = Scope::new(&tenant, &user, &prefix, permissions);
        S3Buckets::new(tenants([("acme", storage)])).bucket(scope).await.unwrap()
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
        self.client(Credentials::new(key.access_key_id, key.secret_access_key, token, None, "test"))
    }

    fn client(&self, credentials: Credentials) -> Client {
        match &self.point {
            Some(SitePoint { by_host: Some(server), .. }) => client_by_host(*server, credentials),
            _ => client(self.endpoint(), credentials),
        }
    }

    fn endpoint(&self) -> &str {
        self.storage.endpoint.as_deref().unwrap()
    }
}
