//! Limits open connections: before login in total and per source, after login in total and per user, tenant and source.
//!
//! The server admits a connection in two steps, because behind a load balancer it doesn't know the source at first. The
//! connection *arrives* and counts in the total. Once its source is known, it waits for a place of that source and a
//! token for its login. Its key exchange follows, the step in which a stranger causes the most work at the least cost.
//! If no place is left, a connection without a credential to check makes room for a new one.

mod logged_in;
mod open_connections;
#[cfg(test)]
mod tests;

pub use logged_in::LoggedInLimits;

use super::{LoginRate, Source};
use crate::name::{TenantName, UserName};
use logged_in::ConnectionHolder;
use open_connections::{OpenConnections, PendingConnection};
use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The time that a connection waits for a place and a token of its source.
const MAX_ADMISSION_WAIT: Duration = Duration::from_secs(2);

/// The limits that [`Connections`] enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The numbers of logged-in connections.
    pub logged_in: LoggedInLimits,
    /// The total number of connections before their login.
    pub unauthenticated: usize,
    /// The number of connections before their login from one [`Source`]. A /56 may have twice as many, a /48 four
    /// times.
    pub unauthenticated_per_source: usize,
    /// The rate of logins that one [`Source`] may begin without finishing.
    pub unfinished_logins: LoginRate,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            logged_in: LoggedInLimits::of(1_000),
            unauthenticated: 200,
            unauthenticated_per_source: 20,
            unfinished_logins: LoginRate { burst: 20, per_second: 5 },
        }
    }
}

/// The number of parties behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parties {
    /// One party: the limits per source apply.
    One,
    /// Many parties behind a NAT or a load balancer: only the totals apply.
    Many,
}

/// The open connections of the process.
#[derive(Debug)]
pub struct Connections {
    open: Mutex<OpenConnections>,
    /// Wakes the connections that wait for admission when a place or a token becomes free.
    given_back: Notify,
}

/// The reason why a connection is refused or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// Too many connections wait for their login.
    Unauthenticated,
    /// Too many connections from this source wait for their login.
    UnauthenticatedFromSource,
    /// Too many logins from this source were begun and not finished.
    UnfinishedLogins,
    /// The connection was trying no credential when another connection needed its place.
    MadeRoom,
    /// Too many connections are logged in.
    LoggedIn,
    /// Too many connections of this user are logged in.
    LoggedInOfUser,
    /// Too many connections of this tenant are logged in.
    LoggedInOfTenant,
    /// Too many connections from this source are logged in.
    LoggedInFromSource,
    /// The last places are for tenants that have fewer.
    LoggedInReserve,
    /// The tenant's users begin more sessions than its rate allows.
    LoginRate,
}

impl ConnectionRefusal {
    /// Returns the words for the log.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "too many connections that are not logged in",
            Self::UnauthenticatedFromSource => "too many connections from this address that are not logged in",
            Self::UnfinishedLogins => "too many logins from this address that were not finished",
            Self::MadeRoom => {
                "too many connections that are not logged in: one that was trying no credential made room"
            }
            Self::LoggedIn => "too many connections are logged in",
            Self::LoggedInOfUser => "too many connections of this user are logged in",
            Self::LoggedInOfTenant => "too many connections of this tenant are logged in",
            Self::LoggedInFromSource => "too many connections from this address are logged in",
            Self::LoggedInReserve => "the last places are for tenants with fewer connections",
            Self::LoginRate => "the tenant's rate of new sessions is reached",
        }
    }
}

impl Connections {
    /// Creates an empty set of connections.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { open: Mutex::new(OpenConnections::new(limits)), given_back: Notify::new() })
    }

    /// Replaces the limits. Open connections stay, also beyond a lower limit.
    pub(crate) fn set_limits(&self, limits: ConnectionLimits) {
        self.open().set_limits(limits);
        self.given_back.notify_waiters();
    }

    /// Takes a place in the total for a new connection. If the total is reached, the source with the most connections
    /// without a tried credential loses one: its oldest unfinished key exchange, or else its oldest connection.
    ///
    /// # Errors
    /// The limit is reached, and every connection has tried a credential.
    pub fn arrive(self: &Arc<Self>) -> Result<Arrival, ConnectionRefusal> {
        let mut open = self.open();
        let full = open.places.len() >= open.limits.unauthenticated;
        let dropped = if full { Some(open.drop_oldest().ok_or(ConnectionRefusal::Unauthenticated)?) } else { None };
        let number = open.arrive();
        drop(open);
        if let Some(dropped) = dropped {
            dropped.dropped.cancel();
            self.left(&dropped);
        }
        Ok(Arrival(Ticket { connections: Arc::clone(self), number }))
    }

    /// Frees `place`. A connection that only waited frees nothing for others: a flood must not wake all waiting
    /// connections.
    fn left(&self, place: &PendingConnection) {
        if place.is_admitted {
            self.given_back.notify_waiters();
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock()
    }
}

/// The place of a connection before its login. Dropping it frees the place.
#[derive(Debug)]
struct Ticket {
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let place = self.connections.open().leave(self.number);
        if let Some(place) = place {
            self.connections.left(&place);
        }
    }
}

/// The place of a connection with an unknown source. Dropping it frees the place.
#[derive(Debug)]
pub struct Arrival(Ticket);

impl Arrival {
    /// Takes a place of `source` and a token for its login. Waits up to 2 s for them.
    ///
    /// # Errors
    /// A limit is reached, or another connection needed the place.
    pub async fn admit(self, source: &Source, parties: Parties) -> Result<Unauthenticated, ConnectionRefusal> {
        let Self(ticket) = self;
        let dropped = ticket.connections.open().identify(ticket.number, source, parties)?;
        ticket.wait(&dropped).await?;
        let connections = Arc::clone(&ticket.connections);
        let keys_exchanged = CancellationToken::new();
        let progress = LoginProgress { connections, number: ticket.number, keys_exchanged, dropped };
        Ok(Unauthenticated { ticket, progress })
    }
}

impl Ticket {
    async fn wait(&self, dropped: &CancellationToken) -> Result<(), ConnectionRefusal> {
        let deadline = Instant::now() + MAX_ADMISSION_WAIT;
        loop {
            // Subscribes before it checks the counts, so that no wake-up is missed.
            let given_back = self.connections.given_back.notified();
            let admitted = self.connections.open().admit(self.number);
            let Err(wait) = admitted else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(wait.refusal);
            }
            tokio::select! {
                () = sleep_until(wait.until.unwrap_or(deadline).min(deadline)) => {}
                () = given_back => {}
                () = dropped.cancelled() => return Err(ConnectionRefusal::MadeRoom),
            }
        }
    }
}

/// The place of a connection with a known source before its login. Dropping it frees the place.
#[derive(Debug)]
pub struct Unauthenticated {
    ticket: Ticket,
    progress: LoginProgress,
}

impl Unauthenticated {
    /// Returns the progress of the connection's login, which begins now.
    #[must_use]
    pub(crate) fn progress(&self) -> LoginProgress {
        self.progress.clone()
    }

    /// Takes a place among the logged-in connections and gives the token back. Dropping `self` frees this place.
    ///
    /// # Errors
    /// A limit on logged-in connections is reached.
    pub(crate) fn log_in(&self, tenant: &TenantName, user: &UserName) -> Result<LoggedIn, ConnectionRefusal> {
        let Ticket { connections, number } = &self.ticket;
        let mut open = connections.open();
        let holder =
            ConnectionHolder { tenant: tenant.clone(), user: user.clone(), networks: open.networks_of(*number) };
        open.log_in(&holder)?;
        open.try_credential(*number);
        if open.give_token_back(*number) {
            connections.given_back.notify_waiters();
        }
        Ok(LoggedIn { connections: Arc::clone(connections), holder })
    }
}

/// The progress of a connection's login. Clones refer to the same login.
#[derive(Clone, Debug)]
pub struct LoginProgress {
    connections: Arc<Connections>,
    number: u64,
    keys_exchanged: CancellationToken,
    dropped: CancellationToken,
}

impl LoginProgress {
    /// Records that the key exchange is done.
    pub(crate) fn finish_key_exchange(&self) {
        self.connections.open().end_key_exchange(self.number);
        self.keys_exchanged.cancel();
    }

    /// Waits until the key exchange is done.
    pub(crate) async fn keys_exchanged(&self) {
        self.keys_exchanged.cancelled().await;
    }

    /// Records that the client tries a credential. The connection can't be dropped for another one until the credential
    /// is refused.
    pub(crate) fn try_credential(&self) {
        self.connections.open().try_credential(self.number);
    }

    /// Records that the credential was refused.
    pub(crate) fn refuse_credential(&self) {
        self.connections.open().refuse_credential(self.number);
    }

    /// Returns a token that is cancelled when the connection must end because another one needs its place.
    #[must_use]
    pub(crate) fn dropped(&self) -> &CancellationToken {
        &self.dropped
    }
}

/// The place of a logged-in connection. Dropping it frees the place.
#[derive(Debug)]
pub struct LoggedIn {
    connections: Arc<Connections>,
    holder: ConnectionHolder,
}

impl Drop for LoggedIn {
    fn drop(&mut self) {
        self.connections.open().logged_in.give_back(&self.holder);
    }
}
