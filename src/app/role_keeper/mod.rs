//! Finds roles that STS grants without their external ID. The keeper probes a role when a tenant begins to use it, and a
//! day after its last verdict. While a verdict refuses logins, it probes every ten minutes, so that users can soon log in
//! after the role was mended. The verdict is in the journal, so that a restart asks STS for nothing, and other nodes go by
//! it.
//!
//! Invariant: logins of a tenant are refused only while the last verdict about its role is that it is open, and its file
//! doesn't accept that. A role without a verdict stops no login: it wasn't probed yet, or STS didn't answer. A probe
//! without an answer leaves the verdict before as it is. While the journal is down, verdicts are in memory alone.

use crate::{
    account::{OpenBy, ProbedRole, RoleVerdict},
    clock::Clock,
    cloud::S3Buckets,
    events::{Event, Events, Who},
    journal::{Journal, RoleProbe},
    name::TenantName,
    store,
    tenants::{OpenRole, Tenants, UsedRole},
};
use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info};

/// The interval between two looks at the directory.
const INTERVAL: Duration = Duration::from_secs(10);
/// The interval at which the verdicts of other nodes are read.
const READ_INTERVAL: Duration = Duration::from_mins(1);
/// The probes in flight.
const MAX_PROBES: usize = 4;
/// The age of a verdict at which its role is probed again, in seconds.
const MAX_AGE_SECONDS: i64 = 24 * 3_600;
/// The most that is added to the age: another part of it for each role, so that a thousand tenants aren't probed at once
/// each day.
const MAX_DELAY_SECONDS: i64 = 3_600;
/// The age at which the verdict on an open role that refuses logins is old, in seconds.
const MAX_REFUSAL_AGE_SECONDS: i64 = 600;
/// The time after a probe without a verdict.
const RETRY_INTERVAL: Duration = Duration::from_mins(10);
/// A verdict that is younger by more than this is ignored: a clock was wrong.
const CLOCK_MARGIN_SECONDS: i64 = 3_600;
/// The age at which a row is deleted, in seconds. The role is in no config any more, or STS doesn't answer for it.
const RETENTION_SECONDS: i64 = 90 * 24 * 3_600;
/// The roles that one question to the journal is about.
const MAX_ROLES: usize = 1_000;

/// The part of the tenants' storage that answers for their roles.
#[async_trait]
pub(super) trait RoleProber: Send + Sync {
    /// Asks STS for a tenant's role. Returns the role that it asked for, or `None` for a tenant without one.
    async fn probe(&self, tenant: &TenantName) -> store::Result<Option<(ProbedRole, RoleVerdict)>>;
}

#[async_trait]
impl RoleProber for S3Buckets {
    async fn probe(&self, tenant: &TenantName) -> store::Result<Option<(ProbedRole, RoleVerdict)>> {
        self.probe_role(tenant).await
    }
}

/// A role that a tenant uses.
#[derive(Debug)]
struct KnownRole {
    /// The first tenant that uses it. The probe is made in its name.
    tenant: TenantName,
    /// True if the files of all tenants that use it accept that it is open.
    accepts_open: bool,
    /// The last verdict, and its time in seconds since 1970.
    verdict: Option<(RoleVerdict, i64)>,
    /// True if the journal was asked for the verdict and answered.
    is_read: bool,
    is_in_flight: bool,
    /// The time before which it isn't probed again: the last probe had no verdict.
    retry_at: Option<Instant>,
}

/// The outcome of a probe, which began at a time in seconds since 1970.
struct FinishedProbe {
    role: ProbedRole,
    tenant: TenantName,
    began_at: i64,
    verdict: store::Result<Option<(ProbedRole, RoleVerdict)>>,
}

/// The task that keeps the verdicts.
pub(super) struct RoleKeeper {
    tenants: Arc<Tenants>,
    journal: Arc<dyn Journal>,
    prober: Arc<dyn RoleProber>,
    events: Events,
    clock: Arc<dyn Clock>,
    /// Told after each swap of the directory.
    swapped: Arc<Notify>,
    roles: BTreeMap<ProbedRole, KnownRole>,
    /// The open roles that have a record.
    recorded: HashMap<TenantName, OpenRole>,
    read_at: Option<Instant>,
    tidied_at: Option<Instant>,
}

impl RoleKeeper {
    pub(super) fn new(
        tenants: Arc<Tenants>,
        journal: Arc<dyn Journal>,
        prober: Arc<dyn RoleProber>,
        events: Events,
        clock: Arc<dyn Clock>,
        swapped: Arc<Notify>,
    ) -> Self {
        let (roles, recorded, read_at, tidied_at) = (BTreeMap::new(), HashMap::new(), None, None);
        Self { tenants, journal, prober, events, clock, swapped, roles, recorded, read_at, tidied_at }
    }

    /// Looks every ten seconds, after each swap of the directory and after each probe.
    pub(super) async fn run(mut self) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (swapped, mut probes) = (Arc::clone(&self.swapped), FuturesUnordered::new());
        loop {
            tokio::select! {
                _ = looks.tick() => self.look().await,
                () = swapped.notified() => self.look().await,
                Some(finished) = probes.next() => self.finish(finished),
            }
            while probes.len() < MAX_PROBES {
                let Some(probe) = self.next_probe() else { break };
                probes.push(probe);
            }
        }
    }

    /// Follows the directory and the verdicts in the journal. Call it before the first login, so that a restart admits
    /// nobody whom the server refused before.
    pub(super) async fn look(&mut self) {
        self.follow_directory();
        self.read_verdicts().await;
        self.publish();
    }

    fn follow_directory(&mut self) {
        let mut used: BTreeMap<ProbedRole, (TenantName, bool)> = BTreeMap::new();
        for UsedRole { tenant, role, accepts_open } in self.tenants.used_roles() {
            used.entry(role).or_insert((tenant, true)).1 &= accepts_open;
        }
        self.roles.retain(|role, _| used.contains_key(role));
        for (role, (tenant, accepts_open)) in used {
            let known = self.roles.entry(role).or_insert_with(|| KnownRole::new(tenant.clone()));
            (known.tenant, known.accepts_open) = (tenant, accepts_open);
        }
    }

    /// Reads the verdicts on new roles, and each minute those on all: another node may have probed them.
    async fn read_verdicts(&mut self) {
        let is_full = self.read_at.is_none_or(|at| at.elapsed() >= READ_INTERVAL);
        let asked: Vec<ProbedRole> =
            self.roles.iter().filter(|(_, known)| is_full || !known.is_read).map(|(role, _)| role.clone()).collect();
        let latest = self.clock.unix_seconds() + CLOCK_MARGIN_SECONDS;
        for asked in asked.chunks(MAX_ROLES) {
            // The next look asks again.
            let Ok(found) = self.journal.role_probes(asked).await else { return };
            for RoleProbe { role, verdict, probed_at } in found {
                let Some(known) = self.roles.get_mut(&role).filter(|_| probed_at <= latest) else { continue };
                if known.verdict.is_none_or(|(_, former)| former < probed_at) {
                    known.verdict = Some((verdict, probed_at));
                }
            }
            for role in asked {
                self.roles.entry(role.clone()).and_modify(|known| known.is_read = true);
            }
        }
        if is_full {
            self.read_at = Some(Instant::now());
            self.tidy().await;
        }
    }

    /// Deletes old rows, once a day.
    async fn tidy(&mut self) {
        let a_day = Duration::from_hours(24);
        if self.tidied_at.is_some_and(|at| at.elapsed() < a_day) {
            return;
        }
        // After an error, and while rows are left, the next look continues.
        let oldest = self.clock.unix_seconds() - RETENTION_SECONDS;
        if self.journal.drop_role_probes_before(oldest).await == Ok(0) {
            self.tidied_at = Some(Instant::now());
        }
    }

    /// Returns the probe of a role that is due: first one that has no verdict and was never tried, and then the one that
    /// has waited longest.
    fn next_probe(&mut self) -> Option<BoxFuture<'static, FinishedProbe>> {
        let (now, instant) = (self.clock.unix_seconds(), Instant::now());
        let due = self.roles.iter_mut().filter(|(role, known)| known.is_due(role, now, instant));
        let (role, known) = due.min_by_key(|(_, known)| (known.verdict.map(|(_, at)| at), known.retry_at))?;
        known.is_in_flight = true;
        let (role, tenant) = (role.clone(), known.tenant.clone());
        let (prober, journal) = (Arc::clone(&self.prober), Arc::clone(&self.journal));
        let probe = async move {
            let verdict = prober.probe(&tenant).await;
            if let Ok(Some((role, verdict))) = &verdict {
                let probe = RoleProbe { role: role.clone(), verdict: *verdict, probed_at: now };
                if journal.save_role_probe(&probe).await.is_err() {
                    debug!(%tenant, role = %probe.role.arn, "verdict not saved: a restart probes the role again");
                }
            }
            FinishedProbe { role, tenant, began_at: now, verdict }
        };
        Some(probe.boxed())
    }

    fn finish(&mut self, finished: FinishedProbe) {
        let FinishedProbe { role, tenant, began_at, verdict } = finished;
        if let Some(known) = self.roles.get_mut(&role) {
            known.is_in_flight = false;
            if let Err(error) = &verdict {
                let is_first = known.retry_at.replace(Instant::now() + RETRY_INTERVAL).is_none();
                if is_first {
                    info!(%tenant, role = %role.arn, %error, "role not probed: its trust policy wasn't checked");
                } else {
                    debug!(%tenant, role = %role.arn, %error, "role not probed again");
                }
            }
        }
        // A reload may have given the tenant another role in the meantime.
        if let Ok(Some((asked, verdict))) = verdict
            && let Some(known) = self.roles.get_mut(&asked)
        {
            known.retry_at = None;
            // Another node may have asked later and been answered sooner.
            if known.verdict.is_none_or(|(_, former)| former <= began_at) {
                known.verdict = Some((verdict, began_at));
            }
        }
        self.publish();
    }

    /// Tells the directory which roles are open, and records the changes.
    fn publish(&mut self) {
        let open: HashMap<ProbedRole, OpenBy> = self
            .roles
            .iter()
            .filter_map(|(role, known)| match known.verdict? {
                (RoleVerdict::Open(open_by), _) => Some((role.clone(), open_by)),
                (RoleVerdict::Closed, _) => None,
            })
            .collect();
        self.tenants.set_open_roles(open);
        let open = self.tenants.open_roles();
        for open in &open {
            if self.recorded.get(&open.tenant) == Some(open) {
                continue;
            }
            let event = Event::RoleOpen {
                role: open.role.arn.to_string(),
                granted: open.open_by.as_str(),
                is_accepted: open.is_accepted,
            };
            self.record(&open.tenant, event);
        }
        let open: HashMap<_, _> = open.into_iter().map(|open| (open.tenant.clone(), open)).collect();
        let former = std::mem::replace(&mut self.recorded, open);
        let used = self.tenants.used_roles();
        for UsedRole { tenant, role, .. } in &used {
            // A tenant that is gone or has another role has no record of the former one's end.
            let was_open = former.get(tenant).is_some_and(|former| former.role == *role);
            if was_open && !self.recorded.contains_key(tenant) {
                self.record(tenant, Event::RoleClosed { role: role.arn.to_string() });
            }
        }
    }

    fn record(&self, tenant: &TenantName, event: Event) {
        self.events.record(Who::Maintenance { tenant: tenant.clone(), user: None }, event);
    }
}

impl KnownRole {
    fn new(tenant: TenantName) -> Self {
        Self { tenant, accepts_open: false, verdict: None, is_read: false, is_in_flight: false, retry_at: None }
    }

    fn is_due(&self, role: &ProbedRole, now: i64, instant: Instant) -> bool {
        let max_age = match self.verdict {
            Some((RoleVerdict::Open(_), _)) if !self.accepts_open => MAX_REFUSAL_AGE_SECONDS,
            Some(_) | None => MAX_AGE_SECONDS + delay(role),
        };
        let is_old = self.verdict.is_none_or(|(_, at)| now.saturating_sub(at) >= max_age);
        is_old && !self.is_in_flight && self.retry_at.is_none_or(|at| at <= instant)
    }
}

/// The part of an hour that is added to the age of a role's verdict, in seconds.
fn delay(role: &ProbedRole) -> i64 {
    let digits = role.external_id_hash.get(..4).unwrap_or_default();
    i64::from(u16::from_str_radix(digits, 16).unwrap_or_default()) * MAX_DELAY_SECONDS / i64::from(u16::MAX)
}

#[cfg(test)]
mod tests;
