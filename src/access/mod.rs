//! From credentials to a session: whatever the protocol, a [`Login`] takes the steps of one connection and answers each.
//!
//! ```text
//! edge → Login::next(step) ─→ policy (tries, password checks) → identity::Provider → session::Sessions::begin
//!            └→ Accepted(session) | More(methods or a challenge) | Refused | Unavailable
//! ```
//!
//! A refusal tells the client nothing: whatever the reason, it takes the same time and leaves the same methods to try.
//! Every login that is accepted or refused is recorded here.
//!
//! Not here: protocols. An edge reads its client's requests, calls, and says the answer in the protocol's words.

mod asked;
mod client_address;
mod login;
mod peer;

pub use client_address::ClientAddress;
pub use login::{KeyOffer, LOGIN_METHODS, Login, LoginEnd, LoginMethod, More, Next, PresentedKey, Step};
pub use peer::Peer;

use crate::{
    events::{Event, Events, Who},
    identity::Provider,
    policy::PasswordChecks,
    session::Sessions,
};
use std::{fmt, sync::Arc};

/// What all logins of the process share.
pub struct Access {
    provider: Arc<dyn Provider>,
    password_checks: Arc<PasswordChecks>,
    sessions: Arc<Sessions>,
    events: Events,
    max_tries: u32,
}

impl Access {
    /// Logins that `provider` decides and that begin sessions of `sessions`. A connection has `max_tries` passwords and
    /// signatures.
    #[must_use]
    pub fn new(
        provider: Arc<dyn Provider>,
        password_checks: Arc<PasswordChecks>,
        sessions: Arc<Sessions>,
        events: Events,
        max_tries: u32,
    ) -> Self {
        Self { provider, password_checks, sessions, events, max_tries }
    }

    /// Records what happened to a connection.
    pub fn record(&self, peer: &Peer, event: Event) {
        self.events.record(Who::Connection(peer.who()), event);
    }

    /// Records that a connection from `client` was refused before it had an id.
    pub fn record_refused(&self, client: &ClientAddress, reason: &'static str) {
        self.events.record(Who::Connection(client.who(None)), Event::ConnectionRefused { reason });
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("max_tries", &self.max_tries).finish_non_exhaustive()
    }
}
