//! The register of users, roles, owners of buckets and access points. Only its roles change after the start.

use super::{AccessPoint, AccountId, IamRole, Policy, Principal, RoleRegister, principal::unique_id};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
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
            policies: vec![Arc::new(self.policy.clone())],
            session_policy: None,
        }
    }
}

impl std::fmt::Debug for IamUser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IamUser").field("arn", &self.arn()).finish_non_exhaustive()
    }
}

/// The register itself.
#[derive(Debug, Default)]
pub(crate) struct Register {
    users: BTreeMap<String, (IamUser, Principal)>,
    pub(crate) roles: RoleRegister,
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
    /// The accounts to whose access points a bucket's policy delegates access, by the bucket's name.
    pub(crate) delegates_to: BTreeMap<String, BTreeSet<AccountId>>,
    /// The access points of all buckets.
    pub(crate) access_points: Vec<AccessPoint>,
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
            roles: RoleRegister::new(roles),
            owners: buckets.into_iter().collect(),
            access,
        }
    }

    /// Returns the user of an access key, with its principal.
    #[must_use]
    pub(crate) fn user(&self, access_key_id: &str) -> Option<&(IamUser, Principal)> {
        self.users.get(access_key_id)
    }

    /// The account that a bucket belongs to, by the bucket's name or an alias.
    #[must_use]
    pub(crate) fn owner(&self, name: &str) -> Option<&AccountId> {
        self.owners.get(self.bucket(name))
    }

    /// The access point with this alias.
    #[must_use]
    pub(crate) fn access_point(&self, alias: &str) -> Option<&AccessPoint> {
        self.access.access_points.iter().find(|point| point.alias == alias)
    }

    /// The access points of all buckets.
    #[must_use]
    pub(crate) fn access_points(&self) -> &[AccessPoint] {
        &self.access.access_points
    }

    /// The name of the bucket that `name` is, or is the alias for.
    #[must_use]
    pub(crate) fn bucket<'a>(&'a self, name: &'a str) -> &'a str {
        self.access_point(name).map_or(name, |point| &point.bucket)
    }

    /// True if the policy of the access point's bucket delegates access to it.
    #[must_use]
    pub(crate) fn delegates_to(&self, point: &AccessPoint) -> bool {
        self.access.delegates_to.get(&point.bucket).is_some_and(|accounts| accounts.contains(&point.account))
    }

    /// True if the policy of the bucket lets everyone read it. Access points of the bucket aren't public.
    #[must_use]
    pub(crate) fn is_public(&self, bucket: &str) -> bool {
        self.access.public.contains(bucket)
    }

    /// True if requesters pay for requests to the bucket, whose name or alias it is.
    #[must_use]
    pub(crate) fn has_paying_requesters(&self, name: &str) -> bool {
        self.access.requester_pays.contains(self.bucket(name))
    }
}
