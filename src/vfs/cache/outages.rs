//! Buckets that accept no uploads, as sessions of the node learned a moment ago: S3 gave no answer or an error of its
//! own, or the bucket is full.
//!
//! An outage belongs to a bucket and a scope of credentials, so no user is refused because of another user's failure.
//! Losing an entry loses a refusal, never a byte.

use super::CredentialScope;
use crate::{
    bounded::{ObjectMap, ObjectName},
    name::BucketId,
    store::{self, Outage},
};
use parking_lot::Mutex;
use std::sync::Arc;

/// The most outages that are remembered for a tenant.
const MAX_OF_TENANT: usize = 1024;
/// The most outages that are remembered for all tenants. Each is at most half a minute old.
const MAX_OUTAGES: usize = 65_536;

/// The outages of all buckets. Its name in the map is the mount's prefix.
#[derive(Debug)]
pub(in crate::vfs) struct Outages(Mutex<ObjectMap<Arc<CredentialScope>, Outage>>);

impl Default for Outages {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_OF_TENANT)))
    }
}

impl Outages {
    /// Records an upload that failed because of its bucket.
    pub(in crate::vfs) fn note(&self, bucket: &BucketId, scope: &Arc<CredentialScope>, cause: store::Error) {
        let mut outages = self.0.lock();
        outages.drop_oldest(Outage::is_over);
        let outage = match outages.remove(name(bucket, scope), scope) {
            Some(mut outage) => {
                outage.prolong(cause);
                outage
            }
            None => Outage::begin(cause),
        };
        outages.insert(&scope.tenant, name(bucket, scope), Arc::clone(scope), outage);
        outages.truncate(MAX_OUTAGES);
    }

    /// Records that a part or an object was stored.
    pub(in crate::vfs) fn end(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) {
        self.0.lock().remove(name(bucket, scope), scope);
    }

    /// Returns what [`admit`](Self::admit) would return now. It uses up no probe.
    ///
    /// # Errors
    /// The last failure.
    pub(in crate::vfs) fn check(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> store::Result<()> {
        self.0.lock().find(name(bucket, scope), scope).map_or(Ok(()), Outage::check)
    }

    /// Admits an OPEN for writing, or refuses it.
    ///
    /// # Errors
    /// The last failure.
    pub(in crate::vfs) fn admit(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> store::Result<()> {
        self.0.lock().find_mut(name(bucket, scope), scope).map_or(Ok(()), Outage::admit)
    }
}

fn name<'a>(bucket: &'a BucketId, scope: &'a CredentialScope) -> ObjectName<'a> {
    (bucket, scope.prefix.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::Permissions, name::Prefix};

    fn scope(tenant: &str, user: &str) -> Arc<CredentialScope> {
        Arc::new(CredentialScope {
            tenant: tenant.parse().unwrap(),
            user: user.parse().unwrap(),
            prefix: Prefix::parse("acme/").unwrap(),
            permissions: Permissions::ALL,
        })
    }

    fn full() -> store::Error {
        store::Error::Full { request: "HTTP 507".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_belongs_to_a_bucket_and_a_scope() {
        let (outages, bucket, other) = (Outages::default(), BucketId::recorded("one"), BucketId::recorded("other"));
        let alice = scope("acme", "alice");
        outages.note(&bucket, &alice, full());
        assert!(outages.admit(&bucket, &scope("acme", "alice")).is_err());
        assert!(outages.admit(&other, &alice).is_ok());
        for scope in [scope("acme", "bob"), scope("globex", "alice")] {
            assert!(outages.admit(&bucket, &scope).is_ok());
            outages.end(&bucket, &scope);
        }
        outages.end(&other, &alice);
        assert!(outages.admit(&bucket, &alice).is_err(), "uploads of other scopes don't end it");
        outages.end(&bucket, &alice);
        assert!(outages.admit(&bucket, &alice).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_evicts_its_own_oldest() {
        let (outages, bucket, globex) = (Outages::default(), BucketId::recorded("one"), scope("globex", "alice"));
        outages.note(&bucket, &globex, full());
        for number in 0..=MAX_OF_TENANT {
            outages.note(&bucket, &scope("acme", &format!("u{number}")), full());
        }
        let is_known = |scope: &Arc<CredentialScope>| outages.admit(&bucket, scope).is_err();
        assert!(is_known(&globex) && is_known(&scope("acme", "u1")) && !is_known(&scope("acme", "u0")));
    }
}
