//! How a connection is asked to end, by whichever of its parts notices that it must.

use crate::session::EndCause;
use russh::Disconnect;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Why we end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It took too long to exchange keys.
    KeyExchangeTimeout,
    /// It took too long to log in.
    LoginTimeout,
    /// It tried too many passwords or signatures.
    LoginTries,
    /// As many are logged in as may be.
    Full,
    /// Nothing moved for too long.
    Idle,
    /// It asked for answers and doesn't read them.
    Stalled,
    /// It keeps asking for what isn't served.
    Refusals,
    /// The session was asked to end.
    Asked(EndCause),
    /// The server stops.
    Stopping,
}

impl EndReason {
    /// What is said to the client and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyExchangeTimeout => "key exchange took too long",
            Self::LoginTimeout => "login took too long",
            Self::LoginTries => "too many login tries",
            Self::Full => "too many connections are logged in",
            Self::Idle => "nothing was transferred for too long",
            Self::Stalled => "replies were not read for too long",
            Self::Refusals => "too many requests for services other than sftp",
            Self::Asked(cause) => cause.as_str(),
            Self::Stopping => "the server is stopping",
        }
    }

    /// SSH's code for it (RFC 4253 §11.1).
    pub const fn code(self) -> Disconnect {
        match self {
            Self::LoginTries => Disconnect::NoMoreAuthMethodsAvailable,
            Self::Full => Disconnect::TooManyConnections,
            Self::KeyExchangeTimeout
            | Self::LoginTimeout
            | Self::Idle
            | Self::Stalled
            | Self::Refusals
            | Self::Asked(_)
            | Self::Stopping => Disconnect::ByApplication,
        }
    }
}

/// Asks for the end of one connection. Clones ask for the same one.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    reason: Arc<OnceLock<EndReason>>,
    asked: CancellationToken,
}

impl Ending {
    /// Asks for the end. The first reason counts.
    pub fn ask(&self, reason: EndReason) {
        self.reason.get_or_init(|| reason);
        self.asked.cancel();
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Why, if somebody asked.
    pub fn reason(&self) -> Option<EndReason> {
        self.reason.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts() {
        let ending = Ending::default();
        assert_eq!(ending.reason(), None);
        let other = ending.clone();
        other.ask(EndReason::Stalled);
        ending.ask(EndReason::Idle);
        ending.asked().await;
        assert_eq!(ending.reason(), Some(EndReason::Stalled));
    }
}
