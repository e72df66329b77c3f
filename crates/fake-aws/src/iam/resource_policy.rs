//! The policy of a resource: the principals that may do something with it, and under which conditions.

use super::{
    AuthorizationRequest, MalformedPolicy, Principal,
    policy::{self, Evaluation},
    principal_statements::PrincipalStatements,
};
use std::str::FromStr;

/// A policy of a resource, such as an access point, parsed from its JSON text.
#[derive(Clone, Debug)]
pub struct ResourcePolicy {
    statements: PrincipalStatements,
}

impl ResourcePolicy {
    /// Returns the policy's verdict on a principal's request.
    pub(super) fn judge(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> Evaluation {
        self.statements.judge(principal, request)
    }

    /// True if the policy allows the request to everyone or to this principal by name, rather than to its account.
    pub(super) fn names(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> bool {
        self.statements.names(principal, request)
    }
}

impl FromStr for ResourcePolicy {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        Ok(Self { statements: PrincipalStatements::parse(text, policy::parse_resources)? })
    }
}
