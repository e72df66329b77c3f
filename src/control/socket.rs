//! The socket's file: made with mode 0600, refused if another server answers on it that isn't stopping, removed at the end
//! of a clean stop.
//!
//! A server listens under another name in the same directory, and then renames the file into its place. It has a lock
//! of the directory meanwhile, so that of two servers that start at once the second one sees the first.

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
    ffi::OsString,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
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
    time::{Instant, sleep, timeout},
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
/// The time between two probes of a server that closed the connection without an answer.
const PROBE_PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for the lock of the directory. A server has it for two probes at most.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(20);

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
        let _lock = lock(directory_of(path)).await;
        if has_socket(path).map_err(io)? {
            require_replaceable(path).await?;
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
        // Another server may have made its own socket at the path. One that is about to has the lock, and replaces this
        // file.
        let lock = File::open(directory_of(&self.path)).map(|directory| directory.try_lock().map(|()| directory));
        if matches!(lock, Ok(Err(TryLockError::WouldBlock))) {
            return;
        }
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

pub(super) fn directory_of(path: &Path) -> &Path {
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

/// Waits until no other server makes a socket in the directory. Returns `None` if the file system has no locks, or if
/// the wait is over: the process that has the lock then is no server that starts.
async fn lock(directory: &Path) -> Option<File> {
    let (directory, deadline) = (File::open(directory).ok()?, Instant::now() + LOCK_WAIT);
    loop {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_POLL).await,
            Err(_) => return None,
        }
    }
}

/// The process that listens on a socket's file.
enum Listener {
    Gone,
    /// A server that waits for its last transfers.
    Stopping,
    /// It closed the connection without an answer.
    Closed(Option<i32>),
    Serving(Option<i32>),
}

/// # Errors
/// A process listens on the socket's file that is no server which is stopping.
async fn require_replaceable(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    let mut listener = probe(path).await.map_err(io)?;
    if let Listener::Closed(_) = listener {
        // A server that ends closes its connections and its socket, in no certain order.
        sleep(PROBE_PAUSE).await;
        listener = probe(path).await.map_err(io)?;
    }
    match listener {
        Listener::Gone | Listener::Stopping => Ok(()),
        Listener::Closed(pid) | Listener::Serving(pid) => Err(SocketError::InUse { path: path.to_owned(), pid }),
    }
}

async fn probe(path: &Path) -> io::Result<Listener> {
    let stream = match timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(Listener::Gone),
                // The line of a process that doesn't accept is full.
                ErrorKind::WouldBlock => Ok(Listener::Serving(None)),
                _ => Err(error),
            };
        }
        Err(_) => return Ok(Listener::Serving(None)),
    };
    // These are the credentials of the process that called listen (unix(7), SO_PEERCRED).
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let is_closed =
        |kind| matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    Ok(match timeout(PROBE_TIMEOUT, is_stopping(stream)).await {
        Ok(Ok(true)) => Listener::Stopping,
        Ok(Err(error)) if is_closed(error.kind()) => Listener::Closed(pid),
        _ => Listener::Serving(pid),
    })
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
    let hidden = hidden_name(path);
    if let Ok(true) = has_socket(&hidden) {
        // A process that was killed left it.
        fs::remove_file(&hidden)?;
    }
    socket.bind(&SockAddr::unix(&hidden)?)?;
    let listening = move || {
        let id = id_of(&hidden)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(StdListener::from(socket))?;
        // A connection before the listen call would be refused. So the path leads to the socket only now.
        fs::rename(&hidden, path)?;
        Ok(ControlSocket { listener, path: path.to_owned(), id })
    };
    listening().inspect_err(|_: &io::Error| _ = fs::remove_file(hidden_name(path)))
}

/// Returns the name for a socket that doesn't listen yet. It is as long as the final one, which may have the greatest
/// length.
fn hidden_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().as_bytes().to_vec();
    if let Some(first) = name.first_mut() {
        *first = if *first == b'.' { b'_' } else { b'.' };
    }
    path.with_file_name(OsString::from_vec(name))
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener as StdUnixListener;
    use std::thread;

    fn names(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[tokio::test]
    async fn a_server_that_ends_during_the_probe_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let former = StdUnixListener::bind(&path).unwrap();
        let ended = thread::spawn(move || {
            let connection = former.accept().unwrap();
            drop(connection);
            drop(former);
        });
        let socket = ControlSocket::bind(&path).await.unwrap();
        ended.join().unwrap();
        drop(socket);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[tokio::test]
    async fn a_process_that_answers_nothing_keeps_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let other = StdUnixListener::bind(&path).unwrap();
        let closing = thread::spawn(move || (0..2).for_each(|_| drop(other.accept().unwrap())));
        let refused = ControlSocket::bind(&path).await.unwrap_err();
        assert!(matches!(refused, SocketError::InUse { pid: Some(_), .. }), "{refused}");
        closing.join().unwrap();
    }

    /// Both find the file of a server that was killed.
    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_servers_that_start_at_once_one_has_the_socket() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("control.sock");
            drop(StdUnixListener::bind(&path).unwrap());
            let bind = |path: PathBuf| tokio::spawn(async move { ControlSocket::bind(&path).await });
            let (one, other) = tokio::join!(bind(path.clone()), bind(path.clone()));
            let both = [one.unwrap(), other.unwrap()];
            let bound: Vec<_> = both.iter().filter_map(|bound| bound.as_ref().ok()).collect();
            let [socket] = bound[..] else { panic!("{both:?}") };
            assert_eq!((id_of(&path).unwrap(), names(directory.path()).len()), (socket.id, 1));
            let (connected, accepted) = tokio::join!(UnixStream::connect(&path), socket.listener.accept());
            drop((connected.unwrap(), accepted.unwrap()));
        }
    }
}
