//! The events that the server records, and their fields.

use super::ConfigChanges;
use crate::name::{BucketId, Key, Prefix, TransferId};
use serde::{Deserialize, Serialize, Serializer};
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

/// One event. Durations are wall time; sizes are bytes of file content. A serialized event is tagged with its name in
/// snake case, and its durations are whole milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The server closed a connection before its key exchange: a limit was reached, or the PROXY header was not valid.
    ConnectionRefused {
        /// The reason, as a sentence without a full stop.
        reason: &'static str,
    },
    /// A user logged in.
    LoginAccepted {
        /// SSH's name of the method: `password`, `publickey` or `keyboard-interactive`.
        method: &'static str,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// The server refused a login. It doesn't tell the client the reason.
    LoginRefused {
        /// The login name, as the client sent it.
        #[serde(rename = "user")]
        name: String,
        /// SSH's name of the method, or `none` if the client left before it tried one.
        method: &'static str,
        /// The reason, for the operator.
        reason: Cow<'static, str>,
        /// The SHA-256 fingerprint of the key, for `publickey`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// A connection ended before or after its login, for a notable reason.
    ConnectionEnded {
        /// The reason.
        reason: String,
        /// The client's program.
        #[serde(flatten)]
        client: ClientProgram,
    },
    /// A client asked for a service other than SFTP: a shell, a forwarding, another subsystem.
    ServiceRefused {
        /// The service, as the client named it.
        service: String,
        /// True if ordinary clients ask for the service to probe the server, as WinSCP does with a shell.
        is_probe: bool,
    },
    /// A session started using its tree.
    SessionStarted,
    /// A session stopped using its tree.
    SessionEnded {
        /// The duration of the session.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// Protocol bytes from the client.
        received_bytes: u64,
        /// Protocol bytes to the client.
        sent_bytes: u64,
        /// The number of failed requests without a log line of their own, because the session had too many.
        suppressed: u64,
        /// The reason, unless the client ended the session in good order.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An operator asked the server to end a session. The session has only the connection's id.
    SessionEndAsked {
        /// The user id of the operator's process on the server's machine.
        operator_uid: u32,
    },
    /// A client opened a file.
    FileOpened {
        /// The id of the transfer.
        transfer_id: TransferId,
        /// The client's path.
        path: String,
        /// The direction of the transfer.
        transfer: Transfer,
    },
    /// A CLOSE is about to ask S3 to publish an upload. If no [`FileClosed`](Self::FileClosed) follows, because the server
    /// was killed, the object under the key tells if S3 did.
    UploadPublishing {
        /// The id of the transfer.
        transfer_id: TransferId,
        /// The client's path.
        path: String,
        /// The upload's bucket.
        bucket: BucketId,
        /// The prefix of the mount that the client wrote to.
        mount: Prefix,
        /// The key, with the prefix of the mount.
        key: Key,
        /// The value of `x-amz-meta-wharfinger-upload`, which only this object has.
        token: String,
        /// The size of the file, in bytes.
        size: u64,
    },
    /// An open file was closed or abandoned.
    FileClosed {
        /// The id of the transfer.
        transfer_id: TransferId,
        /// The client's path.
        path: String,
        /// The direction of the transfer.
        transfer: Transfer,
        /// The bytes of content sent to the client or received from it.
        bytes: u64,
        /// The size of the stored or read file, in bytes. `None` if the transfer failed or was abandoned.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The time from OPEN to the end.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
        /// The object that an upload published, or that a download read. `None` for an upload that published nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<Box<TransferredObject>>,
    },
    /// A server found how a transfer ended that a kill of a server interrupted.
    TransferResolved {
        /// The id of the transfer.
        transfer_id: TransferId,
        /// The client's path: at the CLOSE of an upload that was about to be published, else at the OPEN.
        path: String,
        /// The direction of the transfer.
        transfer: Transfer,
        /// The outcome: done if S3 published the upload, failed if S3 can't tell, else abandoned.
        #[serde(flatten)]
        outcome: Outcome,
        /// The size of the published file, in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The object that S3 had published.
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<Box<TransferredObject>>,
    },
    /// A client changed the tree, or its change failed.
    Changed {
        /// The request.
        change: ChangeKind,
        /// The client's path.
        path: String,
        /// The other path of a rename or a copy.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The duration of the change.
        #[serde(rename = "duration_ms", serialize_with = "millis")]
        duration: Duration,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Another request was refused or failed: an OPEN, a STAT, a listing.
    RequestFailed {
        /// SFTP's name of the request, whatever the protocol.
        request: &'static str,
        /// The client's path.
        path: String,
        /// Its outcome: refused or failed.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A session abandoned an upload, and S3 didn't abort it: its parts take up space. If the journal knows the upload,
    /// the janitor tries again.
    UploadNotAborted {
        /// S3's id of the upload.
        #[serde(rename = "upload_id")]
        id: String,
        /// The key of the upload.
        key: String,
        /// The outcome: failed.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The janitor aborted, in S3, an interrupted upload that no session resumed in time. The outcome is a refusal if
    /// the tenant has been in no config for long, or has another bucket or prefix: the bucket's lifecycle rules then
    /// remove the parts.
    InterruptedUploadAborted {
        /// The journal's id of the upload.
        #[serde(rename = "upload_id")]
        id: String,
        /// The upload's bucket.
        bucket: BucketId,
        /// The file's name below its mount.
        name: String,
        /// The bytes stored without a gap.
        bytes: u64,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The sweep aborted, in S3, an upload of this server that the journal doesn't know.
    UnknownUploadAborted {
        /// S3's id of the upload.
        #[serde(rename = "upload_id")]
        id: String,
        /// The key of the upload.
        key: String,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The sweep could not look for open uploads of a tenant. The outcome is a refusal if the tenant's role may not
    /// list them: the bucket's lifecycle rules then remove their parts.
    OpenUploadsNotListed {
        /// The outcome: refused or failed.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// STS granted the role of a tenant without its external ID, or with a wrong one. Each start records it again.
    RoleOpen {
        /// The ARN of the role.
        role: String,
        /// The request that STS granted.
        granted: &'static str,
        /// True if the tenant's file accepts it. Else the tenant's users can't log in.
        is_accepted: bool,
    },
    /// STS refuses both requests for a role that was open.
    RoleClosed {
        /// The ARN of the role.
        role: String,
    },
    /// A repair finished or undid an interrupted rename of a directory.
    RenameRepaired {
        /// The journal's id of the rename.
        #[serde(rename = "rename_id")]
        id: String,
        /// The bucket.
        bucket: BucketId,
        /// The directory's old name below its mount.
        #[serde(rename = "path")]
        source: String,
        /// The directory's new name below its mount.
        target: String,
        /// The phase at the interruption: the repair undoes `Copying` and finishes `Deleting`.
        phase: &'static str,
        /// The number of objects that the repair removed.
        removed: usize,
        /// The outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The server took over the files of its config.
    ConfigReloaded {
        /// The changes, by their kinds.
        #[serde(flatten)]
        changes: Box<ConfigChanges>,
        /// The keys of changed settings that hold only after a restart.
        needs_restart: Vec<&'static str>,
        /// The number of sessions that the reload ends.
        ended_sessions: usize,
    },
    /// A reload changed nothing.
    ReloadRefused {
        /// The reasons: file, line, key and sentence of each.
        problems: Vec<String>,
    },
    /// A reload, or the start, didn't take over a tenant's file.
    TenantRefused {
        /// The tenant's file.
        file: String,
        /// True if the tenant is served as an earlier version of the file says. False if it isn't served.
        is_served: bool,
        /// The reasons: file, line, key and sentence of each.
        problems: Vec<String>,
    },
}

/// The object of a transfer, as S3 answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferredObject {
    /// The bucket.
    pub bucket: BucketId,
    /// The key, with the prefix of the mount.
    pub key: Key,
    /// The ETag, as S3 writes it.
    pub etag: String,
    /// The version, in a bucket that keeps versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The CRC64NVME of the object in base64, as `x-amz-checksum-crc64nvme` has it (S3 API reference, PutObject).
    /// `None` for a download, if the answer was lost, or if the store computes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_crc64nvme: Option<String>,
    /// S3's id of the request that published the object. `None` for a download, if the answer was lost, or if the store
    /// gives no ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The program at the client's end of a connection, as far as the server knew it at the event.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientProgram {
    /// The client's identification: `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u9`.
    #[serde(rename = "client", skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The algorithms in use: key exchange, host key, cipher, and the MAC if the cipher needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Arc<str>>,
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// To the client.
    Download,
    /// From the client.
    Upload,
}

/// The characters that a record keeps of a name that a client chose.
pub(super) const MAX_NAME_CHARACTERS: usize = 256;
/// The characters that a record keeps of a path, or of a reason that may quote one. No valid path is longer.
pub(super) const MAX_PATH_CHARACTERS: usize = 1_024;

impl Event {
    /// Truncates the texts that a client chose freely: a packet of SSH may hold 64 KiB of them, and the bus keeps
    /// records.
    pub(super) fn truncated(mut self) -> Self {
        match &mut self {
            Self::LoginRefused { name, reason, .. } => {
                truncate(name, MAX_NAME_CHARACTERS);
                if let Cow::Owned(reason) = reason {
                    truncate(reason, MAX_NAME_CHARACTERS);
                }
            }
            Self::ServiceRefused { service, .. } => truncate(service, MAX_NAME_CHARACTERS),
            Self::ConnectionEnded { reason, .. } => truncate(reason, MAX_PATH_CHARACTERS),
            Self::RequestFailed { path, outcome, .. } => {
                truncate(path, MAX_PATH_CHARACTERS);
                // The error may quote the path.
                if let Outcome::Refused(error) | Outcome::Failed(error) = outcome {
                    truncate(error, 2 * MAX_PATH_CHARACTERS);
                }
            }
            Self::ConnectionRefused { .. }
            | Self::LoginAccepted { .. }
            | Self::SessionStarted
            | Self::SessionEnded { .. }
            | Self::SessionEndAsked { .. }
            | Self::FileOpened { .. }
            | Self::UploadPublishing { .. }
            | Self::FileClosed { .. }
            | Self::TransferResolved { .. }
            | Self::Changed { .. }
            | Self::UploadNotAborted { .. }
            | Self::InterruptedUploadAborted { .. }
            | Self::UnknownUploadAborted { .. }
            | Self::OpenUploadsNotListed { .. }
            | Self::RoleOpen { .. }
            | Self::RoleClosed { .. }
            | Self::RenameRepaired { .. }
            | Self::ConfigReloaded { .. }
            | Self::ReloadRefused { .. }
            | Self::TenantRefused { .. } => {}
        }
        self
    }
}

fn truncate(text: &mut String, max_characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_characters) {
        text.truncate(end);
        text.shrink_to_fit();
    }
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
pub enum ChangeKind {
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

impl fmt::Display for ChangeKind {
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
    /// The operation succeeded.
    Done,
    /// The client disconnected before the end. An upload published nothing; a change may be half done.
    Abandoned,
    /// The state of the tree rules the operation out, such as MKDIR of an existing name. The server has no fault.
    Refused(String),
    /// The operation failed. The text is for the operator and holds S3's request id if there is one.
    Failed(String),
}

/// Returns a duration in whole milliseconds, for the log and the records.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_millis(*duration))
}
