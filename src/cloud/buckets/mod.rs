//! The buckets of all tenants. Each is opened at its first use.
//!
//! Every bucket, also one for maintenance, takes permits of its tenant for its requests, and so does every role: see
//! [`FairBucket`].
//!
//! Two caches are bounded in number and in idle time: the clients of each tenant, and the clients of each session
//! policy of each user. One tenant's sessions can fill only a part of the second cache. An entry counts only while the
//! tenant's storage in the directory is the one that it was made for. A client that left its cache works on for those
//! who have it.

use super::{
    BucketSource, Scope, SessionName, SessionPolicy,
    assume_role::{AssumedRole, Assumption, RoleIssuer, probe, wrong_external_id},
    clients::{Clients, Identity, issuer},
    retries::RetryQuotas,
    session_name::SessionHolder,
};
use crate::{
    account::{Permissions, ProbedRole, Role, RoleVerdict, Storage},
    name::{BucketId, Prefix, TenantName, UserName},
    policy::{DailyUsage, PacerTable, TenantUsage},
    shares::{ShareLine, Shares},
    store::{Bucket, Error, FairBucket, RequestPermits, Result},
    tenants::{DirectoryChanges, Tenants},
};
use async_trait::async_trait;
use aws_credential_types::Credentials as AccessKey;
use moka::{
    notification::RemovalCause,
    policy::EvictionPolicy,
    sync::{Cache, CacheBuilder},
};
use std::{collections::HashSet, hash::Hash, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The bounds of the requests and of the caches of clients.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The requests to S3 in flight, for all tenants together. One tenant has at most three quarters of them.
    pub requests: usize,
    /// The tenants whose clients are kept, and the sessions with a role whose clients are kept. The client that was
    /// used the longest time ago goes first.
    pub clients: u64,
    /// The sessions of one tenant whose clients are kept. The tenant's own clients make room for each other, so that a
    /// tenant with many users leaves the rest of the cache to others.
    pub clients_per_tenant: u64,
    /// A client is dropped after this time without use.
    pub idle: Duration,
}

impl Bounds {
    /// The most requests in flight that are of use: S3 answers in some 30 ms, and a part takes a second.
    pub const MAX_REQUESTS: usize = 1_024;
}

impl Default for Bounds {
    fn default() -> Self {
        // A session's credentials last an hour: a client that was idle for longer would assume its role again anyway.
        Self { requests: Self::MAX_REQUESTS, clients: 10_000, clients_per_tenant: 5_000, idle: Duration::from_hours(1) }
    }
}

/// The requests to STS in flight, for all tenants together. STS answers in some 100 ms, and its own limit is lower.
const MAX_ASSUMPTIONS: usize = 64;

/// The source of buckets for the vfs and the janitor. It creates clients lazily.
#[derive(Debug)]
pub struct S3Buckets {
    tenants: Arc<Tenants>,
    usage: Arc<DailyUsage>,
    pacers: Arc<PacerTable>,
    bounds: Bounds,
    clients: Clients,
    /// The requests to S3 in flight, each with a permit of its tenant.
    requests: Arc<RequestPermits>,
    /// The requests to STS in flight. They have permits of their own, because a request to S3 waits for STS.
    assumptions: Arc<Shares<TenantName>>,
    /// The same for the vendor's roles, which have permits of their own, because a request for a tenant's role waits for them.
    vendor_assumptions: Arc<Shares<TenantName>>,
    of_tenants: Cache<TenantName, Arc<TenantClients>>,
    of_sessions: Cache<SessionKey, Arc<SessionClients>>,
}

#[derive(Debug)]
struct TenantClients {
    storage: Arc<Storage>,
    /// Charged with the requests of all clients.
    usage: Arc<TenantUsage>,
    /// The tokens for retries of this tenant. One tenant's outage can't use up another's retries.
    retry_quotas: RetryQuotas,
    /// The bucket with the base credentials, for a tenant without a role.
    base: OnceCell<Arc<FairBucket>>,
    sts: OnceCell<RoleIssuer>,
    sessions: TenantSessions,
}

/// A tenant's part of [`S3Buckets::of_sessions`]: the keys of its sessions. A key that must leave it leaves the other
/// cache too.
type TenantSessions = Cache<SessionKey, ()>;

/// All that the credentials of a session depend on, beside the storage. They are of one user alone, even if another
/// user has an equal policy: the customer's CloudTrail shows the session name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SessionKey {
    tenant: TenantName,
    /// `None`: the janitor.
    user: Option<UserName>,
    prefix: Prefix,
    /// The widest permissions with the same policy, so that permissions which no policy distinguishes share a session.
    permissions: Permissions,
}

/// A session with a role, and the bucket through it.
#[derive(Debug)]
struct SessionClients {
    storage: Arc<Storage>,
    session: AssumedRole,
    bucket: Arc<FairBucket>,
}

impl TenantClients {
    fn new(storage: Arc<Storage>, usage: Arc<TenantUsage>, sessions: TenantSessions) -> Self {
        let retry_quotas = RetryQuotas::default();
        Self { storage, usage, retry_quotas, base: OnceCell::new(), sts: OnceCell::new(), sessions }
    }
}

impl S3Buckets {
    /// Creates the source for the tenants in the directory. Does no IO: it looks for credentials at a tenant's first
    /// request.
    #[must_use]
    pub fn new(tenants: Arc<Tenants>) -> Self {
        Self::with_bounds(tenants, Bounds::default())
    }

    /// The same with other bounds of the caches.
    #[must_use]
    pub fn with_bounds(tenants: Arc<Tenants>, bounds: Bounds) -> Self {
        let (of_tenants, of_sessions) = (cache(bounds).build(), cache(bounds).build());
        let requests = RequestPermits::new(bounds.requests);
        let (assumptions, vendor_assumptions) = (Shares::new(MAX_ASSUMPTIONS), Shares::new(MAX_ASSUMPTIONS));
        let (usage, pacers, clients) = (Arc::default(), Arc::default(), Clients::new());
        Self {
            tenants,
            usage,
            pacers,
            bounds,
            clients,
            requests,
            assumptions,
            vendor_assumptions,
            of_tenants,
            of_sessions,
        }
    }

    /// The same, with the requests charged to the tenants' daily `usage`.
    #[must_use]
    pub fn charged_to(self, usage: Arc<DailyUsage>) -> Self {
        Self { usage, ..self }
    }

    /// The same, with requests that keep to the rates of their tenants.
    #[must_use]
    pub fn paced_by(self, pacers: Arc<PacerTable>) -> Self {
        Self { pacers, ..self }
    }

    /// Returns the credentials that sign requests for `scope`, for a caller that checks their limits itself.
    ///
    /// # Errors
    /// [`Error::Credentials`] if the tenant has no role, or if STS doesn't grant the role.
    pub async fn session_credentials(&self, scope: Scope<'_>) -> Result<AccessKey> {
        let clients = self.tenant_of(scope)?;
        let Some(role) = &clients.storage.credentials.role else {
            return Err(Error::Credentials(format!("tenant {} has no role", scope.tenant)));
        };
        Ok(self.of_user(scope, &clients, role).await?.session.credentials().await?)
    }

    /// Returns the clients for the tenant's storage, unless the mount lies outside it: a session that began before its
    /// tenant got another bucket or prefix must not reach, there, what lies below its old prefix.
    fn tenant_of(&self, scope: Scope<'_>) -> Result<Arc<TenantClients>> {
        let clients = self.tenant(scope.tenant)?;
        if clients.storage.prefix.contains(scope.prefix) {
            return Ok(clients);
        }
        Err(Error::Credentials(format!("the mount lies outside the prefix that tenant {} has now", scope.tenant)))
    }

    /// Returns the bucket of a tenant with a role. Its credentials can only list and abort open uploads below `prefix`.
    /// Returns `None` for a tenant without a role: S3 then doesn't tell this server's uploads from others.
    ///
    /// # Errors
    /// [`Error::Credentials`] if STS doesn't grant the role.
    pub async fn for_janitor(&self, name: &TenantName, prefix: &Prefix) -> Result<Option<Arc<dyn Bucket>>> {
        let Ok(clients) = self.tenant(name) else { return Ok(None) };
        let Some(role) = &clients.storage.credentials.role else { return Ok(None) };
        let (prefix, permissions) = (prefix.clone(), Permissions::NONE);
        let key = SessionKey { tenant: name.clone(), user: None, prefix, permissions };
        let policy = |storage: &Storage| SessionPolicy::for_janitor(storage, &key.prefix);
        let found = self.session(&key, &clients, role, policy).await?;
        found.session.credentials().await?;
        Ok(Some(Arc::clone(&found.bucket) as Arc<dyn Bucket>))
    }

    /// Asks STS for a tenant's role without its external ID, and with a wrong one. Returns the role that it asked for,
    /// which a reload may replace meanwhile, or `None` for a tenant without a role. Session credentials that STS grants
    /// are dropped.
    ///
    /// # Errors
    /// There is no verdict: STS didn't answer, or refused for a reason that the trust policy has no part in.
    pub async fn probe_role(&self, name: &TenantName) -> Result<Option<(ProbedRole, RoleVerdict)>> {
        let clients = self.tenant(name)?;
        let Some(role) = &clients.storage.credentials.role else { return Ok(None) };
        let issuer = self.issuer(name, &clients, role).await;
        // In the line of the requests for sessions, so that a login of the tenant waits for one answer at most.
        let _permit = self.assumptions.acquire(name, ShareLine::First).await;
        let verdict = probe(issuer, name, role, wrong_external_id()?).await?;
        Ok(Some((ProbedRole::new(role, &clients.storage.region), verdict)))
    }

    /// True if a session that this server creates for the tenant's users began an upload. `initiator` is S3's name of
    /// the session.
    #[must_use]
    pub fn is_ours(&self, tenant: &TenantName, initiator: &str) -> bool {
        let storage = self.tenants.storage(tenant);
        let role = storage.as_ref().and_then(|storage| storage.credentials.role.as_ref());
        role.is_some_and(|role| SessionName::is_of_an_uploader(initiator, &role.arn, tenant))
    }

    /// Drops the clients of tenants that a swap of the directory removed and of users that it took from their tenant,
    /// with their credentials. Callers that have such a client keep it.
    pub(crate) fn forget_removed(&self, changes: &DirectoryChanges) {
        for tenant in &changes.tenants.removed {
            self.of_tenants.invalidate(tenant);
        }
        let tenants: HashSet<_> = changes.tenants.removed.iter().collect();
        // A user that moved to another tenant is a changed one.
        let users: HashSet<_> = changes.users.removed.iter().chain(&changes.users.changed).collect();
        if tenants.is_empty() && users.is_empty() {
            return;
        }
        let has_left = |key: &SessionKey| {
            let user = key.user.as_ref().filter(|user| users.contains(user));
            user.is_some_and(|user| self.tenants.user_of(&key.tenant, user).is_none())
        };
        for (key, _) in &self.of_sessions {
            if tenants.contains(&key.tenant) || has_left(&key) {
                self.of_sessions.invalidate(&*key);
            }
        }
    }

    fn storage(&self, name: &TenantName) -> Result<Arc<Storage>> {
        self.tenants.storage(name).ok_or_else(|| Error::Credentials(format!("tenant {name} has no bucket")))
    }

    /// Returns the clients for the storage that the directory names now.
    fn tenant(&self, name: &TenantName) -> Result<Arc<TenantClients>> {
        let storage = self.storage(name)?;
        let is_stale = |known: &Arc<TenantClients>| !Arc::ptr_eq(&known.storage, &storage);
        // Each request of a client comes here, and a lookup takes no lock.
        let known = self.of_tenants.get(name);
        if let Some(known) = known.as_ref().filter(|known| !is_stale(known)) {
            return Ok(Arc::clone(known));
        }
        // The sessions of the former storage count until they are made again or expire.
        let new = || {
            let sessions = known.as_ref().map_or_else(|| self.tenant_sessions(), |known| known.sessions.clone());
            Arc::new(TenantClients::new(Arc::clone(&storage), self.usage.of(name), sessions))
        };
        Ok(self.of_tenants.entry_by_ref(name).or_insert_with_if(new, is_stale).into_value())
    }

    fn tenant_sessions(&self) -> TenantSessions {
        let of_sessions = self.of_sessions.clone();
        let forget = move |key: Arc<SessionKey>, (), cause: RemovalCause| {
            if cause.was_evicted() {
                of_sessions.invalidate(&*key);
            }
        };
        let bounds = Bounds { clients: self.bounds.clients_per_tenant, ..self.bounds };
        cache(bounds).eviction_listener(forget).build()
    }

    async fn issuer<'a>(&self, tenant: &TenantName, clients: &'a TenantClients, role: &Role) -> &'a RoleIssuer {
        let Storage { credentials, region, .. } = &*clients.storage;
        let connect = async || {
            let sts = |identity| self.clients.sts(&clients.retry_quotas, role, &clients.storage, identity);
            let own = self.clients.base(&credentials.base, region).await;
            issuer(tenant, role, own, &self.vendor_assumptions, sts)
        };
        clients.sts.get_or_init(connect).await
    }

    async fn with_base_credentials(&self, tenant: &TenantName, clients: &TenantClients) -> Arc<FairBucket> {
        let Storage { credentials, region, .. } = &*clients.storage;
        let open = async || {
            let identity = self.clients.base(&credentials.base, region).await;
            self.open(tenant, clients, identity)
        };
        Arc::clone(clients.base.get_or_init(open).await)
    }

    /// The tenant's bucket, with requests signed by `identity`.
    fn open(&self, tenant: &TenantName, clients: &TenantClients, identity: Identity) -> Arc<FairBucket> {
        let bucket = Arc::new(self.clients.bucket(&clients.retry_quotas, &clients.usage, &clients.storage, identity));
        let bucket = FairBucket::new(bucket, tenant.clone(), Arc::clone(&self.requests));
        Arc::new(bucket.paced_by(self.pacers.of(tenant)))
    }

    async fn of_user(&self, scope: Scope<'_>, clients: &TenantClients, role: &Role) -> Result<Arc<SessionClients>> {
        let Scope { tenant, user, prefix, permissions, .. } = scope;
        let (user, widest) = (Some(user.clone()), SessionPolicy::widest(permissions));
        let key = SessionKey { tenant: tenant.clone(), user, prefix: prefix.clone(), permissions: widest };
        let policy = |storage: &Storage| SessionPolicy::new(storage, prefix, permissions);
        self.session(&key, clients, role, policy).await
    }

    /// The clients of a session. Callers that ask at once share one.
    async fn session<E: std::error::Error>(
        &self,
        key: &SessionKey,
        clients: &TenantClients,
        role: &Role,
        policy: impl Fn(&Storage) -> Result<SessionPolicy, E>,
    ) -> Result<Arc<SessionClients>> {
        let is_stale = |known: &Arc<SessionClients>| !Arc::ptr_eq(&known.storage, &clients.storage);
        if let Some(known) = self.of_sessions.get(key).filter(|known| !is_stale(known)) {
            // The tenant's cache must see the use, because its least recently used key makes room. A new one lacks the
            // sessions of the tenant's former clients.
            if clients.sessions.get(key).is_none() {
                Self::count_session(clients, key);
            }
            return Ok(known);
        }
        let policy = policy(&clients.storage).map_err(|error| Error::Credentials(error.to_string()))?;
        let issuer = self.issuer(&key.tenant, clients, role).await;
        let new = || {
            let holder = key.user.clone().map_or(SessionHolder::Janitor, SessionHolder::User);
            let assumption = Assumption::of_tenant(&key.tenant, holder, role, policy.as_str().to_owned());
            let session = AssumedRole::new(issuer.clone(), assumption, Arc::clone(&self.assumptions));
            let identity = Identity::session(session.clone());
            let bucket = self.open(&key.tenant, clients, identity);
            Arc::new(SessionClients { storage: Arc::clone(&clients.storage), session, bucket })
        };
        Self::count_session(clients, key);
        Ok(self.of_sessions.entry_by_ref(key).or_insert_with_if(new, is_stale).into_value())
    }

    /// The tenant's least recently used session makes room before another tenant's session would have to.
    fn count_session(clients: &TenantClients, key: &SessionKey) {
        clients.sessions.insert(key.clone(), ());
        clients.sessions.run_pending_tasks();
    }
}

/// A cache in which the least recently used entry makes room. By default moka refuses entries that weren't asked for
/// often: each request for such an entry would make a client.
fn cache<K, V>(bounds: Bounds) -> CacheBuilder<K, V, Cache<K, V>>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(bounds.clients).time_to_idle(bounds.idle).eviction_policy(EvictionPolicy::lru())
}

/// Returns the bucket for the requests of the session in `scope`, if there is one.
fn of_session(bucket: Arc<FairBucket>, scope: Scope<'_>) -> Arc<dyn Bucket> {
    match scope.rates {
        Some(rates) => Arc::new(bucket.of_session(Arc::clone(rates))),
        None => bucket,
    }
}

#[async_trait]
impl BucketSource for S3Buckets {
    async fn bucket(&self, scope: Scope<'_>) -> Result<Arc<dyn Bucket>> {
        let clients = self.tenant_of(scope)?;
        let Some(role) = &clients.storage.credentials.role else {
            return Ok(of_session(self.with_base_credentials(scope.tenant, &clients).await, scope));
        };
        let found = self.of_user(scope, &clients, role).await?;
        // The server asks for credentials here, because it can name the cause of an error here. Later the SDK asks by
        // itself, for each try of each request.
        found.session.credentials().await?;
        Ok(of_session(Arc::clone(&found.bucket), scope))
    }

    fn id(&self, tenant: &TenantName) -> Result<BucketId> {
        Ok(self.storage(tenant)?.id.clone())
    }
}

#[cfg(test)]
mod tests;
