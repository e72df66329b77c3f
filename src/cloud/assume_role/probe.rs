//! Asks STS for a role as a stranger would who knows only its ARN: without the external ID, and with a wrong one. A trust
//! policy that grants either lets others use the role through this server, if they name its ARN in a tenant of theirs.
//!
//! Invariant: a role is open only if STS granted it, and closed only if STS denied it. Every other answer, and none, is no
//! verdict. Between accounts AWS doesn't say whose policy denied a request. If it was the policy of the identity that asks,
//! our own or the vendor's role, this server can't use the role without its external ID either, so that the role is closed
//! here. A verdict is of one vendor's role, and a session with it that was revoked is renewed first.
//!
//! A granted session can do nothing: its policy denies all actions, and nothing keeps its credentials. The requests equal
//! those of sessions in all else, so that a trust policy which requires tags or a source identity doesn't refuse them for
//! that. If sessions have one of them, each request is also made without, as another statement of the policy may allow.
//!
//! Source: IAM user guide, "The confused deputy problem".

use super::{ChainLink, Error, RoleIssuer, RoleRequest, tags};
use crate::{
    account::{OpenBy, Role, RoleVerdict},
    cloud::session_name::{PROBE, SessionName},
    name::TenantName,
    store,
};
use aws_sdk_sts::{
    Client,
    config::{Config, retry::RetryConfig},
};

/// The shortest session that STS grants: 15 minutes.
const DURATION_SECONDS: i32 = 900;
/// The tries of a request. A probe is repeated later, and must not use up the retries of its tenant's sessions. The
/// second is for a connection that STS has closed.
const MAX_ATTEMPTS: u32 = 2;
const DENY_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"]}]}"#;
/// Begins a wrong external ID like those that this server makes, for trust policies with a pattern.
const WRONG_ID_PREFIX: &str = "wh-probe-";

/// Returns a random external ID, which no trust policy names.
///
/// # Errors
/// [`store::Error::Broken`] if the system has no random bytes.
pub(in crate::cloud) fn wrong_external_id() -> store::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| store::Error::Broken(format!("no random external ID: {error}")))?;
    Ok(format!("{WRONG_ID_PREFIX}{}", hex::encode(random)))
}

/// Asks `issuer` for `role` without an external ID and with `wrong_id`, for `tenant`.
///
/// # Errors
/// There is no verdict.
pub(in crate::cloud) async fn probe(
    issuer: &RoleIssuer,
    tenant: &TenantName,
    role: &Role,
    wrong_id: String,
) -> Result<RoleVerdict, Error> {
    issuer.renew_old_session().await?;
    for (external_id, open_by) in [(None, OpenBy::NoExternalId), (Some(wrong_id), OpenBy::WrongExternalId)] {
        if is_granted_to_us(issuer, tenant, role, external_id.as_deref()).await? {
            return Ok(RoleVerdict::Open(open_by));
        }
    }
    Ok(RoleVerdict::Closed)
}

/// True if STS grants `role` to the identity of `issuer` with this external ID: with the tags and the source identity of the
/// tenant's sessions, or without them, which another statement of the trust policy may allow.
///
/// # Errors
/// There is no verdict.
pub(in crate::cloud) async fn is_granted_to_us(
    issuer: &RoleIssuer,
    tenant: &TenantName,
    role: &Role,
    external_id: Option<&str>,
) -> Result<bool, Error> {
    let source_identity = role.source_identity.then(|| SessionName::of_probe(tenant));
    let answer = is_granted(issuer, tenant, role, external_id, source_identity.as_ref()).await;
    let is_refused = match &answer {
        Ok(is_granted) => !is_granted,
        Err(error) => matches!(error.cause(), Error::OptIn { .. }),
    };
    if is_refused && (role.session_tags || role.source_identity) {
        let bare = Role { session_tags: false, source_identity: false, ..role.clone() };
        if is_granted(issuer, tenant, &bare, external_id, None).await? {
            return Ok(true);
        }
    }
    answer
}

/// True if STS grants `role`, for a session that may do nothing. An identity that has a source identity can't set another.
///
/// # Errors
/// There is no verdict.
pub(in crate::cloud) async fn is_granted(
    issuer: &RoleIssuer,
    tenant: &TenantName,
    role: &Role,
    external_id: Option<&str>,
    source_identity: Option<&SessionName>,
) -> Result<bool, Error> {
    match issuer.ask(|sts| assume(sts, tenant, role, external_id, source_identity)).await {
        Ok(()) => Ok(true),
        Err(error) if is_denial(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// True if STS denied the tenant's role. Between accounts AWS doesn't tell that the trust policy was it. A denial of the
/// vendor's role says nothing of the tenant's.
fn is_denial(error: &Error) -> bool {
    match error {
        Error::Chained { link: ChainLink::Vendor, .. } => false,
        error => matches!(error.cause(), Error::Untrusted { .. } | Error::Denied { .. }),
    }
}

async fn assume(
    sts: Client,
    tenant: &TenantName,
    role: &Role,
    external_id: Option<&str>,
    source_identity: Option<&SessionName>,
) -> Result<(), Error> {
    let name = SessionName::of_probe(tenant);
    let answer = sts
        .assume_role()
        .role_arn(role.arn.as_str())
        .role_session_name(name.as_str())
        .set_external_id(external_id.map(str::to_owned))
        .policy(DENY_ALL)
        .duration_seconds(DURATION_SECONDS)
        .set_tags(role.session_tags.then(|| tags(tenant, Some(PROBE))))
        .set_source_identity(source_identity.map(|name| name.as_str().to_owned()))
        .customize()
        .config_override(Config::builder().retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS)))
        .send()
        .await;
    answer.map(drop).map_err(|error| RoleRequest::of_tenant(role).failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::RoleArn;

    #[test]
    fn only_a_denial_of_the_tenants_role_is_a_verdict() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/wharfinger".parse().unwrap();
        let said = || "AccessDenied".to_owned();
        for (link, expected) in [(ChainLink::Direct, true), (ChainLink::Tenant, true), (ChainLink::Vendor, false)] {
            let untrusted = Error::Untrusted { role: role.clone(), link, said: said() };
            let denied = Error::Denied { role: role.clone(), link, said: said() };
            for error in [untrusted, denied] {
                let error =
                    RoleRequest { role: &role, link, has_tags: false, has_source_identity: false }.in_chain(error);
                assert_eq!(is_denial(&error), expected, "{error}");
            }
        }
        assert!(!is_denial(&Error::Throttled { said: said() }));
    }
}
