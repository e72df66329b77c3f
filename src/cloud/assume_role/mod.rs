//! `sts:AssumeRole`: a session's own credentials, narrowed to one mount of one user.
//!
//! Every request carries the role's external ID, a session name with tenant and user, and the session policy. The
//! credentials are cached (see `renewed.rs`). The SDK asks for them at each try of each request, so transfers outlive
//! their expiry.
//!
//! The SDK's `AssumeRoleProvider` doesn't fit: it has no source identity, and renews credentials while requests wait.
//!
//! Source: STS API reference, AssumeRole.

mod error;
mod expired;
mod probe;
mod renewed;

pub(super) use error::Error;
pub(super) use expired::{ForgetExpired, RetryExpired};
pub(super) use probe::{probe, wrong_external_id};

use super::{SessionName, SessionPolicy};
use crate::{
    account::Role,
    clock::{Clock as _, SystemClock},
    name::{TenantName, UserName},
    shares::{ShareLine, Shares},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{Client, types::Tag};
use futures_util::FutureExt as _;
use renewed::{Expiring, Renewed};
use std::{sync::Arc, time::SystemTime};
use tracing::debug;

/// An hour: every role allows it, and it is the maximum for a role that is assumed with another role's credentials.
const DURATION_SECONDS: i32 = 3_600;

/// The parameters of one assumed role: tenant, user, role and session policy.
#[derive(Debug)]
pub(super) struct Assumption {
    pub(super) tenant: TenantName,
    /// `None` for the janitor.
    pub(super) user: Option<UserName>,
    pub(super) role: Role,
    pub(super) policy: SessionPolicy,
}

/// The credentials of one assumption. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct AssumedRole(Arc<Renewed<Credentials, Error>>);

impl AssumedRole {
    /// Sends no request yet. Each request takes one of the `permits`, so that a role which STS doesn't answer for holds
    /// only permits of its own tenant.
    pub(super) fn new(sts: Client, assumption: Assumption, permits: Arc<Shares<TenantName>>) -> Self {
        let assumption = Arc::new(assumption);
        let ask = move || {
            let (sts, assumption, permits) = (sts.clone(), Arc::clone(&assumption), Arc::clone(&permits));
            async move {
                let _permit = permits.acquire(&assumption.tenant, ShareLine::First).await;
                assume(sts, &assumption).await
            }
            .boxed()
        };
        Self(Arc::new(Renewed::new("the credentials of an assumed role", ask)))
    }

    /// Returns credentials that are valid for the next request.
    ///
    /// # Errors
    /// The reason why there are none.
    pub(super) async fn credentials(&self) -> Result<Credentials, Error> {
        self.0.current().await
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

async fn assume(sts: Client, assumption: &Assumption) -> Result<Expiring<Credentials>, Error> {
    let Assumption { tenant, user, role, policy } = assumption;
    let name = user.as_ref().map_or_else(|| SessionName::of_janitor(tenant), |user| SessionName::new(tenant, user));
    let answer = sts
        .assume_role()
        .role_arn(role.arn.as_str())
        .role_session_name(name.as_str())
        .external_id(role.external_id.as_str())
        .policy(policy.as_str())
        .duration_seconds(DURATION_SECONDS)
        .set_tags(role.session_tags.then(|| tags(tenant, user.as_ref().map(UserName::as_str))))
        .set_source_identity(role.source_identity.then(|| name.as_str().to_owned()))
        .send()
        .await
        .map_err(|error| Error::of(&role.arn, &error))?;
    let credentials = answer.credentials().ok_or_else(|| Error::Broken { role: role.arn.clone() })?;
    let expires = SystemTime::try_from(*credentials.expiration()).unwrap_or(SystemTime::UNIX_EPOCH);
    let lifetime = expires.duration_since(SystemClock.now()).map_err(|_| Error::expired_already(&role.arn, expires))?;
    debug!(%tenant, user = user.as_ref().map(UserName::as_str), role = %role.arn, lifetime_s = lifetime.as_secs(), "assumed a role");
    let value = Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        Some(expires),
        "wharfinger",
    );
    Ok(Expiring { value, lifetime })
}

/// The tags by which the customer's policies and CloudTrail can distinguish sessions.
fn tags(tenant: &TenantName, user: Option<&str>) -> Vec<Tag> {
    let pairs = [("tenant", Some(tenant.as_str())), ("user", user)];
    let pairs = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
    // `build` fails only without a key or value, and both are given.
    pairs.filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}
