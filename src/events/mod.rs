//! The record of events. Every part that notices something at the edge records an [`Event`]; here it becomes exactly
//! one line of the log, with the same field names everywhere. Clients can't flood the log: see `limits`.
//!
//! Not here: the ledger and notifications, which will take the same events from a bounded channel.

mod limits;
mod log;

use crate::name::{TenantName, UserName};
use limits::Limits;
use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// The counts of lines that were not written are written once in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The recorder of events. Cheap to clone; clones share their limits.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Limits>);

impl Events {
    /// Events that go to the log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records `event`, unless its source or user has had too many lines. Never waits, never fails.
    pub fn record(&self, event: &Event) {
        if log::is_wanted(event) && self.0.take(event) {
            log::write(event);
        }
    }

    /// Reports every ten seconds how many lines were suppressed.
    pub async fn report(self) {
        loop {
            sleep(REPORT_INTERVAL).await;
            self.report_now();
        }
    }

    /// Reports how many lines were suppressed since the last report: one line for each user and source, not for each line.
    pub fn report_now(&self) {
        self.0.report();
    }
}

/// The user of a session. Shared by all events of the session.
#[derive(Clone, Debug)]
pub struct Who {
    /// The connection's id and, behind a `-`, the number of the channel: `5f0c9a1be2d34c77-1`.
    pub session: Arc<str>,
    /// The tenant that the user belongs to.
    pub tenant: TenantName,
    /// The user that logged in.
    pub user: UserName,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that they came through, if through any.
    pub vpc_endpoint: Option<Arc<str>>,
}

/// The program at the other end of a connection, as far as it was known when something happened.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The identification that it sent: `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u9`.
    pub version: Option<Arc<str>>,
    /// The algorithms in use: key exchange, host key, cipher, and the MAC if the cipher needs one.
    pub algorithms: Option<Arc<str>>,
}

/// One thing that happened. Durations are wall time; sizes are bytes of file content.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection was closed before its key exchange was done: beyond a limit, or without a right PROXY header.
    ConnectionRefused {
        /// The client's address.
        source: IpAddr,
        /// The VPC endpoint that they came through, if through any.
        vpc_endpoint: Option<Arc<str>>,
        /// Why, as a sentence without a full stop.
        reason: &'static str,
    },
    /// A user logged in.
    LoginAccepted {
        /// The connection's id.
        connection: Arc<str>,
        /// The tenant that the user belongs to.
        tenant: TenantName,
        /// The user.
        user: UserName,
        /// The client's address.
        source: SocketAddr,
        /// The VPC endpoint that they came through, if through any.
        vpc_endpoint: Option<Arc<str>>,
        /// The method of SSH: `password`, `publickey` or `keyboard-interactive`.
        method: &'static str,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        fingerprint: Option<String>,
        /// The client's program.
        client: Client,
    },
    /// A login was refused. The client isn't told why.
    LoginRefused {
        /// The connection's id.
        connection: Arc<str>,
        /// The name that was tried, as the client sent it.
        user: String,
        /// The client's address.
        source: SocketAddr,
        /// The VPC endpoint that they came through, if through any.
        vpc_endpoint: Option<Arc<str>>,
        /// The method of SSH, or `none` if the client left before it tried one.
        method: &'static str,
        /// Why, for the operator.
        reason: Cow<'static, str>,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        fingerprint: Option<String>,
        /// The client's program.
        client: Client,
    },
    /// A connection ended before or after login, for a reason worth knowing.
    ConnectionEnded {
        /// The connection's id.
        connection: Arc<str>,
        /// The client's address.
        source: SocketAddr,
        /// The VPC endpoint that they came through, if through any.
        vpc_endpoint: Option<Arc<str>>,
        /// Why.
        reason: String,
        /// The client's program.
        client: Client,
    },
    /// Something beside SFTP was asked for: a shell, a forwarding, another subsystem.
    ServiceRefused {
        /// The connection's id.
        connection: Arc<str>,
        /// The client's address.
        source: SocketAddr,
        /// The VPC endpoint that they came through, if through any.
        vpc_endpoint: Option<Arc<str>>,
        /// The service, as the client named it.
        service: String,
        /// True if ordinary clients ask for it to find out what the server can do, as WinSCP does with a shell.
        is_probe: bool,
    },
    /// An SFTP session began.
    SessionStarted(Who),
    /// An SFTP session ended.
    SessionEnded {
        /// The session and its user.
        who: Who,
        /// How long it lasted.
        duration: Duration,
        /// Protocol bytes from the client.
        received_bytes: u64,
        /// Protocol bytes to the client.
        sent_bytes: u64,
        /// Failed requests that have no line of their own, because the session had too many.
        suppressed: u64,
        /// Why, where it wasn't the client's orderly end.
        reason: Option<String>,
    },
    /// A file was opened.
    FileOpened {
        /// The session and its user.
        who: Who,
        /// The client's path.
        path: String,
        /// Which way the bytes go.
        transfer: Transfer,
    },
    /// An open file was closed, or given up.
    FileClosed {
        /// The session and its user.
        who: Who,
        /// The client's path.
        path: String,
        /// Which way the bytes went.
        transfer: Transfer,
        /// Bytes of content sent to the client, or taken from it.
        bytes: u64,
        /// The size in bytes of the file that was stored, or of the one that was read. `None` if it didn't end well.
        size: Option<u64>,
        /// From OPEN to the end.
        duration: Duration,
        /// The outcome.
        outcome: Outcome,
    },
    /// The tree was changed, or a change failed.
    Changed {
        /// The session and its user.
        who: Who,
        /// The request.
        change: Change,
        /// The client's path.
        path: String,
        /// The other path of a rename or a copy.
        target: Option<String>,
        /// How long it took.
        duration: Duration,
        /// The outcome.
        outcome: Outcome,
    },
    /// Another request was refused or failed: an OPEN, a STAT, a listing.
    RequestFailed {
        /// The session and its user.
        who: Who,
        /// The SFTP request.
        request: &'static str,
        /// The client's path.
        path: String,
        /// Its outcome: refused or failed.
        outcome: Outcome,
    },
}

/// The way of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// To the client.
    Download,
    /// From the client.
    Upload,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Download => "download",
            Self::Upload => "upload",
        })
    }
}

/// A change to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// REMOVE of a file.
    Remove,
    /// RENAME.
    Rename,
    /// MKDIR.
    Mkdir,
    /// RMDIR.
    Rmdir,
    /// SETSTAT.
    SetAttributes,
    /// COPY-DATA to a file that appears at its CLOSE.
    Copy,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::SetAttributes => "set attributes",
            Self::Copy => "copy",
        })
    }
}

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The client went away before it was done; nothing was published.
    Abandoned,
    /// It can't be done as things are, such as MKDIR of what exists. Nothing is wrong on the server's side.
    Refused(String),
    /// It failed; the text is for the operator and holds S3's request id where there is one.
    Failed(String),
}
