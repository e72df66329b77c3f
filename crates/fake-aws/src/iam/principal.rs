//! An authenticated principal: a user, or a session of a role.

use super::{
    AccessDenial, AccountId, AuthorizationRequest, Policy,
    register::{IamRole, IamUser},
};
use std::sync::Arc;

/// A principal with its policies.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub(crate) arn: String,
    /// Account whose buckets it may reach.
    pub(crate) account: AccountId,
    /// The user's id, or `ROLE_ID:SESSION_NAME`.
    pub(crate) id: String,
    /// Set for sessions only.
    pub(crate) session: Option<Assumed>,
    policy: Arc<Policy>,
    session_policy: Option<Arc<Policy>>,
}

/// The role behind a session.
#[derive(Clone, Debug)]
pub(crate) struct Assumed {
    /// The ARN of the role.
    pub(crate) role: String,
    /// The source identity, if a caller set one. Assuming another role can't change it.
    pub(crate) source_identity: Option<String>,
}

impl Principal {
    /// Makes the principal of a user.
    #[must_use]
    pub(crate) fn user(user: &IamUser) -> Self {
        Self {
            arn: user.arn(),
            account: user.account.clone(),
            id: user.id(),
            session: None,
            policy: Arc::new(user.policy.clone()),
            session_policy: None,
        }
    }

    /// Makes the principal of a role's session. A session policy restricts it further.
    #[must_use]
    pub(crate) fn session(role: &IamRole, name: &str, policy: Option<Policy>, source_identity: Option<String>) -> Self {
        Self {
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{name}", role.account, role.name),
            account: role.account.clone(),
            id: format!("{}:{name}", role.id()),
            session: Some(Assumed { role: role.arn(), source_identity }),
            policy: Arc::new(role.policy.clone()),
            session_policy: policy.map(Arc::new),
        }
    }

    /// Checks a request against the principal's own policy and the session policy. It doesn't check who owns the
    /// resource.
    ///
    /// # Errors
    /// The denial of the first policy that doesn't allow the request.
    pub(crate) fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), AccessDenial> {
        let own = AccessDenial::by("identity-based policy", self.policy.judge(request), self, request);
        let session = self.session_policy.as_ref().map(|policy| policy.judge(request));
        let session = session.and_then(|verdict| AccessDenial::by("session policy", verdict, self, request));
        own.or(session).map_or(Ok(()), Err)
    }
}
