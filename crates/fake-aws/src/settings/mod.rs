//! Settings of the whole: accounts, users, roles, buckets and access points.

mod document;

pub use document::SettingsError;

use crate::{
    iam::{AccessPoint, AccountId, IamRole, IamUser, Policy},
    s3::{BucketSettings, StorageKind},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Settings of a [`FakeAws`](crate::FakeAws).
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Users with access keys.
    pub users: Vec<IamUser>,
    /// Roles that callers may assume.
    pub roles: Vec<IamRole>,
    /// Buckets that exist, with their owners. A [`StorageKind::Directory`] may hold other buckets, which stay
    /// untouched.
    pub buckets: Vec<(String, AccountId)>,
    /// Settings of buckets by name, for those whose settings aren't the default.
    pub bucket_settings: BTreeMap<String, BucketSettings>,
    /// Access points of the buckets. Each alias is unique, and no bucket's name.
    pub access_points: Vec<AccessPoint>,
    /// Lifetime of all sessions. `None` grants the lifetime that the caller asks for.
    pub session_lifetime: Option<Duration>,
    /// Storage of the objects.
    pub storage: StorageKind,
}

impl AwsSettings {
    /// Settings on a free port of 127.0.0.1. One user may do everything in the account that owns all `buckets`.
    #[must_use]
    pub fn one_user(access_key_id: &str, secret_access_key: &str, buckets: &[&str], storage: StorageKind) -> Self {
        let user = IamUser {
            account: AccountId::EXAMPLE,
            name: "everything".to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            policy: Policy::everything(),
        };
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            users: vec![user],
            roles: Vec::new(),
            buckets: buckets.iter().map(|name| ((*name).to_owned(), AccountId::EXAMPLE)).collect(),
            bucket_settings: BTreeMap::new(),
            access_points: Vec::new(),
            session_lifetime: None,
            storage,
        }
    }
}
