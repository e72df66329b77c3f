//! The request to end a connection. Any part of the connection may make it.

use crate::session::EndCause;
use russh::Disconnect;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// The server's reason to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The key exchange took too long.
    KeyExchangeTimeout,
    /// The login took too long.
    LoginTimeout,
    /// The client tried too many passwords or signatures.
    LoginTries,
    /// The maximum number of connections is logged in.
    Full,
    /// The connection moved no bytes for too long.
    Idle,
    /// The client doesn't read its replies.
    Stalled,
    /// The tenant's clients have too many requests without a reply.
    RequestsOfTenant,
    /// The requests and replies of all connections have too much memory, and this one most of it.
    OutOfMemory,
    /// The client keeps asking for services other than SFTP.
    Refusals,
    /// Another part of the server asked the session to end.
    Asked(EndCause),
    /// The server is stopping.
    Stopping,
}

impl EndReason {
    /// Returns the sentence for the client and the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::KeyExchangeTimeout => "key exchange took too long",
            Self::LoginTimeout => "login took too long",
            Self::LoginTries => "too many login tries",
            Self::Full => "too many connections are logged in",
            Self::Idle => "nothing was transferred for too long",
            Self::Stalled => "replies were not read for too long",
            Self::RequestsOfTenant => "the tenant's clients have too many requests without a reply",
            Self::OutOfMemory => "the server's memory for requests is used up, and this connection had most of it",
            Self::Refusals => "too many requests for services other than sftp",
            Self::Asked(cause) => cause.as_str(),
            Self::Stopping => "the server is stopping",
        }
    }

    /// Returns SSH's disconnect code (RFC 4253 §11.1).
    pub(crate) const fn code(self) -> Disconnect {
        match self {
            Self::LoginTries => Disconnect::NoMoreAuthMethodsAvailable,
            Self::Full => Disconnect::TooManyConnections,
            Self::KeyExchangeTimeout
            | Self::LoginTimeout
            | Self::Idle
            | Self::Stalled
            | Self::RequestsOfTenant
            | Self::OutOfMemory
            | Self::Refusals
            | Self::Asked(_)
            | Self::Stopping => Disconnect::ByApplication,
        }
    }
}

/// A handle that asks for the end of one connection. Clones refer to the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    reason: Arc<OnceLock<EndReason>>,
    asked: CancellationToken,
}

impl Ending {
    /// Asks for the end. The first reason counts.
    pub(crate) fn ask(&self, reason: EndReason) {
        self.reason.get_or_init(|| reason);
        self.asked.cancel();
    }

    /// Waits until a part of the connection asks for its end.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Returns the reason, if a part of the connection asked for its end.
    pub(crate) fn reason(&self) -> Option<EndReason> {
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
