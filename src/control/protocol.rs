//! The requests and answers, which are lines of JSON. A connection carries one request and all lines of its answer.

use crate::{
    app::{LastReload, Reloaded},
    config::{Problem, RefusedTenant},
    events::{ConfigChanges, NameList},
    session::{OpenTransferInfo, SessionInfo},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// The version of the protocol. A request of another version is refused.
pub(super) const VERSION: u64 = 1;

/// The longest request, with its line break.
pub(super) const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// The longest line of an answer, with its line break.
pub(super) const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// The open transfers that the answer about a session lists. Each has a path of at most 1,024 bytes.
const MAX_TRANSFERS: usize = 100;
/// The problems that an answer lists of one file or one reload.
const MAX_PROBLEMS: usize = 20;
/// The characters of a problem, and of a file's path in a list. A message may quote a value of the file.
const MAX_TEXT_CHARACTERS: usize = 2_000;

/// A request, without its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ControlRequest {
    /// The state of the server. The answer is a `status`.
    Status {},
    /// The sessions. The answer is a `session` for each, and then `end_of_sessions`.
    Sessions {},
    /// The end of the sessions that the one given field names. The answer is `ended`.
    End {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
    },
    /// A reload of the config. The answer is a `refused_file` for each file that is not in force, and then `reloaded`;
    /// or `reload_refused`.
    Reload {
        /// True if the loss of most tenants is accepted.
        #[serde(default)]
        force: bool,
    },
}

/// The sessions that an operator ends, as the operator names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndTarget {
    /// One session, by its id.
    Session(String),
    /// All sessions of a user.
    User(String),
    /// All sessions of a tenant's users.
    Tenant(String),
}

/// One line of an answer, without the version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum ControlAnswer {
    Status(ServerStatus),
    Session(SessionAnswer),
    EndOfSessions { sessions: usize },
    Ended { sessions: usize },
    RefusedFile(RefusedFile),
    Reloaded(ReloadCounts),
    ReloadRefused { problems: ProblemList },
    Error { error: RequestError, message: String },
}

/// The reason why a request isn't carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestError {
    /// The peer is neither root nor the server's user.
    Forbidden,
    /// The request has another version than 1.
    Version,
    /// The request is no JSON, unknown, or has a wrong field.
    Malformed,
    /// The request is longer than 64 KiB.
    TooLong,
    /// The request didn't arrive in time.
    TooSlow,
    /// This server has no config files.
    Unsupported,
    /// The server only waits for its last transfers.
    Stopping,
}

/// A line with its version.
#[derive(Debug, Serialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    body: T,
}

/// The state of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServerStatus {
    /// The version of the server.
    pub(crate) server_version: String,
    /// The name of this node, as its records have it.
    pub(crate) node: String,
    pub(crate) pid: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    pub(crate) uptime_s: u64,
    /// The time at which a server that stops interrupts its last transfers.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(crate) stopping_until: Option<OffsetDateTime>,
    pub(crate) sessions: usize,
    /// The open files of all sessions.
    pub(crate) transfers: usize,
    /// The part of `max_buffer_bytes` that transfers and password checks use.
    pub(crate) buffer_bytes: u64,
    /// The part of `buffer_bytes` that password checks use.
    #[serde(default)]
    pub(crate) password_check_bytes: u64,
    pub(crate) max_buffer_bytes: u64,
    /// The memory of requests and replies that can't wait for `max_buffer_bytes`, and the most that it may be.
    #[serde(default)]
    pub(crate) request_bytes: u64,
    #[serde(default)]
    pub(crate) max_request_bytes: u64,
    /// True if a transfer waits for memory.
    #[serde(default)]
    pub(crate) is_memory_waited_for: bool,
    /// The tenants whose transfers use most of it, the first ten.
    #[serde(default)]
    pub(crate) buffers: Vec<TenantBuffers>,
    /// The tenants whose users can't log in, because STS grants the tenant's role without its external ID.
    #[serde(default)]
    pub(crate) open_roles: NameList,
    /// The tenants with such a role whose files accept it.
    #[serde(default)]
    pub(crate) accepted_open_roles: NameList,
    /// The ledger's spool. `None` for a server whose ledger ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spool: Option<SpoolUse>,
    /// `None` for a server without config files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<ConfigStatus>,
}

/// The use of the ledger's spool.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SpoolUse {
    /// The bytes of its files. Some MiB of them may be in SQL already.
    pub(crate) bytes: u64,
    pub(crate) max_bytes: u64,
    /// The records that were lost since the start, because the spool was full or its disk failed.
    pub(crate) lost_records: u64,
}

/// The memory that one tenant's transfers use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TenantBuffers {
    pub(crate) tenant: String,
    pub(crate) bytes: u64,
}

/// The state of a server's config.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConfigStatus {
    /// The time of the start, or of the last reload that wasn't refused.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) loaded_at: OffsetDateTime,
    pub(crate) age_s: u64,
    /// The problems for which the last reload was refused.
    pub(crate) reload_problems: ProblemList,
    /// The tenants' files that are not in force.
    pub(crate) refused_files: NameList,
    /// The keys of changed settings that hold only after a restart.
    pub(crate) needs_restart: Vec<String>,
}

/// The number of problems, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProblemList {
    pub(crate) count: usize,
    /// File, line, key and sentence of each.
    pub(crate) problems: Vec<String>,
}

/// One session. Its texts are not escaped: a client chose some of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionAnswer {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) user: String,
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_endpoint: Option<String>,
    pub(crate) protocol: String,
    /// The version that the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) since: OffsetDateTime,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// The number of open files.
    pub(crate) open_transfers: usize,
    /// The first open files, at most 100.
    pub(crate) transfers: Vec<TransferAnswer>,
}

/// An open file of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TransferAnswer {
    pub(crate) path: String,
    /// `upload` or `download`.
    pub(crate) transfer: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) since: OffsetDateTime,
    pub(crate) bytes: u64,
    /// The bytes that an earlier session uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resumed_bytes: Option<u64>,
    /// The size of a file that the client reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// A tenant's file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedFile {
    pub(crate) file: String,
    /// The tenant, unless the file's name can't be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// True if the tenant is served as an earlier version of the file says.
    pub(crate) is_served: bool,
    #[serde(flatten)]
    pub(crate) problems: ProblemList,
}

/// The changes of a reload that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReloadCounts {
    #[serde(flatten)]
    pub(crate) changes: ConfigChanges,
    /// The keys of changed settings that hold only after a restart.
    pub(crate) needs_restart: Vec<String>,
    /// The number of sessions that the reload ends.
    pub(crate) ended_sessions: usize,
}

/// The outcome of a reload that an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReloadAnswer {
    /// The server took over the files, but for the refused ones.
    Reloaded { counts: Box<ReloadCounts>, refused: Vec<RefusedFile> },
    /// Nothing was changed.
    Refused(ProblemList),
}

impl ControlRequest {
    /// Parses a request.
    ///
    /// # Errors
    /// The error and its sentence.
    pub(super) fn parse(line: &[u8]) -> Result<Self, (RequestError, String)> {
        let malformed =
            |error: serde_json::Error| (RequestError::Malformed, format!("the request is malformed: {error}"));
        let mut fields: Map<String, Value> = serde_json::from_slice(line).map_err(malformed)?;
        match fields.remove("version") {
            Some(version) if version == VERSION => {}
            Some(version) => {
                let sentence = format!("the request has version {version}; this server speaks version {VERSION}");
                return Err((RequestError::Version, sentence));
            }
            None => {
                let sentence = format!("the request has no version; this server speaks version {VERSION}");
                return Err((RequestError::Version, sentence));
            }
        }
        serde_json::from_value(Value::Object(fields)).map_err(malformed)
    }

    /// Returns the request as a line.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        line(self)
    }
}

impl From<EndTarget> for ControlRequest {
    fn from(target: EndTarget) -> Self {
        let (mut session, mut user, mut tenant) = (None, None, None);
        match target {
            EndTarget::Session(id) => session = Some(id),
            EndTarget::User(name) => user = Some(name),
            EndTarget::Tenant(name) => tenant = Some(name),
        }
        Self::End { session, user, tenant }
    }
}

impl ControlAnswer {
    /// Returns the answer as a line.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        line(self)
    }
}

fn line<T: Serialize>(body: &T) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Versioned { version: VERSION, body })?;
    line.push(b'\n');
    Ok(line)
}

fn truncated(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARACTERS).collect()
}

impl ProblemList {
    fn new(problems: &[Problem]) -> Self {
        let sentence = |problem: &Problem| truncated(&problem.to_string());
        Self { count: problems.len(), problems: problems.iter().take(MAX_PROBLEMS).map(sentence).collect() }
    }
}

impl From<SessionInfo> for SessionAnswer {
    fn from(session: SessionInfo) -> Self {
        let open_transfers = session.transfers.len();
        Self {
            id: session.id.to_string(),
            tenant: session.tenant.to_string(),
            user: session.user.to_string(),
            source: session.source.to_string(),
            vpc_endpoint: session.vpc_endpoint.as_deref().map(str::to_owned),
            protocol: session.protocol.as_str().to_owned(),
            client: session.client.as_deref().map(str::to_owned),
            since: session.since,
            received_bytes: session.received_bytes,
            sent_bytes: session.sent_bytes,
            open_transfers,
            transfers: session.transfers.into_iter().take(MAX_TRANSFERS).map(TransferAnswer::from).collect(),
        }
    }
}

impl From<OpenTransferInfo> for TransferAnswer {
    fn from(transfer: OpenTransferInfo) -> Self {
        let OpenTransferInfo { path, transfer, since, bytes, resumed_bytes, size } = transfer;
        Self { path, transfer: transfer.to_string(), since, bytes, resumed_bytes, size }
    }
}

impl From<&RefusedTenant> for RefusedFile {
    fn from(tenant: &RefusedTenant) -> Self {
        Self {
            file: tenant.path.display().to_string(),
            tenant: tenant.name.as_ref().map(ToString::to_string),
            is_served: tenant.is_served,
            problems: ProblemList::new(&tenant.problems),
        }
    }
}

/// Returns the lines about a reload.
pub(super) fn answers_of(reloaded: Result<Reloaded, Vec<Problem>>) -> Vec<ControlAnswer> {
    let reloaded = match reloaded {
        Ok(reloaded) => reloaded,
        Err(problems) => return vec![ControlAnswer::ReloadRefused { problems: ProblemList::new(&problems) }],
    };
    let counts = ReloadCounts {
        changes: reloaded.config_changes(),
        needs_restart: reloaded.needs_restart.iter().map(ToString::to_string).collect(),
        ended_sessions: reloaded.ended_sessions,
    };
    let refused = reloaded.refused.iter().map(|tenant| ControlAnswer::RefusedFile(tenant.into()));
    refused.chain([ControlAnswer::Reloaded(counts)]).collect()
}

impl ConfigStatus {
    pub(super) fn new(last: &LastReload, now: OffsetDateTime) -> Self {
        let file = |tenant: &RefusedTenant| truncated(&tenant.path.display().to_string());
        Self {
            loaded_at: last.loaded_at,
            age_s: (now - last.loaded_at).whole_seconds().try_into().unwrap_or_default(),
            reload_problems: ProblemList::new(&last.problems),
            refused_files: NameList::new(last.refused.iter().map(file).collect()),
            needs_restart: last.needs_restart.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ControlRequest, RequestError> {
        ControlRequest::parse(text.as_bytes()).map_err(|(error, _)| error)
    }

    #[test]
    fn a_request_is_known_whole_or_refused() {
        assert_eq!(parse(r#"{"version":1,"request":"status"}"#), Ok(ControlRequest::Status {}));
        assert_eq!(parse(r#"{"version":1,"request":"reload"}"#), Ok(ControlRequest::Reload { force: false }));
        for malformed in [
            "",
            "[]",
            "status",
            r#"{"version":1}"#,
            r#"{"version":1,"request":"stop"}"#,
            r#"{"version":1,"request":"status","force":true}"#,
            r#"{"version":1,"request":"reload","force":"yes"}"#,
            r#"{"version":1,"request":"end","name":"alice"}"#,
        ] {
            assert_eq!(parse(malformed), Err(RequestError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn the_version_counts_before_the_rest() {
        for other in [r#"{"version":2,"request":"dance"}"#, r#"{"request":"status"}"#, r#"{"version":"1"}"#] {
            assert_eq!(parse(other), Err(RequestError::Version), "{other}");
        }
    }

    #[test]
    fn a_request_comes_back_from_its_line() {
        for request in [
            ControlRequest::Sessions {},
            ControlRequest::from(EndTarget::User("alice".into())),
            ControlRequest::Reload { force: true },
        ] {
            assert_eq!(ControlRequest::parse(&request.line().unwrap()), Ok(request));
        }
    }

    /// The longest paths, full of characters that JSON writes with six.
    #[test]
    fn the_line_of_a_session_is_bounded() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let transfer = TransferAnswer {
            path: "\u{1}".repeat(1_024),
            transfer: "download".into(),
            since: now,
            bytes: u64::MAX,
            resumed_bytes: Some(u64::MAX),
            size: Some(u64::MAX),
        };
        let session = SessionAnswer {
            id: "5f0c9a1be2d34c77".into(),
            tenant: "t".repeat(64),
            user: "u".repeat(64),
            source: "[2001:db8::1]:65535".into(),
            vpc_endpoint: None,
            protocol: "sftp".into(),
            client: Some("\u{1}".repeat(255)),
            since: now,
            received_bytes: u64::MAX,
            sent_bytes: u64::MAX,
            open_transfers: 1_000,
            transfers: vec![transfer; MAX_TRANSFERS],
        };
        let line = ControlAnswer::Session(session).line().unwrap();
        assert!(line.len() < usize::try_from(MAX_ANSWER_BYTES).unwrap(), "{}", line.len());
    }

    #[test]
    fn the_line_of_a_refused_file_is_bounded() {
        let problem = Problem {
            file: "/etc/acme.toml".into(),
            line: Some(1),
            key: "name".into(),
            message: "\u{1}".repeat(1 << 20),
        };
        let problems = ProblemList::new(&vec![problem; 1_000]);
        assert_eq!((problems.count, problems.problems.len()), (1_000, MAX_PROBLEMS));
        let file = RefusedFile { file: "f".repeat(4_096), tenant: None, is_served: true, problems };
        let line = ControlAnswer::RefusedFile(file).line().unwrap();
        assert!(line.len() < usize::try_from(MAX_ANSWER_BYTES).unwrap(), "{}", line.len());
    }
}
