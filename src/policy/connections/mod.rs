//! How many connections may be open: before login in all and per source, after login in all.
//!
//! A connection is admitted in two steps, because behind a load balancer its source isn't known at first: it *arrives* and
//! counts in all; once its source is known it waits for a place of that source and a token for its login. Then it is in
//! its key exchange, the part of a login that a stranger gets the most work for the least from. A connection that has
//! no credential to check makes room for a newcomer when there is no place left.

mod open;
#[cfg(test)]
mod tests;

use super::{LoginRate, Source};
use open::{Open, Place};
use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long a connection waits for a place and a token of its source.
const MAX_ADMISSION_WAIT: Duration = Duration::from_secs(2);

/// The limits that [`Connections`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are logged in.
    pub logged_in: usize,
    /// Connections that are not yet logged in, in all.
    pub unauthenticated: usize,
    /// Connections that are not yet logged in, from one [`Source`]; twice as many from a /56, four times from a /48.
    pub unauthenticated_per_source: usize,
    /// Logins that one [`Source`] may begin and not finish.
    pub unfinished_logins: LoginRate,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            logged_in: 1_000,
            unauthenticated: 200,
            unauthenticated_per_source: 20,
            unfinished_logins: LoginRate { burst: 20, per_second: 5 },
        }
    }
}

/// How many parties an address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parties {
    /// One: the limits per source hold.
    One,
    /// Many, behind a NAT or a load balancer: it counts in all only.
    Many,
}

/// The open connections of the process.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
    /// Wakes the connections that wait to be admitted when a place or a token was given back.
    given_back: Notify,
}

/// Why a connection isn't taken, or not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many connections wait for their login.
    Unauthenticated,
    /// Too many connections from this source wait for their login.
    UnauthenticatedFromSource,
    /// Too many logins from this source were begun and not finished.
    UnfinishedLogins,
    /// It was trying no credential when another connection needed the place.
    MadeRoom,
    /// Too many connections are logged in.
    LoggedIn,
}

impl Refusal {
    /// The words for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "too many connections that are not logged in",
            Self::UnauthenticatedFromSource => "too many connections from this address that are not logged in",
            Self::UnfinishedLogins => "too many logins from this address that were not finished",
            Self::MadeRoom => {
                "too many connections that are not logged in: one that was trying no credential made room"
            }
            Self::LoggedIn => "too many connections are logged in",
        }
    }
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::new(Open::new(&limits)), given_back: Notify::new() })
    }

    /// Takes a place in all for a new connection. If there is none, the source that has the most connections without a
    /// credential tried loses one: its oldest unfinished key exchange, or else the oldest of them.
    ///
    /// # Errors
    /// The limit is reached, and all have tried a credential.
    pub fn arrive(self: &Arc<Self>) -> Result<Arrival, Refusal> {
        let mut open = self.open();
        let full = open.places.len() >= self.limits.unauthenticated;
        let dropped = if full { Some(open.drop_oldest().ok_or(Refusal::Unauthenticated)?) } else { None };
        let number = open.arrive();
        drop(open);
        if let Some(dropped) = dropped {
            dropped.dropped.cancel();
            self.left(&dropped);
        }
        Ok(Arrival(Ticket { connections: Arc::clone(self), number }))
    }

    /// A connection left `place`. One that only waited gives nothing to others: a flood must not wake all who wait.
    fn left(&self, place: &Place) {
        if place.is_admitted {
            self.given_back.notify_waiters();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

/// The place of a connection that isn't logged in; free again on drop.
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

/// The place of a connection whose source isn't known yet; free again on drop.
#[derive(Debug)]
pub struct Arrival(Ticket);

impl Arrival {
    /// Takes a place among those of `source`, and a token for its login. Waits up to 2 s for them.
    ///
    /// # Errors
    /// A limit is reached, or another connection needed the place.
    pub async fn admit(self, source: &Source, parties: Parties) -> Result<Unauthenticated, Refusal> {
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
    /// Waits until it is admitted.
    async fn wait(&self, dropped: &CancellationToken) -> Result<(), Refusal> {
        let deadline = Instant::now() + MAX_ADMISSION_WAIT;
        loop {
            // Before the look at the counts, so that nothing is given back unseen.
            let given_back = self.connections.given_back.notified();
            let admitted = self.connections.open().admit(self.number);
            let Err(wait) = admitted else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(wait.refusal);
            }
            tokio::select! {
                () = sleep_until(wait.until.unwrap_or(deadline).min(deadline)) => {}
                () = given_back => {}
                () = dropped.cancelled() => return Err(Refusal::MadeRoom),
            }
        }
    }
}

/// The place of a connection that isn't logged in and whose source is known; free again on drop.
#[derive(Debug)]
pub struct Unauthenticated {
    ticket: Ticket,
    progress: LoginProgress,
}

impl Unauthenticated {
    /// The progress of the connection's login, which begins now.
    #[must_use]
    pub fn progress(&self) -> LoginProgress {
        self.progress.clone()
    }

    /// Takes a place among the logged-in connections, and gives the token back. This place is given back when `self` is
    /// dropped.
    ///
    /// # Errors
    /// That limit is reached.
    pub fn log_in(&self) -> Result<LoggedIn, Refusal> {
        let Ticket { connections, number } = &self.ticket;
        let mut open = connections.open();
        if open.logged_in >= connections.limits.logged_in {
            return Err(Refusal::LoggedIn);
        }
        open.logged_in += 1;
        open.try_credential(*number);
        if open.give_token_back(*number) {
            connections.given_back.notify_waiters();
        }
        Ok(LoggedIn { connections: Arc::clone(connections) })
    }
}

/// How far the login of a connection has come. Clones are the same one.
#[derive(Clone, Debug)]
pub struct LoginProgress {
    connections: Arc<Connections>,
    number: u64,
    keys_exchanged: CancellationToken,
    dropped: CancellationToken,
}

impl LoginProgress {
    /// The key exchange is done.
    pub fn finish_key_exchange(&self) {
        self.connections.open().end_key_exchange(self.number);
        self.keys_exchanged.cancel();
    }

    /// Waits until the key exchange is done.
    pub async fn keys_exchanged(&self) {
        self.keys_exchanged.cancelled().await;
    }

    /// The client tries a credential: the connection can't be dropped for another one until that is refused.
    pub fn try_credential(&self) {
        self.connections.open().try_credential(self.number);
    }

    /// The credential was refused.
    pub fn refuse_credential(&self) {
        self.connections.open().refuse_credential(self.number);
    }

    /// Cancelled when the connection must end, because another one needed its place.
    #[must_use]
    pub fn dropped(&self) -> &CancellationToken {
        &self.dropped
    }
}

/// The place of a connection that is logged in; free again on drop.
#[derive(Debug)]
pub struct LoggedIn {
    connections: Arc<Connections>,
}

impl Drop for LoggedIn {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.logged_in = open.logged_in.saturating_sub(1);
    }
}
