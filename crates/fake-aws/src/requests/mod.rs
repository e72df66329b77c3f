//! The requests of all services: counts and a record of them, and the faults that tests inject.

mod fault;

pub use fault::{Failure, InjectedFault, KeyPattern};

use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Limit on the requests that the record holds.
const MAX_RECORDED: usize = 10_000;

/// A request with a valid signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AwsRequest {
    /// Name of the operation (`PutObject`, `AssumeRole`).
    pub operation: String,
    /// The bucket, or nothing.
    pub bucket: String,
    /// The key, or nothing.
    pub key: String,
    /// The number of the part that is uploaded.
    pub part_number: Option<u32>,
    /// The header `Range`.
    pub range: Option<String>,
}

impl AwsRequest {
    /// A request that isn't about a bucket.
    pub(crate) fn of(operation: &str) -> Self {
        Self { operation: operation.to_owned(), ..Self::default() }
    }

    /// True if it asks for a range with this byte.
    fn reads(&self, byte: u64) -> bool {
        let bounds = self.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((Ok(first), last)) = bounds.map(|(first, last)| (first.parse::<u64>(), last)) else { return false };
        (first..=last.parse().unwrap_or(u64::MAX)).contains(&byte)
    }
}

/// The fate that a test gave a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFate {
    /// The answer, with its sentence if that isn't the usual one.
    pub(crate) failure: Option<(Failure, Option<String>)>,
    /// The time before the request is answered or served.
    pub(crate) delay: Duration,
}

/// Counts and records requests, and holds the faults and the latency that tests inject.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: Mutex<RequestState>,
}

#[derive(Debug, Default)]
struct RequestState {
    counts: BTreeMap<String, u64>,
    record: VecDeque<AwsRequest>,
    faults: Vec<InjectedFault>,
    latency: Duration,
    source_vpce: Option<String>,
}

impl Requests {
    /// Counts a request with a valid signature, and waits as long as a test wants. Then records it, and returns the
    /// failure to inject.
    pub(crate) async fn arrive(&self, request: AwsRequest) -> Option<(Failure, Option<String>)> {
        let RequestFate { failure, delay } = self.count(&request);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut state = self.state.lock();
        if state.record.len() == MAX_RECORDED {
            state.record.pop_front();
        }
        state.record.push_back(request);
        failure
    }

    fn count(&self, request: &AwsRequest) -> RequestFate {
        let mut state = self.state.lock();
        *state.counts.entry(request.operation.clone()).or_default() += 1;
        let latency = state.latency;
        let Some(fault) = state.faults.iter_mut().find(|fault| fault.is_about(request)) else {
            return RequestFate { failure: None, delay: latency };
        };
        fault.times = fault.times.map(|left| left.saturating_sub(1));
        RequestFate {
            failure: fault.failure.map(|failure| (failure, fault.message.clone())),
            delay: latency + fault.delay(),
        }
    }

    /// Has the following requests to S3 come through a VPC endpoint, or through none.
    pub(crate) fn set_source_vpce(&self, endpoint: Option<String>) {
        self.state.lock().source_vpce = endpoint;
    }

    /// The VPC endpoint that requests to S3 come through.
    pub(crate) fn source_vpce(&self) -> Option<String> {
        self.state.lock().source_vpce.clone()
    }

    /// Number of requests so far, by operation (`PutObject`).
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.state.lock().counts.clone()
    }

    /// The latest requests, in the order in which they were answered or served.
    pub(crate) fn record(&self) -> Vec<AwsRequest> {
        self.state.lock().record.iter().cloned().collect()
    }

    /// Empties the record and the counts.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.record.clear();
        state.counts.clear();
    }

    /// Makes the next `times` requests of `operation` fail, in place of an earlier failure of all its requests.
    pub(crate) fn fail(&self, operation: &str, failure: Failure, times: u64) {
        let mut state = self.state.lock();
        state.faults.retain(|fault| !fault.is_of_operation(operation));
        state.faults.push(InjectedFault::of_operation(operation, failure, times));
    }

    /// Injects `faults` in place of all earlier ones.
    pub(crate) fn set_faults(&self, faults: Vec<InjectedFault>) {
        self.state.lock().faults = faults;
    }

    /// Delays every request by `latency`.
    pub(crate) fn delay(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, range: &str) -> AwsRequest {
        AwsRequest { key: key.to_owned(), range: Some(range.to_owned()), ..AwsRequest::of("GetObject") }
    }

    #[test]
    fn the_first_fault_that_is_about_a_request_is_its_fate() {
        let requests = Requests::default();
        let exempt = InjectedFault { key: Some("*/".parse().unwrap()), ..InjectedFault::default() };
        let full = InjectedFault {
            operations: vec!["PutObject".to_owned()],
            failure: Some(Failure::InsufficientStorage),
            ..InjectedFault::default()
        };
        requests.set_faults(vec![exempt, full]);
        let failure = |request: AwsRequest| requests.count(&request).failure.map(|(failure, _)| failure);
        let put = |key: &str| AwsRequest { key: key.to_owned(), ..AwsRequest::of("PutObject") };
        assert_eq!(failure(put("a/")), None);
        assert_eq!(failure(put("a/b")), Some(Failure::InsufficientStorage));
        assert_eq!(failure(AwsRequest::of("GetObject")), None);
    }

    #[test]
    fn a_fault_is_used_up() {
        let requests = Requests::default();
        requests.fail("GetObject", Failure::SlowDown, 5);
        requests.fail("GetObject", Failure::SlowDown, 1);
        let fails = || requests.count(&AwsRequest::of("GetObject")).failure.is_some();
        assert_eq!([fails(), fails()], [true, false]);
    }

    #[test]
    fn a_fault_of_a_byte_is_about_the_ranges_with_it() {
        let fault = InjectedFault { range_with: Some(10), delay_ms: 7, ..InjectedFault::default() };
        let requests = Requests::default();
        requests.set_faults(vec![fault]);
        let delayed = |range| requests.count(&read("k", range)).delay == Duration::from_millis(7);
        assert_eq!(["bytes=0-9", "bytes=0-10", "bytes=10-", "bytes=11-"].map(delayed), [false, true, true, false]);
    }
}
