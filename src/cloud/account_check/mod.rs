//! The requests of `wharfinger tenant verify` to the account of one tenant, beside those of [`Bucket`].
//!
//! Sessions are those of the tenant's users in all but their names: the same client, policy, tags and headers. Nothing
//! is cached, and no request counts for the tenant's day.
//!
//! Invariant: no request changes an object outside the directory of the verification, however wrong the account is. A
//! request that must be refused names an object that doesn't exist.

mod answer_facts;
mod session;

pub(super) use answer_facts::ReportedEncryption;
pub(crate) use session::CheckSession;

use super::{
    ServerPolicy, SessionPolicy,
    assume_role::{
        AssumedRole, Assumption, Error as NoRole, RoleIssuer, is_granted, is_granted_to_us, wrong_external_id,
    },
    clients::{Clients, Identity, issuer, s3_options},
    retries::RetryQuotas,
    session_name::SessionHolder,
};
use crate::{
    account::{OpenBy, Permissions, Role, Storage},
    name::{Prefix, TenantName},
    policy::{DailyUsage, TenantUsage},
    shares::Shares,
    store::{Bucket, Error, Result, S3Bucket, reasons},
};
use answer_facts::AnswerFacts;
use aws_sdk_s3::{config::retry::RetryConfig, error::SdkError};
use std::sync::Arc;

/// The tries of a request. An operator waits, and a failure is told rather than waited for.
const MAX_ATTEMPTS: u32 = 3;
/// The requests to STS in flight for all tenants together.
const MAX_ASSUMPTIONS: usize = 8;

/// The clients of all accounts that are checked at once. They share connections.
#[derive(Debug)]
pub(crate) struct AccountChecks {
    clients: Clients,
    assumptions: Arc<Shares<TenantName>>,
    /// The same for the vendor's roles, which requests for tenants' roles wait for.
    vendor_assumptions: Arc<Shares<TenantName>>,
}

impl AccountChecks {
    /// Connects to nothing.
    #[must_use]
    pub(crate) fn new() -> Self {
        let (assumptions, vendor_assumptions) = (Shares::new(MAX_ASSUMPTIONS), Shares::new(MAX_ASSUMPTIONS));
        Self { clients: Clients::new(), assumptions, vendor_assumptions }
    }

    /// Prepares the check of a tenant's account. Sends no request but those of the default chain, if the tenant uses it.
    pub(crate) async fn of(&self, tenant: &TenantName, storage: &Arc<Storage>) -> AccountCheck<'_> {
        let base = self.clients.base(&storage.credentials.base, &storage.region).await;
        let (quotas, answers) = (RetryQuotas::default(), AnswerFacts::default());
        let check = AccountCheck {
            clients: &self.clients,
            assumptions: Arc::clone(&self.assumptions),
            tenant: tenant.clone(),
            storage: Arc::clone(storage),
            base: base.clone(),
            issuer: None,
            quotas,
            usage: DailyUsage::default().of(tenant),
            answers,
        };
        let sts = |role| {
            let sts = |identity| check.sts_as(role, identity);
            issuer(tenant, role, base, &self.vendor_assumptions, sts)
        };
        let issuer = storage.credentials.role.as_ref().map(sts);
        AccountCheck { issuer, ..check }
    }
}

/// The check of one tenant's account.
#[derive(Debug)]
pub(crate) struct AccountCheck<'a> {
    clients: &'a Clients,
    assumptions: Arc<Shares<TenantName>>,
    tenant: TenantName,
    storage: Arc<Storage>,
    /// The server's own identity.
    base: Identity,
    /// `None` for a tenant without a role.
    issuer: Option<RoleIssuer>,
    quotas: RetryQuotas,
    usage: Arc<TenantUsage>,
    answers: AnswerFacts,
}

impl AccountCheck<'_> {
    /// The ARN of the identity that asks for the tenant's role: the server's own, or that of the vendor's role. Of a role it
    /// is that of the session: `…:assumed-role/NAME/SESSION`. `None` for a tenant without a role.
    ///
    /// Source: STS API reference, GetCallerIdentity.
    ///
    /// # Errors
    /// STS doesn't answer, or the credentials are not valid.
    pub(crate) async fn identity(&self) -> Result<Option<String>> {
        let Some(issuer) = &self.issuer else { return Ok(None) };
        let answer = issuer.client().await?.get_caller_identity().send().await;
        let failure = |error| match error {
            SdkError::ServiceError(_) => Error::Credentials(format!("GetCallerIdentity: {}", reasons(&error))),
            error => Error::Unreachable(format!("STS: {}", reasons(&error))),
        };
        Ok(answer.map_err(failure)?.arn)
    }

    /// A session as a user's with these permissions on the whole of the tenant's prefix. Without a role its requests
    /// are signed with the server's own credentials.
    ///
    /// # Errors
    /// [`Error::Credentials`] if STS doesn't grant the role.
    pub(crate) async fn session(&self, permissions: Permissions) -> Result<CheckSession<'_>> {
        self.with(SessionPolicy::new(&self.storage, &self.storage.prefix, permissions)).await
    }

    /// A session that may delete all versions of the objects below `directory`, as far as the role may.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub(crate) async fn clean_up_session(&self, directory: &Prefix) -> Result<CheckSession<'_>> {
        self.with(SessionPolicy::for_clean_up(&self.storage, directory)).await
    }

    async fn with(&self, policy: Result<SessionPolicy, super::NoPolicy>) -> Result<CheckSession<'_>> {
        let Some((role, issuer)) = self.role() else { return Ok(CheckSession::new(self, self.base.clone())) };
        let policy = policy.map_err(|error| Error::Credentials(error.to_string()))?;
        let identity = self.assume(role, issuer, policy.as_str().to_owned()).await?;
        Ok(CheckSession::new(self, identity))
    }

    async fn assume(&self, role: &Role, issuer: &RoleIssuer, policy: String) -> Result<Identity> {
        let assumption = Assumption::of_tenant(&self.tenant, SessionHolder::Verification, role, policy);
        let session = AssumedRole::new(issuer.clone(), assumption, Arc::clone(&self.assumptions));
        session.credentials().await?;
        Ok(Identity::session(session))
    }

    /// True if STS grants the role without its external ID, or with a wrong one. Without a role nothing is granted.
    ///
    /// # Errors
    /// STS doesn't answer, or refuses for a reason that the trust policy has no part in.
    pub(crate) async fn is_open(&self, by: OpenBy) -> Result<bool> {
        let Some((role, issuer)) = self.role() else { return Ok(false) };
        let external_id = match by {
            OpenBy::NoExternalId => None,
            OpenBy::WrongExternalId => Some(wrong_external_id()?),
        };
        Ok(is_granted_to_us(issuer, &self.tenant, role, external_id.as_deref()).await?)
    }

    /// True if STS grants the role, with its external ID, to another identity than the server's: to the role itself.
    ///
    /// # Errors
    /// As [`Self::is_open`].
    pub(crate) async fn is_open_to_others(&self) -> Result<bool> {
        let Some((role, issuer)) = self.role() else { return Ok(false) };
        let session = self.assume(role, issuer, ServerPolicy::new(role).to_ascii()).await?;
        let other = RoleIssuer::new(self.sts_as(role, session));
        // The session has this source identity already, and can't have another.
        let source_identity = role.source_identity.then(|| SessionHolder::Verification.session_name(&self.tenant));
        let external_id = Some(role.external_id.as_str());
        match is_granted(&other, &self.tenant, role, external_id, source_identity.as_ref()).await {
            // AWS asks the role's own policy only if its trust policy names neither the role nor everyone.
            Err(error) if matches!(error.cause(), NoRole::NotPermitted { .. }) => Ok(false),
            answer => Ok(answer?),
        }
    }

    /// The tenant's bucket, for requests without a signature.
    pub(crate) fn anonymous(&self) -> Arc<dyn Bucket> {
        Arc::new(self.bucket(&self.storage, None))
    }

    /// The seconds by which the clock of S3 or STS is ahead of this machine's. `None` if none of them answered.
    pub(crate) fn clock_skew(&self) -> Option<i64> {
        self.answers.clock_skew()
    }

    fn role(&self) -> Option<(&Role, &RoleIssuer)> {
        self.storage.credentials.role.as_ref().zip(self.issuer.as_ref())
    }

    fn sts_as(&self, role: &Role, identity: Identity) -> aws_sdk_sts::Client {
        let config = self.clients.sts_config(&self.quotas, role, &self.storage, identity);
        let config = config.interceptor(self.answers.clone()).retry_config(retries());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    fn s3_config(&self, storage: &Storage, identity: Option<Identity>) -> aws_sdk_s3::config::Builder {
        let config = self.clients.s3_config(&self.quotas, &self.usage, storage, identity);
        config.interceptor(self.answers.clone()).retry_config(retries())
    }

    fn bucket(&self, storage: &Storage, identity: Option<Identity>) -> S3Bucket {
        S3Bucket::new(self.s3_config(storage, identity), s3_options(storage, &self.usage))
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS)
}
