//! `sts:AssumeRole`: a session's own credentials, narrowed to one mount of one user.
//!
//! Every request carries the role's external ID, a session name with tenant and user, and the session policy. The
//! credentials are cached (see `renewed.rs`). The SDK asks for them at each try of each request, so transfers outlive
//! their expiry.
//!
//! The SDK's `AssumeRoleProvider` doesn't fit: it has no source identity, and renews credentials while requests wait.
//!
//! With role chaining the server first assumes the vendor's role, and asks for the tenant's role with its credentials. Each
//! tenant has a session of its own with the vendor's role, whose session policy allows nothing but to assume the tenant's.
//!
//! Sources: STS API reference, AssumeRole; IAM user guide, "Role chaining".

mod error;
mod expired;
mod probe;
mod renewed;
mod role_request;

pub(super) use error::Error;
pub(super) use expired::{ForgetExpired, RetryExpired};
pub(super) use probe::{is_granted, is_granted_to_us, probe, wrong_external_id};

use super::{ServerPolicy, session_name::SessionHolder};
use crate::{
    account::{ExternalId, Role, RoleArn, VendorRole},
    clock::{Clock as _, SystemClock},
    name::TenantName,
    shares::{ShareLine, Shares},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{Client, types::Tag};
use futures_util::FutureExt as _;
use renewed::{Expiring, Renewed};
use role_request::{ChainLink, RoleRequest};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tracing::debug;

/// An hour: every role allows it, and it is the maximum for a role that is assumed with another role's credentials.
const DURATION_SECONDS: i32 = 3_600;

/// The age at which a session with the vendor's role is renewed if STS denies it the tenant's role: the role's owner may have
/// revoked its sessions, by a policy that denies all actions to those from before. A tenant's role that denies each request
/// costs one renewal in this time.
///
/// Source: IAM user guide, "Revoke IAM role temporary security credentials".
const DOUBTED_AGE: Duration = Duration::from_mins(1);

/// The parameters of one assumed role.
#[derive(Debug)]
pub(super) struct Assumption {
    tenant: TenantName,
    holder: SessionHolder,
    role: RoleArn,
    link: ChainLink,
    external_id: Option<ExternalId>,
    policy: String,
    has_tags: bool,
    has_source_identity: bool,
}

impl Assumption {
    /// A session with the tenant's role, narrowed by `policy`.
    pub(super) fn of_tenant(tenant: &TenantName, holder: SessionHolder, role: &Role, policy: String) -> Self {
        Self {
            tenant: tenant.clone(),
            holder,
            role: role.arn.clone(),
            link: RoleRequest::of_tenant(role).link,
            external_id: Some(role.external_id.clone()),
            policy,
            has_tags: role.session_tags,
            has_source_identity: role.source_identity,
        }
    }

    /// A session with the vendor's role, which can do nothing but assume `role`.
    pub(super) fn of_vendor(tenant: &TenantName, vendor: &VendorRole, role: &Role) -> Self {
        Self {
            tenant: tenant.clone(),
            holder: SessionHolder::Vendor,
            role: vendor.arn().clone(),
            link: ChainLink::Vendor,
            external_id: vendor.external_id().cloned(),
            policy: ServerPolicy::of_vendor_session(role).to_ascii(),
            has_tags: false,
            // The tenant's role could not have another one.
            has_source_identity: false,
        }
    }

    fn request(&self) -> RoleRequest<'_> {
        let Self { role, link, has_tags, has_source_identity, .. } = self;
        RoleRequest { role, link: *link, has_tags: *has_tags, has_source_identity: *has_source_identity }
    }
}

/// The credentials of one assumption. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct AssumedRole(Arc<Renewed<Credentials, Error>>);

impl AssumedRole {
    /// Sends no request yet. Each request takes one of the `permits`, so that a role which STS doesn't answer for holds
    /// only permits of its own tenant.
    pub(super) fn new(issuer: RoleIssuer, assumption: Assumption, permits: Arc<Shares<TenantName>>) -> Self {
        let (issuer, assumption) = (Arc::new(issuer), Arc::new(assumption));
        let ask = move || {
            let (issuer, assumption, permits) = (Arc::clone(&issuer), Arc::clone(&assumption), Arc::clone(&permits));
            async move { issuer.issue(&assumption, &permits).await }.boxed()
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

/// STS, and the credentials that sign the requests for a tenant's role.
#[derive(Clone, Debug)]
pub(super) struct RoleIssuer {
    sts: Client,
    /// The session with the vendor's role, if there is one. Its credentials are those of the client.
    vendor: Option<AssumedRole>,
}

impl RoleIssuer {
    /// Requests signed with the server's own credentials.
    pub(super) fn new(sts: Client) -> Self {
        Self { sts, vendor: None }
    }

    /// Requests signed with the credentials of the vendor's role, which are those of the client.
    pub(super) fn chained(sts: Client, vendor: AssumedRole) -> Self {
        Self { sts, vendor: Some(vendor) }
    }

    /// Returns the client, with credentials that are good. The SDK asks for them by itself, for each try of each request, but
    /// an error of the vendor's role can be named only here.
    ///
    /// # Errors
    /// The vendor's role can't be assumed.
    pub(super) async fn client(&self) -> Result<&Client, Error> {
        if let Some(vendor) = &self.vendor {
            vendor.credentials().await?;
        }
        Ok(&self.sts)
    }

    /// Makes a request, and once again with a new session of the vendor's role if the former one may have ended.
    ///
    /// # Errors
    /// Those of the request, or the vendor's role can't be assumed.
    pub(super) async fn ask<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let sts = self.client().await?;
        let obtained_at = self.vendor.as_ref().and_then(|vendor| vendor.0.obtained_at());
        let sent_at = Instant::now();
        let answer = request(sts.clone()).await;
        let (Some(vendor), Err(error)) = (&self.vendor, &answer) else { return answer };
        let is_old = obtained_at.is_none_or(|at| sent_at.saturating_duration_since(at) >= DOUBTED_AGE);
        match error.cause() {
            Error::Base { .. } => {
                vendor.0.forget_until(sent_at);
                vendor.credentials().await?;
            }
            Error::NotPermitted { .. } | Error::Denied { .. } if is_old => {
                vendor.0.obtained_after(sent_at).await?;
            }
            _ => return answer,
        }
        request(sts.clone()).await
    }

    /// Renews an old session with the vendor's role, so that a denial is none of a session that was revoked.
    ///
    /// # Errors
    /// The vendor's role can't be assumed.
    pub(super) async fn renew_old_session(&self) -> Result<(), Error> {
        match (&self.vendor, Instant::now().checked_sub(DOUBTED_AGE)) {
            (Some(vendor), Some(at)) => vendor.0.obtained_after(at).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn issue(
        &self,
        assumption: &Assumption,
        permits: &Arc<Shares<TenantName>>,
    ) -> Result<Expiring<Credentials>, Error> {
        let _permit = permits.acquire(&assumption.tenant, ShareLine::First).await;
        self.ask(|sts| assume(sts, assumption)).await
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
    let Assumption { tenant, holder, role, .. } = assumption;
    let (request, name) = (assumption.request(), holder.session_name(tenant));
    let tags = || tags(tenant, holder.user_tag());
    let answer = sts
        .assume_role()
        .role_arn(role.as_str())
        .role_session_name(name.as_str())
        .set_external_id(assumption.external_id.as_ref().map(|id| id.as_str().to_owned()))
        .policy(&assumption.policy)
        .duration_seconds(DURATION_SECONDS)
        .set_tags(assumption.has_tags.then(tags))
        .set_source_identity(assumption.has_source_identity.then(|| name.as_str().to_owned()))
        .send()
        .await
        .map_err(|error| request.failure(&error))?;
    let credentials = answer.credentials().ok_or_else(|| request.without_credentials())?;
    let expires = SystemTime::try_from(*credentials.expiration()).unwrap_or(SystemTime::UNIX_EPOCH);
    let lifetime = expires.duration_since(SystemClock.now()).map_err(|_| request.expired_already(expires))?;
    debug!(%tenant, user = holder.user_tag(), %role, lifetime_s = lifetime.as_secs(), "assumed a role");
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
