//! Says that connections are refused, once in a while: a flood of connections must not become a flood of log lines.

use crate::{
    events::{Event, Events},
    policy::Refusal,
};
use std::{net::IpAddr, time::Duration};
use tokio::time::Instant;

/// No more than one line in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// The refused connections of one listener.
pub struct Refusals {
    events: Events,
    quiet_until: Instant,
    unsaid: u64,
}

impl Refusals {
    /// None yet.
    pub fn new(events: Events) -> Self {
        Self { events, quiet_until: Instant::now(), unsaid: 0 }
    }

    /// Notes that a connection from `source` was refused.
    pub fn record(&mut self, source: IpAddr, refusal: Refusal) {
        if Instant::now() < self.quiet_until {
            self.unsaid += 1;
            return;
        }
        let reason = match std::mem::take(&mut self.unsaid) {
            0 => refusal.as_str().to_owned(),
            unsaid => format!("{} ({unsaid} more were refused since the last such line)", refusal.as_str()),
        };
        self.quiet_until = Instant::now() + PAUSE;
        self.events.record(&Event::ConnectionRefused { source: source.to_canonical(), reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_said_once_and_counted() {
        let mut refusals = Refusals::new(Events::new());
        for _ in 0..1_000 {
            refusals.record(Ipv4Addr::LOCALHOST.into(), Refusal::Unauthenticated);
        }
        assert_eq!(refusals.unsaid, 999);
        tokio::time::advance(PAUSE).await;
        refusals.record(Ipv4Addr::LOCALHOST.into(), Refusal::Unauthenticated);
        assert_eq!(refusals.unsaid, 0);
    }
}
