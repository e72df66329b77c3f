//! Sessions that use a role, against the demo's STS: the content and the number of AssumeRole requests, and transfers
//! while credentials expire, STS fails, or the role can't be assumed. Requests for a role that its trust policy should
//! refuse, and logins while it doesn't.

mod cached;
mod chained;
mod few;
mod janitor;
mod lasting;
mod open;
mod probes;
mod refused;
mod silent;

use crate::support::{
    demo, scope,
    sftp::{KeyFile, Sftp},
};
use fake_aws::{
    AwsSettings, FakeAws, StorageKind,
    iam::{self, AccountId, IamUser, Policy},
};
use std::net::SocketAddr;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wharfinger::{
    account::{BaseCredentials, Permissions, Role, Storage},
    cloud::{Bounds, BucketSource as _, S3Buckets, Scope},
    demo::Demo,
    name::{Prefix, TenantName, UserName},
    store,
};

pub const EXTERNAL_ID: &str = "wh-5d0a1c77";
pub const ROLE: &str = "arn:aws:iam::444455556666:role/wharfinger";

/// A tenant's AWS account with a bucket, and a role that trusts the vendor's server.
pub struct TenantAccount {
    pub s3: FakeAws,
}

impl TenantAccount {
    pub async fn open() -> Self {
        Self::trusting("arn:aws:iam::111122223333:user/server", r#""sts:AssumeRole""#).await
    }

    /// Opens an account whose role trusts `principal` with these actions.
    async fn trusting(principal: &str, actions: &str) -> Self {
        let condition = format!(r#", "Condition": {{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}"#);
        Self::with_condition(principal, actions, &condition).await
    }

    /// Opens an account whose role trusts `principal` with these actions. `condition` is the end of the statement.
    async fn with_condition(principal: &str, actions: &str, condition: &str) -> Self {
        let (vendor, customer): (AccountId, AccountId) =
            ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": [{actions}],
                "Principal": {{"AWS": "{principal}"}}{condition}}}]}}"#
        );
        let user = |name: &str, policy: &str| IamUser {
            account: vendor.clone(),
            name: name.to_owned(),
            access_key_id: name.to_owned(),
            secret_access_key: "secret".to_owned(),
            policy: policy.parse().unwrap(),
        };
        let statement = |effect: &str| {
            format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "sts:*", "Resource": "*"}}}}"#
            )
        };
        let role = |account: &AccountId| iam::IamRole {
            account: account.clone(),
            name: "wharfinger".to_owned(),
            trust: trust.parse().unwrap(),
            policy: Policy::everything(),
            max_session: iam::IamRole::DEFAULT_MAX_SESSION,
        };
        let s3 = FakeAws::start(AwsSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![user("server", &statement("Allow")), user("nobody", &statement("Deny"))],
            roles: vec![role(&customer), role(&vendor)],
            buckets: vec![("exchange".to_owned(), customer)],
            bucket_settings: std::collections::BTreeMap::new(),
            access_points: Vec::new(),
            session_lifetime: None,
            storage: StorageKind::Memory { max_bytes: 64 << 20 },
        })
        .await
        .unwrap();
        Self { s3 }
    }

    /// The bucket with its role, as a tenant's file states it.
    pub fn storage(&self) -> Storage {
        let endpoint = format!("http://{}", self.s3.address);
        let mut storage = scope::storage("exchange", &endpoint, "server", "secret");
        storage.credentials.role = Some(Role {
            arn: ROLE.parse().unwrap(),
            external_id: EXTERNAL_ID.parse().unwrap(),
            sts_endpoint: Some(endpoint),
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
            via: None,
        });
        storage
    }

    /// Number of AssumeRole requests.
    pub fn asked(&self) -> usize {
        self.s3.assume_role_requests().len()
    }
}

/// A user's access to a bucket.
struct Way {
    tenant: TenantName,
    user: UserName,
    prefix: Prefix,
    permissions: Permissions,
}

impl Way {
    fn new(tenant: &str, user: &str, prefix: &str) -> Self {
        let (tenant, user) = (tenant.parse().unwrap(), user.parse().unwrap());
        Self { tenant, user, prefix: Prefix::parse(prefix).unwrap(), permissions: Permissions::ALL }
    }

    /// Opens the bucket and lists it.
    async fn go(&self, buckets: &S3Buckets) -> store::Result<()> {
        let Self { tenant, user, prefix, permissions } = self;
        let bucket = buckets.bucket(Scope::new(tenant, user, prefix, *permissions)).await?;
        bucket.list(store::ListScope::Below(prefix), None, 1).await.map(drop)
    }
}

/// The buckets of one tenant.
fn buckets(storage: Storage) -> S3Buckets {
    S3Buckets::new(scope::tenants([("acme", storage)]))
}
