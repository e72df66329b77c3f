//! The SSH server: its listeners, from bind to the end of the last connection.

use super::{
    HostKeys, Settings,
    arithmetic::Arithmetic,
    configs::Configs,
    connection::{Services, Stop},
    holder::Holder,
    listener::listen,
};
use crate::{access::Access, policy::Connections, sftp::channel::SftpChannels};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::{fmt, io, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Connections that the kernel may keep waiting for us.
const BACKLOG: i32 = 1_024;

/// An SSH server that isn't listening yet.
pub struct Server {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listen: Vec<SocketAddr>,
}

impl Server {
    /// A server that shows `host_keys`, whose logins are those of `access`, and whose channels `sftp` serves.
    #[must_use]
    pub fn new(settings: Settings, host_keys: HostKeys, access: Arc<Access>, sftp: Arc<SftpChannels>) -> Self {
        let services = Services {
            access,
            sftp,
            configs: Configs::new(&settings, host_keys),
            arithmetic: Arithmetic::new(),
            proxy: settings.proxy_protocol,
            shared_sources: settings.shared_sources,
            login_timeout: settings.login_timeout,
            idle_timeout: settings.idle_timeout,
        };
        Self {
            services: Arc::new(services),
            connections: Connections::new(settings.connections),
            listen: settings.listen,
        }
    }

    /// Listens on all addresses.
    ///
    /// # Errors
    /// One of them can't be had. Must be called within a tokio runtime.
    pub fn bind(self) -> Result<Listening, BindError> {
        let listener = |socket: Socket| {
            let listener = TcpListener::from_std(socket.into())?;
            Ok((listener.local_addr()?, listener))
        };
        let bind =
            |address| bind(address, &self.listen).and_then(listener).map_err(|error| BindError::new(address, error));
        let listeners = self.listen.iter().copied().map(bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Listening { services: self.services, connections: self.connections, listeners })
    }
}

/// Finds which of the addresses can't be listened on, without listening: another server that starts meanwhile isn't kept
/// from its address, and no client connects to this process.
#[must_use]
pub fn find_bind_errors(listen: &[SocketAddr]) -> Vec<BindError> {
    let error = |(at, address): (usize, &SocketAddr)| {
        // Sockets that don't listen don't exclude each other.
        if listen.iter().take(at).any(|other| excludes(*other, *address)) {
            return Some(BindError { address: *address, error: Errno::ADDRINUSE.into(), holder: None, is_ours: true });
        }
        socket(*address, listen).err().map(|error| BindError::new(*address, error))
    };
    listen.iter().enumerate().filter_map(error).collect()
}

/// True if a listener on `one` address keeps this process from listening on `other`.
fn excludes(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    // The listener of `[::]` leaves IPv4 to a listener of its own.
    one.port() == other.port() && one.port() != 0 && one.is_ipv4() == other.is_ipv4() && is_same_ip
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
    holder: Option<Holder>,
    /// Another address in the same list has it.
    is_ours: bool,
}

/// The address, what the system said, and the process that has it or what else to look at.
impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error, holder, is_ours } = self;
        write!(f, "cannot listen on {address}: {error}")?;
        match (holder, error.kind()) {
            _ if *is_ours => f.write_str(": another address in `listen` has it already"),
            (Some(holder), _) => write!(f, ": {holder}"),
            (None, io::ErrorKind::AddrInUse) => f.write_str(": `ss -ltnp` shows who has it"),
            (None, io::ErrorKind::AddrNotAvailable) => f.write_str(": this machine has no such address"),
            (None, io::ErrorKind::PermissionDenied) => {
                f.write_str(": ports below 1024 take CAP_NET_BIND_SERVICE, which this process doesn't have")
            }
            (None, _) => Ok(()),
        }
    }
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        let is_taken = error.kind() == io::ErrorKind::AddrInUse;
        let holder = is_taken.then(|| Holder::of(address)).flatten();
        Self { address, error, is_ours: holder.as_ref().is_some_and(Holder::is_this_process), holder }
    }

    /// True if another server like this one has the address, such as the one that runs already.
    #[must_use]
    pub fn is_held_by_another_server(&self) -> bool {
        self.holder.as_ref().is_some_and(Holder::is_another_server)
    }

    /// Whether another process, or another listener, has the address.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// A server that listens but doesn't accept yet.
pub struct Listening {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Listening {
    /// The addresses listened on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Serves until `drain` is cancelled, then takes nobody new and lets transfers finish until `cut` is. Returns when
    /// the last connection has ended.
    pub async fn run(self, drain: CancellationToken, cut: CancellationToken) {
        let stop = Stop { drain, cut };
        let mut listeners = JoinSet::new();
        for (_, listener) in self.listeners {
            let (services, connections) = (Arc::clone(&self.services), Arc::clone(&self.connections));
            listeners.spawn(listen(listener, services, connections, stop.clone()));
        }
        listeners.join_all().await;
    }
}

fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Socket> {
    let socket = socket(address, all)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A socket with the address that doesn't listen yet.
fn socket(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, unless that has a listener of its own.
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
