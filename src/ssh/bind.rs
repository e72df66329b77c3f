//! The sockets of the listeners, and the reasons why the server can't have them.

use super::port_holder::PortHolder;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::{fmt, io, net::SocketAddr};
use tokio::net::TcpListener;

/// The maximum number of connections that the kernel queues before the server accepts them.
pub(super) const BACKLOG: u16 = 1_024;

/// An address to listen on, and what its socket accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListenAddress {
    pub(super) address: SocketAddr,
    /// True for a listener of `[::]` beside a separate IPv4 listener at the same port. Without that listener it accepts
    /// IPv4 too.
    is_only_v6: bool,
}

impl ListenAddress {
    /// Returns the addresses of a list, each with what the others leave to it.
    pub(super) fn all(listen: &[SocketAddr]) -> Vec<Self> {
        let has_v4 = |port| listen.iter().any(|other| other.is_ipv4() && other.port() == port);
        let of =
            |address: &SocketAddr| Self { address: *address, is_only_v6: address.is_ipv6() && has_v4(address.port()) };
        listen.iter().map(of).collect()
    }

    /// Returns the same listener at the port that the system chose.
    pub(super) fn at(self, local: SocketAddr) -> Self {
        Self { address: local, ..self }
    }

    /// True if a listener on this address prevents this process from listening on `other`.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let (one, two) = (self.address, other.address);
        let is_same_ip = one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified();
        let is_same_family = one.is_ipv4() == two.is_ipv4() || self.accepts_v4_too() || other.accepts_v4_too();
        one.port() == two.port() && one.port() != 0 && is_same_family && is_same_ip
    }

    fn accepts_v4_too(&self) -> bool {
        self.address.is_ipv6() && self.address.ip().is_unspecified() && !self.is_only_v6
    }

    /// Listens. Returns the socket and its address, with the port that the system chose. Call it in a tokio runtime.
    ///
    /// # Errors
    /// The server can't listen on the address.
    pub(super) fn bind(self) -> Result<(SocketAddr, TcpListener), BindError> {
        let listener = || {
            let socket = self.socket()?;
            socket.listen(BACKLOG.into())?;
            let listener = TcpListener::from_std(socket.into())?;
            Ok((listener.local_addr()?, listener))
        };
        listener().map_err(|error| BindError::new(self.address, error))
    }

    /// Creates a socket that is bound to the address but doesn't listen yet.
    fn socket(self) -> io::Result<Socket> {
        let Self { address, is_only_v6 } = self;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(is_only_v6)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    }
}

/// Returns the addresses that the server couldn't listen on. Doesn't listen, so it can't take an address from another
/// server that starts meanwhile, and no client connects to this process.
#[must_use]
pub fn find_bind_errors(listen: &[SocketAddr]) -> Vec<BindError> {
    let listen = ListenAddress::all(listen);
    let error = |(at, address): (usize, &ListenAddress)| {
        // The check's sockets don't listen, so they don't exclude each other.
        if listen.iter().take(at).any(|other| other.excludes(address)) {
            let error = Errno::ADDRINUSE.into();
            return Some(BindError { address: address.address, error, holder: None, is_ours: true, is_lost: false });
        }
        address.socket().err().map(|error| BindError::new(address.address, error))
    };
    listen.iter().enumerate().filter_map(error).collect()
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
    /// The server listened on the address before a change that failed.
    is_lost: bool,
}

/// Writes the address, the system's error, and the process that holds the address or a hint at the cause.
impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error, holder, is_ours, is_lost } = self;
        let again = if *is_lost { " any more, and tries again every second" } else { "" };
        write!(f, "cannot listen on {address}{again}: {error}")?;
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
        let is_in_use = error.kind() == io::ErrorKind::AddrInUse;
        let holder = is_in_use.then(|| PortHolder::of(address)).flatten();
        let is_ours = holder.as_ref().is_some_and(PortHolder::is_this_process);
        Self { address, error, is_ours, holder, is_lost: false }
    }

    /// Returns the error about an address that the server has lost.
    pub(super) fn of_lost(self) -> Self {
        Self { is_lost: true, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_exclude_each_other_as_the_system_says() {
        let list = ["[::]:1", "0.0.0.0:1", "[::]:2", "127.0.0.1:3", "0.0.0.0:3", "[::1]:1", "127.0.0.2:3", "0.0.0.0:0"];
        let listen = ListenAddress::all(&list.map(|address| address.parse().unwrap()));
        let alone = ListenAddress::all(&["127.0.0.1:2".parse().unwrap(), "[::]:1".parse().unwrap()]);
        let [both, v4, only_v6, one, all, v6, other, any] = listen[..] else { panic!("eight addresses") };
        assert!(!both.excludes(&v4) && !v4.excludes(&both), "[::] leaves IPv4 to its neighbour");
        assert!(both.excludes(&v6) && !v6.excludes(&v4));
        assert!(one.excludes(&all) && all.excludes(&one) && !one.excludes(&other));
        assert!(!any.excludes(&any), "the system chooses two ports");
        let [v4_of_two, both_at_one] = alone[..] else { panic!("two addresses") };
        assert!(only_v6.excludes(&v4_of_two) && v4_of_two.excludes(&only_v6), "[::] alone accepts IPv4 too");
        assert!(both_at_one.excludes(&v4) && both_at_one.excludes(&both));
    }
}
