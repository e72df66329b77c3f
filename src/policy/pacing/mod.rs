//! The rates of tenants, of their users and of their sessions. A request that exceeds a rate waits for its turn, so that
//! its client notices a rate only by the time of its answers.
//!
//! A [`Pacer`] is one token bucket. Its waiters form one line, in the order in which they came. A waiter that is
//! dropped leaves the line and takes nothing. A connection waits with one request at a time, so the connections of a
//! tenant take turns. A session's request takes from the session, then from its user, then from the tenant: so whoever
//! waits for a rate of its own stands in no line of others.
//!
//! Invariant: in any time t a pacer grants at most burst + rate × t, and the last grant, if that is larger than the
//! burst. Amounts that are owed come on top, and count against later grants: those of [`Pacer::take_or_owe`] after its
//! limit, and those that are known only afterwards.

mod pacer;
mod session;

pub(crate) use pacer::TakerKind;
pub(crate) use session::{S3Pacers, SessionPacers};

use super::ConnectionRefusal;
use crate::{
    account::{RateFigures, RateLimits, TenantRates},
    name::{TenantName, UserName},
};
use pacer::Pacer;
use parking_lot::Mutex;
use session::{take_all, take_all_at_once};
use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// The least burst of a rate of bytes: the largest WRITE or READ. A higher rate has the burst of one second.
const LEAST_BURST_BYTES: u64 = 256 << 10;
/// The number of users of a tenant from which those without sessions are forgotten once their rates are unused.
const MANY_USERS: usize = 256;

/// The longest time for which a login waits for the rates of new sessions.
const MAX_LOGIN_WAIT: Duration = Duration::from_secs(5);
/// The logins of one tenant that wait. Each has one of the server's places for connections that aren't logged in.
const MAX_WAITING_LOGINS: usize = 16;
/// The logins of one user that wait for the user's rate, so that others of its tenant find a place.
const MAX_WAITING_LOGINS_OF_USER: usize = 4;

/// A pacer for each rate.
type Pacers = RateFigures<Pacer>;

impl Pacers {
    /// Creates pacers without rates.
    fn unlimited() -> Self {
        Self {
            upload_bytes: Pacer::new(LEAST_BURST_BYTES),
            download_bytes: Pacer::new(LEAST_BURST_BYTES),
            requests: Pacer::new(1),
            s3_requests: Pacer::new(1),
            logins: Pacer::new(1),
            listing_entries: Pacer::new(1),
        }
    }

    fn with(limits: RateLimits) -> Self {
        let pacers = Self::unlimited();
        pacers.set(limits);
        pacers
    }

    fn set(&self, limits: RateLimits) {
        self.each().zip_with(limits, Pacer::set);
    }

    /// True if forgetting these pacers grants nothing.
    fn are_full(&self) -> bool {
        let full = self.each().zip_with(RateLimits::default(), |pacer, _| pacer.is_full());
        let RateFigures { upload_bytes, download_bytes, requests, s3_requests, logins, listing_entries } = full;
        upload_bytes && download_bytes && requests && s3_requests && logins && listing_entries
    }
}

/// The pacers of one tenant, and those of its users and sessions.
#[derive(Debug)]
pub(crate) struct TenantPacers {
    /// False while neither the tenant nor its users and sessions have any rate.
    has_rates: Arc<AtomicBool>,
    together: Pacers,
    waiting_logins: Semaphore,
    members: Mutex<PacedMembers>,
}

/// The users and sessions of a tenant.
#[derive(Debug)]
struct PacedMembers {
    each_user: RateLimits,
    each_session: RateLimits,
    users: HashMap<UserName, Arc<UserPacers>>,
    /// The number of users at which some may be forgotten.
    many_users: usize,
    sessions: Vec<Weak<Pacers>>,
}

/// The pacers of one user.
#[derive(Debug)]
struct UserPacers {
    pacers: Pacers,
    waiting_logins: Semaphore,
}

impl TenantPacers {
    /// Creates pacers without rates.
    pub(crate) fn unlimited() -> Arc<Self> {
        Self::with(&TenantRates::default())
    }

    fn with(rates: &TenantRates) -> Arc<Self> {
        let TenantRates { together, each_user, each_session } = *rates;
        let (users, sessions) = (HashMap::new(), Vec::new());
        Arc::new(Self {
            has_rates: Arc::new(AtomicBool::new(*rates != TenantRates::default())),
            together: Pacers::with(together),
            waiting_logins: Semaphore::new(MAX_WAITING_LOGINS),
            members: Mutex::new(PacedMembers { each_user, each_session, users, many_users: MANY_USERS, sessions }),
        })
    }

    /// Creates pacers with rates of requests to S3 alone: of the tenant, of each user, and of each session.
    #[cfg(test)]
    pub(crate) fn of_s3_requests(per_second: [Option<u64>; 3]) -> Arc<Self> {
        let [together, each_user, each_session] =
            per_second.map(|s3_requests| RateLimits { s3_requests, ..RateLimits::default() });
        Self::with(&TenantRates { together, each_user, each_session })
    }

    /// The rate of requests to S3 that no session makes.
    pub(crate) fn s3_requests(&self) -> S3Pacers<'_> {
        S3Pacers::of_tenant(&self.together.s3_requests)
    }

    fn set(&self, rates: &TenantRates) {
        let TenantRates { together, each_user, each_session } = *rates;
        self.together.set(together);
        let mut members = self.members.lock();
        (members.each_user, members.each_session) = (each_user, each_session);
        for user in members.users.values() {
            user.pacers.set(each_user);
        }
        for session in members.sessions.iter().filter_map(Weak::upgrade) {
            session.set(each_session);
        }
        self.has_rates.store(*rates != TenantRates::default(), Ordering::Relaxed);
    }

    /// The pacers of one of the tenant's users.
    fn user(&self, name: &UserName) -> Arc<UserPacers> {
        let mut members = self.members.lock();
        if let Some(known) = members.users.get(name) {
            return Arc::clone(known);
        }
        if members.users.len() >= members.many_users {
            // A user that comes back finds its rates as it left them.
            members.users.retain(|_, user| Arc::strong_count(user) > 1 || !user.pacers.are_full());
            members.many_users = MANY_USERS.max(2 * members.users.len());
        }
        let (pacers, waiting_logins) = (Pacers::with(members.each_user), Semaphore::new(MAX_WAITING_LOGINS_OF_USER));
        let user = Arc::new(UserPacers { pacers, waiting_logins });
        members.users.insert(name.clone(), Arc::clone(&user));
        user
    }

    /// The pacers of a new session of a user.
    pub(crate) fn session(self: Arc<Self>, user: &UserName) -> Arc<SessionPacers> {
        let user = self.user(user);
        let mut members = self.members.lock();
        let session = Arc::new(Pacers::with(members.each_session));
        let sessions = &mut members.sessions;
        if sessions.len() == sessions.capacity() {
            sessions.retain(|session| session.strong_count() > 0);
        }
        sessions.push(Arc::downgrade(&session));
        drop(members);
        Arc::new(SessionPacers::new(session, user, self))
    }

    /// Waits until the rates of the user and of the tenant allow another session, for at most five seconds.
    ///
    /// # Errors
    /// The time is over, or too many logins wait already.
    async fn admit_login(&self, user: &UserName) -> Result<(), ConnectionRefusal> {
        let user = self.user(user);
        let pacers = [&user.pacers.logins, &self.together.logins];
        if take_all_at_once(pacers, 1) {
            return Ok(());
        }
        let mut places = Vec::new();
        if user.pacers.logins.is_limited() {
            places.push(user.waiting_logins.try_acquire().map_err(|_| ConnectionRefusal::LoginRate)?);
        }
        places.push(self.waiting_logins.try_acquire().map_err(|_| ConnectionRefusal::LoginRate)?);
        timeout(MAX_LOGIN_WAIT, take_all(pacers, 1)).await.map_err(|_| ConnectionRefusal::LoginRate)
    }
}

/// The pacers of all tenants. The config bounds their number.
#[derive(Debug, Default)]
pub struct PacerTable(Mutex<HashMap<TenantName, Arc<TenantPacers>>>);

impl PacerTable {
    /// Replaces the rates of all tenants. They hold from the next request on, and for requests that wait. A tenant that
    /// isn't named has none.
    pub fn set_rates<'a>(&self, rates: impl IntoIterator<Item = (&'a TenantName, TenantRates)>) {
        let rates: HashMap<&TenantName, TenantRates> = rates.into_iter().collect();
        let mut tenants = self.0.lock();
        // Sessions of a removed tenant have its pacers until they end.
        tenants.retain(|tenant, pacers| rates.contains_key(tenant) || Arc::strong_count(pacers) > 1);
        for (tenant, pacers) in &*tenants {
            pacers.set(rates.get(tenant).unwrap_or(&TenantRates::default()));
        }
        for (tenant, rates) in rates {
            tenants.entry(tenant.clone()).or_insert_with(|| TenantPacers::with(&rates));
        }
    }

    /// Returns the pacers of a tenant.
    #[must_use]
    pub(crate) fn of(&self, tenant: &TenantName) -> Arc<TenantPacers> {
        let mut tenants = self.0.lock();
        if let Some(known) = tenants.get(tenant) {
            return Arc::clone(known);
        }
        let pacers = TenantPacers::unlimited();
        tenants.insert(tenant.clone(), Arc::clone(&pacers));
        pacers
    }

    /// Returns the pacers of a new session.
    #[must_use]
    pub(crate) fn session(&self, tenant: &TenantName, user: &UserName) -> Arc<SessionPacers> {
        self.of(tenant).session(user)
    }

    /// Waits until the rates of new sessions allow another one of the user, for at most five seconds.
    ///
    /// # Errors
    /// The time is over, or too many logins of the tenant or the user wait already.
    pub(crate) async fn admit_login(&self, tenant: &TenantName, user: &UserName) -> Result<(), ConnectionRefusal> {
        self.of(tenant).admit_login(user).await
    }
}

#[cfg(test)]
mod tests;
