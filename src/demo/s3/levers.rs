//! What tests see of a running S3 and STS, and what they make it do.

use super::{AssumeRoleRequest, Failure, Requests};
use crate::demo::sts::Sts;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counts, records and switches of one S3. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct Levers {
    pub(super) requests: Arc<Requests>,
    pub(super) connections: Arc<AtomicU64>,
    pub(super) sts: Arc<Sts>,
}

impl Levers {
    /// How many requests with a right signature came, by operation (`PutObject`, `HeadObject`, `AssumeRole`, …).
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.requests.counts()
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Lets the next `times` requests of `operation` fail; zero ends it.
    pub fn fail(&self, operation: &str, failure: Failure, times: u64) {
        self.requests.fail(operation, failure, times);
    }

    /// Lets every request wait so long before it is served.
    pub fn delay(&self, latency: Duration) {
        self.requests.delay(latency);
    }

    /// The AssumeRole requests with a right signature that came, the oldest first, granted or not. The latest 10,000.
    #[must_use]
    pub fn assume_role_requests(&self) -> Vec<AssumeRoleRequest> {
        self.sts.asked()
    }

    /// Lets sessions that are opened from now on last so long, whatever they ask for; `None` ends it.
    pub fn set_session_lifetime(&self, lifetime: Option<Duration>) {
        self.sts.set_lifetime(lifetime);
    }

    /// Ends all sessions now, although their holders were told a later time.
    pub fn end_sessions(&self) {
        self.sts.end_sessions();
    }
}
