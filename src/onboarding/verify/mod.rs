//! `wharfinger tenant verify`: proves, step by step, what a tenant's sessions may do and may not.
//!
//! All objects lie in a directory of the server's own below the tenant's prefix, whose name no client sees or opens
//! ([`VERIFY_DIRECTORY`]). Their size together is some 10 MiB. The clean-up runs also if the operator stops the
//! verification, and reports what stays.

mod cure;
mod inside;
mod outside;
mod report;
mod step;
mod trial_objects;

pub(crate) use report::{StepOutcome, StepReport, VerifyReport};
pub(crate) use step::VerifyStep;

use crate::{
    account::{OpenBy, Permissions, PrincipalArn},
    cloud::{AccountCheck, AccountChecks, CheckSession},
    name::{Key, Prefix, VERIFY_DIRECTORY},
    store::{self, ETag, Pin},
    tenants::TenantSetup,
};
use cure::cure;
use report::StepFailure;
use std::time::Duration;
use step::SessionRights;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use trial_objects::TrialObjects;
use uuid::Uuid;

/// The longest time of a step: more than a request may take with its retries. A store that is silent doesn't stop the
/// verification.
const STEP_TIMEOUT: Duration = Duration::from_mins(3);
/// The same for the clean-up, which deletes one object after the other.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_mins(10);
/// The most that the clocks may differ, in seconds. Beyond it the server loses times and modes of files, and AWS refuses
/// signatures soon after.
const MAX_CLOCK_DIFFERENCE: u64 = 60;

/// The tenant to verify, and how.
#[derive(Debug)]
pub(crate) struct VerifyRequest<'a> {
    pub(crate) setup: &'a TenantSetup,
    /// The identity that the role's trust policy names.
    pub(crate) server_principal: Option<&'a PrincipalArn>,
    /// The permissions of the tenant's users together.
    pub(crate) permissions: Permissions,
    /// True if nothing may be written.
    pub(crate) read_only: bool,
    /// A bucket that the sessions must not reach.
    pub(crate) other_bucket: Option<String>,
}

/// What happens during a verification, for a display.
#[derive(Debug)]
pub(crate) enum VerifyProgress<'a> {
    Begins(VerifyStep),
    Ended(&'a StepReport),
}

/// The outcome of a step: with a detail, or the reason why it isn't proved.
type StepResult = Result<Option<String>, StepFailure>;

/// Verifies a tenant. After a `stop` no step begins but the clean-up. A request in flight is not dropped, because S3 may
/// store its object after the clean-up.
///
/// # Errors
/// The system has no random bytes.
pub(crate) async fn verify(
    checks: &AccountChecks,
    request: &VerifyRequest<'_>,
    stop: &CancellationToken,
    tell: &mut (dyn FnMut(VerifyProgress<'_>) + Send),
) -> store::Result<VerifyReport> {
    let (tenant, storage) = (&request.setup.tenant.name, &request.setup.storage);
    let check = checks.of(tenant, storage).await;
    let mut trial = Trial::new(request, &check)?;
    let mut steps = Vec::new();
    for step in VerifyStep::all_for(storage, trial.rights, request.read_only) {
        tell(VerifyProgress::Begins(step));
        let began = Instant::now();
        let result = match step {
            VerifyStep::CleanUp => timeout(CLEAN_UP_TIMEOUT, trial.clean_up()).await,
            _ if stop.is_cancelled() => Ok(Err(StepFailure::NotTried("the verification was stopped".to_owned()))),
            _ => timeout(STEP_TIMEOUT, trial.run(step)).await,
        };
        let outcome = match result {
            Ok(result) => trial.outcome(step, result),
            Err(_) => StepOutcome::Failed {
                cause: "it took too long".to_owned(),
                cure: "check the network, and proxies between this machine and S3".to_owned(),
            },
        };
        let report = StepReport { step, title: step.title(), outcome, duration: began.elapsed() };
        tell(VerifyProgress::Ended(&report));
        steps.push(report);
    }
    let stopped = stop.is_cancelled();
    let proved = !stopped && !steps.iter().any(|step| matches!(step.outcome, StepOutcome::Failed { .. }));
    let left = trial.objects.left(&storage.bucket);
    Ok(VerifyReport { tenant: tenant.clone(), proved, stopped, steps, left })
}

/// A verification that runs.
struct Trial<'a> {
    request: &'a VerifyRequest<'a>,
    check: &'a AccountCheck<'a>,
    rights: SessionRights,
    /// The directory of this verification.
    directory: Prefix,
    /// The part of its name that no other has.
    id: Uuid,
    session: Option<CheckSession<'a>>,
    /// The small object and the one in parts, once they are stored.
    small: Option<Pin>,
    large: Option<Pin>,
    objects: TrialObjects,
}

impl<'a> Trial<'a> {
    fn new(request: &'a VerifyRequest<'a>, check: &'a AccountCheck<'a>) -> store::Result<Self> {
        let mut random = [0; 16];
        let no_name = |error| store::Error::Broken(format!("no random name of a directory: {error}"));
        getrandom::fill(&mut random).map_err(no_name)?;
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        let prefix = &request.setup.storage.prefix;
        let name = format!("{}{VERIFY_DIRECTORY}{id}", prefix.as_str());
        let no_directory = || store::Error::Broken(format!("{name} is no directory below the prefix"));
        let directory = prefix.adopt(&name).ok_or_else(no_directory)?.as_directory();
        Ok(Self {
            request,
            check,
            rights: SessionRights(request.permissions),
            directory,
            id,
            session: None,
            small: None,
            large: None,
            objects: TrialObjects::default(),
        })
    }

    async fn run(&mut self, step: VerifyStep) -> StepResult {
        if self.session.is_none() && step.needs_session() {
            self.open_session().await?;
        }
        match step {
            VerifyStep::Identity => self.identity().await,
            VerifyStep::Role => self.role().await,
            VerifyStep::NoExternalId => self.is_closed(OpenBy::NoExternalId).await,
            VerifyStep::WrongExternalId => self.is_closed(OpenBy::WrongExternalId).await,
            VerifyStep::OtherIdentity => self.is_closed_to_others().await,
            VerifyStep::Listing => self.listing().await,
            VerifyStep::Owner => self.owner().await,
            VerifyStep::Put => self.put().await,
            VerifyStep::DirectoryMarker => self.marker().await,
            VerifyStep::Encryption => self.encryption(),
            VerifyStep::Checksum => self.checksum().await,
            VerifyStep::ConditionalWrite => self.conditional_write().await,
            VerifyStep::Multipart => self.multipart().await,
            VerifyStep::Abort => self.abort().await,
            VerifyStep::Get => self.get().await,
            VerifyStep::Range => self.range().await,
            VerifyStep::ExistingObject => self.existing_object().await,
            VerifyStep::PublicAccess => self.public_access().await,
            VerifyStep::Copy => self.copy().await,
            VerifyStep::Tags => self.tags().await,
            VerifyStep::CopyInParts => self.copy_in_parts().await,
            VerifyStep::ConditionalDelete => self.conditional_delete().await,
            VerifyStep::Delete => self.delete().await,
            VerifyStep::Outside => self.outside().await,
            VerifyStep::OtherBucket => self.other_bucket().await,
            VerifyStep::CleanUp => self.clean_up().await,
            VerifyStep::Clock => self.clock(),
        }
    }

    fn outcome(&self, step: VerifyStep, result: StepResult) -> StepOutcome {
        match result {
            Ok(detail) => StepOutcome::Proved { detail },
            Err(StepFailure::Storage(error)) => {
                let cure = cure(step, &error, &self.request.setup.tenant.name);
                StepOutcome::Failed { cause: error.to_string(), cure }
            }
            Err(StepFailure::Wrong { cause, cure }) => StepOutcome::Failed { cause, cure },
            Err(StepFailure::Accepted(reason)) => StepOutcome::Accepted { reason },
            Err(StepFailure::NotTried(reason)) => StepOutcome::NotTried { reason },
        }
    }

    /// Opens the session of a tenant without a role. That of a role is opened by its own step.
    async fn open_session(&mut self) -> Result<(), StepFailure> {
        if self.request.setup.storage.credentials.role.is_some() {
            return Err(StepFailure::NotTried("the role wasn't assumed".to_owned()));
        }
        self.session = Some(self.check.session(self.request.permissions).await?);
        Ok(())
    }

    fn session(&self) -> Result<&CheckSession<'a>, StepFailure> {
        self.session.as_ref().ok_or_else(|| StepFailure::NotTried("the role wasn't assumed".to_owned()))
    }

    async fn identity(&self) -> StepResult {
        let Some(arn) = self.check.identity().await? else { return Ok(None) };
        let Some(principal) = self.request.server_principal else {
            return Err(StepFailure::NotTried(format!(
                "`server_principal` isn't set in the server's config file; this is {arn}"
            )));
        };
        if principal.is_of(&arn) {
            return Ok(Some(arn));
        }
        Err(StepFailure::wrong(
            format!("this is {arn}, and `server_principal` is {principal}"),
            "run the command as the server runs, with its credentials, or correct `server_principal` in the server's config file",
        ))
    }

    async fn role(&mut self) -> StepResult {
        self.session = Some(self.check.session(self.request.permissions).await?);
        Ok(self.request.setup.storage.credentials.role.as_ref().map(|role| role.arn.to_string()))
    }

    async fn is_closed(&self, by: OpenBy) -> StepResult {
        if !self.check.is_open(by).await? {
            return Ok(None);
        }
        self.open_role(format!("STS grants the role {}", by.as_str()))
    }

    async fn is_closed_to_others(&self) -> StepResult {
        if !self.check.is_open_to_others().await? {
            return Ok(None);
        }
        self.open_role(
            "STS grants the role to a session of the role itself: its trust policy admits more than the server"
                .to_owned(),
        )
    }

    fn open_role(&self, cause: String) -> StepResult {
        let accepts =
            self.request.setup.storage.credentials.role.as_ref().is_some_and(|role| role.accept_without_external_id);
        if accepts {
            return Err(StepFailure::Accepted(format!("{cause}; `accept_role_without_external_id` accepts it")));
        }
        let tenant = &self.request.setup.tenant.name;
        Err(StepFailure::wrong(
            cause,
            format!(
                "the trust policy must name the server alone, and require `sts:ExternalId` with StringEquals: `wharfinger tenant policy \
                 {tenant}` prints it"
            ),
        ))
    }

    fn clock(&self) -> StepResult {
        let Some(ahead) = self.check.clock_skew() else {
            return Err(StepFailure::NotTried("neither S3 nor STS answered".to_owned()));
        };
        let side = if ahead < 0 { "ahead of" } else { "behind" };
        let difference = format!("it is {} s {side} that of AWS", ahead.unsigned_abs());
        if ahead.unsigned_abs() <= MAX_CLOCK_DIFFERENCE {
            return Ok((ahead.unsigned_abs() > 1).then_some(difference));
        }
        Err(StepFailure::wrong(difference, "set this machine's clock right, by NTP"))
    }

    /// The key of an object in the directory of this verification.
    fn key(&self, name: &str) -> Result<Key, StepFailure> {
        let key = self.directory.adopt(&format!("{}{name}", self.directory.as_str()));
        key.ok_or_else(|| StepFailure::NotTried("there is no such name".to_owned()))
    }

    /// The same for an object to be stored, which the clean-up deletes.
    fn new_key(&mut self, name: &str) -> Result<Key, StepFailure> {
        let key = self.key(name)?;
        self.objects.stored.insert(key.clone());
        Ok(key)
    }
}

/// An ETag that no object has.
fn other_etag() -> ETag {
    ETag("\"00000000000000000000000000000000\"".to_owned())
}

#[cfg(test)]
mod tests;
