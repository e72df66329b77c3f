//! The client's end of a connection: its id and address, and its program as far as the server has learned it.

use super::ClientAddress;
use crate::{
    events::{ClientProgram, ConnectionPeer, SessionUser, Who},
    policy::Source,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// The client of one connection.
#[derive(Debug)]
pub struct Peer {
    id: Arc<str>,
    address: ClientAddress,
    version: OnceLock<Arc<str>>,
    algorithms: OnceLock<Arc<str>>,
    asked_to_log_in: AtomicBool,
    user: OnceLock<Arc<SessionUser>>,
}

impl Peer {
    /// Creates the peer of the connection `id` from `address`.
    #[must_use]
    pub fn new(id: Arc<str>, address: ClientAddress) -> Self {
        let (version, algorithms, user) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { id, address, version, algorithms, asked_to_log_in: AtomicBool::new(false), user }
    }

    /// Returns the connection's id, unique among all nodes.
    #[must_use]
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Returns the client's address.
    #[must_use]
    pub(crate) fn address(&self) -> &ClientAddress {
        &self.address
    }

    /// Returns the source whose password checks take turns.
    pub(super) fn checks_source(&self) -> Source {
        self.address.checks_source(&self.id)
    }

    /// Stores the client's identification. The first one counts.
    pub(crate) fn set_version(&self, version: Arc<str>) {
        self.version.get_or_init(|| version);
    }

    /// Stores the algorithms in use. The first ones count, so that a later key exchange doesn't change those of the
    /// login.
    pub(crate) fn set_algorithms(&self, algorithms: impl FnOnce() -> Arc<str>) {
        self.algorithms.get_or_init(algorithms);
    }

    /// Records that the client has asked to log in, whatever the result.
    pub(super) fn asked_to_log_in(&self) {
        self.asked_to_log_in.store(true, Ordering::Relaxed);
    }

    /// True if the client has sent its identification and has not asked to log in.
    #[must_use]
    pub(crate) fn has_only_greeted(&self) -> bool {
        self.version.get().is_some() && !self.asked_to_log_in.load(Ordering::Relaxed)
    }

    /// Returns the client's program, as far as the server knows it.
    #[must_use]
    pub(crate) fn program(&self) -> ClientProgram {
        ClientProgram { version: self.version.get().cloned(), algorithms: self.algorithms.get().cloned() }
    }

    /// Stores the user that logged in.
    pub(super) fn logged_in(&self, user: Arc<SessionUser>) {
        self.user.get_or_init(|| user);
    }

    /// Returns the party of refused logins on this connection: its user isn't known then.
    pub(super) fn stranger(&self) -> ConnectionPeer {
        self.address.who(Some(Arc::clone(&self.id)))
    }

    /// Returns the party of the connection's events: its user after the login.
    pub(super) fn who(&self) -> Who {
        let user = self.user.get().cloned();
        user.map_or_else(|| Who::Connection(self.stranger()), Who::Session)
    }
}
