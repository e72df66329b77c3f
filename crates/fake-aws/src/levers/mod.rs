//! The levers of a test: counts and records to read, faults to inject, objects to set.

mod http;

pub use http::LeverServer;

use crate::{
    iam::KmsKeyArn,
    requests::{AwsRequest, Failure, InjectedFault, Requests},
    s3::{self, Service},
    sts::{AssumeRoleRequest, Sts},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Counts, records and switches of one [`FakeAws`](crate::FakeAws). Clones share them.
#[derive(Clone, Debug)]
pub struct Levers {
    pub(crate) requests: Arc<Requests>,
    pub(crate) connections: Arc<AtomicU64>,
    /// Wakes the server, which then closes all connections.
    pub(crate) hang_up: Arc<Notify>,
    pub(crate) sts: Arc<Sts>,
    pub(crate) s3: Service,
}

/// Reason why a lever can't move: a bucket or an object that doesn't exist, or no space.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StuckLever(#[from] s3::Error);

impl Levers {
    /// Number of requests with a valid signature or for a public bucket, by operation (`PutObject`, `HeadObject`,
    /// `AssumeRole`, …).
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.requests.counts()
    }

    /// The latest 10,000 requests with a valid signature or for a public bucket, in the order in which they were answered
    /// or served.
    #[must_use]
    pub fn record(&self) -> Vec<AwsRequest> {
        self.requests.record()
    }

    /// Begins [`Levers::requests`] and [`Levers::record`] again.
    pub fn forget_requests(&self) {
        self.requests.forget();
    }

    /// Number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Closes all connections, as S3 does with idle ones.
    pub fn hang_up(&self) {
        self.hang_up.notify_one();
    }

    /// Makes the next `times` requests of `operation` fail. Zero ends it.
    pub fn fail(&self, operation: &str, failure: Failure, times: u64) {
        self.requests.fail(operation, failure, times);
    }

    /// Injects `faults` in place of all earlier ones. None ends all of them.
    pub fn set_faults(&self, faults: Vec<InjectedFault>) {
        self.requests.set_faults(faults);
    }

    /// Delays every request by `latency`.
    pub fn delay(&self, latency: Duration) {
        self.requests.delay(latency);
    }

    /// Has the following requests to S3 come through the VPC endpoint with this id (`vpce-…`), or through none.
    pub fn set_source_vpce(&self, endpoint: Option<&str>) {
        self.requests.set_source_vpce(endpoint.map(str::to_owned));
    }

    /// Sets the clock of the services forward by `seconds`, or back if they are negative. The header `Date` of their
    /// answers, the times that signatures may have, and the expirations of sessions go by that clock. The times of objects
    /// don't.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.sts.clock.set_offset(seconds);
    }

    /// Disables these KMS keys, and enables all others.
    pub fn disable_kms_keys(&self, keys: &[KmsKeyArn]) {
        self.s3.keys.disable(keys.iter().cloned().collect());
    }

    /// The latest 10,000 AssumeRole requests with a valid signature, granted or not, oldest first.
    #[must_use]
    pub fn assume_role_requests(&self) -> Vec<AssumeRoleRequest> {
        self.sts.asked()
    }

    /// Makes new sessions last `lifetime`, whatever their callers ask for. `None` ends it.
    pub fn set_session_lifetime(&self, lifetime: Option<Duration>) {
        self.sts.set_lifetime(lifetime);
    }

    /// Revokes the sessions that a role has now, as IAM does: its policy denies them everything. `role` is the role's ARN.
    pub fn revoke_sessions(&self, role: &str) {
        self.sts.revoke_sessions(role);
    }

    /// Ends all sessions now, although their holders know a later expiration.
    pub fn end_sessions(&self) {
        self.sts.end_sessions();
    }

    /// Returns the keys of a bucket, with the sizes of their objects in bytes.
    ///
    /// # Errors
    /// There is no such bucket.
    pub fn objects(&self, bucket: &str) -> Result<BTreeMap<String, u64>, StuckLever> {
        Ok(self.s3.sizes(bucket)?)
    }

    /// Returns the bytes of an object.
    ///
    /// # Errors
    /// There is no such object, or the file system fails.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Bytes, StuckLever> {
        Ok(self.s3.bytes(bucket, key).await?)
    }

    /// Stores an object.
    ///
    /// # Errors
    /// There is no such bucket, or no space.
    pub async fn put_object(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), StuckLever> {
        Ok(self.s3.set(bucket.to_owned(), key.to_owned(), bytes).await?)
    }

    /// Stores an object of `size` zero bytes. They take no memory, and a directory can't hold them.
    ///
    /// # Errors
    /// There is no such bucket, or the objects are in a directory.
    pub fn put_zeros(&self, bucket: &str, key: &str, size: u64) -> Result<(), StuckLever> {
        Ok(self.s3.set_zeros(bucket, key, size)?)
    }

    /// Removes an object, if there is one.
    ///
    /// # Errors
    /// There is no such bucket, or the file system fails.
    pub async fn remove_object(&self, bucket: &str, key: &str) -> Result<(), StuckLever> {
        Ok(self.s3.remove(bucket.to_owned(), key.to_owned(), None).await?)
    }

    /// Returns the keys and the ids of a bucket's uploads that are neither completed nor aborted.
    #[must_use]
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        self.s3.open_uploads(bucket)
    }
}
