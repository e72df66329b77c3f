//! The events: everything that is recorded, and what is recorded of it.

use crate::name::BucketId;
use serde::{Serialize, Serializer};
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

/// One thing that happened. Durations are wall time; sizes are bytes of file content. Serialized, an event is tagged by
/// its name in snake case, and durations are whole milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A connection was closed before its key exchange was done: beyond a limit, or without a right PROXY header.
    ConnectionRefused {
        /// Why, as a sentence without a full stop.
        reason: &'static str,
    },
    /// A user logged in.
    LoginAccepted {
        /// The method of SSH: `password`, `publickey` or `keyboard-interactive`.
        method: &'static str,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// A login was refused. The client isn't told why.
    LoginRefused {
        /// The name that was tried, as the client sent it.
        #[serde(rename = "user")]
        name: String,
        /// The method of SSH, or `none` if the client left before it tried one.
        method: &'static str,
        /// Why, for the operator.
        reason: Cow<'static, str>,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// A connection ended before or after login, for a reason worth knowing.
    ConnectionEnded {
        /// Why.
        reason: String,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// Something beside SFTP was asked for: a shell, a forwarding, another subsystem.
    ServiceRefused {
        /// The service, as the client named it.
        service: String,
        /// True if ordinary clients ask for it to find out what the server can do, as WinSCP does with a shell.
        is_probe: bool,
    },
    /// A session began to use its tree.
    SessionStarted,
    /// A session's use of its tree ended.
    SessionEnded {
        /// How long it lasted.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// Protocol bytes from the client.
        received_bytes: u64,
        /// Protocol bytes to the client.
        sent_bytes: u64,
        /// Failed requests that have no record of their own, because the session had too many.
        suppressed: u64,
        /// Why, where it wasn't the client's orderly end.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A file was opened.
    FileOpened {
        /// The client's path.
        path: String,
        /// The way of its bytes.
        transfer: Transfer,
    },
    /// An open file was closed, or abandoned.
    FileClosed {
        /// The client's path.
        path: String,
        /// The way of its bytes.
        transfer: Transfer,
        /// Bytes of content sent to the client, or taken from it.
        bytes: u64,
        /// The size in bytes of the file that was stored, or of the one that was read. `None` if it didn't end well.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// From OPEN to the end.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The tree was changed, or a change failed.
    Changed {
        /// The request.
        change: Change,
        /// The client's path.
        path: String,
        /// The other path of a rename or a copy.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// How long it took.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Another request was refused or failed: an OPEN, a STAT, a listing.
    RequestFailed {
        /// The protocol's name of the request.
        request: &'static str,
        /// The client's path.
        path: String,
        /// Its outcome: refused or failed.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The janitor aborted, in S3, an upload that was interrupted and that no session resumed in time. It was refused if the
    /// user, the mount or the bucket isn't there any more: the bucket's lifecycle rules are left to do it.
    InterruptedUploadAborted {
        /// The journal's id of the upload.
        id: String,
        /// The bucket that it is open in.
        bucket: BucketId,
        /// The file's name below its mount.
        name: String,
        /// Bytes that were stored without a gap.
        bytes: u64,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The sweep aborted, in S3, an upload of this server that the journal doesn't know.
    UnknownUploadAborted {
        /// S3's id of the upload.
        id: String,
        /// The key that it would have become.
        key: String,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// An interrupted rename of a directory was finished or undone.
    RenameRepaired {
        /// The journal's id of the rename.
        id: String,
        /// The bucket.
        bucket: BucketId,
        /// The directory's name below its mount, before.
        source: String,
        /// The directory's name below its mount, after.
        target: String,
        /// How far it had come: `Copying`, which is undone, or `Deleting`, which is finished.
        phase: &'static str,
        /// Objects that the repair removed.
        removed: usize,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// The program at the other end of a connection, as far as it was known when something happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientProgram {
    /// The identification that it sent: `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u9`.
    #[serde(rename = "client", skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The algorithms in use: key exchange, host key, cipher, and the MAC if the cipher needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Arc<str>>,
}

/// The way of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "error", rename_all = "snake_case")]
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

/// A duration in whole milliseconds, as the log and the records show it.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_millis(*duration))
}
