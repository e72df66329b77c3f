//! The errors that end a connection.

use tokio::task::JoinError;

/// An error that ends a connection from within.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The client broke the protocol or is gone.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// The thread that computed a key exchange panicked.
    #[error("the key exchange failed: {0}")]
    Arithmetic(#[from] JoinError),
    /// The server cut the connection.
    #[error("the connection was cut")]
    Disconnected,
}
