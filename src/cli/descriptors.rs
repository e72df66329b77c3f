//! The limit on open file descriptors. Many systems start a process with 1,024, for programs that use `select`.

use crate::{cloud::Bounds, policy::ConnectionLimits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The descriptors of a server without a connection: listeners, the ledger, the runtime, and some for files that are
/// read for a moment.
const OWN: u64 = 64;

/// The requests to S3 that may be in flight however few descriptors there are.
const MIN_S3_REQUESTS: u64 = 64;

/// Raises the soft limit to the hard one. Warns if that has no room for all connections and as many to S3. Returns the
/// number of requests to S3 that may be in flight.
pub(super) fn raise_limit(connections: &ConnectionLimits) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let (needed, s3_requests) = (needed(connections), s3_requests(limit, connections));
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        warn!(
            limit,
            needed, s3_requests, "few file descriptors for the connections that are allowed: raise `LimitNOFILE`"
        );
    }
    s3_requests
}

/// The descriptors for all connections, and as many to S3.
fn needed(connections: &ConnectionLimits) -> u64 {
    without_s3(connections).saturating_add(count(connections.logged_in.total))
}

/// The requests to S3 that may be in flight: half of the descriptors that the connections of clients leave. A
/// connection to S3 stays open for some seconds after its request, and the next request may go elsewhere.
fn s3_requests(limit: Option<u64>, connections: &ConnectionLimits) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(without_s3(connections)));
    usize::try_from((left / 2).max(MIN_S3_REQUESTS)).map_or(Bounds::MAX_REQUESTS, |most| most.min(Bounds::MAX_REQUESTS))
}

fn without_s3(connections: &ConnectionLimits) -> u64 {
    let of_clients = count(connections.logged_in.total).saturating_add(count(connections.unauthenticated));
    of_clients.saturating_add(OWN)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_room_for_one_to_s3() {
        assert_eq!(needed(&ConnectionLimits::default()), 2 * 1_000 + 200 + 64);
        let boundless = ConnectionLimits { unauthenticated: usize::MAX, ..ConnectionLimits::default() };
        assert_eq!(needed(&boundless), u64::MAX);
    }

    #[test]
    fn requests_to_s3_leave_the_descriptors_of_all_connections_free() {
        let connections = ConnectionLimits::default();
        let requests =
            [None, Some(65_536), Some(2_264), Some(1_264), Some(0)].map(|limit| s3_requests(limit, &connections));
        assert_eq!(requests, [1_024, 1_024, 500, 64, 64]);
    }
}
