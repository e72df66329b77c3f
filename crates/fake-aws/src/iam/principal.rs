//! An authenticated principal: a user, or a session of a role.

use super::{AccessDenial, AccountId, AuthorizationRequest, Policy, policy::Evaluation};
use sha2::{Digest, Sha256};
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
    /// The identity-based policies of the user or the role.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Restricts a session further.
    pub(crate) session_policy: Option<Arc<Policy>>,
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
    /// Checks a request against the principal's own policy and the session policy. It doesn't check who owns the
    /// resource.
    ///
    /// # Errors
    /// The denial of the first policy that doesn't allow the request.
    pub(crate) fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), AccessDenial> {
        let own = AccessDenial::by("identity-based policy", self.judge(request), &self.arn, request);
        let session = self.session_policy.as_ref().map(|policy| policy.judge(request));
        let session = session.and_then(|verdict| AccessDenial::by("session policy", verdict, &self.arn, request));
        own.or(session).map_or(Ok(()), Err)
    }

    /// Checks a request that the policy of a resource in the principal's account allows to it by name or to everyone. The
    /// principal's own policy need not allow it, but a session policy must, and neither may deny it.
    ///
    /// # Errors
    /// The denial of the first policy that forbids the request.
    pub(crate) fn decide_on_public(&self, request: &AuthorizationRequest<'_>) -> Result<(), AccessDenial> {
        match self.judge(request) {
            Evaluation::Unmentioned => {
                let session = self.session_policy.as_ref().map(|policy| policy.judge(request));
                let denial =
                    session.and_then(|verdict| AccessDenial::by("session policy", verdict, &self.arn, request));
                denial.map_or(Ok(()), Err)
            }
            Evaluation::Allowed | Evaluation::Denied => self.decide(request),
        }
    }

    /// Returns the verdict of the principal's own policies together.
    fn judge(&self, request: &AuthorizationRequest<'_>) -> Evaluation {
        Evaluation::of(self.policies.iter().flat_map(|policy| policy.matching(request)))
    }
}

/// Returns twenty-one characters that depend only on the kind and the ARN.
pub(super) fn unique_id(kind: &str, arn: &str) -> String {
    let digits = hex::encode_upper(Sha256::digest(arn));
    kind.chars().chain(digits.chars().take(17)).collect()
}
