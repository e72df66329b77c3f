//! How many connections may be open: before login in all and per source, after login in all.

use super::Source;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The limits that [`Connections`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are logged in.
    pub logged_in: usize,
    /// Connections that are not yet logged in, in all.
    pub unauthenticated: usize,
    /// Connections that are not yet logged in, from one [`Source`].
    pub unauthenticated_per_source: usize,
}

/// The open connections of the process.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    logged_in: usize,
    unauthenticated: usize,
    by_source: HashMap<Source, usize>,
}

/// Why a connection isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many connections wait for their login.
    Unauthenticated,
    /// Too many connections from this source wait for their login.
    UnauthenticatedFromSource,
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
            Self::LoggedIn => "too many connections are logged in",
        }
    }
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Takes a place for a new connection from `source`.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn admit(self: &Arc<Self>, source: Source) -> Result<Unauthenticated, Refusal> {
        let mut open = self.open();
        if open.unauthenticated >= self.limits.unauthenticated {
            return Err(Refusal::Unauthenticated);
        }
        let from_source = open.by_source.get(&source).copied().unwrap_or(0);
        if from_source >= self.limits.unauthenticated_per_source {
            return Err(Refusal::UnauthenticatedFromSource);
        }
        open.unauthenticated += 1;
        open.by_source.insert(source.clone(), from_source + 1);
        drop(open);
        Ok(Unauthenticated { connections: Arc::clone(self), source })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection that isn't logged in; free again on drop.
#[derive(Debug)]
pub struct Unauthenticated {
    connections: Arc<Connections>,
    source: Source,
}

impl Unauthenticated {
    /// Takes a place among the logged-in connections. This one is given back when `self` is dropped.
    ///
    /// # Errors
    /// That limit is reached.
    pub fn log_in(&self) -> Result<LoggedIn, Refusal> {
        let mut open = self.connections.open();
        if open.logged_in >= self.connections.limits.logged_in {
            return Err(Refusal::LoggedIn);
        }
        open.logged_in += 1;
        Ok(LoggedIn { connections: Arc::clone(&self.connections) })
    }
}

impl Drop for Unauthenticated {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.unauthenticated = open.unauthenticated.saturating_sub(1);
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(unauthenticated: usize, per_source: usize, logged_in: usize) -> Arc<Connections> {
        Connections::new(ConnectionLimits { logged_in, unauthenticated, unauthenticated_per_source: per_source })
    }

    fn address(text: &str) -> Source {
        Source::new(text.parse().unwrap(), None)
    }

    #[test]
    fn one_source_cannot_take_the_places_of_others() {
        let connections = connections(10, 2, 10);
        let held = [connections.admit(address("192.0.2.1")), connections.admit(address("::ffff:192.0.2.1"))];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(connections.admit(address("192.0.2.1")).unwrap_err(), Refusal::UnauthenticatedFromSource);
        assert!(connections.admit(address("192.0.2.2")).is_ok());
        drop(held);
        assert!(connections.admit(address("192.0.2.1")).is_ok());
        assert!(connections.open().by_source.is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn the_limit_in_all_holds_whatever_the_source() {
        let connections = connections(2, 2, 10);
        let _held = [connections.admit(address("192.0.2.1")), connections.admit(address("192.0.2.2"))];
        assert_eq!(connections.admit(address("192.0.2.3")).unwrap_err(), Refusal::Unauthenticated);
    }

    #[test]
    fn a_login_moves_from_one_count_to_the_other() {
        let connections = connections(1, 1, 1);
        let first = connections.admit(address("192.0.2.1")).unwrap();
        let logged_in = first.log_in().unwrap();
        assert_eq!(first.log_in().unwrap_err(), Refusal::LoggedIn);
        drop(first);
        let second = connections.admit(address("192.0.2.1")).unwrap();
        assert_eq!(second.log_in().unwrap_err(), Refusal::LoggedIn);
        drop(logged_in);
        assert!(second.log_in().is_ok());
    }

    #[test]
    fn check_and_take_are_one_step() {
        let connections = connections(50, 50, 50);
        let admitted: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50).filter_map(|_| connections.admit(address("192.0.2.1")).ok()).collect::<Vec<_>>()
                    })
                })
                .collect();
            racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(admitted.len(), 50);
        drop(admitted);
        assert_eq!(connections.open().unauthenticated, 0);
    }
}
