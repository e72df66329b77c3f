//! The requests of all services: counts of them, failures and latency.

use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};

/// A failure that a test injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 403 AccessDenied.
    AccessDenied,
    /// The session has ended: S3's 400 ExpiredToken, STS's 403.
    ExpiredToken,
    /// S3's 500 InternalError, STS's InternalFailure.
    InternalError,
    /// A clock is wrong: S3's 403 RequestTimeTooSkewed, STS's SignatureDoesNotMatch.
    RequestTimeTooSkewed,
    /// S3's 503 SlowDown, STS's 400 Throttling.
    SlowDown,
}

/// Counts requests by operation, and holds the failures and the latency that tests inject.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: Mutex<RequestCounts>,
}

#[derive(Debug, Default)]
struct RequestCounts {
    counts: BTreeMap<String, u64>,
    failures: BTreeMap<String, (Failure, u64)>,
    latency: Duration,
}

impl Requests {
    /// Counts a request with a valid signature. Returns the failure to inject, and the delay before it is served.
    pub(crate) fn arrive(&self, operation: &str) -> (Option<Failure>, Duration) {
        let mut state = self.state.lock();
        let latency = state.latency;
        *state.counts.entry(operation.to_owned()).or_default() += 1;
        let failure = state.failures.get_mut(operation).and_then(|(failure, left)| {
            *left = left.checked_sub(1)?;
            Some(*failure)
        });
        (failure, latency)
    }

    /// Number of requests so far, by operation (`PutObject`).
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.state.lock().counts.clone()
    }

    /// Makes the next `times` requests of `operation` fail.
    pub(crate) fn fail(&self, operation: &str, failure: Failure, times: u64) {
        self.state.lock().failures.insert(operation.to_owned(), (failure, times));
    }

    /// Delays every request by `latency`.
    pub(crate) fn delay(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }
}
