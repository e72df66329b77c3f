//! From credentials to a session, for every protocol. A [`Login`] takes the steps of one connection and answers each.
//!
//! ```text
//! edge → Login::next(step) ─→ policy (tries, password checks) → identity::Provider → tenants::Tenants::confirm
//!            │                                                                     → session::Sessions::begin
//!            └→ Accepted(session) | More(methods or a challenge) | Refused | Unavailable
//! ```
//!
//! A refusal reveals no reason to the client: it always takes the same time and leaves the same methods. This module
//! records every accepted and refused login.
//!
//! It knows no protocol. An edge reads its client's requests, calls this module, and sends the answer in its protocol.

mod client_address;
mod last_request;
mod login;
mod peer;

pub use client_address::ClientAddress;
pub use login::{KeyOffer, LOGIN_METHODS, Login, LoginAnswer, LoginEnd, LoginMethod, LoginStep, More, PresentedKey};
pub use peer::Peer;

use crate::{
    events::{Event, Events, Who},
    identity::Provider,
    policy::PasswordChecks,
    session::Sessions,
    tenants::Tenants,
};
use std::{fmt, sync::Arc};

/// The resources that all logins of the process share.
pub struct Access {
    provider: Arc<dyn Provider>,
    tenants: Arc<Tenants>,
    password_checks: Arc<PasswordChecks>,
    sessions: Arc<Sessions>,
    events: Events,
    max_tries: u32,
}

impl Access {
    /// Creates the shared part of logins. `provider` decides, `tenants` confirms its decisions, and accepted logins
    /// begin sessions of `sessions`. A connection may try `max_tries` passwords and signatures.
    #[must_use]
    pub fn new(
        provider: Arc<dyn Provider>,
        tenants: Arc<Tenants>,
        password_checks: Arc<PasswordChecks>,
        sessions: Arc<Sessions>,
        events: Events,
        max_tries: u32,
    ) -> Self {
        Self { provider, tenants, password_checks, sessions, events, max_tries }
    }

    /// Records an event of a connection. After the login it is the user's.
    pub(crate) fn record(&self, peer: &Peer, event: Event) {
        self.events.record(peer.who(), event);
    }

    /// Records that the server refused a connection from `client` before it had an id.
    pub(crate) fn record_refused(&self, client: &ClientAddress, reason: &'static str) {
        self.events.record(Who::Connection(client.who(None)), Event::ConnectionRefused { reason });
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("max_tries", &self.max_tries).finish_non_exhaustive()
    }
}
