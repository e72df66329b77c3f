//! The levers of a test: counts to read, and failures to inject.

use crate::{
    requests::{Failure, Requests},
    sts::{AssumeRoleRequest, Sts},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counts, records and switches of one [`FakeAws`](crate::FakeAws). Clones share them.
#[derive(Clone, Debug)]
pub struct Levers {
    pub(crate) requests: Arc<Requests>,
    pub(crate) connections: Arc<AtomicU64>,
    pub(crate) sts: Arc<Sts>,
}

impl Levers {
    /// Number of requests with a valid signature, by operation (`PutObject`, `HeadObject`, `AssumeRole`, …).
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.requests.counts()
    }

    /// Number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Makes the next `times` requests of `operation` fail. Zero ends it.
    pub fn fail(&self, operation: &str, failure: Failure, times: u64) {
        self.requests.fail(operation, failure, times);
    }

    /// Delays every request by `latency`.
    pub fn delay(&self, latency: Duration) {
        self.requests.delay(latency);
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

    /// Ends all sessions now, although their holders know a later expiration.
    pub fn end_sessions(&self) {
        self.sts.end_sessions();
    }
}
