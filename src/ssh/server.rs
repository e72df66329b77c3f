//! The SSH server: its listeners, from bind to the end of the last connection.

use super::{
    HostKeys, Settings,
    arithmetic::Arithmetic,
    configs::Configs,
    connection::{Services, Stop},
    listener::listen,
};
use crate::{
    events::Events,
    identity::Provider,
    policy::{Connections, PasswordChecks},
    session::Sessions,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr, sync::Arc};
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
    /// A server that shows `host_keys`, lets in whom `provider` knows, and opens their sessions at `sessions`.
    #[must_use]
    pub fn new(
        settings: Settings,
        host_keys: HostKeys,
        provider: Arc<dyn Provider>,
        sessions: Arc<Sessions>,
        events: Events,
    ) -> Self {
        let services = Services {
            provider,
            password_checks: PasswordChecks::new(settings.password_checks),
            sessions,
            events,
            configs: Configs::new(&settings, host_keys),
            arithmetic: Arithmetic::new(),
            proxy: settings.proxy_protocol,
            shared_sources: settings.shared_sources,
            login_timeout: settings.login_timeout,
            idle_timeout: settings.idle_timeout,
            max_login_tries: settings.max_login_tries,
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
        let bind = |address| bind(address, &self.listen).map_err(|error| BindError { address, error });
        let listeners = self.listen.iter().copied().map(bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Listening { services: self.services, connections: self.connections, listeners })
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl BindError {
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

fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, unless that has a listener of its own.
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok((listener.local_addr()?, listener))
}
