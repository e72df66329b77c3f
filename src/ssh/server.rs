//! The SSH server: its listeners, from bind to the end of the last connection.

use super::{
    HostKeys, Settings,
    arithmetic::Arithmetic,
    bind::{BindError, bind},
    configs::Configs,
    connection::{Services, Stop},
    listener::listen,
};
use crate::{access::Access, policy::Connections, sftp::channel::SftpChannels};
use socket2::Socket;
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// An SSH server that isn't listening yet.
pub struct Server {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listen: Vec<SocketAddr>,
}

impl Server {
    /// Creates a server with these `host_keys`. `access` handles its logins, and `sftp` its channels.
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

    /// Listens on all addresses. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The server can't listen on one of the addresses.
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

/// A server that listens but doesn't accept yet.
pub struct Listening {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Listening {
    /// Returns the addresses of the listeners, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Serves until `drain` is cancelled, then refuses new connections and lets transfers finish until `disconnect` is
    /// cancelled. Returns after the last connection has ended.
    pub async fn run(self, drain: CancellationToken, disconnect: CancellationToken) {
        let stop = Stop { drain, disconnect };
        let mut listeners = JoinSet::new();
        for (_, listener) in self.listeners {
            let (services, connections) = (Arc::clone(&self.services), Arc::clone(&self.connections));
            listeners.spawn(listen(listener, services, connections, stop.clone()));
        }
        listeners.join_all().await;
    }
}
