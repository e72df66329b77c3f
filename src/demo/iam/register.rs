//! Users, roles and the owners of buckets, as they stand from the start to the end.

use super::{AccountId, Policy, Principal, TrustPolicy};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// A user with an access key.
#[derive(Clone)]
pub struct User {
    /// The account it lives in.
    pub account: AccountId,
    /// Its name there.
    pub name: String,
    /// Such as `AKIA…`. `ASIA…` is for sessions.
    pub access_key_id: String,
    /// What it signs with.
    pub secret_access_key: String,
    /// What it may do.
    pub policy: Policy,
}

impl User {
    /// `arn:aws:iam::ACCOUNT:user/NAME`.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.name)
    }

    /// An id like those that IAM gives.
    #[must_use]
    pub fn id(&self) -> String {
        unique_id("AIDA", &self.arn())
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("arn", &self.arn()).finish_non_exhaustive()
    }
}

/// A role that others may assume.
#[derive(Clone, Debug)]
pub struct Role {
    /// The account it lives in.
    pub account: AccountId,
    /// Its name there.
    pub name: String,
    /// Who may assume it.
    pub trust: TrustPolicy,
    /// What it may do.
    pub policy: Policy,
    /// The longest session that may be asked for.
    pub max_session: Duration,
}

impl Role {
    /// How long sessions may be unless the role says otherwise.
    pub const DEFAULT_MAX_SESSION: Duration = Duration::from_hours(1);

    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }

    /// An id like those that IAM gives.
    #[must_use]
    pub fn id(&self) -> String {
        unique_id("AROA", &self.arn())
    }
}

/// Twenty-one characters that are always the same for a name.
fn unique_id(kind: &str, arn: &str) -> String {
    let digits = hex::encode_upper(Sha256::digest(arn));
    kind.chars().chain(digits.chars().take(17)).collect()
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(in crate::demo) struct Register {
    users: BTreeMap<String, (User, Principal)>,
    roles: BTreeMap<String, Role>,
    owners: BTreeMap<String, AccountId>,
}

impl Register {
    /// Takes users, roles and the buckets with their owners.
    #[must_use]
    pub fn new(users: Vec<User>, roles: Vec<Role>, buckets: Vec<(String, AccountId)>) -> Self {
        let by_key = |user: User| (user.access_key_id.clone(), (user.clone(), Principal::user(&user)));
        Self {
            users: users.into_iter().map(by_key).collect(),
            roles: roles.into_iter().map(|role| (role.arn(), role)).collect(),
            owners: buckets.into_iter().collect(),
        }
    }

    /// The user of an access key, and who that is.
    #[must_use]
    pub fn user(&self, access_key_id: &str) -> Option<&(User, Principal)> {
        self.users.get(access_key_id)
    }

    /// The role of an ARN.
    #[must_use]
    pub fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }

    /// The account that a bucket belongs to.
    #[must_use]
    pub fn owner(&self, bucket: &str) -> Option<&AccountId> {
        self.owners.get(bucket)
    }
}
