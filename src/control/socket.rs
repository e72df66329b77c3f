//! The socket's file: made with mode 0600, refused if another server answers on it that isn't stopping, removed at the end
//! of a clean stop.

use super::{
    connection,
    protocol::{ControlAnswer, ControlRequest, MAX_ANSWER_BYTES},
};
use crate::app::Operator;
use rustix::{
    fs::{Access, Mode, access, fchmod},
    process::geteuid,
};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::warn;

/// The connections that are served at the same time. Others wait in the system's line.
const MAX_CONNECTIONS: usize = 16;
/// The longest path of a socket on Linux, in bytes: unix(7), sun_path.
const MAX_PATH_BYTES: usize = 107;
/// The connections that wait in the system's line.
const BACKLOG: i32 = 64;
/// The time to wait after a failure to accept a connection, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The time that another server's system has to take a connection, and that the server has to tell its state.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why the server has no control socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Another server listens on it.
    #[error(
        "another server answers on the control socket {}{}: stop it, or give each server its own `control_socket`",
        path.display(),
        pid.map(|pid| format!(" (PID {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The socket's file.
        path: PathBuf,
        /// The process that listens, as far as the system tells.
        pid: Option<i32>,
    },
    /// The file can't be made.
    #[error("the control socket {} can't be made", path.display())]
    Io {
        /// The socket's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A control socket that listens. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The device and the inode of the file, by which the server knows it again.
    id: (u64, u64),
}

impl ControlSocket {
    /// Looks if a server of this user could make the socket at `path`. Changes nothing and connects to nothing.
    ///
    /// # Errors
    /// [`SocketError::Io`].
    pub(crate) fn examine(path: &Path) -> Result<(), SocketError> {
        try_examine(path).map_err(|source| SocketError::Io { path: path.to_owned(), source })
    }

    /// Makes the socket at `path`. Replaces a socket's file that no process listens on, or a server that is stopping: it
    /// may wait for its last transfers for long, and accepts no connection any more. Call it in a tokio runtime.
    ///
    /// # Errors
    /// Another process listens on it, the file is no socket, or it can't be made.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        let io = |source| SocketError::Io { path: path.to_owned(), source };
        check_length(path).map_err(io)?;
        make_directory(path).map_err(io)?;
        if has_socket(path).map_err(io)? {
            remove_stale(path).await?;
        }
        listen(path).map_err(io)
    }

    /// Serves until it is cancelled.
    pub(crate) async fn serve(self, operator: Operator) {
        let (operator, places) = (Arc::new(operator), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        let server_uid = geteuid().as_raw();
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let operator = Arc::clone(&operator);
                    tokio::spawn(async move {
                        connection::serve(stream, server_uid, &operator).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "the control socket can't accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Another server may have made its own socket at the path.
        if id_of(&self.path).is_ok_and(|id| id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "the control socket's file can't be removed");
        }
    }
}

/// Makes the directory of the socket if it is missing: `/run/wharfinger` is gone after each boot.
fn make_directory(path: &Path) -> io::Result<()> {
    let directory = directory_of(path);
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if !directory.is_dir() => Err(no_directory(directory, &error)),
        _ => Ok(()),
    }
}

fn try_examine(path: &Path) -> io::Result<()> {
    check_length(path)?;
    has_socket(path)?;
    let directory = directory_of(path);
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => may_write(directory).map_err(|error| {
            io::Error::new(error.kind(), format!("no file can be made in {}: {error}", directory.display()))
        }),
        Ok(_) => Err(no_directory(directory, &io::Error::from(ErrorKind::NotADirectory))),
        // The server would make it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            may_write(directory_of(directory)).map_err(|error| no_directory(directory, &error))
        }
        Err(error) => Err(no_directory(directory, &error)),
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

fn no_directory(directory: &Path, error: &io::Error) -> io::Error {
    let message = format!("there is no directory {}, and it can't be made: {error}", directory.display());
    io::Error::new(error.kind(), message)
}

fn may_write(directory: &Path) -> io::Result<()> {
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn check_length(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().len();
    if bytes <= MAX_PATH_BYTES {
        return Ok(());
    }
    let message = format!("its path has {bytes} bytes, and the system takes {MAX_PATH_BYTES} at most");
    Err(io::Error::new(ErrorKind::InvalidInput, message))
}

/// True if a socket's file is at `path`.
///
/// # Errors
/// Another file is there.
fn has_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(true),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket is there")),
        Err(_) => Ok(false),
    }
}

/// Removes a socket's file that no process listens on, or that a server has which is stopping.
async fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let in_use = |pid| SocketError::InUse { path: path.to_owned(), pid };
    let remove = || fs::remove_file(path).map_err(|source| SocketError::Io { path: path.to_owned(), source });
    match timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => {
            // These are the credentials of the process that called listen (unix(7), SO_PEERCRED).
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            match timeout(PROBE_TIMEOUT, is_stopping(stream)).await {
                Ok(Ok(true)) => remove(),
                _ => Err(in_use(pid)),
            }
        }
        Ok(Err(error)) => match error.kind() {
            ErrorKind::NotFound => Ok(()),
            ErrorKind::ConnectionRefused => remove(),
            // The line of a process that doesn't accept is full.
            ErrorKind::WouldBlock => Err(in_use(None)),
            _ => Err(SocketError::Io { path: path.to_owned(), source: error }),
        },
        Err(_) => Err(in_use(None)),
    }
}

/// True if the server at the other end says that it is stopping. A server of an earlier version has no socket then.
async fn is_stopping(mut stream: UnixStream) -> io::Result<bool> {
    stream.write_all(&ControlRequest::Status {}.line()?).await?;
    let mut line = Vec::new();
    BufReader::new(stream).take(MAX_ANSWER_BYTES).read_until(b'\n', &mut line).await?;
    let answer = serde_json::from_slice(&line)?;
    Ok(matches!(answer, ControlAnswer::Status(status) if status.stopping_until.is_some()))
}

fn listen(path: &Path) -> io::Result<ControlSocket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux the file gets the mode of the socket, less the umask. No other process sees it with another mode.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let id = id_of(path)?;
    // A connection before this call is refused.
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(StdListener::from(socket))?;
    Ok(ControlSocket { listener, path: path.to_owned(), id })
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
