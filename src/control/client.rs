//! Asks the running server, for the commands of an operator. Blocks the caller.

use super::{
    protocol::{
        ControlAnswer, ControlRequest, EndTarget, MAX_ANSWER_BYTES, ReloadAnswer, RequestError, ServerStatus,
        SessionAnswer,
    },
    socket::directory_of,
};
use crate::config::ControlPath;
use rustix::{net::sockopt::socket_peercred, process::geteuid};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

/// The time for the next line of an answer. A reload of thousands of tenants, behind another one, takes seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The reason why the server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No server listens on the socket.
    #[error("the server isn't running: nothing answers on its control socket {}", .0.display())]
    NotRunning(PathBuf),
    /// The config that names the socket can't be read, and nothing answers on the default one.
    #[error("{problem}; and nothing answers on the default control socket {}", path.display())]
    Config {
        /// The reason why the config can't be read.
        problem: String,
        /// The default socket.
        path: PathBuf,
    },
    /// The system doesn't let this user connect.
    #[error("this user may not use the control socket {}: only root and the server's user may", .0.display())]
    Denied(PathBuf),
    /// Another user's process listens on the socket. Nothing was sent to it.
    #[error(
        "the control socket {} isn't the server's: a process of another user (uid {uid}) listens on it, in a directory \
         that this user can't trust; make its directory writable for the server's user alone",
        path.display()
    )]
    Untrusted {
        /// The socket.
        path: PathBuf,
        /// The user who listens.
        uid: u32,
    },
    /// The server refused the request.
    #[error("{0}")]
    Refused(String),
    /// The server is stopping, and only its next start reads the config.
    #[error("{0}")]
    Stopping(String),
    /// The connection failed.
    #[error("the server doesn't answer on its control socket {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The answer has another form. The server may have another version than this command.
    #[error("the server's answer isn't known to this version of the command")]
    UnknownAnswer,
}

/// Makes the server reload the config that `config` is the server's file of. `force` accepts the loss of most tenants.
///
/// # Errors
/// The server doesn't run, or doesn't answer.
pub(crate) fn reload(config: &Path, force: bool) -> Result<ReloadAnswer, ClientError> {
    let mut refused = Vec::new();
    for answer in ask(config, &ControlRequest::Reload { force })? {
        match answer? {
            ControlAnswer::RefusedFile(file) => refused.push(file),
            ControlAnswer::Reloaded(counts) => return Ok(ReloadAnswer::Reloaded { counts: Box::new(counts), refused }),
            ControlAnswer::ReloadRefused { problems } => return Ok(ReloadAnswer::Refused(problems)),
            _ => return Err(ClientError::UnknownAnswer),
        }
    }
    Err(ClientError::UnknownAnswer)
}

/// Returns the state of the server.
///
/// # Errors
/// The server doesn't run, or doesn't answer.
pub(crate) fn status(config: &Path) -> Result<ServerStatus, ClientError> {
    match ask(config, &ControlRequest::Status {})?.next() {
        Some(Ok(ControlAnswer::Status(status))) => Ok(status),
        Some(Err(error)) => Err(error),
        _ => Err(ClientError::UnknownAnswer),
    }
}

/// Returns all sessions, the oldest first.
///
/// # Errors
/// The server doesn't run, or doesn't answer.
pub(crate) fn sessions(config: &Path) -> Result<Vec<SessionAnswer>, ClientError> {
    let mut sessions = Vec::new();
    for answer in ask(config, &ControlRequest::Sessions {})? {
        match answer? {
            ControlAnswer::Session(session) => sessions.push(session),
            ControlAnswer::EndOfSessions { .. } => return Ok(sessions),
            _ => return Err(ClientError::UnknownAnswer),
        }
    }
    Err(ClientError::UnknownAnswer)
}

/// Asks sessions to end. Returns how many were not asked before.
///
/// # Errors
/// The server doesn't run, or doesn't answer, or a name can't be one.
pub(crate) fn end(config: &Path, target: EndTarget) -> Result<usize, ClientError> {
    match ask(config, &target.into())?.next() {
        Some(Ok(ControlAnswer::Ended { sessions })) => Ok(sessions),
        Some(Err(error)) => Err(error),
        _ => Err(ClientError::UnknownAnswer),
    }
}

/// The lines of an answer, until the server closes the connection.
struct Answers {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

/// Sends a request to the server whose file is `config`.
fn ask(config: &Path, request: &ControlRequest) -> Result<Answers, ClientError> {
    let ControlPath { path, problem } = ControlPath::of(config);
    let io = |source| ClientError::Io { path: path.clone(), source };
    let stream = UnixStream::connect(&path).map_err(|source| match (source.kind(), problem) {
        (ErrorKind::PermissionDenied, _) => ClientError::Denied(path.clone()),
        (ErrorKind::NotFound | ErrorKind::ConnectionRefused, Some(problem)) => {
            ClientError::Config { problem, path: path.clone() }
        }
        (ErrorKind::NotFound | ErrorKind::ConnectionRefused, None) => ClientError::NotRunning(path.clone()),
        _ => io(source),
    })?;
    require_server(&stream, &path)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(io)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(io)?;
    let line = request.line().map_err(|error| io(error.into()))?;
    match (&stream).write_all(&line) {
        // A server that refuses the peer may have closed its end. Its answer says why.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(io(error)),
        _ => {}
    }
    Ok(Answers { path, stream: BufReader::new(stream) })
}

/// Checks that the process that listens is root's, this user's, or of the user who alone may make files in the socket's
/// directory. In a directory of others, such as `/tmp`, any user could have made the socket.
fn require_server(stream: &UnixStream, path: &Path) -> Result<(), ClientError> {
    let io = |source: io::Error| ClientError::Io { path: path.to_owned(), source };
    // These are the credentials of the process that called listen (unix(7), SO_PEERCRED).
    let uid = socket_peercred(stream).map_err(|error| io(error.into()))?.uid.as_raw();
    let is_trusted =
        [0, geteuid().as_raw()].contains(&uid) || sole_writer(directory_of(path)).is_some_and(|sole| sole == uid);
    if is_trusted { Ok(()) } else { Err(ClientError::Untrusted { path: path.to_owned(), uid }) }
}

/// Returns the owner of a directory, unless others may make files there too. The sticky bit doesn't keep them from it.
fn sole_writer(directory: &Path) -> Option<u32> {
    let metadata = fs::metadata(directory).ok()?;
    (metadata.mode() & 0o022 == 0).then_some(metadata.uid())
}

impl Iterator for Answers {
    type Item = Result<ControlAnswer, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.stream.by_ref().take(MAX_ANSWER_BYTES).read_until(b'\n', &mut line) {
            Err(source) => return Some(Err(ClientError::Io { path: self.path.clone(), source })),
            Ok(0) => return None,
            Ok(_) => {}
        }
        Some(match serde_json::from_slice(&line) {
            Ok(ControlAnswer::Error { error: RequestError::Stopping, message }) => Err(ClientError::Stopping(message)),
            Ok(ControlAnswer::Error { message, .. }) => Err(ClientError::Refused(message)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(ClientError::UnknownAnswer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, chown},
    };

    #[test]
    fn a_directory_has_a_sole_writer_unless_others_may_make_files_there() {
        let directory = tempfile::tempdir().unwrap();
        let owner = geteuid().as_raw();
        for (mode, sole) in [(0o755, Some(owner)), (0o700, Some(owner)), (0o775, None), (0o757, None), (0o1777, None)] {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(sole_writer(directory.path()), sole, "{mode:o}");
        }
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        if chown(directory.path(), Some(12_345), None).is_ok() {
            assert_eq!(sole_writer(directory.path()), Some(12_345));
        }
        assert_eq!(sole_writer(&directory.path().join("none")), None);
    }
}
