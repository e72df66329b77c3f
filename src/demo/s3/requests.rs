//! What was asked of the S3, and what it shall fail: the levers of tests.

use super::locked;
use s3s::{S3Error, s3_error};
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

/// An answer that a test wants instead of the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 403 AccessDenied.
    AccessDenied,
    /// The session has ended: 400 ExpiredToken of S3, 403 of STS.
    ExpiredToken,
    /// 500 InternalError, STS's InternalFailure.
    InternalError,
    /// A clock is wrong: 403 RequestTimeTooSkewed, STS's SignatureDoesNotMatch.
    RequestTimeTooSkewed,
    /// 503 SlowDown, STS's 400 Throttling.
    SlowDown,
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::AccessDenied => s3_error!(AccessDenied, "Access Denied"),
            Failure::ExpiredToken => s3_error!(ExpiredToken, "The provided token has expired."),
            Failure::RequestTimeTooSkewed => s3_error!(
                RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large."
            ),
            Failure::InternalError => s3_error!(InternalError, "We encountered an internal error. Please try again."),
            Failure::SlowDown => s3_error!(SlowDown, "Please reduce your request rate."),
        }
    }
}

/// Counts requests by operation, and holds the failures and the latency that tests asked for.
#[derive(Debug, Default)]
pub struct Requests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<String, u64>,
    failures: BTreeMap<String, (Failure, u64)>,
    latency: Duration,
}

impl Requests {
    /// Counts a request whose signature was right; answers how it shall fail, and how long to wait first.
    pub fn arrive(&self, operation: &str) -> (Option<Failure>, Duration) {
        let mut state = locked(&self.state);
        let latency = state.latency;
        *state.counts.entry(operation.to_owned()).or_default() += 1;
        let failure = state.failures.get_mut(operation).and_then(|(failure, left)| {
            *left = left.checked_sub(1)?;
            Some(*failure)
        });
        (failure, latency)
    }

    /// Requests so far, by operation (`PutObject`).
    pub fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.state).counts.clone()
    }

    /// The next `times` requests of `operation` fail.
    pub fn fail(&self, operation: &str, failure: Failure, times: u64) {
        locked(&self.state).failures.insert(operation.to_owned(), (failure, times));
    }

    /// Every request waits so long before it is served.
    pub fn delay(&self, latency: Duration) {
        locked(&self.state).latency = latency;
    }
}
