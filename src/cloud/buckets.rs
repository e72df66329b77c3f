//! The buckets of all tenants. Each is opened at its first use.

use super::{
    SessionName, SessionPolicy,
    assume_role::{AssumedRole, Assumption},
    clients::{Clients, Identity},
    retries::Allowances,
};
use crate::{
    account::{Permissions, Role, Storage},
    name::{BucketId, Prefix, TenantName, UserName},
    store::{Bucket, Error, Result, S3Bucket},
    vfs::{self, Scope},
};
use async_trait::async_trait;
use aws_credential_types::Credentials as AccessKey;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::OnceCell;

/// The source of buckets for the vfs and the janitor. It creates clients lazily and keeps them: one for a tenant
/// without a role, else one for each session policy of each user and of the janitor. The clients of users never
/// outnumber the mounts in the config, nor do those of the janitor.
#[derive(Debug)]
pub struct Buckets {
    clients: Clients,
    tenants: HashMap<TenantName, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    storage: Storage,
    /// The tokens for retries of this tenant. One tenant's outage can't use up another's retries.
    allowances: Allowances,
    /// The bucket of a tenant without a role.
    whole: OnceCell<Arc<S3Bucket>>,
    sts: OnceCell<aws_sdk_sts::Client>,
    scoped: Mutex<HashMap<UserName, Vec<Arc<Scoped>>>>,
    janitor: Mutex<HashMap<SessionPolicy, (AssumedRole, Arc<S3Bucket>)>>,
}

/// One user's access to one mount. The credentials are for this user only, even if another user's policy is the same:
/// they include the session name that the customer's CloudTrail shows.
#[derive(Debug)]
struct Scoped {
    prefix: Prefix,
    permissions: Permissions,
    policy: SessionPolicy,
    session: AssumedRole,
    bucket: Arc<S3Bucket>,
}

impl Tenant {
    fn role(&self) -> Option<&Role> {
        self.storage.credentials.role.as_ref()
    }
}

impl Buckets {
    /// Creates the source from each tenant's storage. Does no IO: it looks for credentials at a tenant's first request.
    #[must_use]
    pub fn new(storages: HashMap<TenantName, Storage>) -> Self {
        let tenant = |storage| Tenant {
            storage,
            allowances: Allowances::default(),
            whole: OnceCell::new(),
            sts: OnceCell::new(),
            scoped: Mutex::default(),
            janitor: Mutex::default(),
        };
        let tenants = storages.into_iter().map(|(name, storage)| (name, tenant(storage))).collect();
        Self { clients: Clients::new(), tenants }
    }

    /// Returns the credentials that sign requests for `scope`, for a caller that checks their limits itself.
    ///
    /// # Errors
    /// [`Error::Credentials`] if the tenant has no role, or if STS doesn't grant the role.
    pub async fn session_credentials(&self, scope: Scope<'_>) -> Result<AccessKey> {
        let Some((tenant, role)) = self.tenants.get(scope.tenant).and_then(|tenant| Some((tenant, tenant.role()?)))
        else {
            return Err(Error::Credentials(format!("tenant {} has no role", scope.tenant)));
        };
        Ok(self.scoped(scope, tenant, role).await?.session.credentials().await?)
    }

    /// Returns the bucket of a tenant with a role. Its credentials can only list and abort open uploads below `prefix`.
    /// Returns `None` for a tenant without a role: S3 then doesn't tell this server's uploads from others.
    ///
    /// # Errors
    /// [`Error::Credentials`] if STS doesn't grant the role.
    pub async fn for_janitor(&self, name: &TenantName, prefix: &Prefix) -> Result<Option<Arc<dyn Bucket>>> {
        let Some((tenant, role)) = self.tenants.get(name).and_then(|tenant| Some((tenant, tenant.role()?))) else {
            return Ok(None);
        };
        let policy = SessionPolicy::for_janitor(&tenant.storage, prefix)
            .map_err(|error| Error::Credentials(error.to_string()))?;
        let sts = self.sts(tenant, role).await;
        let (session, bucket) = {
            let mut known = tenant.janitor.lock();
            let assume = || {
                let (name, role) = (name.clone(), role.clone());
                self.assume(Assumption { tenant: name, user: None, role, policy: policy.clone() }, tenant, sts)
            };
            known.entry(policy.clone()).or_insert_with(assume).clone()
        };
        session.credentials().await?;
        Ok(Some(bucket))
    }

    /// True if a session that this server creates for the tenant's users began an upload. `initiator` is S3's name of
    /// the session.
    #[must_use]
    pub fn is_ours(&self, tenant: &TenantName, initiator: &str) -> bool {
        let role = self.tenants.get(tenant).and_then(Tenant::role);
        role.is_some_and(|role| SessionName::is_of_a_user(initiator, &role.arn, tenant))
    }

    fn tenant(&self, name: &TenantName) -> Result<&Tenant> {
        self.tenants.get(name).ok_or_else(|| Error::Credentials(format!("tenant {name} has no bucket")))
    }

    async fn sts<'a>(&self, tenant: &'a Tenant, role: &Role) -> &'a aws_sdk_sts::Client {
        let Storage { credentials, region, .. } = &tenant.storage;
        let connect = async || {
            let identity = self.clients.base(&credentials.base, region).await;
            self.clients.sts(&tenant.allowances, role, region, identity)
        };
        tenant.sts.get_or_init(connect).await
    }

    async fn whole(&self, tenant: &Tenant) -> Arc<S3Bucket> {
        let Storage { credentials, region, .. } = &tenant.storage;
        let open = async || {
            let identity = self.clients.base(&credentials.base, region).await;
            Arc::new(self.clients.bucket(&tenant.allowances, &tenant.storage, identity))
        };
        Arc::clone(tenant.whole.get_or_init(open).await)
    }

    async fn scoped(&self, scope: Scope<'_>, tenant: &Tenant, role: &Role) -> Result<Arc<Scoped>> {
        let sts = self.sts(tenant, role).await;
        let mut scoped = tenant.scoped.lock();
        let known = scoped.get(scope.user).map(Vec::as_slice).unwrap_or_default();
        let same = |known: &&Arc<Scoped>| known.prefix == *scope.prefix && known.permissions == scope.permissions;
        if let Some(known) = known.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let policy = SessionPolicy::new(&tenant.storage, scope.prefix, scope.permissions)
            .map_err(|error| Error::Credentials(error.to_string()))?;
        let assume = || {
            let (name, user, role) = (scope.tenant.clone(), Some(scope.user.clone()), role.clone());
            self.assume(Assumption { tenant: name, user, role, policy: policy.clone() }, tenant, sts)
        };
        // Different permissions can result in the same policy.
        let known = known.iter().find(|known| known.policy == policy);
        let (session, bucket) = known.map_or_else(assume, |known| (known.session.clone(), Arc::clone(&known.bucket)));
        let (prefix, permissions) = (scope.prefix.clone(), scope.permissions);
        let new = Arc::new(Scoped { prefix, permissions, policy, session, bucket });
        scoped.entry(scope.user.clone()).or_default().push(Arc::clone(&new));
        Ok(new)
    }

    fn assume(
        &self,
        assumption: Assumption,
        tenant: &Tenant,
        sts: &aws_sdk_sts::Client,
    ) -> (AssumedRole, Arc<S3Bucket>) {
        let session = AssumedRole::new(sts.clone(), assumption);
        let identity = Identity::session(session.clone());
        let bucket = self.clients.bucket(&tenant.allowances, &tenant.storage, identity);
        (session, Arc::new(bucket))
    }
}

#[async_trait]
impl vfs::Buckets for Buckets {
    async fn bucket(&self, scope: Scope<'_>) -> Result<Arc<dyn Bucket>> {
        let tenant = self.tenant(scope.tenant)?;
        let Some(role) = tenant.role() else {
            return Ok(self.whole(tenant).await);
        };
        let scoped = self.scoped(scope, tenant, role).await?;
        // The server asks for credentials here, because it can name the cause of an error here. Later the SDK asks by
        // itself, for each try of each request.
        scoped.session.credentials().await?;
        Ok(Arc::clone(&scoped.bucket) as Arc<dyn Bucket>)
    }

    fn id(&self, tenant: &TenantName) -> Result<BucketId> {
        Ok(self.tenant(tenant)?.storage.id.clone())
    }
}
