//! The reasons why a channel must be closed, and the limits of a client that doesn't wait for replies.

use crate::session::{MAX_REQUESTS, MAX_TENANT_REQUESTS};

/// The bytes of small replies that a client may leave unread on all channels of its connection.
pub(crate) const MAX_SMALL_BYTES: usize = 4 << 20;
/// The number of runs that may wait on the channels of a connection.
pub(crate) const MAX_QUEUED: usize = 4096;

/// The reason why a channel must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The client sent bytes that are not SFTP.
    #[error("the client sent a malformed SFTP packet: {0}")]
    Malformed(String),
    /// A request came before INIT, or INIT came twice.
    #[error("the client did not begin with one SFTP INIT")]
    NotBegun,
    /// The client has more unanswered requests than a well-behaved client would.
    #[error("the client sent more than {} requests without waiting for replies", MAX_REQUESTS)]
    TooManyRequests,
    /// The connections of the tenant together have more unanswered requests than those of well-behaved clients would.
    /// The connection must be closed too.
    #[error("the tenant's clients sent more than {} requests without waiting for replies", MAX_TENANT_REQUESTS)]
    TooManyRequestsOfTenant,
    /// The client has more scattered runs of READs than a well-behaved client would.
    #[error("the client sent more than {} scattered READs without waiting for replies", MAX_QUEUED)]
    TooManyReads,
    /// The client doesn't read its replies.
    #[error("the client left {} bytes of replies unread", MAX_SMALL_BYTES)]
    RepliesUnread,
    /// The requests and replies of all connections have too much memory, and this connection most of it. It must be
    /// closed.
    #[error("the server's memory for requests is used up, and this connection had most of it")]
    OutOfMemory,
    /// Storage took no bytes of the channel's uploads for a minute.
    #[error("uploads came to a standstill: storage took nothing for a minute")]
    UploadStalled,
    /// The channel is closed.
    #[error("the client is gone")]
    ClientGone,
}
