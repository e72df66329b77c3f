//! The sockets of the listeners, and the reasons why the server can't have them.

use super::port_holder::PortHolder;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::{fmt, io, net::SocketAddr};

/// The maximum number of connections that the kernel queues before the server accepts them.
const BACKLOG: i32 = 1_024;

/// Returns the addresses that the server couldn't listen on. Doesn't listen, so it can't take an address from another
/// server that starts meanwhile, and no client connects to this process.
#[must_use]
pub fn find_bind_errors(listen: &[SocketAddr]) -> Vec<BindError> {
    let error = |(at, address): (usize, &SocketAddr)| {
        // The check's sockets don't listen, so they don't exclude each other.
        if listen.iter().take(at).any(|other| excludes(*other, *address)) {
            return Some(BindError { address: *address, error: Errno::ADDRINUSE.into(), holder: None, is_ours: true });
        }
        socket(*address, listen).err().map(|error| BindError::new(*address, error))
    };
    listen.iter().enumerate().filter_map(error).collect()
}

/// True if a listener on `one` address prevents this process from listening on `other`.
fn excludes(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    // The listener of `[::]` leaves IPv4 to a separate IPv4 listener.
    one.port() == other.port() && one.port() != 0 && one.is_ipv4() == other.is_ipv4() && is_same_ip
}

/// An address that the server can't listen on.
#[derive(Debug, thiserror::Error)]
pub struct BindError {
    pub(crate) address: SocketAddr,
    /// The system's error.
    pub error: io::Error,
    holder: Option<PortHolder>,
    /// Another address in the same list excludes this one.
    is_ours: bool,
}

/// Writes the address, the system's error, and the process that holds the address or a hint at the cause.
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
    pub(super) fn new(address: SocketAddr, error: io::Error) -> Self {
        let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
        let holder = is_in_use.then(|| PortHolder::of(address)).flatten();
        Self { address, error, is_ours: holder.as_ref().is_some_and(PortHolder::is_this_process), holder }
    }

    /// True if another server like this one holds the address, such as one that already runs.
    #[must_use]
    pub(crate) fn is_used_by_another_server(&self) -> bool {
        self.holder.as_ref().is_some_and(PortHolder::is_another_server)
    }

    /// True if another process or listener holds the address.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// Listens on `address`, which is one of `all`.
pub(super) fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Socket> {
    let socket = socket(address, all)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Creates a socket that is bound to the address but doesn't listen yet.
fn socket(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // A listener of `[::]` accepts IPv4 too, unless IPv4 has a separate listener.
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
