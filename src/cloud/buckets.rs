//! The buckets of all tenants, opened when they are first asked for.

use super::{
    Place, SessionPolicy,
    assume_role::{AssumedRole, Assumption},
    clients::{Clients, Identity},
    place::Role,
};
use crate::{
    account::{Permissions, TenantName, UserName},
    store::{Bucket, Error, Prefix, Result, S3Bucket},
    vfs::{self, Scope},
};
use async_trait::async_trait;
use aws_credential_types::Credentials as AccessKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// The vfs's source of buckets. Clients are made lazily and kept: one a tenant where there is no role, else one for each
/// session policy of each user. There are never more than the config has mounts.
#[derive(Debug)]
pub struct Buckets {
    clients: Clients,
    tenants: HashMap<TenantName, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    place: Place,
    /// Where there is no role.
    whole: OnceCell<Arc<S3Bucket>>,
    sts: OnceCell<aws_sdk_sts::Client>,
    scoped: Mutex<HashMap<UserName, Vec<Arc<Scoped>>>>,
}

/// What one user does with one mount. The credentials are for this user alone, even where another's policy is the same:
/// the session name that the customer's CloudTrail shows is part of them.
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
        self.place.credentials.role.as_ref()
    }
}

impl Buckets {
    /// Takes where each tenant's files lie. Does no IO: credentials are looked for at a tenant's first request.
    #[must_use]
    pub fn new(places: HashMap<TenantName, Place>) -> Self {
        let tenant = |place| Tenant { place, whole: OnceCell::new(), sts: OnceCell::new(), scoped: Mutex::default() };
        let tenants = places.into_iter().map(|(name, place)| (name, tenant(place))).collect();
        Self { clients: Clients::new(), tenants }
    }

    /// The credentials that requests for `scope` are signed with, for who wants to see for himself what they can't do.
    ///
    /// # Errors
    /// [`Error::Credentials`] where the tenant has no role, or why the role can't be had.
    pub async fn session_credentials(&self, scope: Scope<'_>) -> Result<AccessKey> {
        let Some((tenant, role)) = self.tenants.get(scope.tenant).and_then(|tenant| Some((tenant, tenant.role()?)))
        else {
            return Err(Error::Credentials(format!("tenant {} has no role", scope.tenant)));
        };
        Ok(self.scoped(scope, tenant, role).await?.session.credentials().await?)
    }

    async fn whole(&self, name: &TenantName, tenant: &Tenant) -> Arc<S3Bucket> {
        let Place { credentials, region, .. } = &tenant.place;
        let open = async || {
            let identity = self.clients.base(&credentials.base, region).await;
            Arc::new(self.clients.bucket(name.as_str(), &tenant.place, identity))
        };
        Arc::clone(tenant.whole.get_or_init(open).await)
    }

    async fn scoped(&self, scope: Scope<'_>, tenant: &Tenant, role: &Role) -> Result<Arc<Scoped>> {
        let Place { credentials, region, .. } = &tenant.place;
        let connect = async || {
            let identity = self.clients.base(&credentials.base, region).await;
            self.clients.sts(scope.tenant.as_str(), role, region, identity)
        };
        let sts = tenant.sts.get_or_init(connect).await;
        let mut scoped = tenant.scoped.lock().unwrap_or_else(PoisonError::into_inner);
        let known = scoped.get(scope.user).map(Vec::as_slice).unwrap_or_default();
        let same = |known: &&Arc<Scoped>| known.prefix == *scope.prefix && known.permissions == scope.permissions;
        if let Some(known) = known.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let policy = SessionPolicy::new(&tenant.place, scope.prefix, scope.permissions)
            .map_err(|error| Error::Credentials(error.to_string()))?;
        let (session, bucket) = match known.iter().find(|known| known.policy == policy) {
            // Permissions that no policy can tell apart.
            Some(known) => (known.session.clone(), Arc::clone(&known.bucket)),
            None => self.assume(scope, tenant, role, &policy, sts),
        };
        let (prefix, permissions) = (scope.prefix.clone(), scope.permissions);
        let new = Arc::new(Scoped { prefix, permissions, policy, session, bucket });
        scoped.entry(scope.user.clone()).or_default().push(Arc::clone(&new));
        Ok(new)
    }

    fn assume(
        &self,
        scope: Scope<'_>,
        tenant: &Tenant,
        role: &Role,
        policy: &SessionPolicy,
        sts: &aws_sdk_sts::Client,
    ) -> (AssumedRole, Arc<S3Bucket>) {
        let assumption = Assumption {
            tenant: scope.tenant.clone(),
            user: scope.user.clone(),
            role: role.clone(),
            policy: policy.clone(),
        };
        let session = AssumedRole::new(sts.clone(), assumption);
        let identity = Identity::session(session.clone());
        let bucket = self.clients.bucket(scope.tenant.as_str(), &tenant.place, identity);
        (session, Arc::new(bucket))
    }
}

#[async_trait]
impl vfs::Buckets for Buckets {
    async fn bucket(&self, scope: Scope<'_>) -> Result<Arc<dyn Bucket>> {
        let Some(tenant) = self.tenants.get(scope.tenant) else {
            return Err(Error::Credentials(format!("tenant {} has no bucket", scope.tenant)));
        };
        let Some(role) = tenant.role() else {
            return Ok(self.whole(scope.tenant, tenant).await);
        };
        let scoped = self.scoped(scope, tenant, role).await?;
        // Here, where what is wrong can be said plainly; later the SDK asks by itself, for each try of each request.
        scoped.session.credentials().await?;
        Ok(Arc::clone(&scoped.bucket) as Arc<dyn Bucket>)
    }
}
