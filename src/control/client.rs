//! Asks the running server, for the commands of an operator. Blocks the caller.

use super::protocol::{
    ControlAnswer, ControlRequest, EndTarget, MAX_ANSWER_BYTES, ReloadAnswer, RequestError, ServerStatus, SessionAnswer,
};
use crate::config::ControlPath;
use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
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
