//! The reasons why a channel must be closed, and the limits of a client that doesn't wait for replies.

/// The number of requests that a channel may have unanswered, without READs and WRITEs. OpenSSH keeps 64 in flight;
/// paramiko's prefetch sends 2,048 READs, which don't count.
pub(crate) const MAX_OUTSTANDING: usize = 4096;
/// The bytes of small replies that a client may leave unread.
pub(crate) const MAX_SMALL_BYTES: usize = 4 << 20;
/// The number of runs that may wait on a channel.
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
    #[error("the client sent more than {} requests without waiting for replies", MAX_OUTSTANDING)]
    TooManyRequests,
    /// The client has more scattered runs of READs than a well-behaved client would.
    #[error("the client sent more than {} scattered READs without waiting for replies", MAX_QUEUED)]
    TooManyReads,
    /// The client doesn't read its replies.
    #[error("the client left {} bytes of replies unread", MAX_SMALL_BYTES)]
    RepliesUnread,
    /// Storage took no bytes of the channel's uploads for a minute.
    #[error("uploads came to a standstill: storage took nothing for a minute")]
    UploadStalled,
    /// The channel is closed.
    #[error("the client is gone")]
    ClientGone,
}
