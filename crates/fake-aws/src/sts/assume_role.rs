//! AssumeRole: decides if a session is opened, and for how long.
//!
//! The caller's own policies, the role's trust policy and the role's limits must all permit it. From another account, a
//! role that doesn't exist and a role that trusts another principal look the same.

use super::{Error, TemporaryCredentials, call::Call, sessions::RoleSessions};
use crate::iam::{AccessDenial, AuthorizationRequest, Principal, RequestContext, RoleDetail, RoleRegister};
use std::{sync::Arc, time::Duration};

/// Limit on a session that another session opens (role chaining).
const MAX_CHAINED: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) credentials: TemporaryCredentials,
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) packed_percent: Option<usize>,
    pub(crate) source_identity: Option<String>,
}

/// Opens the session that `call` asks for, if `caller` may. `lifetime` overrides the duration of the call.
pub(crate) fn assume_role(
    roles: &RoleRegister,
    sessions: &RoleSessions,
    lifetime: Option<Duration>,
    caller: &Principal,
    call: Call,
) -> Result<Granted, Error> {
    let source_identity = source_identity(caller, &call)?;
    let role = authorize(roles, caller, &call, source_identity.as_deref())?;
    let asked = Duration::from_secs(call.seconds);
    if asked > role.max_session {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Error::Validation(text.to_owned()));
    }
    if caller.session.is_some() && asked > MAX_CHAINED {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(Error::Validation(text.to_owned()));
    }
    let principal = role.session(&call.session_name, call.policy, source_identity.clone());
    let (arn, id) = (principal.arn.clone(), principal.id.clone());
    let credentials = sessions.open(principal, lifetime.unwrap_or(asked)).map_err(|_| Error::InternalFailure)?;
    Ok(Granted { credentials, arn, id, packed_percent: call.packed_percent, source_identity })
}

/// Returns the source identity of the new session. Once set, every chained session inherits it.
fn source_identity(caller: &Principal, call: &Call) -> Result<Option<String>, Error> {
    let set = caller.session.as_ref().and_then(|session| session.source_identity.clone());
    match (set, call.source_identity.clone()) {
        (Some(set), Some(asked)) if set != asked => {
            Err(Error::AccessDenied("SourceIdentity can not be changed once it is set.".to_owned()))
        }
        (set, asked) => Ok(set.or(asked)),
    }
}

/// Returns the role if `caller` may assume it exactly as `call` asks.
fn authorize(
    roles: &RoleRegister,
    caller: &Principal,
    call: &Call,
    source_identity: Option<&str>,
) -> Result<Arc<RoleDetail>, Error> {
    let role = roles.by_arn(&call.role_arn);
    let mut context = RequestContext::default()
        .with("sts:ExternalId", call.external_id.as_deref())
        .with("sts:RoleSessionName", Some(&call.session_name))
        .with("sts:SourceIdentity", source_identity);
    for (key, value) in &call.tags {
        context = context.with(&format!("aws:RequestTag/{key}"), Some(value));
    }
    let tagging = (!call.tags.is_empty()).then_some("sts:TagSession");
    let naming = source_identity.map(|_| "sts:SetSourceIdentity");
    for action in ["sts:AssumeRole"].into_iter().chain(tagging).chain(naming) {
        let request = AuthorizationRequest { action, resource: &call.role_arn, context: &context };
        denial(role.as_deref(), caller, &request)
            .map_or(Ok(()), |denial| Err(Error::AccessDenied(denial.to_string())))?;
    }
    role.ok_or(Error::InternalFailure)
}

/// Returns the denial, if there is one. Only callers in the role's own account learn the reason.
fn denial(role: Option<&RoleDetail>, caller: &Principal, request: &AuthorizationRequest<'_>) -> Option<AccessDenial> {
    let unexplained = || AccessDenial::unexplained(&caller.arn, request);
    let Some(role) = role else { return Some(unexplained()) };
    let is_own = role.account == caller.account;
    let own = if is_own && role.trust.names(caller, request) {
        caller.decide_on_public(request)
    } else {
        caller.decide(request)
    };
    let trust = AccessDenial::by("role trust policy", role.trust.judge(caller, request), &caller.arn, request);
    own.err().or(trust).map(|denial| if is_own { denial } else { unexplained() })
}
