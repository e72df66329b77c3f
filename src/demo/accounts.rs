//! The accounts of the demo: their users, their roles, and the trust between them. The access keys are public, and open
//! nothing outside the demo.
//!
//! ```text
//! vendor 111122223333                          globex 444455556666
//!   user server ──sts:AssumeRole──▶ role tenants    role wharfinger ◀── user server of the vendor, by its external ID
//!   user demo: may do everything                    user globex: may do everything, also make further roles
//!   bucket wharfinger-demo: tenants/acme/           bucket globex-exchange
//! ```
//!
//! The server's own user may only assume roles: the vendor's, and each role of globex that admits it. It can't even read a
//! bucket.

use fake_aws::{
    AwsSettings, StorageKind,
    iam::{AccountId, IamRole, IamUser, Policy},
};

/// An account with a bucket, a role that sessions work as, and a user to look at the bucket with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    id: &'static str,
    /// Name of its only bucket.
    pub(crate) bucket: &'static str,
    role: &'static str,
    /// `sts:ExternalId` that the role's trust policy requires.
    pub(crate) external_id: &'static str,
    /// Name of the user who may do everything in the account. It is also the user's access key id.
    pub(crate) user: &'static str,
    /// Secret access key of that user.
    pub(crate) secret_access_key: &'static str,
}

/// The vendor's account: tenants have a prefix of its bucket each.
pub(crate) const VENDOR: Account = Account {
    id: "111122223333",
    bucket: "wharfinger-demo",
    role: "tenants",
    external_id: "wh-demo-vendor-6b1d0c7e",
    user: "demo",
    secret_access_key: "demo-secret",
};
/// An account of the customer globex.
pub(crate) const GLOBEX: Account = Account {
    id: "444455556666",
    bucket: "globex-exchange",
    role: "wharfinger",
    external_id: "wh-demo-globex-94f2a8d3",
    user: "globex",
    secret_access_key: "globex-secret",
};

/// Access key id with which the server assumes the roles.
pub(crate) const SERVER_ACCESS_KEY_ID: &str = "wharfinger-server";
/// Secret access key of the server.
pub(crate) const SERVER_SECRET_ACCESS_KEY: &str = "wharfinger-server-secret";
const SERVER: &str = "server";

impl Account {
    /// The twelve digits of the account.
    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// The ARN of the role.
    pub(crate) fn role_arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.id, self.role)
    }

    fn account(&self) -> anyhow::Result<AccountId> {
        Ok(self.id.parse()?)
    }

    fn looker(&self) -> anyhow::Result<IamUser> {
        Ok(IamUser {
            account: self.account()?,
            name: self.user.to_owned(),
            access_key_id: self.user.to_owned(),
            secret_access_key: self.secret_access_key.to_owned(),
            policy: Policy::everything(),
        })
    }

    /// Trusts the vendor's server if it names the external ID. Grants the actions on the bucket that a session can
    /// need.
    fn role(&self) -> anyhow::Result<IamRole> {
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {{"AWS": "arn:aws:iam::{}:user/{SERVER}"}},
                "Condition": {{"StringEquals": {{"sts:ExternalId": "{}"}}}}}}}}"#,
            VENDOR.id, self.external_id
        );
        let bucket = self.bucket;
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Resource": "arn:aws:s3:::{bucket}", "Action": [
                    "s3:ListBucket", "s3:ListBucketMultipartUploads"]}},
                {{"Effect": "Allow", "Resource": "arn:aws:s3:::{bucket}/*", "Action": [
                    "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:PutObject",
                    "s3:PutObjectTagging", "s3:DeleteObject", "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts"]}}]}}"#
        );
        Ok(IamRole {
            account: self.account()?,
            name: self.role.to_owned(),
            trust: trust.parse()?,
            policy: policy.parse()?,
            max_session: IamRole::DEFAULT_MAX_SESSION,
        })
    }
}

/// Settings of the demo's S3 with both accounts.
pub(crate) fn settings(storage: StorageKind) -> anyhow::Result<AwsSettings> {
    let server_policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Resource": ["{}", "arn:aws:iam::{}:role/*"]}}}}"#,
        VENDOR.role_arn(),
        GLOBEX.id
    );
    let server = IamUser {
        account: VENDOR.account()?,
        name: SERVER.to_owned(),
        access_key_id: SERVER_ACCESS_KEY_ID.to_owned(),
        secret_access_key: SERVER_SECRET_ACCESS_KEY.to_owned(),
        policy: server_policy.parse()?,
    };
    let bucket = |account: &Account| anyhow::Ok((account.bucket.to_owned(), account.account()?));
    Ok(AwsSettings {
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        users: vec![server, VENDOR.looker()?, GLOBEX.looker()?],
        roles: vec![VENDOR.role()?, GLOBEX.role()?],
        buckets: vec![bucket(&VENDOR)?, bucket(&GLOBEX)?],
        bucket_settings: std::collections::BTreeMap::new(),
        access_points: Vec::new(),
        session_lifetime: None,
        storage,
    })
}
