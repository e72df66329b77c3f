//! Settings as JSON, for the program.

use super::AwsSettings;
use crate::{
    iam::{AccessPoint, AccountId, IamRole, IamUser, MalformedPolicy, NoAccountId, NoKmsKeyArn, Policy, TrustPolicy},
    s3::{BucketSettings, StorageKind},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// [`SettingsDocument::max_bytes`] of a document without it.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// Reason why settings can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The text isn't JSON of the right shape.
    #[error("the settings can't be read")]
    Json(#[from] serde_json::Error),
    /// An account that isn't one.
    #[error(transparent)]
    Account(#[from] NoAccountId),
    /// A key of a bucket that isn't one.
    #[error(transparent)]
    Key(#[from] NoKmsKeyArn),
    /// A policy that isn't understood.
    #[error("{name} has a policy that can't be read")]
    Policy {
        /// The user, the role or the access point.
        name: String,
        /// Its fault.
        source: MalformedPolicy,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsDocument {
    #[serde(default)]
    port: u16,
    users: Vec<UserDocument>,
    #[serde(default)]
    roles: Vec<RoleDocument>,
    buckets: Vec<BucketDocument>,
    #[serde(default)]
    access_points: Vec<AccessPointDocument>,
    #[serde(default)]
    directory: Option<PathBuf>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserDocument {
    #[serde(default)]
    account: Option<String>,
    name: String,
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    policy: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDocument {
    #[serde(default)]
    account: Option<String>,
    name: String,
    trust: Value,
    #[serde(default)]
    policy: Option<Value>,
    #[serde(default)]
    max_session_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketDocument {
    #[serde(default)]
    account: Option<String>,
    name: String,
    #[serde(default)]
    kms_key: Option<String>,
    #[serde(default)]
    bucket_key: bool,
    #[serde(default)]
    public_read: bool,
    #[serde(default)]
    requester_pays: bool,
    #[serde(default)]
    delegates_to: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessPointDocument {
    #[serde(default)]
    account: Option<String>,
    name: String,
    region: String,
    alias: String,
    bucket: String,
    #[serde(default)]
    policy: Option<Value>,
}

impl AwsSettings {
    /// Reads settings from JSON. README.md describes them.
    ///
    /// # Errors
    /// The text isn't JSON of the right shape, or a policy, an account or a key isn't one.
    pub fn from_json(text: &str) -> Result<Self, SettingsError> {
        let document: SettingsDocument = serde_json::from_str(text)?;
        let storage = match document.directory {
            Some(directory) => StorageKind::Directory(directory),
            None => StorageKind::Memory { max_bytes: document.max_bytes.unwrap_or(DEFAULT_MAX_BYTES) },
        };
        let mut buckets = Vec::new();
        let mut bucket_settings = BTreeMap::new();
        for bucket in document.buckets {
            let kms_key = bucket.kms_key.map(|arn| arn.parse()).transpose()?;
            let delegates_to = bucket.delegates_to.iter().map(|digits| digits.parse::<AccountId>());
            let delegates_to = delegates_to.collect::<Result<_, _>>()?;
            let BucketDocument { bucket_key, public_read, requester_pays, .. } = bucket;
            let settings = BucketSettings { kms_key, bucket_key, public_read, requester_pays, delegates_to };
            bucket_settings.insert(bucket.name.clone(), settings);
            buckets.push((bucket.name, account(bucket.account)?));
        }
        Ok(Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, document.port)),
            users: document.users.into_iter().map(user).collect::<Result<_, _>>()?,
            roles: document.roles.into_iter().map(role).collect::<Result<_, _>>()?,
            buckets,
            bucket_settings,
            access_points: document.access_points.into_iter().map(access_point).collect::<Result<_, _>>()?,
            session_lifetime: None,
            storage,
        })
    }
}

fn user(user: UserDocument) -> Result<IamUser, SettingsError> {
    Ok(IamUser {
        account: account(user.account)?,
        policy: permissions(user.policy, &user.name)?,
        name: user.name,
        access_key_id: user.access_key_id,
        secret_access_key: user.secret_access_key,
    })
}

fn role(role: RoleDocument) -> Result<IamRole, SettingsError> {
    Ok(IamRole {
        account: account(role.account)?,
        trust: policy::<TrustPolicy>(&role.trust, &role.name)?,
        policy: permissions(role.policy, &role.name)?,
        name: role.name,
        max_session: role.max_session_seconds.map_or(IamRole::DEFAULT_MAX_SESSION, Duration::from_secs),
    })
}

fn access_point(point: AccessPointDocument) -> Result<AccessPoint, SettingsError> {
    let AccessPointDocument { account: digits, name, region, alias, bucket, policy: document } = point;
    let policy = document.map(|document| policy(&document, &name)).transpose()?;
    Ok(AccessPoint { name, account: account(digits)?, region, alias, bucket, policy })
}

/// The account of everything that names none is the account of AWS's examples.
fn account(digits: Option<String>) -> Result<AccountId, SettingsError> {
    digits.map_or(Ok(AccountId::EXAMPLE), |digits| Ok(digits.parse()?))
}

/// A user or a role without a policy may do everything in its account.
fn permissions(document: Option<Value>, name: &str) -> Result<Policy, SettingsError> {
    document.map_or_else(|| Ok(Policy::everything()), |document| policy(&document, name))
}

fn policy<P: FromStr<Err = MalformedPolicy>>(document: &Value, name: &str) -> Result<P, SettingsError> {
    document.to_string().parse().map_err(|source| SettingsError::Policy { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_everything_in_one_account() {
        let settings = AwsSettings::from_json(
            r#"{"users": [{"name": "u", "access_key_id": "AK", "secret_access_key": "s"}], "buckets": [{"name": "b"}]}"#,
        );
        let settings = settings.unwrap();
        assert_eq!(settings.buckets, [("b".to_owned(), AccountId::EXAMPLE)]);
        assert_eq!(settings.users[0].account, AccountId::EXAMPLE);
        assert!(matches!(settings.storage, StorageKind::Memory { max_bytes: DEFAULT_MAX_BYTES }));
    }

    #[test]
    fn access_points_have_buckets_that_delegate_to_them() {
        let settings = AwsSettings::from_json(
            r#"{"users": [], "buckets": [{"name": "b", "delegates_to": ["111122223333"]}], "access_points": [
                {"name": "a", "account": "111122223333", "region": "eu-central-1", "alias": "a-1-s3alias", "bucket": "b"}]}"#,
        );
        let settings = settings.unwrap();
        assert_eq!(settings.access_points[0].arn(), "arn:aws:s3:eu-central-1:111122223333:accesspoint/a");
        assert!(settings.bucket_settings["b"].delegates_to.contains(&settings.access_points[0].account));
    }

    #[test]
    fn faults_are_named() {
        let refused = |text: &str| AwsSettings::from_json(text).unwrap_err().to_string();
        let role = r#"{"users": [], "buckets": [], "roles": [{"name": "r", "trust": {"Version": "1"}}]}"#;
        assert_eq!(refused(role), "r has a policy that can't be read");
        assert_eq!(
            refused(r#"{"users": [], "buckets": [{"name": "b", "account": "1"}]}"#),
            "\"1\" is no account id: it has twelve digits"
        );
        let key = r#"{"users": [], "buckets": [{"name": "b", "kms_key": "alias/a"}]}"#;
        assert!(refused(key).starts_with("\"alias/a\" is no ARN of a KMS key"));
        assert_eq!(refused("{}"), "the settings can't be read");
    }
}
