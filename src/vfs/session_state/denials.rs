//! Uploads of this session that S3 denied (403). A single denial may concern only its key. After denials of two
//! different keys in a row, OPEN for writing is refused for this session and this mount. Other
//! users may have other permissions, so their sessions are not refused.

use crate::{
    name::{BucketId, Key},
    store::{self, Outage},
    vfs::cache::CredentialScope,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// The denials of a session, at most one for each of its mounts.
#[derive(Debug, Default)]
pub(in crate::vfs) struct Denials(Mutex<Vec<Denial>>);

/// The last denial. Nothing was stored since.
#[derive(Debug)]
struct Denial {
    bucket: BucketId,
    scope: Arc<CredentialScope>,
    key: Key,
    /// The outage begins with the denial of a second key.
    outage: Option<Outage>,
}

impl Denials {
    /// Records an upload to `key` that was denied.
    pub(in crate::vfs) fn note(
        &self,
        (bucket, scope): (&BucketId, &Arc<CredentialScope>),
        key: &Key,
        cause: store::Error,
    ) {
        let mut denials = self.0.lock();
        let Some(denial) = denials.iter_mut().find(|denial| denial.is_of(bucket, scope)) else {
            let (bucket, scope, key) = (bucket.clone(), Arc::clone(scope), key.clone());
            return denials.push(Denial { bucket, scope, key, outage: None });
        };
        match &mut denial.outage {
            Some(outage) if !outage.is_over() => outage.prolong(cause),
            outage => *outage = (denial.key != *key).then(|| Outage::begin(cause)),
        }
        denial.key = key.clone();
    }

    /// Records that this session has stored a part or an object.
    pub(in crate::vfs) fn end(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) {
        self.0.lock().retain(|denial| !denial.is_of(bucket, scope));
    }

    /// Admits an OPEN for writing, or refuses it.
    ///
    /// # Errors
    /// The last denial.
    pub(in crate::vfs) fn admit(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> store::Result<()> {
        let mut denials = self.0.lock();
        let denial = denials.iter_mut().find(|denial| denial.is_of(bucket, scope));
        denial.and_then(|denial| denial.outage.as_mut()).map_or(Ok(()), Outage::admit)
    }
}

impl Denial {
    fn is_of(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> bool {
        self.bucket == *bucket && self.scope == *scope
    }
}
