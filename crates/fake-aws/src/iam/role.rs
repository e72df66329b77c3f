//! Roles: as settings describe them, and as the register has them.

use super::{
    AccountId, Policy, Principal, TrustPolicy,
    principal::{Assumed, unique_id},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

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
    /// The name that a role's policy has in IAM's API.
    const POLICY_NAME: &str = "settings";
}

/// A role as it is now.
#[derive(Clone, Debug)]
pub(crate) struct RoleDetail {
    pub(crate) account: AccountId,
    /// `/`, or folders between slashes.
    pub(crate) path: String,
    /// Unique in the account, whatever the path is.
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    pub(crate) trust: TrustPolicy,
    /// The inline policies, by name.
    pub(crate) inline: BTreeMap<String, Arc<Policy>>,
    pub(crate) max_session: Duration,
}

impl RoleDetail {
    /// `arn:aws:iam::ACCOUNT:role/NAME`, with the path before the name.
    #[must_use]
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    /// An id in IAM's format.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        unique_id("AROA", &self.arn())
    }

    /// True if the role has this name, whatever its path is. Case doesn't matter.
    pub(super) fn is_named(&self, account: &AccountId, name: &str) -> bool {
        self.account == *account && self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the policies of the role's sessions.
    pub(crate) fn policies(&self) -> Vec<Arc<Policy>> {
        self.inline.values().cloned().collect()
    }

    /// Returns the principal of a session of the role. A session policy restricts it further.
    #[must_use]
    pub(crate) fn session(&self, name: &str, policy: Option<Policy>, source_identity: Option<String>) -> Principal {
        Principal {
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{name}", self.account, self.name),
            account: self.account.clone(),
            id: format!("{}:{name}", self.id()),
            session: Some(Assumed { role: self.arn(), source_identity }),
            policies: self.policies(),
            session_policy: policy.map(Arc::new),
        }
    }
}

/// Roles of settings were always there: they have the oldest date.
impl From<IamRole> for RoleDetail {
    fn from(role: IamRole) -> Self {
        let IamRole { account, name, trust, policy, max_session } = role;
        let inline = [(IamRole::POLICY_NAME.to_owned(), Arc::new(policy))].into();
        Self { account, path: "/".to_owned(), name, created: SystemTime::UNIX_EPOCH, trust, inline, max_session }
    }
}
