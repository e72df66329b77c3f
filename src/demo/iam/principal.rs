//! Someone whose signature was right: a user, or a session of a role.

use super::{
    AccountId, Denial, Policy, Request,
    register::{Role, User},
};
use std::sync::Arc;

/// Who asks, and what they may do.
#[derive(Clone, Debug)]
pub struct Principal {
    /// `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// Whose buckets it may reach.
    pub account: AccountId,
    /// The user's id, or the role's with the name of the session.
    pub id: String,
    /// Of a session only.
    pub session: Option<Assumed>,
    policy: Arc<Policy>,
    session_policy: Option<Arc<Policy>>,
}

/// What a session is one of.
#[derive(Clone, Debug)]
pub struct Assumed {
    /// The ARN of the role.
    pub role: String,
    /// Who stands behind it, if that was said. It can't be changed by assuming another role.
    pub source_identity: Option<String>,
}

impl Principal {
    /// A user.
    #[must_use]
    pub fn user(user: &User) -> Self {
        Self {
            arn: user.arn(),
            account: user.account.clone(),
            id: user.id(),
            session: None,
            policy: Arc::new(user.policy.clone()),
            session_policy: None,
        }
    }

    /// A session of a role, held to a session policy if there is one.
    #[must_use]
    pub fn session(role: &Role, name: &str, policy: Option<Policy>, source_identity: Option<String>) -> Self {
        Self {
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{name}", role.account, role.name),
            account: role.account.clone(),
            id: format!("{}:{name}", role.id()),
            session: Some(Assumed { role: role.arn(), source_identity }),
            policy: Arc::new(role.policy.clone()),
            session_policy: policy.map(Arc::new),
        }
    }

    /// Whether its policies allow a request: its own, and that of the session. Whose the resource is isn't asked.
    ///
    /// # Errors
    /// Which of them doesn't.
    pub fn decide(&self, request: &Request<'_>) -> Result<(), Denial> {
        let own = Denial::by("identity-based policy", self.policy.judge(request), self, request);
        let session = self.session_policy.as_ref().map(|policy| policy.judge(request));
        let session = session.and_then(|verdict| Denial::by("session policy", verdict, self, request));
        own.or(session).map_or(Ok(()), Err)
    }
}
