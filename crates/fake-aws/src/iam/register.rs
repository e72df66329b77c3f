//! The register of users, roles and owners of buckets. It doesn't change after the start.

use super::{AccountId, Policy, Principal, TrustPolicy, principal::Assumed};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A user with an access key.
#[derive(Clone)]
pub struct IamUser {
    /// Account of the user.
    pub account: AccountId,
    /// Name of the user within the account.
    pub name: String,
    /// Access key id, such as `AKIA…`. `ASIA…` is reserved for sessions.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Identity-based policy of the user.
    pub policy: Policy,
}

impl IamUser {
    /// `arn:aws:iam::ACCOUNT:user/NAME`.
    #[must_use]
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.name)
    }

    /// An id in IAM's format.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        unique_id("AIDA", &self.arn())
    }

    /// Returns the user as the principal of its requests.
    #[must_use]
    pub(crate) fn principal(&self) -> Principal {
        Principal {
            arn: self.arn(),
            account: self.account.clone(),
            id: self.id(),
            session: None,
            policy: Arc::new(self.policy.clone()),
            session_policy: None,
        }
    }
}

impl std::fmt::Debug for IamUser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IamUser").field("arn", &self.arn()).finish_non_exhaustive()
    }
}

/// A role that principals may assume.
#[derive(Clone, Debug)]
pub struct IamRole {
    /// Account of the role.
    pub account: AccountId,
    /// Name of the role within the account.
    pub name: String,
    /// Decides who may assume the role.
    pub trust: TrustPolicy,
    /// Identity-based policy of the role's sessions.
    pub policy: Policy,
    /// The longest session that a caller may ask for.
    pub max_session: Duration,
}

impl IamRole {
    /// [`IamRole::max_session`] of roles that set none.
    pub const DEFAULT_MAX_SESSION: Duration = Duration::from_hours(1);

    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    #[must_use]
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }

    /// An id in IAM's format.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        unique_id("AROA", &self.arn())
    }

    /// Returns the principal of a session of the role. A session policy restricts it further.
    #[must_use]
    pub(crate) fn session(&self, name: &str, policy: Option<Policy>, source_identity: Option<String>) -> Principal {
        Principal {
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{name}", self.account, self.name),
            account: self.account.clone(),
            id: format!("{}:{name}", self.id()),
            session: Some(Assumed { role: self.arn(), source_identity }),
            policy: Arc::new(self.policy.clone()),
            session_policy: policy.map(Arc::new),
        }
    }
}

/// Returns twenty-one characters that depend only on the kind and the ARN.
fn unique_id(kind: &str, arn: &str) -> String {
    let digits = hex::encode_upper(Sha256::digest(arn));
    kind.chars().chain(digits.chars().take(17)).collect()
}

/// The register itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register {
    users: BTreeMap<String, (IamUser, Principal)>,
    roles: BTreeMap<String, IamRole>,
    owners: BTreeMap<String, AccountId>,
    access: BucketAccess,
}

/// The buckets that more than the policies of callers decide about.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketAccess {
    /// The buckets whose policy lets everyone read.
    pub(crate) public: BTreeSet<String>,
    /// The buckets whose requesters pay.
    pub(crate) requester_pays: BTreeSet<String>,
}

impl Register {
    /// Builds the register from users, roles, and buckets with their owners.
    #[must_use]
    pub(crate) fn new(
        users: Vec<IamUser>,
        roles: Vec<IamRole>,
        buckets: Vec<(String, AccountId)>,
        access: BucketAccess,
    ) -> Self {
        let by_key = |user: IamUser| {
            let principal = user.principal();
            (user.access_key_id.clone(), (user, principal))
        };
        Self {
            users: users.into_iter().map(by_key).collect(),
            roles: roles.into_iter().map(|role| (role.arn(), role)).collect(),
            owners: buckets.into_iter().collect(),
            access,
        }
    }

    /// Returns the user of an access key, with its principal.
    #[must_use]
    pub(crate) fn user(&self, access_key_id: &str) -> Option<&(IamUser, Principal)> {
        self.users.get(access_key_id)
    }

    #[must_use]
    pub(crate) fn role(&self, arn: &str) -> Option<&IamRole> {
        self.roles.get(arn)
    }

    /// The account that a bucket belongs to.
    #[must_use]
    pub(crate) fn owner(&self, bucket: &str) -> Option<&AccountId> {
        self.owners.get(bucket)
    }

    /// True if the policy of the bucket lets everyone read it.
    #[must_use]
    pub(crate) fn is_public(&self, bucket: &str) -> bool {
        self.access.public.contains(bucket)
    }

    /// True if requesters pay for requests to the bucket.
    #[must_use]
    pub(crate) fn has_paying_requesters(&self, bucket: &str) -> bool {
        self.access.requester_pays.contains(bucket)
    }
}
