//! How many connections may be open: before login in all and per source, after login in all.
//!
//! A connection is admitted in two steps, because behind a load balancer nobody knows at first whose it is: it *arrives*
//! and counts in all; once its source is known it counts per source too, and takes a token for its login. Then it is in
//! its key exchange, the part of a login that a stranger gets the most work for the least from: where there is no place
//! left, an unfinished one makes room for the newcomer.

mod open;
#[cfg(test)]
mod tests;

use super::{LoginRate, Source};
use open::Open;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long a connection waits for a token of its source.
const MAX_TOKEN_WAIT: Duration = Duration::from_secs(2);

/// The limits that [`Connections`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are logged in.
    pub logged_in: usize,
    /// Connections that are not yet logged in, in all.
    pub unauthenticated: usize,
    /// Connections that are not yet logged in, from one [`Source`].
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Wakes those who wait for a token when one was given back.
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
    /// Its key exchange was not done when another connection needed the place.
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
            Self::MadeRoom => "too many connections that are not logged in: an unfinished key exchange made room",
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

    /// Takes a place in all for a new connection. Where there is none, the source that has the most unfinished key
    /// exchanges loses its oldest.
    ///
    /// # Errors
    /// The limit is reached, and no key exchange is unfinished.
    pub fn arrive(self: &Arc<Self>) -> Result<Arrival, Refusal> {
        let mut open = self.open();
        let full = open.places.len() >= self.limits.unauthenticated;
        let dropped =
            if full { Some(open.drop_key_exchange(&self.limits).ok_or(Refusal::Unauthenticated)?) } else { None };
        let number = open.arrive();
        drop(open);
        if let Some(dropped) = dropped {
            dropped.cancel();
        }
        Ok(Arrival(Ticket { connections: Arc::clone(self), number }))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.connections.open().leave(self.number);
    }
}

/// The place of a connection whose source isn't known yet; free again on drop.
#[derive(Debug)]
pub struct Arrival(Ticket);

impl Arrival {
    /// Takes a place among those of `source`, and a token for its login, for which it waits up to 2 s.
    ///
    /// # Errors
    /// A limit is reached, or another connection needed the place.
    pub async fn admit(self, source: &Source, parties: Parties) -> Result<Unauthenticated, Refusal> {
        let Self(ticket) = self;
        let limits = ticket.connections.limits;
        let dropped = ticket.connections.open().identify(ticket.number, source, parties, &limits)?;
        if parties == Parties::One {
            ticket.token(source, &dropped).await?;
        }
        let connections = Arc::clone(&ticket.connections);
        let key_exchange = KeyExchange { connections, number: ticket.number, done: CancellationToken::new(), dropped };
        Ok(Unauthenticated { ticket, key_exchange })
    }
}

impl Ticket {
    async fn token(&self, source: &Source, dropped: &CancellationToken) -> Result<(), Refusal> {
        let deadline = Instant::now() + MAX_TOKEN_WAIT;
        loop {
            // Before the look at the bucket, so that no token is given back unseen.
            let given_back = self.connections.given_back.notified();
            let taken = self.connections.open().take_token(self.number, source);
            let Err(next_token) = taken else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(Refusal::UnfinishedLogins);
            }
            tokio::select! {
                () = sleep_until(next_token.min(deadline)) => {}
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
    key_exchange: KeyExchange,
}

impl Unauthenticated {
    /// The connection's key exchange, which begins now.
    #[must_use]
    pub fn key_exchange(&self) -> KeyExchange {
        self.key_exchange.clone()
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
        open.end_key_exchange(*number);
        if open.give_token_back(*number) {
            connections.given_back.notify_waiters();
        }
        Ok(LoggedIn { connections: Arc::clone(connections) })
    }
}

/// The key exchange of a connection that isn't logged in. Clones are the same one.
#[derive(Clone, Debug)]
pub struct KeyExchange {
    connections: Arc<Connections>,
    number: u64,
    done: CancellationToken,
    dropped: CancellationToken,
}

impl KeyExchange {
    /// Ends it: the connection can't be dropped for another any more.
    pub fn finish(&self) {
        self.connections.open().end_key_exchange(self.number);
        self.done.cancel();
    }

    /// Waits until it is done.
    pub async fn finished(&self) {
        self.done.cancelled().await;
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
