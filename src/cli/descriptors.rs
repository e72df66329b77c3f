//! The limit on open file descriptors. Many systems start a process with 1,024, for programs that use `select`.

use crate::policy::ConnectionLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The descriptors of a server without a connection: listeners, the ledger, the runtime, and some for files that are
/// read for a moment.
const OWN: u64 = 64;

/// Raises the soft limit to the hard one. Warns if that has no room for all connections and as many to S3.
pub(super) fn raise_limit(connections: &ConnectionLimits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let needed = needed(connections);
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        warn!(limit, needed, "few file descriptors for the connections that are allowed: raise `LimitNOFILE`");
    }
}

fn needed(connections: &ConnectionLimits) -> u64 {
    let of = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let logged_in = of(connections.logged_in.total).saturating_mul(2);
    logged_in.saturating_add(of(connections.unauthenticated)).saturating_add(OWN)
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
}
