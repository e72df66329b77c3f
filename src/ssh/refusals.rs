//! Says that connections are refused, once in a while: a flood of connections must not become a flood of log lines.

use super::client_address::ClientAddress;
use crate::events::{Event, Events};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// No more than one line in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// The refused connections of all listeners.
pub struct Refusals {
    events: Events,
    state: Mutex<State>,
}

struct State {
    quiet_until: Instant,
    unsaid: u64,
}

impl Refusals {
    /// None yet.
    pub fn new(events: Events) -> Self {
        Self { events, state: Mutex::new(State { quiet_until: Instant::now(), unsaid: 0 }) }
    }

    /// Notes that a connection of `client` was refused.
    pub fn record(&self, client: &ClientAddress, reason: &'static str) {
        let Some(unsaid) = self.line() else { return };
        let reason = match unsaid {
            0 => reason.to_owned(),
            unsaid => format!("{reason} ({unsaid} more were refused since the last such line)"),
        };
        let (source, vpc_endpoint) = (client.socket.ip(), client.vpc_endpoint.clone());
        self.events.record(&Event::ConnectionRefused { source, vpc_endpoint, reason });
    }

    /// How many were not said since the last line, if there may be one now.
    fn line(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < state.quiet_until {
            state.unsaid += 1;
            return None;
        }
        state.quiet_until = Instant::now() + PAUSE;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_said_once_and_counted() {
        let refusals = Refusals::new(Events::new());
        let unsaid = || refusals.state.lock().unwrap().unsaid;
        let client = ClientAddress::new((Ipv4Addr::LOCALHOST, 22).into(), None, &[]);
        for _ in 0..1_000 {
            refusals.record(&client, "too many");
        }
        assert_eq!(unsaid(), 999);
        tokio::time::advance(PAUSE).await;
        refusals.record(&client, "too many");
        assert_eq!(unsaid(), 0);
    }
}
